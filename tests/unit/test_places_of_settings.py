"""The table of settings is the one home of each: what cannot read it says the same."""

import ast
import inspect
import re
from dataclasses import fields
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator

from spot_runner_provider import SETTINGS
from spot_runner_provider.operators.detect_stale import DetectStaleOperator
from spot_runner_provider.operators.reconcile_preset import ReconcilePresetOperator
from spot_runner_provider.operators.report_status import ReportStatusOperator
from spot_runner_provider.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
OPERATORS = {DetectStaleOperator: "detection", ReconcilePresetOperator: "reconciliation"}
"""Operator -> the property of Settings that has its arguments."""


def parameters(operator):
    """Return the arguments of an operator, and Amazon's that it takes."""
    return {
        name: parameter
        for each in (AwsBaseOperator, operator)
        for name, parameter in inspect.signature(each.__init__).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_each_place_knows_a_setting(setting):
    section = README.partition("### Settings")[2].partition("### ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE))
    default = {None: "none: must be set", "": "the connection's"}.get(setting.default, f"`{setting.default}`")
    assert rows.get(setting.name) == default, f"README.md, Settings: a row of {setting.name} with {default} is missing"
    known = {field.name for field in fields(Settings)}
    assert setting.name in known, f"spot_runner_provider/settings.py: Settings has no field {setting.name}"


def test_no_place_knows_more_settings():
    names = {setting.name for setting in SETTINGS}
    assert {field.name for field in fields(Settings)} <= names, "spot_runner_provider/settings.py"
    section = README.partition("### Settings")[2].partition("### ")[0]
    assert {*re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)} <= names, "README.md, Settings"


def test_the_how_to_on_scaling_has_the_default():
    text = (ROOT / "docs/scaling.md").read_text()
    (row,) = re.findall(r"^\| `\[spot_runner\] max_mapped_tasks` \| (\d+) \|", text, re.MULTILINE)
    assert int(row) == Settings.read().max_mapped_tasks, "docs/scaling.md: max_mapped_tasks"


ARGUMENTS = [
    pytest.param(operator, name, value, id=f"{operator.__name__}-{name}")
    for operator, kind in OPERATORS.items()
    for name, value in getattr(Settings.read(), kind).items()
]


@pytest.mark.parametrize(("operator", "name", "value"), ARGUMENTS)
def test_an_operator_has_the_settings_template_and_default(operator, name, value):
    field = {"dry_run": "is_dry_run"}.get(name, name)
    assert field in operator.template_fields, f"{operator.__name__}.template_fields lacks {field}"
    default = parameters(operator)[name].default
    if name != "table_name":  # which has none
        default = default.total_seconds() / 60 if isinstance(default, timedelta) else default
        assert default == value, f"{operator.__name__}: {name} has another default than its setting"


@pytest.mark.parametrize("operator", [*OPERATORS, ReportStatusOperator], ids=lambda operator: operator.__name__)
def test_the_readme_has_each_argument_with_its_default(operator):
    text = re.search(rf"^{operator.__name__}\((.*?)\)$", README, re.MULTILINE | re.DOTALL)[1]
    told = ast.parse(f"def f({text}): ...").body[0].args
    found = {
        argument.arg: eval(ast.unparse(value), {"timedelta": timedelta}) if value else inspect.Parameter.empty
        for argument, value in zip(told.kwonlyargs, told.kw_defaults, strict=True)
    }
    own = inspect.signature(operator.__init__).parameters.values()
    wanted = {each.name: each.default for each in own if each.kind is each.KEYWORD_ONLY}
    assert found == wanted, f"README.md, In a DAG of your own: {operator.__name__}"


NO_MATTER_TO_A_COMMAND = {"presets", "wait_for_completion", "deferrable", "poll_interval", "wait_timeout", "region"}
"""It has presets of its own, and does not wait. Amazon takes ``region``, and does nothing with it."""


@pytest.mark.skipif(not find_spec("airflow.sdk"), reason="there are no commands before Airflow 3")
@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.__name__)
def test_the_command_line_takes_each_argument(operator):
    from spot_runner_provider.cli.deployment import UNTEMPLATED

    taken = {"dry_run" if name == "is_dry_run" else name for name in operator.template_fields} | {*UNTEMPLATED}
    dropped = parameters(operator).keys() - taken - NO_MATTER_TO_A_COMMAND
    assert not dropped, f"spot_runner_provider/cli/deployment.py drops {dropped} of {operator.__name__}"
