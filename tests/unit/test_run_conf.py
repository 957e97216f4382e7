from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, TaskGroup

from spot_runner_provider.operators.detect_stale import DetectStaleOperator
from spot_runner_provider.operators.run_conf import DRY_RUN_MARK, RefusedRun, RunConf

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
        pytest.param(run_conf({"stale_after_minutes": 30}, got=PARAMS), id="dropped-and-yet-the-same"),
        pytest.param(run_conf({"openlineage": {"parentRunId": "x"}}), id="of-openlineage"),
        pytest.param(run_conf({"owner": "me"}, shared=True), id="key-of-another-task"),
        pytest.param(run_conf({"owner": 1, "conf": {"owner": 1}}, declared=()), id="dag-without-params"),
        pytest.param(run_conf({"params": {"owner": "me"}, "laundry": 1}, shared=True), id="wrapper-of-another-task"),
        pytest.param(run_conf({"reset": 1, "rerun": 1, "results": 1, "process": 1}, declared=()), id="other-words"),
        pytest.param(run_conf({"reset": 1, "rerun": 1, "results": 1, "dag_run": 1}, shared=True), id="words-of-others"),
        pytest.param(run_conf({"presets": ["a"]}, declared=()), id="presets-without-params"),
        pytest.param(run_conf({"dry_run": False}, declared=["owner"], shared=True), id="dry-run-undeclared"),
        pytest.param(run_conf({"dry": 1}, declared=[*PARAMS, "dry"]), id="a-param-like-ours"),
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
        pytest.param(
            run_conf({"owner": "me"}), "'owner', which is not a param of the DAG; there are audit", id="unknown"
        ),
        pytest.param(run_conf({"dryRun": True}, shared=True), "'dryRun', .* mean 'dry_run'", id="near-though-shared"),
        pytest.param(
            run_conf({"presets": ["a"]}, got=PARAMS),
            "presets = \\['a'\\], and the task got None: set \\[core\\] dag_run_conf_overrides_params = True",
            id="presets-dropped",
        ),
        pytest.param(
            run_conf({"dry_run": True}, got=PARAMS), "dry_run = True, and the task got False", id="dry-run-dropped"
        ),
        pytest.param(
            run_conf({"audit": True}, got={}), "audit = True, and the task got no such param: check", id="param-gone"
        ),
        *[
            pytest.param(
                run_conf(given, declared=declared, shared=shared), f"mean '{meant}'", id=f"{next(iter(given))}-{where}"
            )
            for given, meant in [
                ({"preset": ["a"]}, "presets"),
                ({"Presets": ["a"]}, "presets"),
                ({"PRE-SETS": ["a"]}, "presets"),
                ({"is_dry_run": True}, "dry_run"),
                ({"dryruns": True}, "dry_run"),
                ({"dry": True}, "dry_run"),
                ({"dryMode": True}, "dry_run"),
                ({"DRY-MODE": True}, "dry_run"),
                ({"dyr_run": True}, "dry_run"),
                ({"runner_presets": ["a"]}, "presets"),
            ]
            for declared, shared, where in [
                ((), False, "no-params"),
                ((), True, "no-params-shared"),
                (["owner"], True, "other-params"),
                (PARAMS, True, "shared"),
                (PARAMS, False, "ours"),
            ]
        ],
        *[
            pytest.param(
                run_conf({outer: {inner: True}}, declared=declared, shared=True),
                f"given '{inner}' inside '{outer}': give '{meant}' at the top level",
                id=f"{outer}-{inner}",
            )
            for outer, inner, meant, declared in [
                ("params", "dry_run", "dry_run", PARAMS),
                ("conf", "dryrun", "dry_run", ()),
                ("Conf", "preset", "presets", PARAMS),
                ("params", "stale_after", "stale_after_minutes", PARAMS),
            ]
        ],
        pytest.param(run_conf({}, got=PARAMS | {"dry_run": True}), "given a dry_run", id="param-not-handed-on"),
        pytest.param(run_conf({"audit": 0}, got=PARAMS), "audit = 0, and the task got False", id="of-another-type"),
        pytest.param(run_conf({"dry_run": True}), "given a dry_run, and this task is not dry", id="not-handed-on"),
        pytest.param(run_conf({"dry_run": "True"}, declared=()), "given a dry_run", id="without-params"),
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
        pytest.param({"presets": ["a", "b"]}, ["b", "a"], True, id="in-another-order"),
        pytest.param({"presets": '["a"]'}, ["a"], True, id="as-text"),
        pytest.param({"presets": ["a"]}, ["b"], False, id="fixed"),
        pytest.param({"presets": ["a"]}, ["a", "b"], False, id="more"),
        pytest.param({"presets": ["a", "b"]}, ["a"], False, id="fewer"),
        pytest.param({"presets": "a"}, ["a"], False, id="no-list"),
        pytest.param({"presets": [["a"]]}, ["a"], False, id="no-names"),
        pytest.param({"presets": "None"}, None, False, id="none-as-text"),
    ],
)
def test_selection(given, selection, fine):
    if fine:
        run_conf(given).check_selection(selection)
    else:
        with pytest.raises(RefusedRun, match=re.escape('give the operator presets="{{ params.presets }}"')):
            run_conf(given).check_selection(selection)


@pytest.mark.parametrize(
    ("selection", "fine"), [(["a"], True), ([], True), (["c"], False), (["a", "c"], False)], ids=str
)
def test_a_part_of_a_selection(selection, fine):
    with nullcontext() if fine else pytest.raises(RefusedRun, match="looks at "):
        run_conf({"presets": ["a", "b"]}).check_selection(selection, is_part=True)


GIVEN = {"nothing": {}, "true": {"dry_run": True}, "false": {"dry_run": False}}
PLACES = {"off": False, "on": True}


def truth_table() -> list[tuple[str, str, str, str]]:
    """Return the rows of the how-to's table: where it was parsed, on the worker, given, what happens."""
    text = (Path(__file__).parents[2] / "docs/how-to/dry-run.md").read_text()
    rows = re.findall(r"^\| (on|off) \| (on|off) \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    return [
        (parsed, worker, each.strip("`"), outcome)
        for parsed, worker, given, outcome in rows
        for each in given.split(" or ")
    ]


def test_the_how_to_has_each_row():
    assert sorted(row[:3] for row in truth_table()) == sorted(product(PLACES, PLACES, GIVEN))


@pytest.mark.parametrize(("parsed", "worker", "given", "outcome"), truth_table())
def test_where_the_setting_is_on(parsed, worker, given, outcome):
    conf = GIVEN[given]
    dry = conf.get("dry_run", PLACES[worker])  # the param's default is the worker's setting
    run = run_conf(
        conf,
        got=PARAMS | {"dry_run": dry},
        writes=not dry,
        marked=PLACES[parsed] and not dry,
        marked_here=PLACES[worker],
    )
    if outcome == "fails":
        with pytest.raises(
            RefusedRun, match=r"^\[spot_runner\] dry_run is True (on this|where the DAG .* this) worker"
        ):
            run.check()
    else:
        run.check()
        assert dry is {"dry": True, "writes": False}[outcome]


class TestOfContext:
    """What is read from what Airflow hands a task."""

    MARK = SimpleNamespace(task_id=DRY_RUN_MARK)
    MARK_IN_A_GROUP = SimpleNamespace(task_id=f"images.{DRY_RUN_MARK}")
    OTHER = SimpleNamespace(task_id="other")

    @pytest.fixture(autouse=True)
    def ours(self) -> None:
        with DAG("d", schedule=None):
            self.OURS = DetectStaleOperator(task_id="detect_stale", table_name="state")
            with TaskGroup("outer"), TaskGroup("inner"):
                self.GROUPED = DetectStaleOperator(task_id="detect_stale", table_name="state")

    def context(
        self,
        *tasks: Any,
        conf: Any = None,
        marks: Collection[str] = (),
        params: Any = PARAMS,
        typed: Any = None,
        task: Any = None,
    ) -> dict[str, Any]:
        """Return what a task of a run gets; ``typed`` is what ``airflow tasks test -t`` was given."""
        task = task or self.OURS
        task.params.update(typed or {})
        ti = SimpleNamespace(dag_id="d", run_id="r", get_ti_count=lambda task_ids, **asked: len({*task_ids} & {*marks}))
        dag = SimpleNamespace(params=params, tasks=tasks)
        return {
            "dag_run": SimpleNamespace(conf=conf),
            "params": params | (typed or {}),
            "dag": dag,
            "ti": ti,
            "task": task,
        }

    @pytest.mark.parametrize("typed", [{"dryrun": True}, {"preset": ["a"]}, {"dry": True}], ids=str)
    @pytest.mark.parametrize("params", [PARAMS, {}, {"owner": "me"}], ids=["ours", "none", "other"])
    def test_what_tasks_test_is_given_and_nobody_reads(self, typed, params):
        with pytest.raises(
            RefusedRun, match=f"given '{next(iter(typed))}', which is not a param of the DAG; did you mean"
        ):
            RunConf.of(self.context(typed=typed, params=params), dry_run=False).check()

    @pytest.mark.parametrize("params", [PARAMS, {}], ids=["ours", "none"])
    def test_what_tasks_test_is_given(self, params):
        RunConf.of(self.context(typed={"dry_run": True, "owner": "me"}, params=params), dry_run=True).check()
        with pytest.raises(RefusedRun, match="given a dry_run, and this task is not dry"):
            RunConf.of(self.context(typed={"dry_run": True}, params=params), dry_run=False).check()

    def test_without_a_run(self):
        assert RunConf.of({"ti": None}) == RunConf()

    @pytest.mark.parametrize("conf", [None, {}, [], "text"], ids=repr)
    def test_without_a_conf(self, conf):
        assert RunConf.of(self.context(conf=conf)).given == {}

    def test_tasks_of_others(self):
        assert not RunConf.of(self.context(self.OURS, self.MARK, self.MARK_IN_A_GROUP)).shared
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
        marks = [DRY_RUN_MARK]
        assert RunConf.of(self.context(marks=marks)).marked
        assert not RunConf.of(self.context()).marked
        assert not RunConf.of(self.context(marks=marks), dry_run=True).marked

    @pytest.mark.parametrize("group", ["outer.inner.", "outer.", ""])
    def test_the_mark_in_a_group_around(self, group):
        assert RunConf.of(self.context(task=self.GROUPED, marks=[f"{group}{DRY_RUN_MARK}"])).marked
        assert not RunConf.of(self.context(task=self.OURS, marks=[f"inner.{DRY_RUN_MARK}"])).marked
