"""Report every preset after a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from spot_runner_provider import arguments
from spot_runner_provider.operators.detect_stale import STATES_KEY
from spot_runner_provider.outcome import Outcome
from spot_runner_provider.report import report

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class ReportStatusOperator(BaseOperator):
    """Put the run's results together; nothing but XCom is read, and AWS is never called.

    Returns ``{"status", "message", "checkedAt", "presets": [{"name", "status", "amiId", "updatedAt", "outcome",
    "detail"}, ...], "malformed": [...]}``. ``status`` is ``ready``, ``building`` or ``degraded``.

    The report is always pushed. Then the task fails, without retries, if detection failed, a preset ended in
    ``error`` or without a result, or in one of ``fail_on``: a run's state comes from its last task alone, and a
    report must not hide a failure. Give it ``trigger_rule="all_done"``.

    :param detect_task_id: the task that detects.
    :param reconcile_task_id: the (mapped) task that reconciles.
    :param fail_on: further outcomes that fail the run, such as ``["config_invalid"]``; a list, or a JSON list as
        text. (templated)
    """

    template_fields: Sequence[str] = ("fail_on",)

    def __init__(
        self,
        *,
        detect_task_id: str = "detect_stale",
        reconcile_task_id: str = "reconcile_preset",
        fail_on: Sequence[str] | str = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.detect_task_id = detect_task_id
        self.reconcile_task_id = reconcile_task_id
        self.fail_on = fail_on

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the report, or push it and fail."""
        ti = context["ti"]
        fail_on, complaint = self._outcomes()
        batches = ti.xcom_pull(task_ids=self.detect_task_id, default=None)
        made = report(
            # Without batches detection died after it had pushed the states.
            None if batches is None else ti.xcom_pull(task_ids=self.detect_task_id, key=STATES_KEY, default=None),
            batches or (),
            _results(ti.xcom_pull(task_ids=self.reconcile_task_id, default=None)),
            fail_on,
        )
        for preset in made.value["presets"]:
            self.log.info(
                "%s: %s, %s%s",
                preset["name"],
                preset["status"],
                preset["amiId"] or "no AMI",
                f" ({preset['outcome']})" if preset["outcome"] else "",
            )
        self.log.info("%s: %s", made.value["status"], made.value["message"])
        failures = [*made.failures, *complaint]
        if failures:
            ti.xcom_push(key="return_value", value=made.value)
            raise AirflowFailException("; ".join(failures))
        return made.value

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
