"""Where one machine ends: the same DAG under a CeleryExecutor, on two workers without Airflow's database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any

import pytest

from spot_runner_provider.batch.batch import BUNDLE
from spot_runner_provider.embedded.call import ApiCall
from spot_runner_provider.embedded.demo.seed import put_items, runner_job
from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.embedded.server import EmbeddedAws
from tests.demo_checks import Snapshot, check_lines, check_runner_jobs
from tests.system.celery_airflow import AT_A_TIME, celery_settings, redis_server, start_worker
from tests.system.fleet import DAG, Fleet, check_run
from tests.system.real_airflow import RealAirflow
from tests.system.run_checks import check_labels, check_report_again, check_tasks

PRESETS, TASKS = 200, 8
WORKERS = ("worker-1", "worker-2")
THREADS = ceil(PRESETS / TASKS / BUNDLE)
"""A task's: one for each ten presets of its 25."""

pytestmark = [
    pytest.mark.long,
    pytest.mark.system,
    pytest.mark.needs("redis-server"),
]


@dataclass(frozen=True)
class Run:
    """A run that has ended, what it did to AWS, and the tasks that ran when no worker could take one more."""

    run_id: str
    fleet: Fleet
    at_once: list[dict[str, Any]]
    tasks: list[dict[str, Any]]
    calls: list[ApiCall]
    before: Snapshot
    after: Snapshot


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield celery_settings(url)


@pytest.fixture(scope="module")
def airflow(airflow: RealAirflow) -> RealAirflow:
    for name in WORKERS:
        start_worker(airflow, name)
    return airflow


@pytest.fixture(scope="module")
def run(airflow: RealAirflow, aws: EmbeddedAws) -> Run:
    """Hold the first writes until both workers are full, so that neither can do the other one's work."""
    fleet = Fleet(aws, "far", PRESETS)
    jobs = [runner_job(number, "running", datetime.now(UTC)) for number in range(PRESETS)]
    put_items(fleet.deployment.dynamodb, jobs)
    before = Snapshot.of(aws, fleet.amis)
    aws.reset_calls()
    aws.add_fault(Fault("dynamodb.UpdateItem", "hold"))
    airflow.start_run(DAG, "celery")
    held = len(WORKERS) * AT_A_TIME * THREADS
    airflow.wait_for("the held commits", lambda: len(aws.wait_until_held(held, timeout=0)) == held)
    at_once = [task for task in airflow.tasks(DAG, "celery") if task["state"] == "running"]
    aws.clear_faults()
    assert aws.release() == held
    airflow.wait_for_run(DAG, "celery")
    calls, after = aws.call_log(), Snapshot.of(aws, fleet.amis)
    return Run("celery", fleet, at_once, airflow.tasks(DAG, "celery"), calls, before, after)


def test_the_run_succeeds_and_all_presets_are_corrected_once(airflow: RealAirflow, run: Run) -> None:
    check_run(airflow, run.fleet, run.run_id)
    assert run.fleet.intents() == []


def test_each_task_succeeds_in_its_first_try(run: Run) -> None:
    check_tasks(run.tasks)


def test_the_report_is_whole(airflow: RealAirflow, run: Run) -> None:
    report = airflow.xcom(DAG, run.run_id, "report_status")
    check_lines(report, dict.fromkeys(run.fleet.amis, "corrected_ready"), run.after)
    assert (report["status"], report["message"]) == ("ready", f"{PRESETS} presets ready")
    assert report["malformed"] == []


def test_runner_jobs_are_neither_read_nor_written(run: Run) -> None:
    check_runner_jobs(run.calls, run.before, run.after)


def test_mapped_tasks_are_labelled_with_their_presets(run: Run) -> None:
    check_labels(run.tasks, run.fleet.amis)


def test_both_workers_reconcile_at_the_same_time(run: Run) -> None:
    assert Counter(task["hostname"] for task in run.at_once) == dict.fromkeys(WORKERS, AT_A_TIME)
    assert {task["hostname"] for task in run.tasks if task["task_id"] == "reconcile_preset"} == set(WORKERS)


def test_the_report_again_makes_no_call_to_aws(airflow: RealAirflow, aws: EmbeddedAws, run: Run) -> None:
    check_report_again(airflow, aws, DAG, run.run_id)
