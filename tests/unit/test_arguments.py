from datetime import timedelta

import pytest

from spot_runner_provider import arguments
from spot_runner_provider.arguments import InvalidArgument


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (True, True),
        (False, False),
        ("True", True),
        ("true", True),
        (" TRUE\n", True),
        ("False", False),
        ("false", False),
        (" FALSE ", False),
    ],
    ids=repr,
)
def test_boolean(value, meant):
    assert arguments.boolean("dry_run", value) is meant


@pytest.mark.parametrize("value", ["", "yes", "no", "1", "0", 1, 0, None, "None", [], ["x"], 1.0], ids=repr)
def test_boolean_refuses(value):
    with pytest.raises(InvalidArgument, match=r"^dry_run is .* takes true or false$"):
        arguments.boolean("dry_run", value)


@pytest.mark.parametrize(
    ("value", "minutes"),
    [
        (timedelta(hours=1), 60),
        (timedelta(0), 0),
        (30, 30),
        (0, 0),
        (0.5, 0.5),
        ("30", 30),
        (" 30 ", 30),
        ("0", 0),
        ("1e3", 1000),
        ("0.5", 0.5),
    ],
    ids=repr,
)
def test_duration(value, minutes):
    assert arguments.duration("stale_after", value) == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    "value",
    [
        timedelta(seconds=-1),
        -1,
        "-1",
        "-1e-9",
        "",
        "soon",
        "nan",
        "inf",
        "-inf",
        float("nan"),
        float("inf"),
        1e300,
        "1e300",
        10**400,
        True,
        False,
        None,
        [30],
        "00:30:00",
    ],
    ids=lambda value: repr(value)[:20],
)
def test_duration_refuses(value):
    with pytest.raises(InvalidArgument, match=r"^stale_after is .* takes a timedelta, or minutes from 0 up$"):
        arguments.duration("stale_after", value)


@pytest.mark.parametrize(
    ("value", "meant"), [(1, 1), (8, 8), (8.0, 8), ("8", 8), (" 8 ", 8), ("8.0", 8), ("1e3", 1000)], ids=repr
)
def test_count(value, meant):
    found = arguments.count("max_workers", value)
    assert (found, type(found)) == (meant, int)


@pytest.mark.parametrize(
    "value",
    [0, -1, 0.5, 1.5, "0", "-3", "1.5", "", "many", "nan", "inf", float("nan"), 10**400, True, None, [8]],
    ids=lambda value: repr(value)[:20],
)
def test_count_refuses(value):
    with pytest.raises(InvalidArgument, match=r"^max_workers is .* takes a whole number from 1 up$"):
        arguments.count("max_workers", value)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ([], []),
        (["a", 1], ["a", 1]),
        (("a", "b"), ["a", "b"]),
        (range(2), [0, 1]),
        (None, []),
        ("", []),
        ("  ", []),
        ("None", []),
        ("null", []),
        ("[]", []),
        ('["a", {"b": 1}]', ["a", {"b": 1}]),
        (' ["a"]\n', ["a"]),
    ],
    ids=repr,
)
def test_items(value, meant):
    assert arguments.items("presets", value) == meant


@pytest.mark.parametrize(
    "value",
    ["a", "a,b", "['a']", '"a"', "5", "true", '{"a": 1}', "[", {"a": 1}, {"a"}, 5, True, b"[]"],
    ids=repr,
)
def test_items_refuses(value):
    with pytest.raises(InvalidArgument, match=r"^presets is .* takes a list, or a JSON list as text$"):
        arguments.items("presets", value)


@pytest.mark.parametrize(
    ("value", "meant"), [(["a"], ["a"]), ('["a", "b"]', ["a", "b"]), (None, []), ("", [])], ids=repr
)
def test_names(value, meant):
    assert arguments.names("fail_on", value) == meant


@pytest.mark.parametrize("value", [[1], ["a", None], "[1]", '[["a"]]', '{"a": 1}', "a"], ids=repr)
def test_names_refuses(value):
    with pytest.raises(InvalidArgument, match=r"^fail_on is .* takes a list"):
        arguments.names("fail_on", value)


def test_text():
    assert arguments.text("table_name", "spot-runner-state", "set it") == "spot-runner-state"


@pytest.mark.parametrize("value", ["", " \n", None, 5, ["x"]], ids=repr)
def test_text_refuses(value):
    with pytest.raises(InvalidArgument, match=r"^table_name is not set: set it$"):
        arguments.text("table_name", value, "set it")


def test_a_refusal_repeats_only_the_beginning_of_a_long_value():
    with pytest.raises(InvalidArgument) as refusal:
        arguments.count("max_workers", "x" * 5000)
    assert len(str(refusal.value)) < 200
