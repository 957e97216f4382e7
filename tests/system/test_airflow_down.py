"""Airflow itself goes down in the middle of a run, and comes back; the run ends as if nothing had been."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.embedded.server import EmbeddedAws
from tests.system.fleet import DAG, Fleet, check_later_run, check_run
from tests.system.real_airflow import RealAirflow

PRESETS = 20
TASKS, AT_A_TIME = 4, 2
"""Half of the tasks run, and the others wait for them."""

pytestmark = [pytest.mark.system, pytest.mark.long]


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """A scheduler is taken for dead after 15 seconds, and what it left is looked for every second."""
    return {
        "AIRFLOW__CORE__PARALLELISM": str(AT_A_TIME),
        "AIRFLOW__SPOT_RUNNER__MAX_MAPPED_TASKS": str(TASKS),
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "1",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    }


@dataclass(frozen=True)
class Held:
    """A run whose running tasks stand still, each after it has committed its five records, right before a put."""

    run_id: str
    fleet: Fleet
    running: frozenset[int]

    @classmethod
    def start(cls, airflow: RealAirflow, aws: EmbeddedAws, run_id: str) -> Held:
        fleet = Fleet(aws, run_id, PRESETS)
        aws.add_fault(Fault("ssm.PutParameter", "hold"))
        airflow.start_run(DAG, run_id)
        airflow.wait_for("the held puts", lambda: len(aws.wait_until_held(AT_A_TIME, timeout=0)) == AT_A_TIME)
        assert (fleet.committed(), fleet.put()) == (PRESETS // TASKS * AT_A_TIME, 0)
        tasks = airflow.tasks(DAG, run_id, "reconcile_preset")
        assert len(tasks) == TASKS
        return cls(run_id, fleet, frozenset(task["map_index"] for task in tasks if task["state"] == "running"))

    def tries(self, airflow: RealAirflow, state: str = "success") -> list[int]:
        """Return the tries, so far, of those tasks that are in this state by now."""
        tasks = airflow.tasks(DAG, self.run_id, "reconcile_preset")
        return [task["try_number"] for task in tasks if task["map_index"] in self.running and task["state"] == state]


def let_go(aws: EmbeddedAws, *, apply: bool) -> None:
    aws.clear_faults()
    assert aws.release(apply=apply) == AT_A_TIME


def test_the_scheduler_is_killed_and_its_tasks_with_it(airflow: RealAirflow, aws: EmbeddedAws) -> None:
    held = Held.start(airflow, aws, "with-tasks")
    airflow.kill("scheduler")
    let_go(aws, apply=False)
    assert held.fleet.put() == 0
    airflow.start("scheduler")
    check_run(airflow, held.fleet, held.run_id)
    assert held.tries(airflow) == [2] * AT_A_TIME
    check_later_run(airflow, held.fleet, held.run_id)


def test_the_scheduler_is_killed_and_its_tasks_go_on(airflow: RealAirflow, aws: EmbeddedAws) -> None:
    held = Held.start(airflow, aws, "without-tasks")
    airflow.kill("scheduler", alone=True)
    let_go(aws, apply=True)
    airflow.wait_for("the end of the running tasks", lambda: len(held.tries(airflow)) == AT_A_TIME)
    airflow.start("scheduler")
    check_run(airflow, held.fleet, held.run_id)
    assert held.tries(airflow) == [1] * AT_A_TIME
    assert held.fleet.intents() == []


def test_the_api_server_is_down_while_the_tasks_do_their_work(airflow: RealAirflow, aws: EmbeddedAws) -> None:
    """The running tasks do all of it in that time, and can tell nobody until the api-server has started again."""
    held = Held.start(airflow, aws, "no-api")
    airflow.kill("api-server")
    let_go(aws, apply=True)
    done = PRESETS // TASKS * AT_A_TIME
    airflow.wait_for("the work of the running tasks", lambda: held.fleet.put() == done and not held.fleet.intents())
    airflow.start("api-server")
    airflow.wait_for_api()
    check_run(airflow, held.fleet, held.run_id)
    assert held.fleet.intents() == []
