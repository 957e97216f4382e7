"""A DAG whose report names tasks that are not there, or cannot be the ones.

It is refused where Airflow parses it, on both majors.
"""

from __future__ import annotations

import pytest

try:
    from airflow.dag_processing.dagbag import DagBag
except ModuleNotFoundError:
    from airflow.models.dagbag import DagBag

DAG_FILE = """
from airflow.providers.common.compat.sdk import DAG, BaseOperator, TaskGroup
from spot_runner_provider.operators.report_status import ReportStatusOperator

with DAG("images", schedule=None):
    BaseOperator(task_id="outside")
    with TaskGroup("group", prefix_group_id={prefix}):
        BaseOperator(task_id="detect_stale") >> BaseOperator(task_id="reconcile_preset")
        with TaskGroup("inner"):
            {inside}
    {outside}
"""


@pytest.mark.parametrize(
    ("place", "arguments", "prefix", "said"),
    [
        pytest.param("inside", "", True, None, id="in-a-group-of-the-group"),
        pytest.param("inside", "", False, None, id="in-a-group-without-a-prefix"),
        pytest.param("outside", "", False, None, id="outside-of-a-group-without-a-prefix"),
        pytest.param("inside", ", detect_task_id='group.detect_stale'", True, None, id="by-the-whole-id"),
        pytest.param("inside", ", detect_task_id='outside'", True, None, id="a-task-outside-of-the-group"),
        pytest.param("outside", "", True, "detect_task_id is 'detect_stale'", id="outside-of-the-group"),
        pytest.param("inside", ", detect_task_id='detect_stael'", True, "detect_task_id is 'detect_stael'", id="typo"),
        pytest.param("inside", ", reconcile_task_id='r'", True, "reconcile_task_id is 'r'", id="of-the-other-task"),
    ],
)
def test_an_id_that_the_dag_does_not_have_is_an_import_error(tmp_path, place, arguments, prefix, said):
    report = f"ReportStatusOperator(task_id='report_status'{arguments})"
    texts = {"inside": "pass", "outside": "", place: report}
    file = tmp_path / "images.py"
    file.write_text(DAG_FILE.format(prefix=prefix, **texts))
    bag = DagBag(str(file))
    errors = list(bag.import_errors.values())
    if said is None:
        assert (errors, list(bag.dags)) == ([], ["images"])
    else:
        (error,) = errors
        assert f"report_status: {said}, which is not a task of DAG images; it has " in error
        assert "detect_stale" in error
        assert bag.dags == {}


ROLES = """
from airflow.providers.common.compat.sdk import DAG, BaseOperator, task_group
from spot_runner_provider.operators.detect_stale import DetectStaleOperator
from spot_runner_provider.operators.reconcile_preset import ReconcilePresetOperator
from spot_runner_provider.operators.report_status import ReportStatusOperator

class MyDetection(DetectStaleOperator):
    pass

@task_group
def repair(batch):
    ReconcilePresetOperator(task_id="one", table_name="t", presets=batch)

with DAG("images", schedule=None):
    detect = DetectStaleOperator(task_id="detect_stale", table_name="t")
    MyDetection(task_id="mine", table_name="t")
    BaseOperator(task_id="foreign")
    ReconcilePresetOperator.partial(task_id="reconcile_preset", table_name="t").expand(presets=detect.output)
    repair.expand(batch=detect.output)
    ReportStatusOperator(task_id="another", reconcile_task_id="repair.one")
    ReportStatusOperator(task_id="report_status", detect_task_id={detect!r}, reconcile_task_id={reconcile!r})
"""


@pytest.mark.parametrize(
    ("detect", "reconcile", "said"),
    [
        pytest.param("detect_stale", "reconcile_preset", [], id="right"),
        pytest.param("mine", "repair.one", [], id="a-class-of-ones-own-and-a-mapped-group"),
        pytest.param("foreign", "reconcile_preset", [], id="foreign-detection"),
        pytest.param("detect_stale", "foreign", [], id="foreign-reconciliation"),
        pytest.param(
            "report_status", "reconcile_preset", ["detect_task_id is 'report_status', which is this task itself"]
        ),
        pytest.param(
            "detect_stale", "report_status", ["reconcile_task_id is 'report_status', which is this task itself"]
        ),
        pytest.param("another", "reconcile_preset", ["detect_task_id is 'another', which is a ReportStatusOperator"]),
        pytest.param(
            "reconcile_preset",
            "detect_stale",
            [
                "detect_task_id is 'reconcile_preset', which is a ReconcilePresetOperator",
                "reconcile_task_id is 'detect_stale', which is a DetectStaleOperator",
            ],
            id="swapped",
        ),
        pytest.param("repair.one", "reconcile_preset", ["which is a ReconcilePresetOperator"], id="of-a-mapped-group"),
        pytest.param("detect_stale", "mine", ["reconcile_task_id is 'mine', which is a MyDetection"]),
        pytest.param("foreign", "foreign", ["detect_task_id and reconcile_task_id are both 'foreign'"], id="equal"),
    ],
)
def test_a_task_that_cannot_be_the_one_is_an_import_error(tmp_path, detect, reconcile, said):
    file = tmp_path / "images.py"
    file.write_text(ROLES.format(detect=detect, reconcile=reconcile))
    errors = list(DagBag(str(file)).import_errors.values())
    assert len(errors) == bool(said)
    assert all(text in errors[0] for text in said)
