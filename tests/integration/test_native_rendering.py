"""What a DAG with ``render_template_as_native_obj=True`` makes of the operators' arguments, in either Airflow."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowException, AirflowFailException

from spot_runner_provider.embedded.demo.seed import TABLE
from spot_runner_provider.operators.detect_stale import DetectStaleOperator
from spot_runner_provider.operators.reconcile_preset import ReconcilePresetOperator
from spot_runner_provider.operators.report_status import ReportStatusOperator
from tests.integration.deployment import TaskInstance

pytestmark = pytest.mark.parametrize("server", ["moto"], indirect=True)  # nothing here depends on the emulator

REQUIRED = {
    DetectStaleOperator: {"table_name": TABLE},
    ReconcilePresetOperator: {"table_name": TABLE, "presets": ["linux-x64"]},
    ReportStatusOperator: {},
}


class Reporting(TaskInstance):
    """A task instance whose neighbours pushed nothing."""

    def xcom_pull(self, **asked: Any) -> Any:
        return asked["default"]


def rendered(operator: type[Any], params: Any = None, **arguments: Any) -> Any:
    """Return an operator whose templates were rendered by Airflow as native objects."""
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), render_template_as_native_obj=True):
        task = operator(task_id="task", **REQUIRED[operator] | arguments)
    task.render_template_fields({"params": params or {}})
    return task


def execute(task: Any) -> Any:
    ti = Reporting()
    return inspect.unwrap(type(task).execute)(task, ti.context), ti


def refusal(task: Any) -> str:
    """Return why a task fails; a result of each preset counts."""
    ti = Reporting()
    with pytest.raises(AirflowException) as failure:
        inspect.unwrap(type(task).execute)(task, ti.context)
    pushed = ti.pushed.get("return_value")
    return " ".join([str(failure.value), *(result["detail"] for result in pushed or () if "detail" in result)])


# Argument -> a text that native rendering makes another value of, the value, and how the refusal begins. Whatever is
# no text by right (a number, a boolean) is read from either, so its row has nonsense.
TEXTS = {
    "table_name": ("2024", "table_name is 2024 (int), which is not text."),
    "index_name": ("1e5", "index_name is 100000.0 (float), which is not text."),
    "config_prefix": ("True", "config_prefix is True (bool), which is not text."),
    "pipeline_name": ("[]", "pipeline_name is [] (list); it takes the name of a pipeline"),
    "aws_conn_id": ("12", "aws_conn_id is 12 (int), which is not text."),
    "region_name": ("1_0", "region_name is 10 (int), which is not text."),
    "verify": ("0", "verify is 0 (int); it takes true or false"),
    "stale_after": ("None", "stale_after is None (NoneType); it takes a timedelta, or minutes"),
    "stuck_after": ("[]", "stuck_after is [] (list); it takes a timedelta, or minutes"),
    "max_mapped_tasks": ("{}", "max_mapped_tasks is {} (dict); it takes a whole number"),
    "max_workers": ("()", "max_workers is () (tuple); it takes a whole number"),
    "audit": ("1", "audit is 1 (int); it takes true or false"),
    "is_dry_run": ("'no'", "dry_run is 'no'; it takes true or false"),
}
LISTS = {
    "presets": (["2022"], "2022 (int), which is not text."),
    "fail_on": (["1e5"], "fail_on has 100000.0 (float), which is not text."),
}


@pytest.mark.parametrize(
    ("operator", "field"),
    [
        pytest.param(operator, field, id=f"{operator.__name__}-{field}")
        for operator in REQUIRED
        for field in operator.template_fields
    ],
)
def test_what_rendering_made_of_an_argument_is_told(deployment, operator, field):
    given, says = (TEXTS | LISTS)[field]
    told = refusal(rendered(operator, **{field.removeprefix("is_"): given}))
    assert says in told
    assert ("quote it twice, as in \"'2022'\"" in told) == ("which is not text" in told)
    assert deployment.aws.call_log() == []


@pytest.mark.parametrize("name", ["2022", "1e5", "None", "True", "0x10", "1_0"])
@pytest.mark.parametrize(
    "written",
    [
        pytest.param(lambda name: [f"'{name}'"], id="quoted-twice"),
        pytest.param(lambda name: f'["{name}"]', id="json-text"),
        pytest.param(lambda name: "{{ params.presets }}", id="params"),
        pytest.param(lambda name: ["'{{ params.presets[0] }}'"], id="template-quoted-twice"),
    ],
)
def test_what_the_refusal_advises_helps(deployment, written, name):
    deployment.stale(name)
    batches, _ = execute(rendered(DetectStaleOperator, {"presets": [name]}, presets=written(name)))
    assert [item["presetName"] for batch in batches for item in batch] == [name]
    results, _ = execute(rendered(ReconcilePresetOperator, {"presets": [name]}, presets=written(name)))
    assert [(result["presetName"], result["outcome"]) for result in results] == [(name, "corrected_ready")]


def test_a_text_quoted_twice_is_one(deployment):
    assert rendered(DetectStaleOperator, table_name="'2024'").table_name == "2024"


@pytest.mark.parametrize("written", ["{{ params.nowhere }}", ["{{ params.nowhere }}"]], ids=["whole", "in-a-list"])
def test_a_param_that_there_is_not_is_told_at_once(deployment, written):
    with pytest.raises(AirflowFailException, match=r"presets (is|has) left undefined by its template"):
        execute(rendered(DetectStaleOperator, presets=written))
    assert deployment.aws.call_log() == []


@pytest.mark.parametrize(
    ("operator", "field"),
    [
        pytest.param(operator, field, id=f"{operator.__name__}-{field}")
        for operator in (DetectStaleOperator, ReconcilePresetOperator)
        for field in ("table_name", "index_name", "config_prefix", "pipeline_name", "aws_conn_id", "region_name")
        if field in operator.template_fields
    ],
)
def test_a_text_that_rendering_makes_none_of_is_told(deployment, operator, field):
    with pytest.raises(AirflowFailException, match=f"^{field} is 'None', which rendered to None.*quote it twice"):
        execute(rendered(operator, **{field: "None"}))
    assert deployment.aws.call_log() == []


def test_an_expression_may_come_to_none_where_none_is_taken(deployment):
    deployment.stale("linux-x64")
    task = rendered(DetectStaleOperator, {"region": None}, region_name="{{ params.region }}")
    assert [item["presetName"] for item in task.detect()[1]] == ["linux-x64"]


def test_an_expression_that_renders_to_none_is_refused(deployment):
    with pytest.raises(AirflowFailException, match=r"^table_name is '{{ params.table }}', which rendered to None"):
        execute(rendered(DetectStaleOperator, {"table": None}, table_name="{{ params.table }}"))


@pytest.mark.parametrize("written", ["None", "null ", " ", "{% if params.chosen %}{{ params.chosen }}{% endif %}"])
def test_detection_takes_no_text_for_all(deployment, written):
    with pytest.raises(AirflowFailException, match=r"^presets is "):
        execute(rendered(DetectStaleOperator, {"chosen": None}, presets=written))
    assert deployment.aws.call_log() == []


def test_an_expression_may_mean_all(deployment):
    deployment.stale("linux-x64")
    batches, _ = execute(rendered(DetectStaleOperator, {"presets": None}, presets="{{ params.presets }}"))
    assert [item["presetName"] for batch in batches for item in batch] == ["linux-x64"]


@pytest.mark.parametrize("presets", [[2022], ["linux-x64", 1e5], [None], "[2022]"], ids=repr)
def test_a_name_that_is_no_text_fails_for_good(deployment, presets):
    deployment.stale("linux-x64")
    with pytest.raises(AirflowFailException, match=r"^presets has .*, which is not text\..*give the list as JSON text"):
        execute(rendered(ReconcilePresetOperator, presets=presets))
    assert deployment.aws.call_log() == []
