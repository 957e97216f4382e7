"""What must be true after the DAG ran, on the demo deployment above all, whichever way it was run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spot_runner_provider.embedded.call import ApiCall
from spot_runner_provider.embedded.demo.deployment import MALFORMED, OUTCOMES
from spot_runner_provider.embedded.demo.seed import PARAMETER_PREFIX, TABLE
from spot_runner_provider.embedded.server import EmbeddedAws

WRITES = ("Put", "Update", "Delete", "Create", "BatchWrite", "TransactWrite", "Add", "Label", "Start", "Cancel")
UNTOUCHED = {
    "still_building",
    "stuck",
    "pipeline_not_found",
    "no_images",
    "no_usable_ami",
    "config_invalid",
    None,
}


@dataclass(frozen=True)
class Snapshot:
    """Every item of the table, by ``jobId``, and every parameter, by preset."""

    items: Mapping[str, Mapping[str, Any]]
    parameters: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, aws: EmbeddedAws, presets: Iterable[str] = OUTCOMES) -> Snapshot:
        dynamodb, ssm = aws.client("dynamodb", bystander=True), aws.client("ssm", bystander=True)
        pages = dynamodb.get_paginator("scan").paginate(TableName=TABLE)
        items = [
            {name: next(iter(value.values())) for name, value in item.items()}
            for page in pages
            for item in page["Items"]
        ]
        parameters = {
            name: ssm.get_parameter(Name=PARAMETER_PREFIX + name, WithDecryption=True)["Parameter"] for name in presets
        }
        return cls(
            {item["jobId"]: item for item in items},
            {name: {key: each[key] for key in ("Type", "Value", "Version")} for name, each in parameters.items()},
        )

    def record(self, preset: str) -> Mapping[str, Any]:
        return self.items[f"AMI#{preset}"]

    def config(self, preset: str) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.parameters[preset]["Value"])
        return value


def check_stores(before: Snapshot, after: Snapshot) -> None:
    """Check records and parameters, preset by preset, and that nothing else changed."""
    for preset, outcome in OUTCOMES.items():
        check_preset(preset, outcome, before, after)
    assert after.config("linux-x64-edited")["timeout"] == 7200, "an edit in between was lost"
    assert after.parameters["linux-x64-secure"]["Type"] == "SecureString"

    ours = {f"AMI#{preset}" for preset in OUTCOMES}
    intents = {job_id for job_id, item in before.items.items() if item.get("recordType") == "AMI-INTENT"}
    assert intents, "the demo has one intent of an earlier run"
    others = {job_id: item for job_id, item in before.items.items() if job_id not in ours | intents}
    again = "AMI-INTENT#linux-x64-edited#spot_runner_reconcile/"
    looked_at_again = {job_id for job_id in after.items if job_id.startswith(again)}
    assert len(looked_at_again) == 1, "a put that covered an edit is looked at again by the next run"
    assert {job_id: item for job_id, item in after.items.items() if job_id not in ours | looked_at_again} == others
    assert set(MALFORMED) <= others.keys()


def check_preset(preset: str, outcome: str | None, before: Snapshot, after: Snapshot) -> None:
    """Check what one outcome means."""
    old, new = before.record(preset), after.record(preset)
    if outcome in UNTOUCHED:
        assert new == old, preset
        assert after.parameters[preset] == before.parameters[preset], preset
    elif outcome == "corrected_failed":
        assert (new["status"], new["amiId"]) == ("failed", old["amiId"]), preset
        assert new["errorMessage"], preset
        assert new["reconciledBy"], preset
        assert after.parameters[preset] == before.parameters[preset], preset
    else:
        assert new["status"] == "ready", preset
        config = after.config(preset)
        assert config.pop("ami") == new["amiId"], preset
        kept = before.config(preset).keys() - {"ami"}
        assert config.keys() == kept, preset
        if outcome == "corrected_ready":
            assert new["amiId"] != old["amiId"], preset
            assert new["reconciledBy"].startswith("spot_runner_reconcile/"), preset
        elif outcome == "superseded":
            assert "reconciledBy" not in new, preset
        else:
            assert outcome == "finished", preset
            assert new == old, preset


def check_report(report: Mapping[str, Any], after: Snapshot) -> None:
    """Check that the report is whole and says what the stores say."""
    check_lines(report, OUTCOMES, after)
    assert {record["jobId"] for record in report["malformed"]} == set(MALFORMED)
    assert report["status"] == "degraded"
    assert report["message"] == "9 presets ready, 9 presets building, 3 presets failed, 3 records malformed"
    assert report["checkedAt"]


def check_lines(report: Mapping[str, Any], outcomes: Mapping[str, str | None], after: Snapshot) -> None:
    """Check that a report has a line for each preset, in order, and that it says what its record says."""
    assert {line["name"]: line["outcome"] for line in report["presets"]} == outcomes
    assert [line["name"] for line in report["presets"]] == sorted(outcomes)
    for line in report["presets"]:
        record = after.record(line["name"])
        assert (line["status"], line["amiId"], line["updatedAt"]) == (
            record["status"],
            record["amiId"],
            record["updatedAt"],
        )


def check_runner_jobs(calls: Iterable[ApiCall], before: Snapshot, after: Snapshot) -> None:
    """Check that the runner jobs in the same table were neither read nor written."""
    jobs = {job_id for job_id in before.items if job_id.isdigit()}
    assert len(jobs) == 200
    assert all(after.items[job] == before.items[job] for job in jobs)
    for call in calls:
        assert not jobs.intersection(call.keys), call
        assert call.operation != "dynamodb.Scan", call
        if call.operation == "dynamodb.Query":
            assert call.body["IndexName"] == "recordType-index", call
            assert (call.scanned_count or 0) <= len(before.items) - len(jobs), call


def writes(calls: Iterable[ApiCall]) -> list[str]:
    """Return the operations that write, in order."""
    return [call.operation for call in calls if call.operation.partition(".")[2].startswith(WRITES)]
