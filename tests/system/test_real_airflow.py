"""The DAG under a real scheduler, dag processor, api-server, triggerer and LocalExecutor, driven by the REST API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from spot_runner_provider.embedded.call import ApiCall
from spot_runner_provider.embedded.demo.deployment import OUTCOMES, seed_demo
from spot_runner_provider.embedded.demo.seed import create_table
from spot_runner_provider.embedded.server import EmbeddedAws
from tests.demo_checks import Snapshot, check_report, check_runner_jobs, check_stores, writes
from tests.integration.deployment import NEW, NEWER, Deployment
from tests.system.fleet import DAG
from tests.system.real_airflow import RealAirflow
from tests.system.run_checks import check_labels, check_report_again, check_tasks, task_states

WAITS, WAITING, TASK = "waits", "waiting", "reconcile_preset"

pytestmark = pytest.mark.system


@dataclass(frozen=True)
class Run:
    """A run that has ended, and what it did to AWS."""

    run_id: str
    state: str
    tasks: list[dict[str, Any]]
    report: dict[str, Any]
    calls: list[ApiCall]
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
    check_tasks(run.tasks)


def test_every_preset_comes_out_as_the_demo_says(run: Run) -> None:
    check_stores(run.before, run.after)
    assert {"dynamodb.UpdateItem", "ssm.PutParameter"} <= set(writes(run.calls))


def test_the_report_is_whole(run: Run) -> None:
    check_report(run.report, run.after)


def test_runner_jobs_are_neither_read_nor_written(run: Run) -> None:
    check_runner_jobs(run.calls, run.before, run.after)


def test_mapped_tasks_are_labelled_with_their_presets(run: Run) -> None:
    check_labels(run.tasks, [preset for preset, outcome in OUTCOMES.items() if outcome])


def test_the_report_again_makes_no_call_to_aws(airflow: RealAirflow, aws: EmbeddedAws, run: Run) -> None:
    check_report_again(airflow, aws, DAG, run.run_id)


def test_without_a_table_detection_fails_at_once_and_says_what_to_set(
    airflow: RealAirflow, run_without_table: Run
) -> None:
    assert run_without_table.state == "failed"
    assert task_states(run_without_table.tasks) == {
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


@pytest.fixture
def one_slot(airflow: RealAirflow) -> Iterator[None]:
    """All tasks together have one slot."""
    pool = "pools/default_pool"
    slots = airflow.call("GET", pool)["slots"]
    airflow.call("PATCH", f"{pool}?update_mask=slots", slots=1)
    yield
    airflow.call("PATCH", f"{pool}?update_mask=slots", slots=slots)


@pytest.fixture
def deployment(aws: EmbeddedAws) -> Deployment:
    """A deployment instead of the demo's."""
    aws.empty()
    create_table(aws.client("dynamodb", bystander=True))
    return Deployment(aws)


@pytest.mark.usefixtures("one_slot")
def test_a_build_is_awaited_in_the_triggerer_and_nothing_that_was_done_before_is_lost(
    airflow: RealAirflow, deployment: Deployment
) -> None:
    airflow.start("triggerer", "triggerer", "--skip-serve-logs")
    deployment.stale("quick")
    deployment.preset("slow")
    slow = deployment.image("slow", "BUILDING", NEWER)

    def state() -> str:
        (task,) = airflow.tasks(WAITS, WAITING, TASK)
        return str(task["state"])

    def outcomes() -> dict[str, str]:
        return {result["presetName"]: result["outcome"] for result in airflow.xcom(WAITS, WAITING, TASK)}

    def told() -> list[str]:
        events = airflow.call("GET", f"assets/events?source_dag_id={WAITS}")["asset_events"]
        return sorted(event["extra"]["presetName"] for event in events)

    airflow.start_run(WAITS, WAITING)
    airflow.wait_for("the deferral", lambda: state() == "deferred")
    assert deployment.parameter("quick")["ami"] == NEW
    assert outcomes() == {"quick": "corrected_ready", "slow": "still_building"}
    assert told() == []

    airflow.trigger(DAG, "meanwhile")
    assert airflow.run_state(DAG, "meanwhile") == "success"
    assert state() == "deferred"

    deployment.aws.image_builder.set_image_state(slow, "AVAILABLE")
    airflow.wait_for_run(WAITS, WAITING)
    assert airflow.run_state(WAITS, WAITING) == "success"
    assert outcomes() == {"quick": "corrected_ready", "slow": "corrected_ready"}
    assert (deployment.record("slow")["amiId"], deployment.parameter("slow")["ami"]) == (NEWER, NEWER)
    assert [deployment.version(name) for name in ("quick", "slow")] == [2, 2]
    assert told() == ["quick", "slow"]
