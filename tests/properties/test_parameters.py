"""Whatever a parameter holds: ``ami`` is set, and nothing else is touched, or the value is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from spot_runner_provider.records.parameter import ConfigVersion, InvalidConfig, merge
from tests.properties.values import json_values, texts

AMI = "ami-0e3f"
START = datetime(2026, 2, 11, 16, tzinfo=UTC)

objects = st.dictionaries(
    st.one_of(st.sampled_from(["ami", "timeout", "labels", "a", "b"]), st.text(max_size=6)), json_values, max_size=5
)
layouts = st.sampled_from(
    [
        {},
        {"separators": (",", ":")},
        {"indent": 2},
        {"indent": "\t", "ensure_ascii": False},
        {"separators": (" ,  ", " :\n")},
    ]
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """The text of a JSON object in some layout."""
    return (
        draw(st.sampled_from(["", "\n", "  "]))
        + json.dumps(draw(objects), **draw(layouts))
        + draw(st.sampled_from(["", "\n"]))
    )


def is_replaceable(text: str) -> bool:
    """Return whether no content is lost with the ``ami`` of a JSON object."""
    return isinstance(json.loads(text).get("ami"), str | None)


def readable(version: ConfigVersion) -> dict[str, Any] | None:
    try:
        return version.parse()
    except InvalidConfig:
        return None


def versions(*values: str) -> list[ConfigVersion]:
    return [ConfigVersion(number, text) for number, text in enumerate(values, 1)]


@given(st.one_of(documents(), texts, json_values.map(json.dumps)))
def test_any_value_is_updated_or_refused(text):
    try:
        merged = merge(versions(text), AMI)
    except InvalidConfig:
        return
    assert json.loads(merged) == json.loads(text) | {"ami": AMI}
    assert is_replaceable(text)


@given(documents().filter(is_replaceable))
def test_keys_keep_their_order_and_a_second_update_changes_nothing(text):
    merged = merge(versions(text), AMI)
    before = [key for key in json.loads(text) if key != "ami"]
    assert [key for key in json.loads(merged) if key != "ami"] == before
    assert merge(versions(merged), AMI) == merged


@given(st.lists(st.one_of(documents(), texts), min_size=1, max_size=5))
def test_any_history_is_merged_into_an_object_or_refused(values):
    try:
        merged = merge(versions(*values), AMI)
    except InvalidConfig:
        return
    assert json.loads(merged)["ami"] == AMI
    # Not so with the history before it: a key that was taken back before our put may have been meant or covered.
    assert merge([ConfigVersion(9, merged)], AMI) == merged


@given(
    st.lists(st.tuples(st.one_of(documents(), texts), st.integers(0, 9)), min_size=1, max_size=6),
    st.integers(1, 7),
    st.integers(0, 9),
)
def test_whatever_the_base_and_the_end_the_newest_edits_stand_and_nothing_is_invented(written, base, until):
    history = [
        ConfigVersion(number, text, modified=START + timedelta(minutes=minutes))
        for number, (text, minutes) in enumerate(written, 1)
    ]
    try:
        merged = json.loads(merge(history, AMI, base=base, until=START + timedelta(minutes=until)))
    except InvalidConfig:
        return
    newest, *older = [document for version in reversed(history) if (document := readable(version)) is not None]
    assert merged["ami"] == AMI
    for key in (merged.keys() | newest.keys()) - {"ami"}:
        if (key in merged, merged.get(key)) != (key in newest, newest.get(key)):
            assert any((key in each, each.get(key)) == (key in merged, merged.get(key)) for each in older)
            assert any((key in each, each.get(key)) == (key in newest, newest.get(key)) for each in older)


@given(objects, objects)
def test_what_was_taken_back_before_our_first_put_stays_so(before, edited):
    before, edited = before | {"ami": "ami-0a1d"}, edited | {"ami": "ami-0a1d"}
    ours = before | {"ami": AMI}
    history = versions(*map(json.dumps, (before, edited, before, ours)))
    assert json.loads(merge(history, AMI, base=3)) == ours


@given(objects, objects)
def test_what_somebody_took_back_after_our_last_put_stays_so(before, edited):
    before, edited = before | {"ami": "ami-0a1d"}, edited | {"ami": "ami-0a1d"}
    texts = map(json.dumps, (before, edited, edited | {"ami": AMI}, before | {"ami": AMI}))
    history = [
        ConfigVersion(number, text, modified=START + timedelta(minutes=number)) for number, text in enumerate(texts, 1)
    ]
    assert json.loads(merge(history, AMI, base=1, until=START + timedelta(minutes=3))) == before | {"ami": AMI}


@given(objects, objects, layouts)
def test_an_edit_that_our_put_covered_is_restored(base, edited, layout):
    """Somebody makes ``base`` into ``edited`` after we read ``base``, and our put covers it."""
    base, edited = base | {"ami": "ami-0a1d"}, edited | {"ami": "ami-0a1d"}
    ours = merge(versions(json.dumps(base, **layout)), AMI)
    merged = merge(versions(json.dumps(base, **layout), json.dumps(edited), ours), AMI)
    assert json.loads(merged) == edited | {"ami": AMI}
