"""The benchmarks' own ways to measure, on a small fleet."""

import pytest

from benchmarks.aws import running
from benchmarks.far import LATENCY, Quota
from benchmarks.processes import measure

PRESETS = 12
PUTS_PER_SECOND = 3.0


@pytest.fixture
def fleet():
    with running(AVAILABLE=PRESETS) as aws:
        yield aws


def far(aws, work, **quotas):
    presets = measure("detect", aws)
    return measure("far", aws, work=work, presets=presets, quotas=quotas, seed=1)


def test_only_calls_of_what_is_measured_are_counted(fleet):
    assert fleet.calls() == {}
    measure("detect", fleet)
    assert fleet.calls() == {"dynamodb.Query": 2}


@pytest.mark.parametrize("work", ["one task", "eight tasks"])
def test_a_quota_bounds_a_run_on_the_virtual_clock(fleet, work):
    done = far(fleet, work, **{"ssm.PutParameter": PUTS_PER_SECOND})
    assert done["outcomes"] == {"corrected_ready": PRESETS}
    assert done["failures"] == []
    floor = (PRESETS - 1) / PUTS_PER_SECOND
    assert floor <= done["seconds"] <= 4 * floor


def test_latency_bounds_one_preset_after_the_other(fleet):
    done = far(fleet, "one by one")
    assert done["calls"] == 6 * PRESETS
    assert done["seconds"] >= 6 * PRESETS * LATENCY


def test_detection_runs_on_recorded_answers(fleet):
    recorded = measure("answers", fleet)
    fleet.reset()
    done = measure("detections", fleet, recorded=[recorded, recorded], rounds=2)
    assert [len(round) for round in done["seconds"]] == [2, 2]
    assert all(seconds > 0 for round in done["seconds"] for seconds in round)
    assert fleet.calls() == {}


def test_a_quota_cannot_be_saved_up():
    moments = iter([0.0, 0.0, 0.1, 0.5, 5.0, 5.1, 5.5])  # the first is that of its beginning
    quota = Quota(2.0, now=lambda: next(moments))
    assert [quota.take() for _ in range(6)] == [True, False, True, True, False, True]


def test_what_a_measurement_raises_is_told(fleet):
    with pytest.raises(RuntimeError, match="far: KeyError: 'presetName'"):
        measure("far", fleet, work="one by one", presets=[{}], quotas={}, seed=1)
