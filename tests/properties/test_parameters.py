"""Whatever a parameter holds: ``ami`` is set, and nothing else is touched, or the value is refused."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from spot_runner_provider.preset_config import ConfigVersion, InvalidConfig, merge
from tests.properties.values import json_values, texts

AMI = "ami-0e3f"

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


def versions(*values: str) -> list[ConfigVersion]:
    return [ConfigVersion(number, text) for number, text in enumerate(values, 1)]


@given(st.one_of(documents(), texts, json_values.map(json.dumps)))
def test_any_value_is_updated_or_refused(text):
    try:
        merged = merge(versions(text), AMI)
    except InvalidConfig:
        return
    assert json.loads(merged) == json.loads(text) | {"ami": AMI}


@given(documents())
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


@given(objects, objects, layouts)
def test_an_edit_that_our_put_covered_is_restored(base, edited, layout):
    """Somebody makes ``base`` into ``edited`` after we read ``base``, and our put covers it."""
    base, edited = base | {"ami": "ami-0a1d"}, edited | {"ami": "ami-0a1d"}
    ours = merge(versions(json.dumps(base, **layout)), AMI)
    merged = merge(versions(json.dumps(base, **layout), json.dumps(edited), ours), AMI)
    assert json.loads(merged) == edited | {"ami": AMI}
