"""The pieces of the command line that need no AWS and no database."""

from __future__ import annotations

import json
import unicodedata
from argparse import ArgumentParser

import pytest
import yaml
from airflow.cli.cli_parser import _add_command

from spot_runner_provider import clock, get_provider_info
from spot_runner_provider.cli import commands
from spot_runner_provider.cli.commands import Caller
from spot_runner_provider.cli.definition import get_commands
from spot_runner_provider.cli.output import show
from spot_runner_provider.operators.arguments import InvalidArgument
from tests.unit.values import NOW

PRESET = {"name": "linux-x64", "status": "ready", "amiId": "ami-0a1", "updatedAt": "2026-02-11T15:59:03.001Z"}
REPORT = {
    "status": "degraded",
    "message": "1 preset ready, 1 preset building, 1 record malformed",
    "checkedAt": "2026-02-11T16:00:03.120Z",
    "presets": [
        {**PRESET, "stale": False, "outcome": "corrected_ready", "detail": ""},
        {**PRESET, "name": "windows-2022", "status": "building", "stale": True, "outcome": None, "detail": "[/b] é…"},
    ],
    "malformed": [{"jobId": "AMI#[/red] :key:", "presetName": None, "reason": "a reason " * 40}],
    "malformedCounts": {"a reason": 1},
}


@pytest.fixture
def parser():
    parser = ArgumentParser(prog="airflow")
    for command in get_commands():
        _add_command(parser.add_subparsers(dest="command"), command)
    return parser


def test_the_metadata_names_the_function():
    assert get_provider_info()["cli"] == [f"{get_commands.__module__}.{get_commands.__qualname__}"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("status", {"dag_id": None, "output": "table"}),
        ("status --dag-id other -o json", {"dag_id": "other", "output": "json"}),
        ("detect --output yaml", {"dag_id": None, "output": "yaml"}),
        ("detect -d other", {"dag_id": "other"}),
        ("reconcile", {"presets": [], "dry_run": False, "output": "table"}),
        ("reconcile a b --dag-id other", {"presets": ["a", "b"], "dag_id": "other", "dry_run": False}),
        ("reconcile a b --dry-run", {"presets": ["a", "b"], "dry_run": True, "output": "table"}),
    ],
)
def test_what_can_be_typed(parser, line, expected):
    parsed = vars(parser.parse_args(["spot-runner", *line.split()]))
    assert {name: parsed[name] for name in expected} == expected
    assert callable(parsed["func"])


@pytest.mark.parametrize("line", ["", "repair", "detect linux-x64", "detect --dry-run", "status --output plain"])
def test_what_cannot_be_typed_is_a_usage_error(parser, line):
    with pytest.raises(SystemExit) as exit:
        parser.parse_args(["spot-runner", *line.split()])
    assert exit.value.code == 2


def test_the_table_has_every_row_and_no_empty_column(capsys):
    show(REPORT, "table")
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert [cell.strip() for cell in lines[0].split("|")] == [*PRESET, "stale", "outcome", "detail"]
    assert [cell.strip() for cell in lines[3].split("|")][4:] == ["yes", "", "[/b] é…"]
    assert lines[4].split() == ["jobId", "|", "reason"]
    assert lines[6].startswith("AMI#[/red] :key: | a reason a reason")
    assert lines[-1] == f"degraded at 2026-02-11T16:00:03.120Z: {REPORT['message']}"


def test_a_report_without_presets_is_its_sentence(capsys):
    nothing = {"presets": [], "malformed": [], "malformedCounts": {}}
    show({"status": "degraded", "message": "no run yet", "checkedAt": None, **nothing}, "table")
    assert capsys.readouterr().out == "degraded: no run yet\n"


@pytest.mark.parametrize("output", ["table", "json", "yaml"])
def test_no_text_of_a_report_steers_the_terminal(capsys, output):
    hostile = "\x1b[2J\x1b]52;c;ZXZpbA==\x07\x9b31m\u202e\ngone"
    show(json.loads(json.dumps(REPORT).replace("[/b]", json.dumps(hostile)[1:-1])), output)
    out = capsys.readouterr().out
    assert not {each for each in out if unicodedata.category(each) in ("Cc", "Cf")} - {"\n"}
    assert "x1b[2J" in out


def test_malformed_records_that_are_not_listed_are_counted(capsys):
    show({**REPORT, "malformedCounts": {"presetName is missing": 9_999, "updatedAt is not a timestamp": 1}}, "table")
    out = capsys.readouterr().out
    assert "10000 records are malformed; by reason:" in out
    assert "    9999 presetName is missing\n" in out


@pytest.mark.parametrize(("output", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_json_and_yaml_are_the_whole_report(capsys, output, read):
    show(REPORT, output)
    assert read(capsys.readouterr().out) == REPORT


def test_no_two_calls_sign_alike(monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: NOW)
    first, second = Caller.new(), Caller.new()
    assert first != second
    assert first.dag_id == "cli"
    user, moment, token = first.run_id.split("/")
    assert "@" in user
    assert (moment, len(token)) == ("2026-02-11T16:05:48.123Z", 8)


@pytest.mark.parametrize(
    ("asked", "there", "expected"),
    [
        (None, ["one"], "one"),
        ("two", ["one", "two"], "two"),
        (None, [], "no DAG has the tag spot-runner: check that its file is where Airflow looks for DAGs"),
        ("one", [], "no DAG has the tag spot-runner: check that its file is where Airflow looks for DAGs"),
        (None, ["one", "two"], "several DAGs have the tag spot-runner: choose one of one, two with --dag-id"),
        ("three", ["one", "two"], "no DAG three has the tag spot-runner; these have: one, two"),
    ],
)
def test_the_deployment_is_the_one_asked_for_or_the_only_one(asked, there, expected):
    try:
        chosen = commands._chosen(asked, there)
    except InvalidArgument as error:
        chosen = str(error)
    assert chosen == expected
