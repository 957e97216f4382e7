"""A backfill of many intervals meets a scheduled run, and all of them meet at the same presets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from spot_runner_provider.embedded.call import ApiCall
from spot_runner_provider.embedded.demo.seed import create_table
from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.embedded.server import EmbeddedAws
from tests.figures import Figure
from tests.system.fleet import DAG, Fleet
from tests.system.real_airflow import FINISHED, RealAirflow

PRESETS = 50

pytestmark = pytest.mark.system


@dataclass(frozen=True)
class Size:
    """How many days are backfilled: some more than at a time, for those begin when nothing is left to do."""

    days: int
    at_a_time: int


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(Size(days=4, at_a_time=3), id="4 days"),
        pytest.param(Size(days=24, at_a_time=8), id="24 days", marks=pytest.mark.long),
    ],
)
def backfilled(request: pytest.FixtureRequest) -> Size:
    size: Size = request.param
    return size


@pytest.fixture(scope="module")
def aws(backfilled: Size) -> Iterator[EmbeddedAws]:
    """An AWS of these days alone, where every run stands still right before its first commit."""
    with EmbeddedAws() as aws:
        create_table(aws.client("dynamodb", bystander=True))
        aws.add_fault(Fault("dynamodb.UpdateItem", "hold"))
        yield aws


@pytest.fixture(scope="module")
def settings(backfilled: Size) -> dict[str, str]:
    return {
        "AIRFLOW__CORE__PARALLELISM": str(backfilled.at_a_time),
        "AIRFLOW__SPOT_RUNNER__MAX_MAPPED_TASKS": "1",
        "AIRFLOW__SPOT_RUNNER__SCHEDULE": "@daily",
    }


@pytest.fixture(scope="module")
def fleet(aws: EmbeddedAws) -> Fleet:
    return Fleet(aws, "fleet", PRESETS)


@dataclass(frozen=True)
class Run:
    """A run that has ended, and what its report says of the presets: status and outcome."""

    run_id: str
    kind: str
    state: str
    lines: Mapping[str, tuple[str, str | None]]


@pytest.fixture(scope="module")
def runs(fleet: Fleet, aws: EmbeddedAws, airflow: RealAirflow, backfilled: Size) -> list[Run]:
    """Let the runs of all slots, the scheduled one among them, see the same stale presets, and wait for all to end."""
    airflow.wait_for("the scheduled run's first commit", lambda: bool(owners(held(aws))))
    (scheduled,) = owners(held(aws))
    assert scheduled.startswith(f"{DAG}/scheduled__")
    days = ("--from-date", "2026-01-02", "--to-date", f"2026-01-{1 + backfilled.days:02}")
    at_a_time = backfilled.at_a_time
    airflow.command("backfill", "create", "--dag-id", DAG, *days, "--max-active-runs", str(at_a_time))
    airflow.wait_for(f"the first commits of {at_a_time} runs", lambda: len(owners(held(aws))) == at_a_time)
    assert scheduled in owners(held(aws))
    assert fleet.committed() == 0
    aws.clear_faults()
    aws.release()

    def found() -> list[dict[str, Any]]:
        return list(airflow.call("GET", f"dags/{DAG}/dagRuns?limit=100")["dag_runs"])

    airflow.wait_for("the end of all runs", lambda: {run["state"] for run in found()} <= FINISHED)
    return [
        Run(
            run["dag_run_id"],
            run["run_type"],
            run["state"],
            fleet.lines(airflow.xcom(DAG, run["dag_run_id"], "report_status")),
        )
        for run in found()
    ]


def held(aws: EmbeddedAws) -> list[ApiCall]:
    return aws.wait_until_held(timeout=0)


def owners(commits: Iterable[ApiCall]) -> set[str]:
    """Return the runs that make these commits."""
    return {call.body["ExpressionAttributeValues"][":reconciledBy"]["S"] for call in commits}


def test_every_run_succeeds(runs: list[Run], backfilled: Size) -> None:
    assert {run.state for run in runs} == {"success"}
    kinds = Counter(run.kind for run in runs)
    assert kinds.pop("backfill") == backfilled.days
    assert set(kinds) == {"scheduled"}


def test_each_preset_is_corrected_once(fleet: Fleet, runs: list[Run], aws: EmbeddedAws, figure: Figure) -> None:
    fleet.check({run.run_id for run in runs})
    commits = [call for call in aws.call_log() if call.operation == "dynamodb.UpdateItem"]
    figure("backfill", f"{len(runs)} runs tried {len(commits)} commits for {PRESETS} presets")
    assert len(commits) > PRESETS
    assert sum(call.status == 200 for call in commits) == PRESETS
    assert aws.calls()["ssm.PutParameter"] == PRESETS
    assert fleet.intents() == []


def test_the_run_that_corrected_a_preset_says_so_and_the_others_gave_way(fleet: Fleet, runs: list[Run]) -> None:
    for preset in fleet.amis:
        outcomes = {run.run_id: run.lines[preset][1] for run in runs}
        corrected = [run_id for run_id, outcome in outcomes.items() if outcome == "corrected_ready"]
        assert [f"{DAG}/{run_id}" for run_id in corrected] == [fleet.deployment.record(preset)["reconciledBy"]]
        assert set(outcomes.values()) == {"corrected_ready", "superseded", None}
