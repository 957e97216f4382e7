"""What a run has to tell in figures."""

from datetime import UTC, datetime, timedelta

import pytest

from spot_runner_provider.reporting.metrics import Metric, MetricKind, metrics

CHECKED = datetime(2026, 2, 11, 16, 0, 0, tzinfo=UTC)
NONE = {
    "spot_runner.presets.ready": 0,
    "spot_runner.presets.building": 0,
    "spot_runner.presets.failed": 0,
    "spot_runner.presets.needs_attention": 0,
    "spot_runner.records.malformed": 0,
    "spot_runner.oldest_stale_seconds": 0,
    "spot_runner.seconds_spent": 2.5,
}


def report(*presets):
    return {
        "checkedAt": "2026-02-11T16:00:00.000Z",
        "presets": [
            {"name": name, "status": status, "amiId": "ami-1", "outcome": outcome}
            for name, (status, outcome) in zip("abc", presets, strict=False)
        ],
        "malformed": [],
    }


def item(status="building", **age):
    moment = (CHECKED - timedelta(**age)).isoformat().replace("+00:00", "Z")
    return {"presetName": "a", "status": status, "updatedAt": moment}


def measured(report, batches=(), *, now=CHECKED + timedelta(seconds=2.5), **run):
    found = list(metrics(report, batches, now=now, **run))
    assert len({metric.name for metric in found}) == len(found)
    return {metric.name: metric.value for metric in found}


@pytest.mark.parametrize(
    ("presets", "changed"),
    [
        pytest.param([], {}, id="no-presets"),
        pytest.param([("ready", None)] * 2, {"presets.ready": 2}, id="all-ready"),
        pytest.param(
            [("ready", "corrected_ready"), ("ready", "corrected_ready"), ("failed", "corrected_failed")],
            {
                "presets.ready": 2,
                "presets.failed": 1,
                "presets.needs_attention": 1,
                "outcomes.corrected_ready": 2,
                "outcomes.corrected_failed": 1,
            },
            id="corrected",
        ),
        pytest.param(
            [("building", "error"), ("building", None), ("ready", "drifted")],
            {
                "presets.building": 2,
                "presets.ready": 1,
                "presets.needs_attention": 2,
                "outcomes.error": 1,
                "outcomes.drifted": 1,
            },
            id="in-trouble",
        ),
    ],
)
def test_presets_by_status_and_outcome(presets, changed):
    assert measured(report(*presets)) == NONE | {f"spot_runner.{name}": value for name, value in changed.items()}


def test_records_that_cannot_be_read_are_counted():
    malformed = [{"jobId": "AMI#odd", "presetName": "odd", "reason": "status 'paused'"}]
    found = measured(report() | {"malformed": malformed})
    assert found == NONE | {"spot_runner.records.malformed": 1}


@pytest.mark.parametrize(
    ("batches", "seconds"),
    [
        pytest.param([], 0, id="nothing-stale"),
        pytest.param([[item(minutes=45)]], 2700, id="one"),
        pytest.param([[item(minutes=45), item(days=2)], [item(hours=1)]], 172_800, id="the-oldest-of-all-batches"),
        pytest.param([[item("ready", days=9)], [item(minutes=31)]], 1860, id="a-settled-record-is-not-stale"),
        pytest.param([[{"presetName": "a", "intents": [{}]}]], 0, id="an-intent-without-a-record"),
        pytest.param([[item(minutes=-3)]], 0, id="a-record-from-a-clock-that-is-ahead"),
    ],
)
def test_the_oldest_stale_record(batches, seconds):
    assert measured(report(), batches)["spot_runner.oldest_stale_seconds"] == seconds


def test_a_run_of_named_presets_says_nothing_of_the_fleet():
    young = report(("building", "still_building"), ("ready", None))
    assert measured(young, [[item(minutes=1)]], named=True) == {"spot_runner.outcomes.still_building": 1}


def test_what_a_dry_run_foretold_is_not_counted():
    foretold = report(("building", "corrected_ready"), ("ready", "drifted"))
    assert measured(foretold, [[item(minutes=45)]], dry={"a"}) == NONE | {
        "spot_runner.presets.ready": 1,
        "spot_runner.presets.building": 1,
        "spot_runner.presets.needs_attention": 1,
        "spot_runner.oldest_stale_seconds": 2700,
        "spot_runner.outcomes.drifted": 1,
    }


def test_a_clock_that_is_behind_makes_no_negative_time():
    assert measured(report(), now=CHECKED - timedelta(seconds=9))["spot_runner.seconds_spent"] == 0


def test_outcomes_are_counted_and_the_rest_is_kept():
    kinds = {metric.name: metric.kind for metric in metrics(report(("ready", "finished")), (), now=CHECKED)}
    assert {name for name, kind in kinds.items() if kind is MetricKind.COUNTER} == {"spot_runner.outcomes.finished"}
    assert set(kinds.values()) == {MetricKind.COUNTER, MetricKind.GAUGE}


def test_a_detection_that_failed_leaves_the_gauges_as_they_were():
    assert list(metrics({"checkedAt": None, "presets": []}, (), now=CHECKED)) == []


def test_a_metric_says_what_it_is():
    assert next(metrics(report(("building", None)), (), now=CHECKED)) == Metric(
        "spot_runner.presets.building", MetricKind.GAUGE, 1
    )
