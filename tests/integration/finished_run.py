"""A run whose other tasks have ended, as the reporting task sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowException, BaseOperator, task_group

from spot_runner_provider.operators.reconcile_preset import ReconcilePresetOperator
from spot_runner_provider.operators.report_status import ReportStatusOperator
from tests.integration.deployment import TaskInstance, detect, reconcile

ONCE = {"retries": {"mode": "standard", "total_max_attempts": 1}}
DETECT, RECONCILE = "detect_stale", "reconcile_preset"


@dataclass
class FinishedRun(TaskInstance):
    """The reporting task's instance, and what Airflow would tell it.

    :param xcom: by task, map index and key.
    :param states: by task and map index.
    """

    xcom: dict[tuple[str, int, str], Any] = field(default_factory=dict)
    states: dict[tuple[str, int], str | None] = field(default_factory=dict)
    map_index: int = -1

    @property
    def context(self) -> dict[str, Any]:
        return {"ti": self, "dag_run": self}

    def xcom_pull(self, *, task_ids: str, map_indexes: int, key: str = "return_value") -> Any:
        return self.xcom.get((task_ids, map_indexes, key))

    def get_task_states(self, *, dag_id: str, run_ids: list[str], task_ids: list[str]) -> dict[str, dict[str, Any]]:
        """Answer as Airflow 3 does."""
        return {
            run_id: {
                task if index < 0 else f"{task}_{index}": state
                for (task, index), state in self.states.items()
                if task in task_ids
            }
            for run_id in run_ids
        }

    def get_task_instances(self) -> list[Any]:
        """Answer as Airflow 2's run does."""
        return [Instance(task, index, state) for (task, index), state in self.states.items()]

    def report(self, dag: DAG | None = None, **arguments: Any) -> dict[str, Any]:
        """Run the reporting task of a DAG, of the README's if none is given."""
        task = ReportStatusOperator(task_id="report_status", dag=dag or unreported(), **arguments)
        made: dict[str, Any] = task.execute(self.context)
        return made


@dataclass
class Instance:
    task_id: str
    map_index: int
    state: str | None


def unreported() -> DAG:
    """Return the README's DAG without its reporting task."""
    with DAG("spot_runner_reconcile", schedule=None) as dag:
        BaseOperator(task_id=DETECT)
        ReconcilePresetOperator.partial(task_id=RECONCILE, table_name=None).expand(presets=[["linux-x64"]])
    return dag


def grouped() -> DAG:
    """Return a DAG whose mapped TaskGroups detect and reconcile, without its reporting task."""

    @task_group
    def images(table: Any) -> None:
        BaseOperator(task_id=DETECT)

    @task_group
    def repair(batch: Any) -> None:
        ReconcilePresetOperator(task_id=RECONCILE, table_name=None, presets=batch)

    with DAG("spot_runner_reconcile", schedule=None) as dag:
        BaseOperator(task_id=DETECT)
        images.expand(table=["spot-runner-state"])
        repair.expand(batch=[["linux-x64"]])
    return dag


def ran(*, dry_run: bool = False, **arguments: Any) -> FinishedRun:
    """Detect and reconcile, failures included."""
    ti = TaskInstance()
    batches, states = detect(ti, **arguments)
    run = FinishedRun(
        xcom={(DETECT, -1, "states"): states, (DETECT, -1, "return_value"): batches}, states={(DETECT, -1): "success"}
    )
    for index, batch in enumerate(batches):
        task, state = TaskInstance(map_index=index), "success"
        try:
            results = [*reconcile(batch, task, botocore_config=ONCE, dry_run=dry_run).values()]
        except AirflowException:
            results, state = task.pushed["return_value"], "failed"
        run.xcom[RECONCILE, index, "return_value"] = results
        run.states[RECONCILE, index] = state
    return run
