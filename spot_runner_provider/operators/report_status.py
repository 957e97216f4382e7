"""Report every preset after a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    BaseOperator,
    Stats,
)

from spot_runner_provider import clock
from spot_runner_provider.operators import arguments
from spot_runner_provider.operators.detect_stale import STATES_KEY, DetectStaleOperator
from spot_runner_provider.operators.neighbours import neighbour, states_beside
from spot_runner_provider.operators.reconcile_preset import ReconcilePresetOperator
from spot_runner_provider.protocol.outcome import Outcome
from spot_runner_provider.records.text import shown
from spot_runner_provider.reporting.messages import (
    MESSAGE_VARIABLE,
    REPORT_VARIABLE,
    SUBJECT_VARIABLE,
    Callback,
    as_callbacks,
    calls_for_attention,
    failed_callbacks,
    message,
    subject,
)
from spot_runner_provider.reporting.metrics import Metric, MetricKind, metrics
from spot_runner_provider.reporting.report import DEGRADED, Answers, Instance, Report, Silence, report

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


_ENDED = ("success", "failed")
"""States of a task instance that will push nothing more in this try. XComs of other instances may be older."""


class ReportStatusOperator(BaseOperator):
    """Combine the run's results into a report. It reads only the run's XComs and task states, and never calls AWS.

    The report describes the run's present state: XComs from an earlier try of a cleared run do not count.

    Returns ``{"status", "message", "checkedAt", "presets": [{"name", "status", "amiId", "updatedAt", "outcome",
    "detail"}, ...], "malformed": [...], "malformedCounts": {...}}``. ``status`` is ``degraded`` if a person should
    look, otherwise ``building`` if a preset is, otherwise ``ready``. If detection was skipped, nothing was looked at,
    and ``status`` is ``None``.

    The report is always pushed. Then the task fails, without retries, if detection has no result although it was not
    skipped, or if a preset ended in ``error`` or in one of ``fail_on``. It also fails if a reconciling task failed, or
    left no result for its preset although it was not skipped. The last task alone decides a run's state, so the report
    must not hide a failure. Give it ``trigger_rule="all_done"``.

    The metrics that :mod:`~spot_runner_provider.reporting.metrics` lists are sent through Airflow's stats. The context
    of all callbacks, including Airflow's own ``on_success_callback`` and ``on_failure_callback``, has the report as
    ``spot_runner_report``, as text in ``spot_runner_message``, and in one line in ``spot_runner_subject``.

    :param detect_task_id: the detecting task; inside a TaskGroup, its id without the group's. An id that the DAG does
        not have, or that belongs to a task of the wrong kind, is refused when Airflow parses the DAG.
    :param reconcile_task_id: the same for the (mapped) reconciling task.
    :param fail_on: further outcomes that fail the run, such as ``["config_invalid"]``. ``degraded`` fails it whenever
        ``status`` is ``degraded``. A list, or a JSON list as text. (templated)
    :param on_degraded_callback: called if ``status`` is ``degraded``: a function that takes the context, a notifier,
        or a list of them. The report is pushed first. A callback that fails is logged, and changes nothing else.

    >>> operator = ReportStatusOperator(task_id="report_status", fail_on=["drifted"], trigger_rule="all_done", dag=dag)
    >>> report = operator.execute(context)
    >>> report["status"], report["message"]
    ('degraded', '2 presets ready, 1 preset failed')
    """

    custom_operator_name = "ReportStatusOperator"  # a team's own subclasses are found by it, too
    template_fields: Sequence[str] = ("fail_on",)

    def __init__(
        self,
        *,
        detect_task_id: str = "detect_stale",
        reconcile_task_id: str = "reconcile_preset",
        fail_on: Sequence[str] | str = (),
        on_degraded_callback: Callback | Sequence[Callback] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.detect_task_id = detect_task_id
        self.reconcile_task_id = reconcile_task_id
        self.fail_on = fail_on
        self.on_degraded_callback = on_degraded_callback

    def prepare_template(self) -> None:
        """Refuse a DAG without the tasks to report on. Airflow calls this for each task of a parsed DAG.

        :raises AirflowException: to make it an import error of the DAG's file.
        """
        super().prepare_template()
        if complaints := [*self._misnamed()]:
            raise AirflowException(f"task {self.task_id}: {'; '.join(complaints)}")

    def _misnamed(self) -> Iterator[str]:
        """Yield what is wrong with the ids of the tasks to report on."""
        others = {"detect_task_id": ReconcilePresetOperator, "reconcile_task_id": DetectStaleOperator}
        meant = {name: neighbour(self, getattr(self, name)) for name in others}
        for name, other in others.items():
            task, task_id = meant[name], getattr(self, name)
            if task is None:
                known = ", ".join(sorted(set(self.dag.task_ids) - {self.task_id}))
                yield f"{name} is {task_id!r}, which is not a task of DAG {self.dag.dag_id}; it has {known or 'none'}"
            elif task.task_id == self.task_id:
                yield f"{name} is {task_id!r}, which is this task itself"
            elif issubclass(kind := _operator_class(task), (other, ReportStatusOperator)):
                yield f"{name} is {task_id!r}, which is a {kind.__name__}"
        if None not in meant.values() and len({task.task_id for task in meant.values()}) == 1:
            yield f"detect_task_id and reconcile_task_id are both {self.detect_task_id!r}; they must differ"

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the report, or push it and fail.

        :raises AirflowFailException: with the reasons why the run must not count as a success.
        """
        ti = context["ti"]
        fail_on, complaints = self._fail_on()
        survey, batches, silence = self._detected(context)
        answers = self._reconciled(batches, context)
        made = report(
            survey,
            batches,
            answers.results,
            fail_on,
            silence=silence,
            silent=answers.silent,
            failed=answers.failed,
            complaints=[*answers.complaints, *complaints],
        )
        for preset in made.value["presets"]:
            self.log.info(
                "%s: %s, %s%s%s",
                preset["name"],
                preset["status"],
                preset["amiId"] or "no AMI",
                f" ({preset['outcome']})" if preset["outcome"] else "",
                f": {detail}" if (detail := made.detail_of(preset)) else "",
            )
        self.log.info("%s: %s", made.value["status"] or "unknown", made.value["message"])
        ti.xcom_push(key="return_value", value=made.value)
        known = metrics(
            made.value,
            batches,
            now=clock.now(),
            named=bool(survey and survey.get("named")),
            dry={result["presetName"] for result in answers.results if result["dryRun"]},
        )
        self._send(known, {"dag_id": ti.dag_id})
        self._tell(made, context)
        if made.failures:
            raise AirflowFailException("; ".join(made.failures))
        return made.value

    def _detected(self, context: Context) -> tuple[Mapping[str, Any] | None, Sequence[Any], Silence]:
        """Return what detection surveyed and flagged; ``None`` if it has no result, and why it has none."""
        task = neighbour(self, self.detect_task_id)
        if task is None:
            return None, (), Silence.NO_SUCH_TASK
        states = states_beside(task, self, context)
        if len(states) > 1:
            return None, (), Silence.SEVERAL
        index, state = next(iter(states.items()), (-1, None))
        if state == "success":
            survey, batches = (
                context["ti"].xcom_pull(task_ids=task.task_id, map_indexes=index, key=key)
                for key in (STATES_KEY, "return_value")
            )
            if isinstance(survey, Mapping) and isinstance(batches, Sequence):
                return survey, batches, Silence.PUSHED_NOTHING
            if batches is not None:
                return None, (), Silence.SOMETHING_ELSE
        return None, (), Silence.of(state)

    def _reconciled(self, batches: Sequence[Any], context: Context) -> Answers:
        """Return the results of the reconciling tasks for ``batches`` in this try.

        Each XCom is pulled by its map index. A pull of all would include instances that only an earlier try had, and
        would not tell which instance pushed what.
        """
        task = neighbour(self, self.reconcile_task_id)
        if task is None:
            return Answers.of(batches, (), Silence.NO_SUCH_TASK)
        if not batches:
            return Answers(())
        pull = context["ti"].xcom_pull
        return Answers.of(
            batches,
            [
                Instance(state, pull(task_ids=task.task_id, map_indexes=index) if state in _ENDED else None)
                for index, state in states_beside(task, self, context).items()
            ],
        )

    def _send(self, values: Iterable[Metric], tags: dict[str, str]) -> None:
        """Send metrics; a misconfigured receiver does not fail the task."""
        try:
            for metric in values:
                if metric.kind is MetricKind.COUNTER:
                    Stats.incr(metric.name, int(metric.value), tags=tags)
                else:
                    Stats.gauge(metric.name, metric.value, tags=tags)
        except Exception as error:
            self.log.warning("metrics were not sent: %s", shown(str(error)))

    def _tell(self, made: Report, context: Context) -> None:
        """Call the callbacks if a person should look."""
        told: Any = context
        told[REPORT_VARIABLE], told[MESSAGE_VARIABLE], told[SUBJECT_VARIABLE] = made.value, message(made), subject(made)
        if calls_for_attention(made):
            for callback, error in failed_callbacks(as_callbacks(self.on_degraded_callback), context):
                self.log.warning("%r failed, so it told nobody about the report: %s", callback, shown(str(error)))

    def _fail_on(self) -> tuple[list[str], list[str]]:
        """Return what fails the run, and what is wrong with how it was given."""
        try:
            words = arguments.names("fail_on", self.fail_on)
        except arguments.InvalidArgument as error:
            return [], [str(error)]
        unknown = sorted(set(words) - {*Outcome, DEGRADED})
        known = f"{DEGRADED}, and the outcomes {', '.join(Outcome)}"
        return words, [f"fail_on has {', '.join(unknown)}; it takes {known}"] if unknown else []


def _operator_class(task: Any) -> type:
    """Return the class of a task's operator, whether the task is mapped or not."""
    kind: type = getattr(task, "operator_class", type(task))
    return kind
