"""No record, whatever it holds, stops another; whatever is refused is listed, with a reason."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from spot_runner_provider.detection.survey import survey
from spot_runner_provider.protocol.candidate import Candidate
from spot_runner_provider.protocol.outcome import Outcome, Replacement, Result
from spot_runner_provider.records.ami_state import AmiState, MalformedRecord, Status, parse_timestamp, render_timestamp
from spot_runner_provider.records.intent import Intent
from spot_runner_provider.records.text import shorten, shown, storable
from spot_runner_provider.reporting.promotion import Promotion, UnknownPlace
from tests.properties.values import anything, mostly, names, statuses, texts, through_xcom, timestamps

NOW = datetime(2026, 2, 11, 16, 0, tzinfo=UTC)
HEALTHY = {
    "jobId": "AMI#healthy",
    "recordType": "AMI",
    "presetName": "healthy",
    "status": "building",
    "updatedAt": "2026-02-11T15:00:00.000Z",
}


@st.composite
def records(draw: st.DrawFn) -> dict[str, object]:
    """An item that looks like an AMI state, with anything in any place."""
    name = draw(mostly(names))
    item = {
        "jobId": draw(mostly(st.just(f"AMI#{name}"))),
        "recordType": "AMI",
        "presetName": name,
        "amiId": draw(mostly(st.one_of(st.none(), st.just("ami-0a1d")))),
        "status": draw(mostly(statuses)),
        "updatedAt": draw(mostly(timestamps)),
        "buildId": draw(anything),
        "errorMessage": draw(anything),
        "reconciledBy": draw(anything),
    } | draw(st.dictionaries(texts, anything, max_size=2))
    return {key: item[key] for key in item if draw(st.integers(0, 9))}


@st.composite
def intents(draw: st.DrawFn) -> dict[str, object]:
    """An item that looks like an intent, with anything in any place."""
    name = draw(mostly(names))
    item = {
        "jobId": draw(mostly(texts.map(lambda text: f"AMI-INTENT#{name}#{text[:100]}"))),
        "recordType": "AMI-INTENT",
        "presetName": name,
        "updatedAt": draw(mostly(timestamps)),
        "paramVersion": draw(mostly(st.integers(1, 200))),
        "amiId": draw(anything),
        "buildId": draw(anything),
    }
    return {key: item[key] for key in item if draw(st.integers(0, 9))}


storable_characters = st.characters(codec="utf-8", exclude_characters="\x00")


@st.composite
def candidates(draw: st.DrawFn) -> Candidate:
    """A candidate as detection makes it, whose texts are none that XCom cuts or shows otherwise."""
    told = st.text(storable_characters, min_size=1, max_size=200).map(shown).filter(lambda text: len(text) <= 200)
    name, short = draw(names), st.one_of(st.none(), told)
    moment = st.datetimes(timezones=st.just(UTC)).map(render_timestamp)
    state = st.builds(AmiState, st.just(name), st.sampled_from(Status), moment, short, short, short)
    job_id = st.text(storable_characters, max_size=80).map(lambda owner: f"AMI-INTENT#{name}#{shown(owner)}")
    intent = st.builds(Intent, job_id, st.just(name), moment, st.integers(1, 200), short, short)
    return Candidate(name, draw(st.one_of(st.none(), state)), tuple(draw(st.lists(intent, max_size=2))))


optional_texts = st.one_of(st.none(), texts)
results = st.builds(
    Result,
    preset_name=texts,
    outcome=st.one_of(st.none(), st.sampled_from(Outcome)),
    detail=texts,
    ami_id=optional_texts,
    previous_ami_id=optional_texts,
    build_id=optional_texts,
    pipeline_arn=st.one_of(texts, st.just("arn:aws:imagebuilder:us-east-1:123456789012:image-pipeline/x")),
    image_arn=optional_texts,
    image_state=optional_texts,
    replacement=st.one_of(st.none(), st.builds(Replacement, texts, optional_texts, optional_texts)),
)


@given(st.lists(records(), max_size=3), st.lists(intents(), max_size=2))
def test_no_item_stops_another_and_every_item_is_accounted_for(items, standing):
    found = survey([*items, HEALTHY], standing, now=NOW, stale_after=timedelta(minutes=30))
    assert "healthy" in {candidate.preset_name for candidate in found.candidates}
    readable = {item["presetName"] for item in items if _reads(AmiState.from_item, item)}
    assert readable | {"healthy"} == {state.preset_name for state in found.states}
    refused = [item for item in items if not _reads(AmiState.from_item, item)]
    refused += [
        item for item in standing if not _reads(Intent.from_item, item) or storable(item["jobId"]) != item["jobId"]
    ]
    assert len(found.malformed) == len(refused)
    assert all(refusal.reason for refusal in found.malformed)


@given(st.lists(records(), max_size=3), st.lists(intents(), max_size=2))
def test_what_is_surveyed_fits_xcom_and_is_read_back(items, standing):
    found = survey(items, standing, now=NOW, stale_after=timedelta(minutes=30))
    stored = through_xcom(found.to_json())
    assert len(json.dumps(stored, ensure_ascii=False)) < 2_000 * (len(items) + len(standing) + 1)
    assert [AmiState.from_json(state) for state in stored["states"]] == [_cut(state) for state in found.states]
    for candidate in found.candidates:
        assert Candidate.from_json(through_xcom(candidate.to_json())) == Candidate(
            candidate.preset_name,
            candidate.state and replace(_cut(candidate.state), error_message=None),
            tuple(replace(intent, ami_id=None, build_id=None) for intent in candidate.intents),
        )


@given(results)
def test_any_result_fits_xcom(result):
    stored = through_xcom(result.to_json())
    assert stored["outcome"] == result.outcome
    with suppress(UnknownPlace):
        if promotion := Promotion.of(replace(result, preset_name="linux-x64")):  # one that was read has such a name
            through_xcom(promotion.extra)


@given(candidates())
def test_what_is_written_for_xcom_is_read_back_whole(candidate):
    if candidate.state:
        assert AmiState.from_json(through_xcom(candidate.state.to_json())) == candidate.state
    assert Candidate.from_json(through_xcom(candidate.to_json())) == Candidate(
        candidate.preset_name,
        candidate.state and replace(candidate.state, error_message=None),
        tuple(replace(intent, ami_id=None, build_id=None) for intent in candidate.intents),
    )


@given(candidates())
def test_an_intent_is_read_back_whole_from_its_item(candidate):
    for intent in candidate.intents:
        item = intent.to_item()
        assert Intent.from_item(item | {"paramVersion": Decimal(item["paramVersion"])}) == intent


@given(anything)
def test_a_batch_item_is_read_or_refused(value):
    item = value if isinstance(value, dict) else {"presetName": value}
    with suppress(MalformedRecord):
        Candidate.from_json(item)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_rendered_moment_is_read_back(moment):
    exact = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert parse_timestamp(render_timestamp(moment)) == exact


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_rendered_moments_sort_like_the_time(one, other):
    rendered = sorted([render_timestamp(one), render_timestamp(other)])
    assert rendered == [render_timestamp(moment) for moment in sorted([one, other])]


@given(mostly(timestamps))
def test_a_timestamp_is_read_in_utc_or_refused(text):
    with suppress(MalformedRecord):
        assert parse_timestamp(text).tzinfo is UTC


@given(names, timestamps, st.datetimes(timezones=st.just(UTC)))
def test_a_correction_is_never_older_than_the_record(name, updated_at, moment):
    try:
        seen = AmiState(name, Status.BUILDING, updated_at)
        before = seen.updated
    except MalformedRecord:
        return
    corrected = seen.now_ready("ami-0e3f", build_id="arn", at=moment, by="dag/run")
    assert corrected.updated_at == render_timestamp(corrected.updated)
    last = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)
    assert corrected.updated > before.replace(microsecond=before.microsecond // 1000 * 1000) or before >= last


def _cut(state: AmiState) -> AmiState:
    """What is left of a record in XCom: its texts cut, and without who signed it."""
    texts = {name: getattr(state, name) for name in ("ami_id", "build_id", "error_message")}
    return replace(state, reconciled_by=None, **{name: text and shorten(text) for name, text in texts.items()})


def _reads(read, item) -> bool:
    try:
        read(item)
    except MalformedRecord:
        return False
    return True
