"""A dry run where the DAG is parsed, and not where it is run: the run fails, and nothing is written."""

from __future__ import annotations

import pytest

from spot_runner_provider.embedded.server import EmbeddedAws
from spot_runner_provider.operators.run_conf import DRY_RUN_MARK
from tests.integration.deployment import Deployment
from tests.system.fleet import DAG
from tests.system.real_airflow import RealAirflow

RUN = "half-dry"

pytestmark = [pytest.mark.system, pytest.mark.long]


@pytest.fixture(scope="module")
def deployment(airflow: RealAirflow, aws: EmbeddedAws) -> Deployment:
    """A stale preset, after a run whose DAG was parsed as a dry one."""
    deployment = Deployment(aws)
    deployment.stale("linux-x64")
    airflow.wait_for_dag(DAG)
    airflow.kill("dag-processor")
    airflow.start(
        "dag-processor",
        "dag-processor",
        AIRFLOW__SPOT_RUNNER__DRY_RUN="True",
        AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL="0",  # else a DAG written a moment ago stays as it is
    )
    airflow.wait_for("the DAG to be parsed again", lambda: DRY_RUN_MARK in task_ids(airflow))
    airflow.trigger(DAG, RUN)
    return deployment


def task_ids(airflow: RealAirflow) -> set[str]:
    return {task["task_id"] for task in airflow.call("GET", f"dags/{DAG}/tasks")["tasks"]}


def test_the_trigger_form_says_that_it_is_dry(airflow: RealAirflow, deployment: Deployment) -> None:
    assert airflow.call("GET", f"dags/{DAG}/details")["params"]["dry_run"]["value"] is True


def test_detection_fails_and_names_the_setting(airflow: RealAirflow, deployment: Deployment) -> None:
    tasks = {task["task_id"]: task for task in airflow.tasks(DAG, RUN)}
    assert (tasks[DRY_RUN_MARK]["state"], tasks["detect_stale"]["state"]) == ("success", "failed")
    log = airflow.task_log(DAG, RUN, "detect_stale", tasks["detect_stale"]["try_number"])
    assert "[spot_runner] dry_run is True where the DAG was parsed for this run, and False on this worker" in log


def test_aws_was_not_called(deployment: Deployment) -> None:
    assert deployment.aws.call_log() == []


def test_a_run_that_was_told_to_write_does(airflow: RealAirflow, deployment: Deployment) -> None:
    airflow.trigger(DAG, "told", dry_run=False)
    assert airflow.run_state(DAG, "told") == "success"
    assert deployment.record("linux-x64")["status"] == "ready"
