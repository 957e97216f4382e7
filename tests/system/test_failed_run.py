"""Presets that cannot be corrected: the run is red, its report whole, and a later run makes up for it."""

from __future__ import annotations

import pytest

from spot_runner_provider.embedded.demo.seed import PARAMETER_PREFIX
from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.embedded.server import EmbeddedAws
from tests.system.fleet import DAG, Fleet, check_later_run
from tests.system.real_airflow import RealAirflow

PRESETS, TASKS = 12, 4
TRIES = 4
BROKEN, DENIED = "fleet-05", "fleet-09"
"""The put of one fails, that of the other is denied: to try again is in vain."""
RUN = "broken"

pytestmark = [pytest.mark.system, pytest.mark.long]


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {"AIRFLOW__SPOT_RUNNER__MAX_MAPPED_TASKS": str(TASKS)}


@pytest.fixture(scope="module")
def fleet(airflow: RealAirflow, aws: EmbeddedAws) -> Fleet:
    """Presets after a run in which two could not be put, in any try."""
    fleet = Fleet(aws, "fleet", PRESETS)
    aws.add_fault(Fault("ssm.PutParameter", "500", key=PARAMETER_PREFIX + BROKEN))
    aws.add_fault(Fault("ssm.PutParameter", "AccessDeniedException", key=PARAMETER_PREFIX + DENIED))
    airflow.trigger(DAG, RUN)
    aws.clear_faults()
    return fleet


def test_the_run_is_failed_after_all_tries(airflow: RealAirflow, fleet: Fleet) -> None:
    assert airflow.run_state(DAG, RUN) == "failed"
    tasks = airflow.tasks(DAG, RUN)
    (reported,) = (task for task in tasks if task["task_id"] == "report_status")
    assert (reported["state"], reported["try_number"]) == ("failed", 1)
    assert sorted((task["state"], task["try_number"]) for task in tasks if task["task_id"] == "reconcile_preset") == [
        ("failed", TRIES),
        *[("success", 1)] * (TASKS - 1),
    ]


def test_the_report_is_whole_and_says_what_failed(airflow: RealAirflow, fleet: Fleet) -> None:
    report = airflow.xcom(DAG, RUN, "report_status")
    failed = {BROKEN: ("building", "error"), DENIED: ("building", "refused")}
    assert fleet.lines(report) == dict.fromkeys(fleet.amis, ("ready", "corrected_ready")) | failed
    assert (report["status"], report["message"].partition(";")[0]) == (
        "degraded",
        "10 presets ready, 2 presets building",
    )
    details = {line["name"]: line["detail"] for line in report["presets"]}
    assert f"allow ssm:PutParameter on parameter {PARAMETER_PREFIX}{DENIED}" in details[DENIED]
    assert f"{PARAMETER_PREFIX}{BROKEN}" in details[BROKEN]
    assert f"error: {BROKEN}" in airflow.task_log(DAG, RUN, "report_status")


def test_the_next_run_finishes_both_once_it_may(airflow: RealAirflow, fleet: Fleet) -> None:
    assert fleet.put() == PRESETS - 2
    check_later_run(airflow, fleet, RUN, puts=2)
