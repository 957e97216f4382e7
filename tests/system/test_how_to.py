"""Each command of the other how-to pages, typed in the page's order, does what the page says."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from spot_runner_provider.embedded.server import EmbeddedAws
from tests.integration.deployment import NEW, Deployment
from tests.system.fleet import DAG
from tests.system.how_to import PAGES, commands
from tests.system.real_airflow import BUNDLES, FINISHED, RealAirflow

pytestmark = [pytest.mark.system, pytest.mark.long]

FIRST_RUN = "first-run"  # tested by test_first_run.py
AIRFLOW_2 = "--exec-date"
"""An option that only Airflow 2 has; the page says so."""

DONE = (0, 1, 3)
"""Exit codes of ``airflow spot-runner`` where it did its work: ready, degraded, building."""

REFUSED = "nothing was done"
"""What a page shows of a command that is refused."""

DRY = ("dry-run", "install")
"""Pages whose commands write nothing."""


@pytest.fixture(scope="module")
def bundles() -> dict[str, Path]:
    return {"dags": BUNDLES["dags"]}


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """A DAG with one interval a year, so that a backfill has something to fill, and nothing else runs meanwhile."""
    return {"AIRFLOW__SPOT_RUNNER__SCHEDULE": "0 5 2 1 *"}


@pytest.fixture
def deployment(airflow: RealAirflow, aws: EmbeddedAws) -> Deployment:
    """A preset whose event got lost, once the runs before are over."""
    wait_for_runs(airflow)
    deployment = Deployment(aws)
    deployment.stale("linux-x64", NEW)
    aws.reset_calls()
    return deployment


def wait_for_runs(airflow: RealAirflow) -> None:
    airflow.wait_for_dag(DAG)

    def are_over() -> bool:
        return all(run["state"] in FINISHED for run in airflow.call("GET", f"dags/{DAG}/dagRuns")["dag_runs"])

    airflow.wait_for("the end of all runs", are_over)


@pytest.mark.parametrize("page", sorted(path.stem for path in PAGES.glob("*.md") if path.stem != FIRST_RUN))
def test_the_commands_work_in_their_order(airflow: RealAirflow, deployment: Deployment, page: str) -> None:
    for command in commands(PAGES / f"{page}.md"):
        program, *arguments = shlex.split(command.line)
        if program != "airflow" or AIRFLOW_2 in arguments:
            continue
        done = airflow.typed(*arguments)
        expected = (2,) if REFUSED in command.shown else DONE if arguments[0] == "spot-runner" else (0,)
        assert done.returncode in expected, f"{command}\n{done.stdout}{done.stderr}"
        assert command.shown in done.stdout + done.stderr, f"{command}\n{done.stdout}{done.stderr}"
    wait_for_runs(airflow)
    assert deployment.writes() == [] or page not in DRY


def test_the_pages_have_commands() -> None:
    """Or the test above would show nothing."""
    counts = {path.stem: len(commands(path)) for path in PAGES.glob("*.md")}
    assert {page for page, count in counts.items() if not count} <= {"mwaa", "status-page"}
    assert sum(counts.values()) > 20
