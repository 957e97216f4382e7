"""The DAG where there is nothing to do, and where detection cannot work."""

from __future__ import annotations

from typing import Any

import pytest

from spot_runner_provider.embedded.demo.seed import TABLE, preset_config
from tests.demo_checks import Snapshot
from tests.integration.deployment import NEW, OLD, Deployment
from tests.integration.test_dag_run import DAG_FILE, Run

pytestmark = pytest.mark.parametrize("server", ["moto"], indirect=True)  # nothing here depends on the emulator

NOTHING = Snapshot({}, {})


@pytest.fixture
def run_dag(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs the DAG once, with settings given as environment variables."""
    import runpy

    from airflow.utils.db import initdb

    initdb()

    def run(**settings: str) -> Run:
        for name, value in settings.items():
            monkeypatch.setenv(f"AIRFLOW__SPOT_RUNNER__{name.upper()}", value)
        dag = runpy.run_path(str(DAG_FILE))["detect"].dag
        dag_run = dag.test()
        return Run(dag, dag_run, deployment.aws.call_log(), NOTHING, NOTHING)

    return run


def states(run: Run) -> dict[str, str]:
    return {each.task_id: str(getattr(each.state, "value", each.state)) for each in run.dag_run.get_task_instances()}


def test_with_nothing_stale_the_mapped_task_is_skipped(deployment, run_dag):
    deployment.preset("linux-x64", status="ready")
    run = run_dag(table_name=TABLE)
    assert states(run) == {"detect_stale": "success", "reconcile_preset": "skipped", "report_status": "success"}
    assert run.pull("report_status")["message"] == "1 preset ready; none was stale"
    assert [call.operation for call in run.calls] == ["dynamodb.Query"] * 2


def test_a_failed_detection_fails_the_run(deployment, run_dag):
    run = run_dag(table_name="absent")
    assert states(run)["detect_stale"] == "failed"
    assert str(getattr(run.dag_run.state, "value", run.dag_run.state)) == "failed"
    assert run.pull("report_status")["status"] == "degraded"


def test_the_settings_reach_the_operators(deployment, run_dag):
    deployment.preset("linux-x64", minutes=20)
    deployment.image("linux-x64", "AVAILABLE", pipeline="team-linux-x64")
    deployment.preset("younger", minutes=5)
    run = run_dag(
        table_name=TABLE, stale_after_minutes="15", pipeline_name="team-{preset}", dry_run="True", max_mapped_tasks="1"
    )
    (result,) = run.pull("reconcile_preset")
    assert (result["presetName"], result["outcome"], result["dryRun"]) == ("linux-x64", "corrected_ready", True)
    assert deployment.writes() == []
    assert deployment.record("linux-x64")["status"] == "building"


def test_a_setting_of_several_pipelines_reaches_the_operator(deployment, run_dag):
    deployment.preset("server-2022", config=preset_config(OLD, "windows"))
    deployment.image("", "AVAILABLE", pipeline="spot-runner-server-2022-windows", platform="Windows")
    run = run_dag(table_name=TABLE, pipeline_name="spot-runner-{preset}, spot-runner-{preset}-windows")
    (result,) = run.pull("reconcile_preset")
    assert (result["presetName"], result["outcome"]) == ("server-2022", "corrected_ready")


def test_with_the_audit_on_the_report_names_what_drifted(deployment, run_dag):
    deployment.preset("linux-x64", status="ready", ami=NEW)
    deployment.edit("linux-x64", ami=OLD)
    run = run_dag(table_name=TABLE, audit="True")
    assert states(run) == {"detect_stale": "success", "reconcile_preset": "skipped", "report_status": "success"}
    report = run.pull("report_status")
    assert (report["status"], report["presets"][0]["outcome"]) == ("degraded", "drifted")
    assert deployment.writes() == []
