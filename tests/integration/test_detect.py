from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from spot_runner_provider.embedded.demo.seed import ami_state, put_items, runner_job
from tests.integration.deployment import detect

NOW = datetime(2026, 2, 11, 15, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "age", "flagged"),
    [
        pytest.param("building", timedelta(minutes=30, milliseconds=1), True, id="building, more than 30 minutes"),
        pytest.param("building", timedelta(minutes=30), False, id="building, exactly 30 minutes"),
        pytest.param("building", timedelta(minutes=5), False, id="building, younger"),
        pytest.param("building", timedelta(minutes=-5), False, id="building, in the future"),
        pytest.param("building", timedelta(days=400), True, id="building, for a year"),
        pytest.param("ready", timedelta(days=400), False, id="ready, old"),
        pytest.param("failed", timedelta(days=400), False, id="failed, old"),
    ],
)
def test_what_is_flagged(deployment, at, status, age, flagged):
    at(NOW)
    deployment.item(ami_state("linux-x64", status, NOW - age, ami="ami-0a1d"))
    batches, states = detect()
    assert [[item["presetName"] for item in batch] for batch in batches] == ([["linux-x64"]] if flagged else [])
    assert [(state["presetName"], state["status"]) for state in states["states"]] == [("linux-x64", status)]
    assert states["checkedAt"] == "2026-02-11T15:00:00.000Z"


@pytest.mark.parametrize("stale_after", [timedelta(minutes=10), 10, 10.0, "10"], ids=repr)
def test_stale_after_in_each_form(deployment, stale_after):
    deployment.preset("younger", minutes=9)
    deployment.preset("older", minutes=11)
    batches, _ = detect(stale_after=stale_after)
    assert [[item["presetName"] for item in batch] for batch in batches] == [["older"]]


def test_an_index_of_many_pages_is_read_to_the_end(deployment, monkeypatch):
    monkeypatch.setattr("moto.dynamodb.models.table.RESULT_SIZE_LIMIT", 2000)
    names = [f"linux-{number:03}" for number in range(60)]
    put_items(
        deployment.dynamodb,
        [ami_state(name, "building", datetime.now(UTC) - timedelta(hours=1)) for name in names],
    )
    batches, states = detect()
    assert deployment.aws.calls()["dynamodb.Query"] > 4
    assert sorted(state["presetName"] for state in states["states"]) == names
    assert sorted(item["presetName"] for batch in batches for item in batch) == names


def test_runner_jobs_are_never_read(deployment):
    put_items(deployment.dynamodb, [runner_job(number, "running", datetime.now(UTC)) for number in range(300)])
    deployment.preset("linux-x64")
    detect()
    log = deployment.aws.call_log()
    assert [call.operation for call in log] == ["dynamodb.Query"] * 2
    assert sum(call.scanned_count for call in log) == 1


def test_only_named_presets_are_read_and_flagged(deployment):
    deployment.preset("young", minutes=1)
    deployment.preset("done", status="ready")
    deployment.preset("other", minutes=90)
    batches, states = detect(presets=["young", "done", "unknown", "../x"])
    assert [[item["presetName"] for item in batch] for batch in batches] == [["young"]]
    assert {state["presetName"] for state in states["states"]} == {"young", "done"}
    assert {(refused["presetName"], refused["reason"][:9]) for refused in states["malformed"]} == {
        ("unknown", "no record"),
        ("../x", "presetNam"),
    }
    assert not any("../x" in str(call.body) for call in deployment.aws.call_log())


@pytest.mark.parametrize("presets", ['["young"]', ["young"], ("young",)], ids=repr)
def test_presets_in_each_form(deployment, presets):
    deployment.preset("young", minutes=1)
    batches, _ = detect(presets=presets)
    assert [item["presetName"] for batch in batches for item in batch] == ["young"]


def test_no_names_mean_all_presets(deployment):
    deployment.preset("older")
    deployment.preset("young", minutes=1)
    batches, states = detect(presets=None)
    assert [item["presetName"] for batch in batches for item in batch] == ["older"]
    assert len(states["states"]) == 2


def test_a_batch_item_has_only_what_the_protocol_needs(deployment):
    deployment.preset("linux-x64", build="arn:of-the-build", error="an old error")
    batches, _ = detect()
    assert set(batches[0][0]) == {"presetName", "status", "amiId", "updatedAt", "buildId"}


@pytest.mark.parametrize(("count", "limit"), [(1000, 1_000_000), pytest.param(5000, 3_000_000, marks=pytest.mark.long)])
def test_thousands_of_stale_presets_fit_the_map_and_the_xcom(deployment, monkeypatch, count, limit):
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "5")
    then = datetime.now(UTC) - timedelta(hours=1)
    put_items(
        deployment.dynamodb,
        [
            ami_state(f"linux-x64-{number:05}", "building", then, ami="ami-0123456789abcdef0", error="e" * 4000)
            for number in range(count)
        ],
    )
    batches, states = detect(max_mapped_tasks=8)
    assert len(batches) == 5
    assert {len(batch) for batch in batches} == {count // 5}
    assert len(json.dumps(states)) < limit
    assert len(json.dumps(batches)) < limit
