"""Builds that go on are awaited in a real triggerer, while no worker's slot is taken."""

from __future__ import annotations

import pytest

from spot_runner_provider.embedded.server import EmbeddedAws
from tests.integration.deployment import NEW, NEWER, Deployment
from tests.system.fleet import DAG
from tests.system.real_airflow import RealAirflow

WAITS, RUN, TASK = "waits", "waiting", "reconcile_preset"

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {"AIRFLOW__CORE__PARALLELISM": "1"}


def test_a_build_is_awaited_in_the_triggerer_and_nothing_that_was_done_before_is_lost(
    airflow: RealAirflow, aws: EmbeddedAws
) -> None:
    airflow.start("triggerer", "triggerer", "--skip-serve-logs")
    deployment = Deployment(aws)
    deployment.stale("quick")
    deployment.preset("slow")
    slow = deployment.image("slow", "BUILDING", NEWER)

    def state() -> str:
        (task,) = airflow.tasks(WAITS, RUN, TASK)
        return str(task["state"])

    def outcomes() -> dict[str, str]:
        return {result["presetName"]: result["outcome"] for result in airflow.xcom(WAITS, RUN, TASK)}

    airflow.start_run(WAITS, RUN)
    airflow.wait_for("the deferral", lambda: state() == "deferred")
    assert deployment.parameter("quick")["ami"] == NEW
    assert outcomes() == {"quick": "corrected_ready", "slow": "still_building"}
    assert airflow.call("GET", "assets/events")["total_entries"] == 0

    airflow.trigger(DAG, "meanwhile")  # there is one slot in all
    assert airflow.run_state(DAG, "meanwhile") == "success"
    assert state() == "deferred"

    aws.image_builder.set_image_state(slow, "AVAILABLE")
    airflow.wait_for_run(WAITS, RUN)
    assert airflow.run_state(WAITS, RUN) == "success"
    assert outcomes() == {"quick": "corrected_ready", "slow": "corrected_ready"}
    assert (deployment.record("slow")["amiId"], deployment.parameter("slow")["ami"]) == (NEWER, NEWER)
    assert [deployment.version(name) for name in ("quick", "slow")] == [2, 2]
    told = airflow.call("GET", f"assets/events?source_dag_id={WAITS}")["asset_events"]
    assert sorted(event["extra"]["presetName"] for event in told) == ["quick", "slow"]
