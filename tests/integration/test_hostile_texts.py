"""What others wrote into a record, a parameter or a build is shown to people, and obeyed by nothing."""

from __future__ import annotations

import json
import unicodedata

import pytest

from spot_runner_provider.reporting.messages import message
from spot_runner_provider.reporting.report import report
from tests.integration.deployment import NEW, OLD, TaskInstance, detect, reconcile, run

PRESET = "linux-x64"
HOSTILE = (
    "boom\n2026-01-01 [info] preset linux-arm64: corrected_ready\r\n- linux-arm64: ready, ami-0e3f\x1b[2J\x1b[31m"
    "\x1b]8;;https://evil.example\x07here\x1b]8;;\x07\x9b1A\u202etxt.exe\u2066\u2028last"
)


def steering(text: str) -> set[str]:
    """Return the characters that would steer a terminal, a log or a text's direction, line breaks among them."""
    return {each for each in text if unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp")}


def test_a_builds_reason_forges_no_line_anywhere(deployment, logged):
    deployment.preset(PRESET)
    deployment.image(PRESET, "FAILED", None, reason=HOSTILE)
    batches, states = detect()
    result = reconcile(batches[0])[PRESET]
    told = message(report(states, batches, [result]))
    assert result["outcome"] == "corrected_failed"
    assert r"\x1b[2J" in result["detail"]
    assert not steering(result["detail"])
    assert [line for line in told.splitlines() if line.startswith("- ")] == [
        f"- {PRESET}: failed, {OLD}, corrected_failed: {result['detail']}"
    ]
    log = logged()
    assert r"\x1b[2J" in log
    assert steering(log) == {"\n"}
    assert not any(line.startswith(("2026-01-01", "- ", "last")) for line in log.splitlines())
    assert HOSTILE in deployment.record(PRESET)["errorMessage"], "the record keeps the words of AWS"
    _, again = detect(TaskInstance("scheduled__2"))
    assert not steering(json.dumps(again, ensure_ascii=False))


def test_a_records_own_texts_forge_no_line(deployment, logged):
    deployment.preset(PRESET, status="failed", ami=OLD, error=HOSTILE)
    for name, changes in {"a": {"status": HOSTILE}, "b": {"updatedAt": HOSTILE}, "c": {"presetName": HOSTILE}}.items():
        deployment.preset(name)
        deployment.item(deployment.record(name) | changes)
    deployment.preset("d", ami=HOSTILE, build=HOSTILE)
    batches, states = detect()
    results = reconcile(batches[0])
    value = report(states, batches, results.values()).value
    assert len(value["malformed"]) == 3
    assert not steering(json.dumps([states, results, value], ensure_ascii=False))
    log = logged()
    assert r"\x1b[2J" in log
    assert steering(log) == {"\n"}
    assert not any(line.startswith(("2026-01-01", "- ", "last")) for line in log.splitlines())


def test_a_builds_long_reason_is_cut_before_it_is_written(deployment):
    deployment.preset(PRESET)
    deployment.image(PRESET, "FAILED", None, reason="r" * 390_000)
    assert run()[PRESET]["outcome"] == "corrected_failed"
    assert len(deployment.record(PRESET)["errorMessage"]) == 4000


NO_AMI_IDS = ["pending", "../../x", 'ami-0abc", "x": "', "ami-0abc\n", "ami-" + "0" * 3000, "ami-" + "0" * 10_000]


@pytest.mark.parametrize("ami", NO_AMI_IDS)
def test_what_is_no_ami_id_is_written_nowhere(deployment, ami):
    deployment.stale(PRESET, ami)
    before = deployment.record(PRESET), deployment.parameter_text(PRESET)
    result = run()[PRESET]
    assert (result["outcome"], result["amiId"]) == ("no_usable_ami", OLD)
    assert (deployment.record(PRESET), deployment.parameter_text(PRESET)) == before
    assert deployment.writes() == []


@pytest.mark.parametrize("status", ["ready", "failed"])
@pytest.mark.parametrize("ami", NO_AMI_IDS)
def test_an_abandoned_intent_never_removes_a_good_ami(deployment, status, ami):
    deployment.preset(PRESET, status=status, ami=ami, config={"ami": NEW})
    deployment.item(
        {
            "jobId": f"AMI-INTENT#{PRESET}#dag/run/1",
            "recordType": "AMI-INTENT",
            "presetName": PRESET,
            "updatedAt": "2026-02-11T15:35:48.123Z",
            "paramVersion": 1,
        }
    )
    batches, states = detect()
    result = reconcile(batches[0])[PRESET]
    assert result["outcome"] == "no_usable_ami"
    assert deployment.parameter(PRESET) == {"ami": NEW}
    assert deployment.intents() == []
    assert report(states, batches, [result]).value["status"] == "degraded"
    again, states = detect(TaskInstance("scheduled__2"))
    assert again == []
    assert report(states, again, []).value["status"] == "degraded", "it stays a person's to mend"


def test_a_thousand_foreign_records_are_counted_and_stop_nobody(deployment, logged):
    deployment.stale(PRESET)
    foreign = {"recordType": "AMI", "updatedAt": "2026-02-11T15:35:48.123Z", "note": "n" * 390}
    deployment.items_at_once({"jobId": f"theirs-{number:04}", **foreign} for number in range(1000))
    batches, states = detect()
    value = report(states, batches, reconcile(batches[0]).values()).value
    assert len(states["malformed"]) == len(value["malformed"]) == 100
    assert states["malformedCounts"] == value["malformedCounts"] == {"presetName is missing": 1000}
    assert "1000 records malformed" in value["message"]
    assert max(len(json.dumps(each)) for each in (states, value)) < 50_000
    assert 100 < len(logged().splitlines()) < 120
    assert deployment.parameter(PRESET)["ami"] == NEW


def test_a_preset_name_of_any_length_is_cut_in_the_log_too(deployment, logged):
    deployment.item(
        {
            "jobId": "AMI#long",
            "recordType": "AMI",
            "status": "building",
            "updatedAt": "2026-02-11T15:35:48.123Z",
            "presetName": "x" * 390_000,
        }
    )
    detect()
    assert 200 < max(len(line) for line in logged().splitlines()) < 1000
