"""Report every preset after a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator, Stats

from spot_runner_provider import arguments, clock
from spot_runner_provider.metrics import Kind, Metric, metrics
from spot_runner_provider.notify import (
    MESSAGE_VARIABLE,
    REPORT_VARIABLE,
    Callback,
    as_callbacks,
    calls_for_attention,
    failed_callbacks,
    message,
)
from spot_runner_provider.operators.detect_stale import STATES_KEY
from spot_runner_provider.outcome import Outcome
from spot_runner_provider.report import Report, report

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class ReportStatusOperator(BaseOperator):
    """Put the run's results together; nothing but XCom is read, and AWS is never called.

    Returns ``{"status", "message", "checkedAt", "presets": [{"name", "status", "amiId", "updatedAt", "outcome",
    "detail"}, ...], "malformed": [...]}``. ``status`` is ``ready``, ``building`` or ``degraded``.

    The report is always pushed. Then the task fails, without retries, if detection failed, a preset ended in
    ``error`` or without a result, or in one of ``fail_on``: a run's state comes from its last task alone, and a
    report must not hide a failure. Give it ``trigger_rule="all_done"``.

    What :mod:`~spot_runner_provider.metrics` lists is sent through Airflow's stats. The context of all callbacks has
    the report as ``spot_runner_report`` and as a text ``spot_runner_message``, Airflow's own ``on_success_callback``
    and ``on_failure_callback`` included.

    :param detect_task_id: the task that detects.
    :param reconcile_task_id: the (mapped) task that reconciles.
    :param fail_on: further outcomes that fail the run, such as ``["config_invalid"]``; a list, or a JSON list as
        text. (templated)
    :param on_degraded_callback: who is told if ``status`` is ``degraded`` or the task is about to fail: a function
        that takes the context, a notifier, or a list of them. The report is pushed before; one that fails is logged,
        and changes nothing.

    >>> operator = ReportStatusOperator(task_id="report_status", fail_on=["drifted"], trigger_rule="all_done")
    >>> report = operator.execute(context)
    >>> report["status"], report["message"]
    ('degraded', '2 presets ready, 1 preset failed')
    """

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

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the report, or push it and fail.

        :raises AirflowFailException: saying why the run must not pass for a success.
        """
        ti = context["ti"]
        fail_on, complaint = self._outcomes()
        batches = ti.xcom_pull(task_ids=self.detect_task_id, default=None)
        # Without batches detection died after it had pushed the states.
        survey = None if batches is None else ti.xcom_pull(task_ids=self.detect_task_id, key=STATES_KEY, default=None)
        results = list(_results(ti.xcom_pull(task_ids=self.reconcile_task_id, default=None)))
        made = report(survey, batches or (), results, fail_on)
        for preset in made.value["presets"]:
            self.log.info(
                "%s: %s, %s%s",
                preset["name"],
                preset["status"],
                preset["amiId"] or "no AMI",
                f" ({preset['outcome']})" if preset["outcome"] else "",
            )
        self.log.info("%s: %s", made.value["status"], made.value["message"])
        made = replace(made, failures=(*made.failures, *complaint))
        ti.xcom_push(key="return_value", value=made.value)
        known = metrics(
            made.value,
            batches or (),
            now=clock.now(),
            named=bool(survey and survey.get("named")),
            dry={result["presetName"] for result in results if result["dryRun"]},
        )
        self._send(known, {"dag_id": ti.dag_id})
        self._tell(made, context)
        if made.failures:
            raise AirflowFailException("; ".join(made.failures))
        return made.value

    def _send(self, values: Iterable[Metric], tags: dict[str, str]) -> None:
        """Send metrics; that a receiver is set up wrongly is no reason to fail."""
        try:
            for metric in values:
                if metric.kind is Kind.COUNTER:
                    Stats.incr(metric.name, int(metric.value), tags=tags)
                else:
                    Stats.gauge(metric.name, metric.value, tags=tags)
        except Exception as error:
            self.log.warning("metrics were not sent: %s", error)

    def _tell(self, made: Report, context: Context) -> None:
        """Call the callbacks if there is something to tell."""
        told: Any = context
        told[REPORT_VARIABLE], told[MESSAGE_VARIABLE] = made.value, message(made)
        if calls_for_attention(made):
            for callback, error in failed_callbacks(as_callbacks(self.on_degraded_callback), context):
                self.log.warning("%r told nobody of the report: %s", callback, error)

    def _outcomes(self) -> tuple[list[str], list[str]]:
        """Return the outcomes that fail the run, and what is wrong with how they were given."""
        try:
            outcomes = arguments.names("fail_on", self.fail_on)
        except arguments.InvalidArgument as error:
            return [], [str(error)]
        unknown = sorted(set(outcomes) - set(Outcome))
        return outcomes, [f"fail_on has {', '.join(unknown)}; the outcomes are {', '.join(Outcome)}"] if unknown else []


def _results(pulled: Any) -> Iterator[Mapping[str, Any]]:
    """Yield each result, whether one task's list was pulled, or a sequence of the lists of many.

    Slicing fetches a lazy sequence in one request; iterating would take one an item.
    """
    for value in pulled[:] if isinstance(pulled, Sequence) else ():
        if isinstance(value, Mapping):
            yield value
        else:
            yield from value or ()
