import re
from datetime import timedelta

import pytest
from jinja2 import StrictUndefined
from jinja2.nativetypes import NativeEnvironment

from spot_runner_provider.operators import arguments
from spot_runner_provider.operators.arguments import InvalidArgument


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
        "1_000",
        "\u0663\u0660",
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
    [
        0,
        -1,
        0.5,
        1.5,
        "0",
        "-3",
        "1.5",
        "",
        "many",
        "1_000",
        "\u0661\u0662",
        "nan",
        "inf",
        float("nan"),
        10**400,
        True,
        None,
        [8],
    ],
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


@pytest.mark.parametrize("value", ['{"a": 1}', "a", 5], ids=repr)
def test_names_refuses(value):
    with pytest.raises(InvalidArgument, match=r"^fail_on is .* takes a list"):
        arguments.names("fail_on", value)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([2022], "2022 (int), which is not text"),
        (["a", None], "None (NoneType), which is not text"),
        ([1e5], "100000.0 (float), which is not text"),
        ("[1]", "1 (int), which is not text"),
        ('[["a"]]', "['a'] (list), which is not text"),
        ([StrictUndefined(name="preset")], "left undefined by its template"),
    ],
    ids=repr,
)
def test_names_refuses_what_templates_make_of_a_name(value, says):
    with pytest.raises(InvalidArgument, match=rf"^fail_on has {re.escape(says)}.* as in '\[\"2022\"\]'$"):
        arguments.names("fail_on", value)


@pytest.mark.parametrize(
    ("value", "meant"),
    [(None, None), (["a"], ["a"]), (("a", "b"), ["a", "b"]), ('["a"]', ["a"])],
    ids=repr,
)
def test_selection(value, meant):
    assert arguments.selection("presets", value) == meant


@pytest.mark.parametrize("value", [None, "None", " null\n"], ids=repr)
@pytest.mark.parametrize("written", ["{{ params.presets }}", " {{ params.presets }}\n"], ids=repr)
def test_an_expression_may_come_to_all(value, written):
    assert arguments.selection("presets", value, written) is None


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("None", None),
        ("null", None),
        ("None", "None"),
        ("null", "null"),
        (None, "None"),
        (None, ""),
        (None, "{% if params.presets %}{{ params.presets }}{% endif %}"),
    ],
    ids=repr,
)
def test_a_text_is_not_taken_for_all(value, written):
    with pytest.raises(
        InvalidArgument, match=r"^presets is the text '.*', which renders to None; leave it out for all$"
    ):
        arguments.selection("presets", value, written)


@pytest.mark.parametrize(
    ("value", "has"),
    [(value, "is empty") for value in ([], (), "[]", "", " ")]
    + [(value, "has an empty name") for value in ([""], ["a", " "], '["a", ""]')],
    ids=repr,
)
def test_selection_takes_nothing_for_all_by_mistake(value, has):
    with pytest.raises(InvalidArgument) as refusal:
        arguments.selection("presets", value)
    assert str(refusal.value) == f"presets {has}; it takes names, or None (null in JSON) for all"


def test_text():
    assert arguments.text("table_name", "spot-runner-state", "set it") == "spot-runner-state"


@pytest.mark.parametrize("value", ["", " \n", None], ids=repr)
def test_text_refuses(value):
    with pytest.raises(InvalidArgument, match=r"^table_name is not set: set it$"):
        arguments.text("table_name", value, "set it")


@pytest.mark.parametrize("value", [2024, 1e5, True, ["x"], b"x", ...], ids=repr)
def test_text_says_what_templates_made_of_it(value):
    with pytest.raises(InvalidArgument, match=r"^table_name is .*, which is not text\. .* as in \"'2022'\"$"):
        arguments.text("table_name", value, "set it")


@pytest.mark.parametrize(
    "refuses",
    [
        lambda value: arguments.boolean("argument", value),
        lambda value: arguments.duration("argument", value),
        lambda value: arguments.count("argument", value),
        lambda value: arguments.items("argument", value),
        lambda value: arguments.selection("argument", value),
        lambda value: arguments.text("argument", value, "set it"),
    ],
)
def test_what_a_template_left_undefined_is_told(refuses):
    with pytest.raises(InvalidArgument, match=r"^argument is left undefined by its template"):
        refuses(StrictUndefined(name="params"))


@pytest.mark.parametrize(
    "text",
    ["linux-x64", "a, b", "/2022", "{preset}", "2022", "1e5", "None", "True", "'a'", "[1]", "0x10", "...", "()"],
)
def test_verbatim_survives_a_native_rendering(text):
    assert NativeEnvironment().from_string(arguments.verbatim(text)).render() == text


@pytest.mark.parametrize("name", ["abc", "spot-runner-state", "a.b_c-D9", "x" * 255])
def test_table_name(name):
    assert arguments.table_name(name) == name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ab", "it takes 3 to 255 of"),
        ("x" * 256, "it takes 3 to 255 of"),
        ("spot runner", "it takes 3 to 255 of"),
        ("state\n", "it takes 3 to 255 of"),
        ("'state'", "it takes 3 to 255 of"),
        ("arn:aws:dynamodb:us-east-1:123456789012:table/state", "is an ARN; it takes the name alone: state"),
        (None, "is not set: give it to the operator, or set [spot_runner] table_name"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_table_name_refuses(name, says):
    with pytest.raises(InvalidArgument, match=rf"^table_name .*{re.escape(says)}"):
        arguments.table_name(name)


@pytest.mark.parametrize(
    "path", ["/", "/a", "/spot-runner/configs", "/spot-runner/configs/", "/a.b/C_d/9", "/awsome/x"]
)
def test_config_prefix(path):
    assert arguments.config_prefix(path) == path


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("spot-runner/configs", "with a slash in front"),
        ("/spot runner", "with a slash in front"),
        ("/a//b", "with a slash in front"),
        ("/configs//", "with a slash in front"),
        ("/configs\n", "with a slash in front"),
        ("/configs/{preset}", "with a slash in front"),
        ("arn:aws:ssm:us-east-1:123456789012:parameter/x", "with a slash in front"),
        ("/a" * 15, "with a slash in front"),
        ("/aws/x", "which are reserved"),
        ("/AWS", "which are reserved"),
        ("/ssm/x", "which are reserved"),
        ("", "is not set: give the path above the parameters"),
    ],
)
def test_config_prefix_refuses(path, says):
    with pytest.raises(InvalidArgument, match=rf"^config_prefix .*{re.escape(says)}"):
        arguments.config_prefix(path)


@pytest.mark.parametrize("name", ["spot-runner-{preset}", "{preset}", "x {preset} y", "{preset}-{preset}"])
@pytest.mark.parametrize("given", [lambda name: name, lambda name: [name]], ids=["text", "list"])
def test_a_pipelines_name(name, given):
    assert arguments.pipeline_names(given(name)) == (name,)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("a-{preset}, b-{preset}", id="comma-and-blank"),
        pytest.param("a-{preset},b-{preset}", id="comma"),
        pytest.param("a-{preset} ,\n\tb-{preset}", id="lines-of-a-configuration"),
        pytest.param(["a-{preset}", "b-{preset}"], id="list"),
        pytest.param(("a-{preset}", "b-{preset}"), id="tuple"),
    ],
)
def test_several_names_of_a_pipeline(given):
    assert arguments.pipeline_names(given) == ("a-{preset}", "b-{preset}")


@pytest.mark.parametrize(
    "name", ["spot-runner", " {preset}", "{preset} ", "{preset}\n", "x-{Preset}", "a*{preset}", "", "{preset};x"]
)
@pytest.mark.parametrize(
    "given",
    [lambda name: name, lambda name: [name], lambda name: ["a-{preset}", name]],
    ids=["text", "list", "second-of-a-list"],
)
def test_pipeline_names_refuses(name, given):
    with pytest.raises(InvalidArgument, match=r"^pipeline_name .* with \{preset\} in it, or several with commas"):
        arguments.pipeline_names(given(name))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param([], "pipeline_name is [] (list); it takes", id="empty-list"),
        pytest.param(None, "pipeline_name is not set: give", id="none"),
        pytest.param([None], "pipeline_name is not set: give", id="list-of-none"),
        pytest.param(2022, "pipeline_name is 2022 (int), which is not text", id="number"),
        pytest.param(["a-{preset}", 2022], "pipeline_name is 2022 (int), which is not text", id="list-of-a-number"),
        pytest.param(["a-{preset}, b-{preset}"], "pipeline_name is 'a-{preset}, b-{preset}'; it", id="comma-in-a-list"),
        pytest.param({"a-{preset}": 1}, "pipeline_name is {'a-{preset}': 1} (dict), which", id="dictionary"),
        pytest.param("['a-{preset}', 'b']", "pipeline_name is \"['a-{preset}'\"; it takes", id="text-of-a-list"),
    ],
)
def test_pipeline_names_refuses_what_is_no_list_of_texts(given, says):
    with pytest.raises(InvalidArgument, match=f"^{re.escape(says)}"):
        arguments.pipeline_names(given)


@pytest.mark.parametrize(
    ("verify", "meant"),
    [(None, None), (True, True), (False, False), ("False", False), ("true", True), ("/bundle.pem", "/bundle.pem")],
    ids=repr,
)
def test_connection(verify, meant):
    assert arguments.connection("aws_default", None, verify) == meant


@pytest.mark.parametrize(
    ("given", "names"),
    [((12, None, None), "aws_conn_id"), ((None, 1.0, None), "region_name"), ((None, None, 1), "verify")],
    ids=repr,
)
def test_connection_refuses(given, names):
    with pytest.raises(InvalidArgument, match=rf"^{names} is "):
        arguments.connection(*given)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("dryrun", "dry_run"),
        ("dryRun", "dry_run"),
        ("dry-run", "dry_run"),
        ("DRY_RUN", "dry_run"),
        ("dry", None),
        ("preset", "presets"),
        ("Presets", "presets"),
        ("stale_after", "stale_after_minutes"),
        ("staleMinutes", "stale_after_minutes"),
        ("edit", None),
        ("owner", None),
    ],
)
def test_nearest(typed, meant):
    assert arguments.nearest(typed, ["presets", "dry_run", "stale_after_minutes", "audit"]) == meant


@pytest.mark.parametrize(
    ("value", "shown"), [(2022, "2022 (int)"), ({"a": 1}, "{'a': 1} (dict)"), ("2022-1", "'2022-1'")], ids=repr
)
def test_a_refusal_tells_a_text_from_what_a_rendering_made_of_it(value, shown):
    with pytest.raises(InvalidArgument, match=f"^argument is {re.escape(shown)}; it takes "):
        arguments.items("argument", value)


def test_a_refusal_repeats_only_the_beginning_of_a_long_value():
    with pytest.raises(InvalidArgument) as refusal:
        arguments.count("max_workers", "x" * 5000)
    assert len(str(refusal.value)) < 200
