"""Many presets whose builds ended well and whose events got lost, and what must have become of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from spot_runner_provider.embedded.demo.seed import preset_config
from spot_runner_provider.embedded.server import EmbeddedAws
from spot_runner_provider.records.ami_state import parse_timestamp, render_timestamp
from tests.integration.deployment import Deployment
from tests.system.real_airflow import RealAirflow

DAG = "spot_runner_reconcile"


class Fleet:
    """Stale presets, each with an image of its own.

    :param aws: where; it has its state table already.
    :param name: what the presets' names begin with.
    :param count: how many there are.
    """

    def __init__(self, aws: EmbeddedAws, name: str, count: int) -> None:
        self.deployment = Deployment(aws)
        self.amis = {f"{name}-{number:02}": f"ami-0{number:04x}" for number in range(count)}
        for preset, ami in self.amis.items():
            self.deployment.stale(preset, ami)

    def committed(self) -> int:
        """Return how many records are ``ready``."""
        return sum(self.deployment.record(preset)["status"] == "ready" for preset in self.amis)

    def put(self) -> int:
        """Return how many parameters have a new version."""
        return sum(self.deployment.version(preset) > 1 for preset in self.amis)

    def intents(self) -> list[dict[str, Any]]:
        """Return the intents that stand."""
        return [intent for intent in self.deployment.intents() if intent["presetName"] in self.amis]

    def let_intents_age(self) -> None:
        """Rewrite the intents as if they were logged six minutes earlier: their tries are taken for dead then."""
        for intent in self.intents():
            logged = parse_timestamp(intent["updatedAt"])
            self.deployment.item(
                intent
                | {
                    "paramVersion": int(intent["paramVersion"]),
                    "updatedAt": render_timestamp(logged - timedelta(minutes=6)),
                }
            )

    def check(self, run_ids: Collection[str]) -> None:
        """Check that each preset was corrected by one of these runs, and has exactly one new parameter version."""
        owners = {f"{DAG}/{run_id}" for run_id in run_ids}
        for preset, ami in self.amis.items():
            record = self.deployment.record(preset)
            assert (record["status"], record["amiId"]) == ("ready", ami), record
            assert record["reconciledBy"] in owners, record
            assert self.deployment.parameter(preset) == preset_config(ami), preset
            assert self.deployment.version(preset) == 2, preset

    def lines(self, report: Mapping[str, Any]) -> dict[str, tuple[str, str | None]]:
        """Return status and outcome of each preset in a report."""
        lines = (line for line in report["presets"] if line["name"] in self.amis)
        return {line["name"]: (line["status"], line["outcome"]) for line in lines}


def check_run(airflow: RealAirflow, fleet: Fleet, run_id: str) -> None:
    """Check that a run has ended well, corrected all presets, and says so."""
    airflow.wait_for_run(DAG, run_id)
    assert airflow.run_state(DAG, run_id) == "success"
    fleet.check({run_id})
    report = airflow.xcom(DAG, run_id, "report_status")
    assert fleet.lines(report) == dict.fromkeys(fleet.amis, ("ready", "corrected_ready"))


def check_later_run(airflow: RealAirflow, fleet: Fleet, run_id: str, *, puts: int = 0) -> None:
    """Check that a run more than five minutes after ``run_id`` finishes what stands, with so many puts."""
    unfinished = {intent["presetName"] for intent in fleet.intents()}
    fleet.let_intents_age()
    fleet.deployment.aws.reset_calls()
    airflow.trigger(DAG, f"after-{run_id}")
    assert airflow.run_state(DAG, f"after-{run_id}") == "success"
    report = airflow.xcom(DAG, f"after-{run_id}", "report_status")
    assert fleet.lines(report) == {
        preset: ("ready", "finished" if preset in unfinished else None) for preset in fleet.amis
    }
    assert fleet.deployment.aws.calls().get("ssm.PutParameter", 0) == puts
    fleet.check({run_id})
    assert fleet.intents() == []
