"""A DAG whose report names tasks that are not there: refused where Airflow parses it, on both majors."""

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
        assert f"report_status: {said}, which is no task of the DAG images; it has " in error
        assert "detect_stale" in error
        assert bag.dags == {}
