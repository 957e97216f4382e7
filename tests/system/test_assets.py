"""Promotions as asset events: somebody else's DAG runs when the AMI of its preset changes, and then only."""

from __future__ import annotations

from typing import Any

import pytest

from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.embedded.server import EmbeddedAws
from tests.integration.deployment import NEW, OLD, Deployment
from tests.system.fleet import DAG
from tests.system.real_airflow import RealAirflow

CONSUMERS = ("after_promoted", "after_failed")

pytestmark = [pytest.mark.system, pytest.mark.long]


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {"AIRFLOW__SPOT_RUNNER__MAX_MAPPED_TASKS": "1"}


@pytest.fixture(scope="module")
def deployment(airflow: RealAirflow, aws: EmbeddedAws) -> Deployment:
    """Three presets after a run whose first try could not commit one of them, so that there was a second."""
    for consumer in CONSUMERS:
        airflow.wait_for_dag(consumer)
    deployment = Deployment(aws)
    deployment.stale("promoted")
    deployment.stale("unlucky")
    deployment.preset("failed")
    deployment.image("failed", "FAILED", None)
    aws.add_fault(Fault("dynamodb.UpdateItem", "SomethingNewException", key="AMI#unlucky", times=1))
    airflow.trigger(DAG, "second-try")
    return deployment


def events(airflow: RealAirflow) -> list[dict[str, Any]]:
    """Return the asset events that the DAG's tasks have sent."""
    found = airflow.call("GET", f"assets/events?source_dag_id={DAG}")
    return list(found["asset_events"])


def runs(airflow: RealAirflow, consumer: str) -> list[dict[str, Any]]:
    return list(airflow.call("GET", f"dags/{consumer}/dagRuns")["dag_runs"])


def test_what_the_first_try_promoted_is_told_once_the_second_has_succeeded(
    airflow: RealAirflow, deployment: Deployment
) -> None:
    (task,) = airflow.tasks(DAG, "second-try", "reconcile_preset")
    assert (task["state"], task["try_number"]) == ("success", 2)
    assert {event["extra"]["presetName"] for event in events(airflow)} == {"promoted", "unlucky"}
    assert len(events(airflow)) == 2


def test_the_dag_of_its_preset_runs_and_knows_both_amis(airflow: RealAirflow, deployment: Deployment) -> None:
    airflow.wait_for("the consumer's run", lambda: bool(runs(airflow, "after_promoted")))
    (run,) = runs(airflow, "after_promoted")
    airflow.wait_for_run("after_promoted", run["dag_run_id"])
    build = deployment.record("promoted")["buildId"]
    assert airflow.xcom("after_promoted", run["dag_run_id"], "told") == [
        {"presetName": "promoted", "amiId": NEW, "previousAmiId": OLD, "buildId": build}
    ]


def test_nobody_is_told_of_a_preset_whose_ami_stayed_nor_of_anything_twice(
    airflow: RealAirflow, deployment: Deployment
) -> None:
    airflow.trigger(DAG, "nothing-to-do")
    assert len(events(airflow)) == 2
    assert [len(runs(airflow, consumer)) for consumer in CONSUMERS] == [1, 0]
