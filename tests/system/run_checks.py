"""What must be true of the tasks of a run, whatever executor had them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from spot_runner_provider.embedded.server import EmbeddedAws
from tests.system.real_airflow import RealAirflow


def task_states(tasks: Iterable[Mapping[str, Any]]) -> Counter[tuple[str, str]]:
    """Return how many task instances are in each state."""
    return Counter((task["task_id"], task["state"]) for task in tasks)


def check_tasks(tasks: Collection[Mapping[str, Any]]) -> None:
    """Check that each task succeeded in its first try, and that there were eight to reconcile."""
    assert task_states(tasks) == {
        ("detect_stale", "success"): 1,
        ("reconcile_preset", "success"): 8,
        ("report_status", "success"): 1,
    }
    assert {task["try_number"] for task in tasks} == {1}


def check_labels(tasks: Iterable[Mapping[str, Any]], presets: Collection[str]) -> None:
    """Check that mapped tasks are labelled with their presets, between them all: three by name, and how many more."""
    named: list[str] = []
    unnamed = 0
    for task in tasks:
        if task["task_id"] == "reconcile_preset":
            names, _, more = task["rendered_map_index"].partition(" +")
            named += names.split(", ")
            unnamed += int(more or 0)
    assert len(set(named)) == len(named)
    assert set(named) <= set(presets)
    assert len(named) + unnamed == len(presets)


def check_report_again(airflow: RealAirflow, aws: EmbeddedAws, dag_id: str, run_id: str) -> None:
    """Check that the report, made once more, is the same, and makes no call to AWS."""
    report = airflow.xcom(dag_id, run_id, "report_status")
    aws.reset_calls()
    airflow.call(
        "POST",
        f"dags/{dag_id}/clearTaskInstances",
        dag_run_id=run_id,
        task_ids=["report_status"],
        only_failed=False,
        dry_run=False,
    )

    def is_done_again() -> bool:
        (task,) = (task for task in airflow.tasks(dag_id, run_id) if task["task_id"] == "report_status")
        return (task["try_number"], task["state"]) == (2, "success")

    airflow.wait_for("the second report", is_done_again)
    airflow.wait_for_run(dag_id, run_id)
    assert airflow.run_state(dag_id, run_id) == "success"
    assert airflow.xcom(dag_id, run_id, "report_status") == report
    assert aws.calls() == {}
