"""What a run was given when it was triggered, and what the DAG does then, in either Airflow."""

from __future__ import annotations

import runpy
from typing import Any

import pytest

from spot_runner_provider.embedded.demo.seed import TABLE
from spot_runner_provider.operators.run_conf import DRY_RUN_MARK
from spot_runner_provider.settings import Settings
from tests.demo_checks import Snapshot
from tests.integration.deployment import Deployment
from tests.integration.test_dag_edges import states
from tests.integration.test_dag_run import DAG_FILE, Run

pytestmark = pytest.mark.parametrize("server", ["moto"], indirect=True)  # nothing here depends on the emulator

NOTHING = Snapshot({}, {})
REFUSED = {"detect_stale": "failed", "reconcile_preset": "upstream_failed", "report_status": "failed"}


@pytest.fixture
def parse(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that parses the DAG, with settings given as environment variables."""
    from airflow.utils.db import initdb

    initdb()

    def parsed(**settings: str) -> Any:
        for name, value in ({"table_name": TABLE} | settings).items():
            monkeypatch.setenv(f"AIRFLOW__SPOT_RUNNER__{name.upper()}", value)
        return runpy.run_path(str(DAG_FILE))["detect"].dag

    return parsed


@pytest.fixture
def run(deployment: Deployment) -> Any:
    """Return a function that runs a DAG once, as it was triggered with a conf."""

    def run_once(dag: Any, **conf: Any) -> Run:
        return Run(dag, dag.test(run_conf=conf), deployment.aws.call_log(), NOTHING, NOTHING)

    return run_once


def test_an_unknown_key_fails_the_run_before_any_call(deployment, parse, run):
    deployment.stale("linux-x64")
    assert states(run(parse(), dryrun=True)) == REFUSED
    assert deployment.aws.call_log() == []


@pytest.mark.parametrize("conf", [{"dry_run": True}, {"presets": ["linux-x64"]}], ids=["dry-run", "presets"])
def test_what_airflow_drops_fails_the_run_before_any_call(deployment, parse, run, monkeypatch, conf):
    monkeypatch.setenv("AIRFLOW__CORE__DAG_RUN_CONF_OVERRIDES_PARAMS", "False")
    deployment.stale("linux-x64")
    deployment.stale("linux-arm64")
    assert states(run(parse(), **conf)) == REFUSED
    assert deployment.aws.call_log() == []


def test_a_run_parsed_as_dry_fails_on_a_writing_worker(deployment, parse, run):
    deployment.stale("linux-x64")
    of_worker = parse(dry_run="False")
    mark = parse(dry_run="True").get_task(DRY_RUN_MARK)
    type(mark)(task_id=DRY_RUN_MARK, dag=of_worker)  # ``dag.test()`` wants to know all that the scheduler knows
    assert states(run(of_worker)) == {**REFUSED, DRY_RUN_MARK: "success"}
    assert deployment.aws.call_log() == []


def test_a_run_given_dry_run_false_may_write(deployment, parse, run):
    deployment.stale("linux-x64")
    made = run(parse(dry_run="True"), dry_run=False)
    assert made.pull("report_status")["status"] == "ready"
    assert deployment.record("linux-x64")["status"] == "ready"


def test_an_unknown_preset_fails_the_run_after_the_others(deployment, parse, run):
    deployment.stale("linux-x64")
    deployment.stale("linux-arm64")
    made = run(parse(), presets=["linux-x64", "linux-riscv64", "linux/x64"])
    assert states(made) == {"detect_stale": "success", "reconcile_preset": "success", "report_status": "failed"}
    assert deployment.record("linux-x64")["status"] == "ready"
    assert deployment.record("linux-arm64")["status"] == "building"


@pytest.mark.parametrize("conf", [{"presets": ["linux-x64"]}, {"dry_run": True}], ids=str)
def test_a_dag_that_ignores_its_params_fails_before_any_call(deployment, parse, run, conf):
    deployment.stale("linux-x64")
    deployment.stale("linux-arm64")
    dag = parse()
    dag.get_task("detect_stale").presets = ["linux-arm64"]
    dag.get_task("reconcile_preset").partial_kwargs["dry_run"] = False
    made = states(run(dag, **conf))
    assert made["reconcile_preset"] in ("failed", "upstream_failed")
    assert {deployment.record(name)["status"] for name in ("linux-x64", "linux-arm64")} == {"building"}


def test_settings_come_through_a_native_rendering_as_they_are(deployment, parse):
    texts = {"table_name": "2024", "config_prefix": "/2022", "aws_conn_id": "None", "region_name": "us-east-1"}
    dag = parse(**texts)
    given = dag.get_task("reconcile_preset").partial_kwargs
    assert {name: dag.get_template_env().from_string(given[name]).render() for name in texts} == texts
    detect = dag.get_task("detect_stale")
    detect.render_template_fields({"params": dag.params.dump()})
    assert {name: getattr(detect, name) for name in texts} == texts


def test_a_connection_named_none_is_not_the_workers_own(deployment, parse, run):
    made = run(parse(aws_conn_id="None"))
    assert states(made)["detect_stale"] == "failed"
    assert made.calls == []


def test_no_connection_means_the_workers_credentials(deployment, parse, monkeypatch):
    dag = parse(aws_conn_id="")
    assert dag.get_task("detect_stale").aws_conn_id is None
    assert Settings.read().aws_conn_id is None


def test_a_table_may_have_a_number_for_a_name(deployment, parse, run):
    made = run(parse(table_name="2024"))
    assert states(made)["detect_stale"] == "failed"
    assert {call.operation for call in made.calls} == {"dynamodb.Query"}
