from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from spot_runner_provider.operators.detect_stale import DetectStaleOperator
from spot_runner_provider.run_conf import DRY_RUN_MARK, RefusedRun, RunConf

PARAMS = {"presets": None, "dry_run": False, "stale_after_minutes": 30.0, "audit": False}


def run_conf(given: Any, *, got: dict[str, Any] | None = None, **more: Any) -> RunConf:
    """Return a run of the DAG as it is shipped, whose params took what they were given."""
    return RunConf(given, got=PARAMS | given if got is None else got, **{"declared": PARAMS, "writes": True} | more)


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(run_conf({}), id="nothing-given"),
        pytest.param(run_conf({"presets": ["a"], "audit": True, "stale_after_minutes": 5}), id="params"),
        pytest.param(run_conf(PARAMS), id="what-the-trigger-form-gives"),
        pytest.param(run_conf({"dry_run": True}, writes=False), id="dry-as-given"),
        pytest.param(run_conf({"dry_run": False}), id="not-dry-as-given"),
        pytest.param(run_conf({"dry_run": False}, marked=True), id="given-against-the-setting"),
        pytest.param(run_conf({}, marked=True, writes=False), id="dry-by-the-setting"),
        pytest.param(run_conf({"stale_after_minutes": 30}, got=PARAMS), id="dropped-and-yet-the-same"),
        pytest.param(run_conf({"openlineage": {"parentRunId": "x"}}), id="of-openlineage"),
        pytest.param(run_conf({"owner": "me"}, shared=True), id="key-of-another-task"),
        pytest.param(run_conf({"anything": 1, "preset": ["a"]}, declared=()), id="dag-without-params"),
        pytest.param(RunConf(), id="no-run"),
    ],
)
def test_fine(run):
    run.check()


@pytest.mark.parametrize(
    ("run", "says"),
    [
        pytest.param(
            run_conf({"dryrun": True}), "'dryrun', .* mean 'dry_run'\\? There are audit, dry_run", id="dryrun"
        ),
        pytest.param(run_conf({"preset": ["a"]}), "'preset', .* mean 'presets'", id="preset"),
        pytest.param(run_conf({"owner": "me"}), "'owner', which is no param of the DAG; there are audit", id="unknown"),
        pytest.param(run_conf({"dryRun": True}, shared=True), "'dryRun', .* mean 'dry_run'", id="near-though-shared"),
        pytest.param(
            run_conf({"presets": ["a"]}, got=PARAMS),
            "presets = \\['a'\\], and the task got None: set \\[core\\] dag_run_conf_overrides_params = True",
            id="presets-dropped",
        ),
        pytest.param(
            run_conf({"dry_run": True}, got=PARAMS), "dry_run = True, and the task got False", id="dry-run-dropped"
        ),
        pytest.param(run_conf({"audit": True}, got={}), "audit = True, and the task got None", id="param-gone"),
        pytest.param(run_conf({"audit": 0}, got=PARAMS), "audit = 0, and the task got False", id="of-another-type"),
        pytest.param(run_conf({"dry_run": True}), "given a dry_run, and this task is not dry", id="not-handed-on"),
        pytest.param(run_conf({"dry_run": "True"}, declared=()), "given a dry_run", id="without-params"),
        pytest.param(run_conf({"dryRun": 1}, declared=()), "given a dry_run", id="nearly-without-params"),
        pytest.param(
            run_conf({}, marked=True), "\\[spot_runner\\] dry_run is True where the DAG was parsed", id="marked"
        ),
    ],
)
def test_refused(run, says):
    with pytest.raises(RefusedRun, match=f"{says}.*; nothing was done$"):
        run.check()


@pytest.mark.parametrize(
    ("given", "selection", "fine"),
    [
        pytest.param({}, None, True, id="all"),
        pytest.param({"presets": None}, None, True, id="all-given"),
        pytest.param({"presets": ["a"]}, ["a"], True, id="some"),
        pytest.param({"presets": ["a"]}, None, False, id="some-given-and-all-taken"),
        pytest.param({"presets": []}, None, False, id="none-given-and-all-taken"),
    ],
)
def test_selection(given, selection, fine):
    if fine:
        run_conf(given).check_selection(selection)
    else:
        with pytest.raises(RefusedRun, match=re.escape('give the operator presets="{{ params.presets }}"')):
            run_conf(given).check_selection(selection)


class TestOfContext:
    """What is read from what Airflow hands a task."""

    OURS = DetectStaleOperator(task_id="detect_stale", table_name="state")
    MARK = SimpleNamespace(task_id=DRY_RUN_MARK)
    OTHER = SimpleNamespace(task_id="other")

    def context(self, *tasks: Any, conf: Any = None, marks: int = 0, params: Any = PARAMS) -> dict[str, Any]:
        ti = SimpleNamespace(dag_id="d", run_id="r", get_ti_count=lambda **asked: marks)
        dag_run = SimpleNamespace(conf=conf)
        dag = SimpleNamespace(params=params, tasks=tasks)
        return {"dag_run": dag_run, "params": params, "dag": dag, "ti": ti, "task": self.OURS}

    def test_without_a_run(self):
        assert RunConf.of({"ti": None}) == RunConf()

    @pytest.mark.parametrize("conf", [None, {}, [], "text"], ids=repr)
    def test_without_a_conf(self, conf):
        assert RunConf.of(self.context(conf=conf)).given == {}

    def test_tasks_of_others(self):
        assert not RunConf.of(self.context(self.OURS, self.MARK)).shared
        assert RunConf.of(self.context(self.OURS, self.OTHER)).shared

    @pytest.mark.parametrize(
        ("params", "dry_run", "writes"),
        [
            (PARAMS, None, True),
            (PARAMS | {"dry_run": True}, None, False),
            ({}, None, False),
            (PARAMS, True, False),
            ({}, False, True),
        ],
    )
    def test_whether_it_writes(self, params, dry_run, writes):
        assert RunConf.of(self.context(params=params), dry_run=dry_run).writes is writes

    def test_the_mark(self):
        assert RunConf.of(self.context(marks=1)).marked
        assert not RunConf.of(self.context(marks=0)).marked
        assert not RunConf.of(self.context(marks=1), dry_run=True).marked
