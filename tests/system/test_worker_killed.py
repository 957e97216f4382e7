"""The process of a task is killed on its way through a batch; the retry, and a later run, make up for it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.embedded.server import EmbeddedAws
from tests.system.fleet import DAG, Fleet, check_later_run, check_run
from tests.system.real_airflow import RealAirflow

PRESETS = 40
THREADS = 4
"""The batch's: one for each ten presets. Once each has a call that is held, the task stands still."""
FREE = 9
"""Calls that go through before: fewer than one thread has to make, so that every thread has one left to be held."""

pytestmark = pytest.mark.system


@dataclass(frozen=True)
class Death:
    """When the task dies, how many records and parameters are written by then, and who dies with it."""

    fault: Fault
    committed: int
    put: int
    with_supervisor: bool = False


DEATHS = {
    "in the middle of the commits": Death(Fault("dynamodb.UpdateItem", "hold", skip=FREE), FREE, 0),
    "between commit and put": Death(Fault("dynamodb.UpdateItem", "hold_reply"), THREADS, 0),
    "in the middle of the puts": Death(Fault("ssm.PutParameter", "hold", skip=FREE), PRESETS, FREE),
    "with its supervisor": Death(Fault("ssm.PutParameter", "hold_reply", skip=FREE), PRESETS, FREE + THREADS, True),
}


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {
        "AIRFLOW__SPOT_RUNNER__MAX_MAPPED_TASKS": "1",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
    }


def tries(fleet: Fleet) -> list[str]:
    """The keys of the intents, sorted, without what tells executions of one try apart."""
    return sorted(intent["jobId"].rpartition("/")[0] for intent in fleet.intents())


@pytest.mark.parametrize(
    "moment",
    [pytest.param(moment, marks=[pytest.mark.long] if moment != "between commit and put" else []) for moment in DEATHS],
)
def test_the_retry_ends_well_and_a_later_run_clears_up(airflow: RealAirflow, aws: EmbeddedAws, moment: str) -> None:
    death, name = DEATHS[moment], moment.replace(" ", "-")
    fleet = Fleet(aws, name, PRESETS)
    aws.add_fault(death.fault)
    airflow.start_run(DAG, name)
    airflow.wait_for("the held calls", lambda: len(aws.wait_until_held(THREADS, timeout=0)) == THREADS)
    assert (fleet.committed(), fleet.put()) == (death.committed, death.put)

    (task,) = airflow.tasks(DAG, name, "reconcile_preset")
    airflow.kill_task(task, with_supervisor=death.with_supervisor)
    aws.clear_faults()
    assert aws.release(apply=False) == THREADS
    assert (fleet.committed(), fleet.put()) == (death.committed, death.put)

    check_run(airflow, fleet, name)
    (task,) = airflow.tasks(DAG, name, "reconcile_preset")
    assert (task["try_number"], task["state"]) == (2, "success")

    # The first try might have lived: its intents stay, and for each of them the one of the second try.
    left = tries(fleet)
    first, second = ({key for key in left if key.endswith(f"{DAG}/{name}/reconcile_preset/0/{n}")} for n in (1, 2))
    assert first
    assert second == {key.removesuffix("1") + "2" for key in first}
    assert sorted(first | second) == left
    check_later_run(airflow, fleet, name)
