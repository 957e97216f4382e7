import json
from datetime import timedelta
from decimal import Decimal
from itertools import chain

import pytest

from spot_runner_provider.detection.survey import divide, sift, survey
from spot_runner_provider.protocol.candidate import Candidate
from spot_runner_provider.records.ami_state import MalformedRecord

from .values import NOW, ago, note, record, without

HALF_AN_HOUR = timedelta(minutes=30)


def look(items=(), intents=(), named=None):
    return survey(items, intents, now=NOW, stale_after=HALF_AN_HOUR, named=named)


def flagged(found):
    """Each candidate with the number of its intents."""
    return {candidate.preset_name: len(candidate.intents) for candidate in found.candidates}


@pytest.mark.parametrize(
    ("status", "age", "candidates"),
    [
        pytest.param("building", {"minutes": 30, "milliseconds": 1}, {"linux-x64": 0}, id="just-over-30-minutes"),
        pytest.param("building", {"minutes": 30}, {}, id="exactly-30-minutes"),
        pytest.param("building", {"minutes": 29}, {}, id="younger"),
        pytest.param("building", {"days": -2}, {}, id="in-the-future"),
        pytest.param("ready", {"days": 700}, {}, id="ready"),
        pytest.param("failed", {"days": 700}, {}, id="failed"),
    ],
)
def test_stale_records_are_candidates(status, age, candidates):
    assert flagged(look([record(status=status, updatedAt=ago(**age), amiId="ami-1")])) == candidates


@pytest.mark.parametrize(
    ("status", "age", "candidates"),
    [
        pytest.param("building", {"minutes": 40}, {"linux-x64": 0}, id="building-old"),
        pytest.param("building", {"seconds": 1}, {"linux-x64": 0}, id="building-young"),
        pytest.param("building", {"days": -2}, {"linux-x64": 0}, id="building-in-the-future"),
        pytest.param("ready", {"days": 700}, {}, id="ready"),
        pytest.param("failed", {"days": 700}, {}, id="failed"),
    ],
)
def test_named_building_presets_are_candidates(status, age, candidates):
    found = look(named={"linux-x64": record(status=status, updatedAt=ago(**age))})
    assert flagged(found) == candidates


def test_a_named_preset_without_a_record_is_refused():
    (refusal,) = look(named={"typo": None}).malformed
    assert (refusal.preset_name, refusal.job_id, refusal.reason) == ("typo", "AMI#typo", "no record")


def test_where_presets_are_named_no_others_are_looked_at():
    old = {"updatedAt": ago(days=1)}
    found = look([record("b", **old)], [note("b", **old)], named={"a": record("a", **old)})
    assert (flagged(found), [state.preset_name for state in found.states], found.unfinished) == ({"a": 0}, ["a"], set())


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({}, id="nothing"),
        pytest.param(without(record("b"), "presetName"), id="no-presetName"),
        pytest.param(record("b", presetName=Decimal(1)), id="decimal-presetName"),
        pytest.param(record("b", presetName=["b"]), id="list-presetName"),
        pytest.param(record("b", presetName={"b"}), id="set-presetName"),
        pytest.param(record("b", jobId="AMI#c"), id="other-jobId"),
        pytest.param(record("b", status=["building"]), id="list-status"),
        pytest.param(record("b", updatedAt="soon"), id="unreadable-updatedAt"),
        pytest.param(record("b", amiId=Decimal(1)), id="decimal-amiId"),
    ],
)
def test_a_malformed_record_is_listed_and_the_others_go_on(broken):
    old = {"updatedAt": ago(days=1)}
    found = look([record("a", **old), broken, record("c", **old)])
    assert (flagged(found), len(found.malformed)) == ({"a": 0, "c": 0}, 1)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(without(note("b"), "presetName"), id="no-presetName"),
        pytest.param(note("b", presetName=["b"]), id="list-presetName"),
        pytest.param(note("b", updatedAt=None), id="no-updatedAt"),
        pytest.param(note("b", paramVersion=None), id="no-paramVersion"),
        pytest.param(note("b", paramVersion=Decimal("1E+40")), id="huge-paramVersion"),
        pytest.param(note("b", owner="dag/run\x00/1"), id="a-jobId-that-xcom-cannot-hold"),
    ],
)
def test_a_malformed_intent_is_listed_and_the_others_go_on(broken):
    found = look([record("a", updatedAt=ago(days=1))], [broken])
    assert (flagged(found), len(found.malformed)) == ({"a": 0}, 1)


@pytest.mark.parametrize("preset", [["a"], {"a": 1}, {"a"}], ids=["list", "map", "set"])
def test_an_unreadable_intent_does_not_stop_named_presets(preset):
    found = look(intents=[note("a", presetName=preset)], named={"a": record("a")})
    assert flagged(found) == {"a": 0}


ABANDONED = {"updatedAt": ago(minutes=5, milliseconds=1)}
ALIVE = {"updatedAt": ago(minutes=5)}


@pytest.mark.parametrize(
    ("items", "intents", "candidates"),
    [
        pytest.param([record(status="ready", amiId="ami-1")], [note(**ABANDONED)], {"linux-x64": 1}, id="ready"),
        pytest.param([record(status="failed")], [note(**ABANDONED)], {"linux-x64": 1}, id="failed"),
        pytest.param([], [note(**ABANDONED)], {"linux-x64": 1}, id="record-gone"),
        pytest.param([record(status="ready", amiId="ami-1")], [note(**ALIVE)], {}, id="ready-and-the-try-may-live"),
        pytest.param([], [note(**ALIVE)], {}, id="record-gone-and-the-try-may-live"),
        pytest.param([record()], [note(**ABANDONED)], {}, id="building-keeps-its-intents"),
        pytest.param([record(updatedAt=ago(hours=1))], [note(**ABANDONED)], {"linux-x64": 1}, id="stale"),
        pytest.param(
            [record(updatedAt=ago(hours=1))], [note(**ALIVE)], {"linux-x64": 0}, id="stale-and-the-try-may-live"
        ),
        pytest.param(
            [record(status="ready", amiId="ami-1")],
            [note(owner="a", **ABANDONED), note(owner="b", **ABANDONED), note(owner="c", **ALIVE)],
            {"linux-x64": 2},
            id="only-the-abandoned-ones",
        ),
        pytest.param([record(status="done")], [note(**ABANDONED)], {}, id="malformed-record-left-alone"),
    ],
)
def test_abandoned_intents_make_candidates_of_settled_records(items, intents, candidates):
    assert flagged(look(items, intents)) == candidates


def test_a_candidate_names_only_intents_that_go_along():
    first = note(owner="a", **ABANDONED)
    second = note(owner="b", **ABANDONED, standsFor=[first["jobId"], "AMI-INTENT#linux-x64#gone", "\0"])
    (candidate,) = look([record(updatedAt=ago(hours=1))], [first, second]).candidates
    named = {intent.job_id: intent.stands_for for intent in Candidate.from_json(candidate.to_json()).intents}
    assert named == {first["jobId"]: (), second["jobId"]: (first["jobId"],)}


def test_named_presets_bring_their_intents_along():
    found = look(intents=[note("a", **ABANDONED)], named={"a": record("a", status="ready", amiId="ami-1")})
    assert flagged(found) == {"a": 1}


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(record(), id="building"),
        pytest.param(record(status="ready", amiId="ami-1"), id="ready"),
        pytest.param(record(status="failed"), id="failed"),
    ],
)
@pytest.mark.parametrize("age", [ABANDONED, ALIVE], ids=["abandoned", "alive"])
def test_any_standing_intent_shows_as_unfinished(item, age):
    (state,) = look([item], [note(**age)]).to_json()["states"]
    assert state["unfinished"] is True


def test_a_preset_without_intents_is_not_unfinished():
    (state,) = look([record()], [note("other")]).to_json()["states"]
    assert "unfinished" not in state


def test_states_and_candidates_are_sorted_by_name():
    found = look([record(name, updatedAt=ago(days=1)) for name in ("c", "a", "b")])
    names = [state.preset_name for state in found.states], [candidate.preset_name for candidate in found.candidates]
    assert names == (["a", "b", "c"], ["a", "b", "c"])


def test_the_survey_in_xcom():
    found = look([record(), record("b", status="done")])
    assert found.to_json() == {
        "checkedAt": "2026-02-11T16:05:48.123Z",
        "states": [
            {
                "presetName": "linux-x64",
                "status": "building",
                "amiId": None,
                "updatedAt": "2026-02-11T16:04:48.123Z",
                "buildId": None,
            }
        ],
        "malformed": [
            {
                "jobId": "AMI#b",
                "presetName": "b",
                "reason": "status 'done' is none of building, ready, failed",
            }
        ],
        "malformedCounts": {"status is none of building, ready, failed": 1},
    }


def test_a_hundred_malformed_records_are_listed_and_all_counted():
    odd = [record(f"odd-{number}", status=f"state {number}") for number in range(10_000)]
    undated = [record(f"undated-{number}", updatedAt=f"day {number}") for number in range(3)]
    notes = [note(f"noted-{number}", paramVersion="x") for number in range(2)]
    found = look([*odd, *undated, record("a", updatedAt=ago(days=1))], notes).to_json()
    assert [refusal["presetName"] for refusal in found["malformed"]] == [f"odd-{number}" for number in range(100)]
    assert found["malformedCounts"] == {
        "status is none of building, ready, failed": 10_000,
        "updatedAt is not a timestamp": 3,
        "paramVersion is not a whole number above 0": 2,
    }
    assert len(json.dumps(found)) < 50_000


class TestCandidateInXCom:
    @pytest.mark.parametrize(
        ("items", "intents"),
        [
            pytest.param([record(updatedAt=ago(days=1), amiId="ami-1", buildId="arn")], [], id="stale"),
            pytest.param([], [note(**ABANDONED)], id="intent-alone"),
            pytest.param([record(updatedAt=ago(days=1))], [note(**ABANDONED)], id="both"),
        ],
    )
    def test_read_back_with_what_reconciling_needs(self, items, intents):
        (candidate,) = look(items, intents).candidates
        found = Candidate.from_json(candidate.to_json())
        keys = [(intent.job_id, intent.logged_at, intent.param_version) for intent in candidate.intents]
        assert (found.preset_name, found.state, keys) == (
            candidate.preset_name,
            candidate.state,
            [(intent.job_id, intent.logged_at, intent.param_version) for intent in found.intents],
        )

    def test_the_error_message_stays_behind(self):
        (candidate,) = look([record(updatedAt=ago(days=1), errorMessage="x" * 5000)]).candidates
        assert "errorMessage" not in candidate.to_json()

    @pytest.mark.parametrize(
        ("value", "names"),
        [
            pytest.param({}, "presetName", id="nothing"),
            pytest.param({"presetName": "../x"}, "presetName", id="path"),
            pytest.param({"presetName": "x", "status": "done"}, "status", id="unknown-status"),
            pytest.param({"presetName": "x", "status": "building"}, "updatedAt", id="no-updatedAt"),
            pytest.param({"presetName": "x", "intents": "all"}, "intents", id="text-intents"),
            pytest.param({"presetName": "x", "intents": None}, "intents", id="null-intents"),
            pytest.param({"presetName": "x", "intents": [1]}, "intents", id="number-intents"),
            pytest.param({"presetName": "x", "intents": [{}]}, "jobId", id="empty-intent"),
        ],
    )
    def test_refused_by_what_is_wrong(self, value, names):
        with pytest.raises(MalformedRecord, match=f"^{names}"):
            Candidate.from_json(value)


class TestDivide:
    @pytest.mark.parametrize("tasks", [1, 3, 8, 100])
    @pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 16, 17, 95, 1000])
    def test_all_items_once_in_order(self, count, tasks):
        assert list(chain.from_iterable(divide(range(count), tasks))) == list(range(count))

    @pytest.mark.parametrize("tasks", [1, 3, 8, 100])
    @pytest.mark.parametrize("count", [1, 7, 8, 9, 16, 17, 95, 1000])
    def test_sizes_differ_by_at_most_one(self, count, tasks):
        sizes = [len(batch) for batch in divide(range(count), tasks)]
        assert max(sizes) - min(sizes) <= 1

    @pytest.mark.parametrize(
        ("count", "tasks", "batches"),
        [
            pytest.param(0, 8, 0, id="none-for-none"),
            pytest.param(1, 8, 1, id="one"),
            pytest.param(8, 8, 8, id="one-each"),
            pytest.param(9, 8, 8, id="no-more-than-tasks"),
            pytest.param(1000, 8, 8, id="many"),
        ],
    )
    def test_as_many_batches_as_tasks_at_most(self, count, tasks, batches):
        assert len(divide(range(count), tasks)) == batches


def test_sift_takes_each_possible_name_once():
    good, refused = sift(["b", "a", "../x", "b", ""])
    assert (good, [refusal.preset_name for refusal in refused]) == (["b", "a"], ["../x", ""])
