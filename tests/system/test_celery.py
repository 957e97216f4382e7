"""Where one machine ends: the same DAG under a CeleryExecutor, on two workers without Airflow's database."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

import pytest

from spot_runner_provider.batch import BUNDLE
from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.embedded.server import EmbeddedAws
from tests.system.celery_airflow import AT_A_TIME, celery_settings, redis_server, start_worker
from tests.system.fleet import DAG, Fleet, check_run
from tests.system.real_airflow import RealAirflow

PRESETS, TASKS = 200, 8
WORKERS = ("worker-1", "worker-2")
THREADS = ceil(PRESETS / TASKS / BUNDLE)
"""A task's: one for each ten presets of its 25."""

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        not shutil.which("redis-server"), reason="redis-server is missing: install Debian's package redis-server"
    ),
]


@dataclass(frozen=True)
class Run:
    """A run that has ended, and the tasks that ran at the moment when no worker could take one more."""

    run_id: str
    fleet: Fleet
    at_once: list[dict[str, Any]]
    tasks: list[dict[str, Any]]


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
    aws.add_fault(Fault("dynamodb.UpdateItem", "hold"))
    airflow.start_run(DAG, "celery")
    held = len(WORKERS) * AT_A_TIME * THREADS
    airflow.wait_for("the held commits", lambda: len(aws.wait_until_held(held, timeout=0)) == held)
    at_once = [task for task in airflow.tasks(DAG, "celery") if task["state"] == "running"]
    aws.clear_faults()
    assert aws.release() == held
    airflow.wait_for_run(DAG, "celery")
    return Run("celery", fleet, at_once, airflow.tasks(DAG, "celery", "reconcile_preset"))


def test_the_run_succeeds_and_all_presets_are_corrected_once(airflow: RealAirflow, run: Run) -> None:
    check_run(airflow, run.fleet, run.run_id)
    assert run.fleet.intents() == []


def test_each_task_succeeds_in_its_first_try(run: Run) -> None:
    assert [(task["state"], task["try_number"]) for task in run.tasks] == [("success", 1)] * TASKS


def test_both_workers_reconcile_at_the_same_time(run: Run) -> None:
    assert Counter(task["hostname"] for task in run.at_once) == dict.fromkeys(WORKERS, AT_A_TIME)
    assert {task["hostname"] for task in run.tasks} == set(WORKERS)
