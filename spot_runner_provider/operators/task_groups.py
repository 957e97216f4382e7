"""A task's id inside TaskGroups: Airflow prefixes it with their names."""

from __future__ import annotations

from typing import Any


def ids_around(task: Any, task_id: str) -> list[str]:
    """Return ``task_id`` as it is inside the TaskGroup of ``task`` and inside each group around it, innermost first.

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
