"""Reads what a deployment's runs left in Airflow's metadata database.

In the examples, ``session`` belongs to a database with a paused deployment that has never run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from airflow.models.dag import DagModel, DagTag
from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskinstancekey import TaskInstanceKey
from airflow.models.xcom import XComModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from spot_runner_provider.status.schedule import next_due
from spot_runner_provider.status.view import DeploymentHistory, RunSummary, Task, Told, is_report, unknown

TAG = "spot-runner"
"""The tag that marks the DAGs of deployments."""

HISTORY = 20
"""Number of runs that are looked at."""

log = logging.getLogger(__name__)

_FINISHED = frozenset({"success", "failed"})
_PASSED_OVER = frozenset({"skipped", "upstream_failed", "removed"})
"""States of a task that does not run in this try of its run, so its XComs are older."""

_DETECT, _RECONCILE, _REPORT = "DetectStaleOperator", "ReconcilePresetOperator", "ReportStatusOperator"


def dag_ids(session: Session) -> list[str]:
    """Return the DAGs that are deployments of this provider.

    >>> dag_ids(session)
    ['spot_runner_reconcile']
    """
    query = select(DagModel.dag_id).join(DagTag, DagTag.dag_id == DagModel.dag_id)
    return list(session.scalars(query.where(DagTag.name == TAG, ~DagModel.is_stale).order_by(DagModel.dag_id)))


def deployment(dag_id: str, session: Session) -> DeploymentHistory:
    """Return a deployment with its latest runs.

    >>> deployment("spot_runner_reconcile", session)
    DeploymentHistory(dag_id='spot_runner_reconcile', runs=[], due=None, paused=..., told=None)
    """
    runs = _runs(dag_id, session)
    told, messages = _newest(dag_id, [run.run_id for run in runs], session)
    return DeploymentHistory(
        dag_id=dag_id,
        runs=[replace(run, unknown=messages.get(run.run_id, "")) for run in runs],
        due=_due(dag_id, runs[0].began, session) if runs else None,
        paused=bool(session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == dag_id))),
        told=told,
    )


def _runs(dag_id: str, session: Session) -> list[RunSummary]:
    """Return the runs that began last, the last one first, and the one that has waited least to begin.

    A cleared run begins again. A backfill's dates in the past do not matter. However many runs wait, those that have
    begun are not out of sight.
    """
    queued = func.coalesce(DagRun.queued_at, DagRun.run_after)
    query = select(DagRun.run_id, DagRun.state, func.coalesce(DagRun.start_date, queued), DagRun.end_date).where(
        DagRun.dag_id == dag_id
    )
    begun = query.where(DagRun.start_date.is_not(None)).order_by(DagRun.start_date.desc(), DagRun.id.desc())
    waiting = query.where(DagRun.start_date.is_(None)).order_by(queued.desc(), DagRun.id.desc())
    runs = [
        RunSummary(run_id, str(state), began, ended if state in _FINISHED else None)
        for some in (begun.limit(HISTORY), waiting.limit(1))
        for run_id, state, began, ended in session.execute(some)
    ]
    return sorted(runs, key=lambda run: run.began, reverse=True)[:HISTORY]


def _due(dag_id: str, since: datetime, session: Session) -> datetime | None:
    """Return when the schedule wants a run after ``since``; ``None`` if it wants none, or cannot be read."""
    try:
        dag = SerializedDagModel.get_dag(dag_id, session=session)
    except Exception as error:  # the timetable's plugin is missing in this process
        log.info("the schedule of DAG %s cannot be read: %s", dag_id, error)
        return None
    return next_due(dag.timetable, since) if dag else None


def _newest(dag_id: str, run_ids: Sequence[str], session: Session) -> tuple[Told | None, dict[str, str]]:
    """Return the newest report of all presets, with the values behind it; if there is none, the newest of any presets.

    Also return, by run, the message of each newer report that knows no preset.
    """
    partial: Told | None = None
    messages: dict[str, str] = {}
    tasks: dict[str, dict[str, Task]] = {run_id: {} for run_id in run_ids}
    operator_name = func.coalesce(TaskInstance.custom_operator_name, TaskInstance.operator)
    columns = (TaskInstance.run_id, operator_name, TaskInstance.operator, TaskInstance.task_id)
    query = select(*columns, func.max(TaskInstance.map_index)).where(
        TaskInstance.dag_id == dag_id,
        TaskInstance.run_id.in_(run_ids),
        operator_name.in_((_DETECT, _RECONCILE, _REPORT)),
        func.coalesce(TaskInstance.state, "").not_in(_PASSED_OVER),
    )
    rows = session.execute(query.group_by(*columns)).all()
    # Of several tasks of a kind, one of the very class counts before a team's own.
    for run_id, name, _, task_id, map_index in sorted(rows, key=lambda row: (row[1] == row[2], row[3])):
        tasks[run_id][str(name)] = Task(task_id, map_index)
    for run_id in run_ids:
        found = tasks[run_id]
        if _REPORT not in found:
            continue
        reporting = found[_REPORT]
        report = _values(dag_id, run_id, [reporting], session).get((reporting, "return_value"))
        if is_report(report):
            told = _told(dag_id, run_id, report, found, session)
            if not told.is_partial:
                return told, messages
            partial = partial or told
        elif message := unknown(report):
            messages[run_id] = message
    return partial, messages


def _told(
    dag_id: str,
    run_id: str,
    report: Mapping[str, Any],
    tasks: Mapping[str, Task],
    session: Session,
) -> Told:
    detect, reconcile = tasks.get(_DETECT), tasks.get(_RECONCILE)
    values = _values(dag_id, run_id, [task for task in (detect, reconcile) if task], session)
    return Told(
        run_id=run_id,
        report=report,
        survey=detect and values.get((detect, "states")),
        batches=detect and values.get((detect, "return_value")),
        results=[
            (task, value)
            for (task, key), value in values.items()
            if reconcile and task.task_id == reconcile.task_id and key == "return_value"
        ],
        detect=detect,
        reconcile=reconcile,
        fields=_fields(dag_id, run_id, detect, session),
    )


def _values(dag_id: str, run_id: str, tasks: Iterable[Task], session: Session) -> dict[tuple[Task, str], Any]:
    """Return what tasks of a run pushed, by task and key; each instance of a mapped task is a task of its own."""
    task_ids = [task.task_id for task in tasks]
    rows: Any = session.scalars(XComModel.get_many(run_id=run_id, dag_ids=dag_id, task_ids=task_ids))
    return {(Task(row.task_id, row.map_index), row.key): XComModel.deserialize_value(row) for row in rows}


def _fields(dag_id: str, run_id: str, task: Task | None, session: Session) -> Mapping[str, Any]:
    """Return a task's rendered fields; Airflow keeps those of the latest runs only."""
    if task is None:
        return {}
    key = TaskInstanceKey(dag_id=dag_id, task_id=task.task_id, run_id=run_id)
    return RenderedTaskInstanceFields.get_templated_fields(key, session=session) or {}
