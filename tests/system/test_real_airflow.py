"""The DAG under a real scheduler, dag processor, api-server and LocalExecutor, driven through the REST API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from spot_runner_provider.embedded.call import Call
from spot_runner_provider.embedded.demo import OUTCOMES, seed_demo
from spot_runner_provider.embedded.server import EmbeddedAws
from tests.demo_checks import Snapshot, check_report, check_runner_jobs, check_stores, writes
from tests.system.real_airflow import RealAirflow

DAG = "spot_runner_reconcile"

pytestmark = pytest.mark.system


@dataclass(frozen=True)
class Run:
    """A run that has ended, and what it did to AWS."""

    run_id: str
    state: str
    tasks: list[dict[str, Any]]
    report: dict[str, Any]
    calls: list[Call]
    before: Snapshot
    after: Snapshot

    @classmethod
    def of(cls, airflow: RealAirflow, aws: EmbeddedAws, dag_id: str, run_id: str, **conf: Any) -> Run:
        """Trigger a run and wait for its end."""
        before = Snapshot.of(aws)
        aws.reset_calls()
        airflow.trigger(dag_id, run_id, **conf)
        return cls(
            run_id=run_id,
            state=airflow.run_state(dag_id, run_id),
            tasks=airflow.tasks(dag_id, run_id),
            report=airflow.xcom(dag_id, run_id, "report_status"),
            calls=aws.call_log(),
            before=before,
            after=Snapshot.of(aws),
        )

    def states(self) -> Counter[tuple[str, str]]:
        """Return how many task instances are in each state."""
        return Counter((task["task_id"], task["state"]) for task in self.tasks)


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    """The demo deployment."""
    with EmbeddedAws() as aws:
        seed_demo(aws)
        yield aws


@pytest.fixture(scope="module")
def dry_run(airflow: RealAirflow, aws: EmbeddedAws) -> Run:
    return Run.of(airflow, aws, DAG, "dry", presets=["linux-x64", "linux-x64-fresh"], dry_run=True)


@pytest.fixture(scope="module")
def run(airflow: RealAirflow, aws: EmbeddedAws, dry_run: Run) -> Run:
    return Run.of(airflow, aws, DAG, "whole")


@pytest.fixture(scope="module")
def run_without_table(airflow: RealAirflow, aws: EmbeddedAws) -> Run:
    return Run.of(airflow, aws, "without_table", "unconfigured")


def test_a_dry_run_looks_presets_up_whatever_their_age_and_writes_nothing(dry_run: Run) -> None:
    assert dry_run.state == "success"
    assert "imagebuilder.ListImagePipelineImages" in {call.operation for call in dry_run.calls}
    assert writes(dry_run.calls) == []
    assert dry_run.after == dry_run.before
    outcomes = {line["name"]: (line["status"], line["outcome"]) for line in dry_run.report["presets"]}
    assert outcomes["linux-x64"] == ("building", "corrected_ready")
    assert outcomes["linux-x64-fresh"] == ("building", "still_building")


def test_the_run_and_each_task_succeed(run: Run) -> None:
    assert run.state == "success"
    assert run.states() == {
        ("detect_stale", "success"): 1,
        ("reconcile_preset", "success"): 8,
        ("report_status", "success"): 1,
    }
    assert {task["try_number"] for task in run.tasks} == {1}


def test_every_preset_comes_out_as_the_demo_says(run: Run) -> None:
    check_stores(run.before, run.after)
    assert {"dynamodb.UpdateItem", "ssm.PutParameter"} <= set(writes(run.calls))


def test_the_report_is_whole(run: Run) -> None:
    check_report(run.report, run.after)


def test_runner_jobs_are_neither_read_nor_written(run: Run) -> None:
    check_runner_jobs(run.calls, run.before, run.after)


def test_mapped_tasks_are_labelled_with_their_presets(run: Run) -> None:
    labels = [task["rendered_map_index"] for task in run.tasks if task["task_id"] == "reconcile_preset"]
    names = [name for label in labels for name in label.split(", ")]
    assert sorted(names) == sorted(preset for preset, outcome in OUTCOMES.items() if outcome)


def test_the_report_again_makes_no_call_to_aws(airflow: RealAirflow, aws: EmbeddedAws, run: Run) -> None:
    aws.reset_calls()
    airflow.call(
        "POST",
        f"dags/{DAG}/clearTaskInstances",
        dag_run_id=run.run_id,
        task_ids=["report_status"],
        only_failed=False,
        dry_run=False,
    )

    def is_done_again() -> bool:
        (task,) = (task for task in airflow.tasks(DAG, run.run_id) if task["task_id"] == "report_status")
        return (task["try_number"], task["state"]) == (2, "success")

    airflow.wait_for("the second report", is_done_again)
    airflow.wait_for_run(DAG, run.run_id)
    assert airflow.run_state(DAG, run.run_id) == "success"
    assert airflow.xcom(DAG, run.run_id, "report_status") == run.report
    assert aws.calls() == {}


def test_without_a_table_detection_fails_at_once_and_says_what_to_set(
    airflow: RealAirflow, run_without_table: Run
) -> None:
    assert run_without_table.state == "failed"
    assert run_without_table.states() == {
        ("detect_stale", "failed"): 1,
        ("reconcile_preset", "upstream_failed"): 1,
        ("report_status", "failed"): 1,
    }
    (detect,) = (task for task in run_without_table.tasks if task["task_id"] == "detect_stale")
    assert (detect["try_number"], detect["max_tries"]) == (1, 3)
    log = airflow.task_log("without_table", run_without_table.run_id, "detect_stale")
    assert "set [spot_runner] table_name" in log
    assert run_without_table.report["message"].startswith("detection failed")
    assert run_without_table.calls == []
