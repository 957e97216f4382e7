"""Runs that are cleared: under a real scheduler, of either major version of Airflow, each report is about now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from spot_runner_provider.embedded.demo.seed import create_table
from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.embedded.server import EmbeddedAws
from tests.integration.deployment import Deployment

DAG, GROUPED = "spot_runner_reconcile", "grouped"

pytestmark = [pytest.mark.system, *[pytest.mark.long] * AIRFLOW_V_3_0_PLUS]
"""Each run clears it on Airflow 2.11; on Airflow 3 one of ``test_real_airflow.py`` is cleared in each run."""


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file whose being there shuts the gate of ``grouped``."""
    return tmp_path_factory.mktemp("gate") / "shut"


@pytest.fixture(scope="module")
def settings(gate: Path) -> dict[str, str]:
    return {"SPOT_RUNNER_GATE": str(gate), "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1"}


@pytest.fixture
def deployment(aws: EmbeddedAws, gate: Path) -> Iterator[Deployment]:
    """A deployment of its own for each test."""
    aws.empty()
    create_table(aws.client("dynamodb", bystander=True))
    yield Deployment(aws)
    gate.unlink(missing_ok=True)


def lines(report: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    return {line["name"]: (line["status"], line["outcome"]) for line in report["presets"]}


def states(airflow: Any, run_id: str, task_id: str, dag_id: str = DAG) -> dict[int, str]:
    return {task["map_index"]: task["state"] for task in airflow.tasks(dag_id, run_id, task_id)}


def told(airflow: Any, run_id: str) -> dict[str, Any]:
    """Return the report; where there is a page, its endpoint must say the same."""
    report: dict[str, Any] = airflow.xcom(DAG, run_id, "report_status")
    if AIRFLOW_V_3_0_PLUS:
        shown = airflow.page(DAG)
        assert (shown["reportedBy"], shown["checkedAt"]) == (run_id, report["checkedAt"])
        assert lines(shown) == lines(report)
        failed = airflow.run_state(DAG, run_id) == "failed"
        assert (shown["status"], shown["message"].endswith(report["message"])) == (
            "degraded" if failed else report["status"],
            True,
        )
    return report


def test_a_whole_run_again_with_fewer_other_more_and_no_presets(airflow: Any, deployment: Deployment) -> None:
    for name in ("a", "b", "c"):
        deployment.stale(name)
    airflow.trigger(DAG, "whole")
    assert lines(told(airflow, "whole")) == dict.fromkeys("abc", ("ready", "corrected_ready"))

    deployment.event_arrives("b", status="failed")
    deployment.preset("c", minutes=3)
    airflow.clear(DAG, "whole")
    report = told(airflow, "whole")
    assert (airflow.run_state(DAG, "whole"), report["status"], report["message"]) == (
        "success",
        "degraded",
        "1 preset ready, 1 preset building, 1 preset failed; none was stale",
    )
    assert lines(report) == {"a": ("ready", None), "b": ("failed", None), "c": ("building", None)}
    again = {state for index, state in states(airflow, "whole", "reconcile_preset").items() if index >= 0}
    # Airflow 2 may start an instance before it removes it: that one fails, since its batch is gone.
    assert "removed" in again <= {"removed", "failed"}

    deployment.stale("d")  # at the map index that was a's
    airflow.clear(DAG, "whole")
    assert lines(told(airflow, "whole")) == {
        "a": ("ready", None),
        "b": ("failed", None),
        "c": ("building", None),
        "d": ("ready", "corrected_ready"),
    }

    for name in "efgh":
        deployment.stale(name)
    airflow.clear(DAG, "whole")
    report = told(airflow, "whole")
    assert {name: line for name, line in lines(report).items() if name > "c"} == {
        "d": ("ready", None),
        **dict.fromkeys("efgh", ("ready", "corrected_ready")),
    }


def test_a_run_that_failed_is_well_when_it_is_cleared(airflow: Any, deployment: Deployment) -> None:
    for name in ("bad", "good"):
        deployment.stale(name)
    deployment.aws.add_fault(Fault("ssm.GetParameters", "AccessDeniedException", key="*bad*"))
    airflow.trigger(DAG, "failing")
    report = told(airflow, "failing")
    assert (airflow.run_state(DAG, "failing"), report["status"]) == ("failed", "degraded")

    deployment.aws.clear_faults()
    airflow.clear(DAG, "failing", ("reconcile_preset", 0), "report_status")
    report = told(airflow, "failing")
    assert (airflow.run_state(DAG, "failing"), report["status"]) == ("success", "ready")
    assert lines(report) == dict.fromkeys(["bad", "good"], ("ready", "corrected_ready"))


def test_one_task_again_leaves_no_answer_to_what_was_asked_before(airflow: Any, deployment: Deployment) -> None:
    """The result of the first try is there, at the map index that the preset has again, and of an older record."""
    deployment.stale("a")
    airflow.trigger(DAG, "piecemeal", stale_after_minutes=0)
    deployment.preset("a", minutes=0)
    airflow.clear(DAG, "piecemeal", "detect_stale")
    airflow.clear(DAG, "piecemeal", "report_status")
    report = told(airflow, "piecemeal")
    assert (airflow.run_state(DAG, "piecemeal"), report["status"]) == ("failed", "degraded")
    assert lines(report) == {"a": ("building", "error")}


def test_in_a_group_the_report_finds_its_neighbours_and_a_skipped_detection_is_no_failure(
    airflow: Any, deployment: Deployment, gate: Path
) -> None:
    deployment.stale("a")
    airflow.trigger(GROUPED, "grouped")
    report = airflow.xcom(GROUPED, "grouped", "images.report_status")
    assert (airflow.run_state(GROUPED, "grouped"), report["status"]) == ("success", "ready")
    assert lines(report) == {"a": ("ready", "corrected_ready")}

    gate.touch()
    airflow.clear(GROUPED, "grouped")
    report = airflow.xcom(GROUPED, "grouped", "images.report_status")
    assert (airflow.run_state(GROUPED, "grouped"), report["status"], report["presets"]) == ("success", None, [])
    assert report["message"] == "detection was skipped: nothing was looked at in this run"
    assert states(airflow, "grouped", "images.detect_stale", GROUPED) == {-1: "skipped"}
