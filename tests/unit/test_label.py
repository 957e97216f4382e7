import pytest
from jinja2.nativetypes import NativeEnvironment

from spot_runner_provider.operators.labels import LABEL_LIMIT, label


@pytest.mark.parametrize(
    ("names", "text"),
    [
        pytest.param([], "", id="none"),
        pytest.param(["linux-x64"], "linux-x64", id="one"),
        pytest.param(["a", "b", "c"], "a, b, c", id="three"),
        pytest.param(["a", "b", "c", "d"], "a, b, c +1", id="four"),
        pytest.param([f"p{number}" for number in range(1000)], "p0, p1, p2 +997", id="a-thousand"),
    ],
)
def test_the_first_three_and_how_many_more(names, text):
    assert label(names) == text


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["x" * 116] * 3, id="long-names"),
        pytest.param(["x" * 116] * 5000, id="many-long-names"),
        pytest.param(["1" * 99] * 2, id="long-numbers"),
        pytest.param(["'" + "\x01" * 100 + "'"], id="unprintable-literal"),
    ],
)
def test_at_most_two_hundred_characters(names):
    assert len(label(names)) <= LABEL_LIMIT == 200


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["linux-x64"], "linux-x64"),
        (["2022"], "2022"),
        (["0x10"], "0x10"),
        (["1e5"], "1e5"),
        (["1_000"], "1_000"),
        (["007"], "007"),
        (["-1"], "-1"),
        (["None"], "None"),
        (["True"], "True"),
        (["2022", "2025"], "2022, 2025"),
        (["1", "2", "3"], "1, 2, 3"),
        (["1", "2", "3", "4"], "1, 2, 3 +1"),
        (["1", "2", "3j", "4"], "1, 2, 3j +1"),
        (["'quoted'"], "'quoted'"),
        (["[1]"], "[1]"),
        ([" 2022"], " 2022"),
    ],
    ids=repr,
)
def test_native_rendering_leaves_it_a_text(names, text):
    template = NativeEnvironment().from_string("{{ preset_names }}")
    assert template.render(preset_names=label(names)) == text
