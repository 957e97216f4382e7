"""The page about the first run: its steps write nothing, on a DAG that is paused and has a schedule."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from spot_runner_provider.embedded.server import EmbeddedAws
from tests.integration.deployment import OLD, Deployment
from tests.system.fleet import DAG
from tests.system.how_to import PAGES, Command, commands
from tests.system.real_airflow import BUNDLES, FINISHED, RealAirflow

pytestmark = [pytest.mark.system, pytest.mark.long]

EXPORT = "export "


def typed() -> tuple[dict[str, str], list[Command]]:
    """Return the variables that the page begins with, and the commands after them."""
    exports, rest = [], commands(PAGES / "first-run.md")
    while rest[0].line.startswith(EXPORT):
        exports.append(rest.pop(0).line.removeprefix(EXPORT).split("="))
    return dict(exports), rest


@pytest.fixture(scope="module")
def bundles() -> dict[str, Path]:
    return {"dags": BUNDLES["dags"]}


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """An Airflow whose processes have what the page sets first, and a DAG as it is after it was copied."""
    return {
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        "AIRFLOW__SPOT_RUNNER__SCHEDULE": "*/15 * * * *",
        **typed()[0],
    }


def runs(airflow: RealAirflow) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = airflow.call("GET", f"dags/{DAG}/dagRuns")["dag_runs"]
    return found


def test_nothing_is_written(airflow: RealAirflow, aws: EmbeddedAws) -> None:
    deployment = Deployment(aws)
    deployment.stale("linux-x64")
    airflow.wait_for_dag(DAG)
    for command in typed()[1]:
        done = airflow.typed(*shlex.split(command.line)[1:])
        assert done.returncode in (0, 3), f"{command}\n{done.stdout}{done.stderr}"  # 3: a preset is building
        assert command.shown in done.stdout

    def are_over() -> bool:
        return {"scheduled", "manual"} <= {run["run_type"] for run in runs(airflow)} and all(
            run["state"] in FINISHED for run in runs(airflow)
        )

    airflow.wait_for("the end of the scheduled run and of those on the page", are_over)
    assert {run["state"] for run in runs(airflow)} == {"success"}
    (scheduled, *_) = (run["dag_run_id"] for run in runs(airflow) if run["run_type"] == "scheduled")
    (line,) = airflow.xcom(DAG, scheduled, "report_status")["presets"]
    assert (line["outcome"], line["detail"][:8]) == ("corrected_ready", "dry run:")
    assert deployment.writes() == []
    assert (deployment.record("linux-x64")["status"], deployment.parameter("linux-x64")["ami"]) == ("building", OLD)
