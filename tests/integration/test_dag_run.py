"""The DAG as a whole, run in this process by ``dag.test()``: in every Airflow that is supported."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from spot_runner_provider.embedded.__main__ import airflow_connection
from spot_runner_provider.embedded.call import ApiCall
from spot_runner_provider.embedded.demo.deployment import OUTCOMES, seed_demo
from spot_runner_provider.embedded.demo.seed import TABLE
from spot_runner_provider.embedded.server import EmbeddedAws
from spot_runner_provider.reporting.promotion import ALIAS
from tests.demo_checks import Snapshot, check_report, check_runner_jobs, check_stores

DAG_FILE = Path(__file__).parents[2] / "dags" / "spot_runner_reconcile.py"


@dataclass(frozen=True)
class Run:
    """A finished run and what it left."""

    dag: Any
    dag_run: Any
    calls: list[ApiCall]
    before: Snapshot
    after: Snapshot

    def pull(self, task_id: str, key: str = "return_value") -> Any:
        """Return a value from the metadata database, as Airflow's own pages read it."""
        from airflow.models import xcom
        from airflow.utils.session import create_session
        from sqlalchemy import select

        model: Any = getattr(xcom, "XComModel", None) or xcom.XCom  # 2.11 has but the latter
        query = select(model.value).where(
            model.run_id == self.dag_run.run_id, model.task_id == task_id, model.key == key
        )
        with create_session() as session:
            return model.deserialize_value(session.execute(query).one())


@pytest.fixture(scope="module")
def dag() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__SPOT_RUNNER__TABLE_NAME", TABLE)
        yield runpy.run_path(str(DAG_FILE))["detect"].dag


@pytest.fixture(scope="module")
def run(dag: Any) -> Iterator[Run]:
    from airflow.utils.db import initdb

    initdb()
    with EmbeddedAws() as aws, pytest.MonkeyPatch.context() as patch:
        seed_demo(aws)
        patch.setenv("AIRFLOW_CONN_AWS_DEFAULT", airflow_connection(aws))
        before = Snapshot.of(aws)
        dag_run = dag.test()
        yield Run(dag, dag_run, aws.call_log(), before, Snapshot.of(aws))


def test_the_dag_file_declares_what_the_readme_says(dag: Any) -> None:
    assert (dag.dag_id, dag.catchup, dag.max_active_runs) == ("spot_runner_reconcile", False, 1)
    assert set(dag.tags) == {"spot-runner"}
    assert dag.params.dump() == {
        "presets": None,
        "dry_run": False,
        "stale_after_minutes": 30.0,
        "audit": False,
    }
    detect, reconcile, report = (dag.get_task(name) for name in ("detect_stale", "reconcile_preset", "report_status"))
    assert (detect.downstream_task_ids, reconcile.downstream_task_ids) == ({"reconcile_preset"}, {"report_status"})
    assert report.downstream_task_ids == set()


@pytest.mark.parametrize("task_id", ["detect_stale", "reconcile_preset"])
def test_tasks_that_call_aws_are_tried_again(dag: Any, task_id: str) -> None:
    task = dag.get_task(task_id)
    assert task.retries == 3
    assert task.retry_delay == timedelta(seconds=30)
    assert task.retry_exponential_backoff
    assert task.max_retry_delay == timedelta(minutes=5)


def test_the_report_runs_whatever_happened_and_once(dag: Any) -> None:
    report = dag.get_task("report_status")
    assert (report.trigger_rule, report.retries) == ("all_done", 0)


def test_promotions_go_through_the_default_alias(dag: Any) -> None:
    assert [outlet.name for outlet in dag.get_task("reconcile_preset").outlets] == [ALIAS]


def test_the_run_and_each_task_succeed(run: Run) -> None:
    states = [(ti.task_id, ti.state) for ti in run.dag_run.get_task_instances()]
    assert run.dag_run.state == "success"
    assert sorted(states) == [
        ("detect_stale", "success"),
        *[("reconcile_preset", "success")] * 8,
        ("report_status", "success"),
    ]


def test_every_preset_comes_out_as_the_demo_says(run: Run) -> None:
    check_stores(run.before, run.after)


def test_the_report_is_whole(run: Run) -> None:
    check_report(run.pull("report_status"), run.after)


def test_every_stale_preset_is_on_one_label(run: Run) -> None:
    labels = [ti.rendered_map_index for ti in run.dag_run.get_task_instances() if ti.map_index >= 0]
    names = [name for label in labels for name in label.split(", ")]
    assert sorted(names) == sorted(preset for preset, outcome in OUTCOMES.items() if outcome)


def test_runner_jobs_are_neither_read_nor_written(run: Run) -> None:
    check_runner_jobs(run.calls, run.before, run.after)


def test_the_iam_policy_allows_exactly_what_is_called(run: Run) -> None:
    policy = json.loads((DAG_FILE.parents[1] / "docs" / "iam-policy.json").read_text())
    actions = [statement["Action"] for statement in policy["Statement"]]
    allowed = {action for some in actions for action in ([some] if isinstance(some, str) else some)}
    assert allowed == {call.operation.replace(".", ":") for call in run.calls}
