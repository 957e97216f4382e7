"""What a task's id is inside TaskGroups, whose names Airflow puts before it."""

from __future__ import annotations

from typing import Any


def ids_around(task: Any, task_id: str) -> list[str]:
    """Return what ``task_id`` is inside the TaskGroup of ``task``, and in each group around it, from its own outwards.

    >>> from airflow.providers.common.compat.sdk import DAG, BaseOperator, TaskGroup
    >>> with DAG("repair", schedule=None), TaskGroup("images"):
    ...     report = BaseOperator(task_id="report_status")
    >>> ids_around(report, "detect_stale")
    ['images.detect_stale', 'detect_stale']
    """
    found = []
    group = task.task_group
    while group is not None:
        found.append(group.child_id(task_id))
        group = group.parent_group
    return found
