"""The other tasks of a task's DAG run: which tasks they are, and their states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from spot_runner_provider.operators.task_groups import ids_around

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context


def neighbour(task: BaseOperator, task_id: str) -> Any:
    """Return the task that ``task`` means by ``task_id``, or ``None``: the nearest from its own TaskGroup outwards.

    So the same ids work in a DAG without groups and inside a group, although Airflow prefixes them with its name.

    >>> neighbour(report, "detect_stale").task_id, neighbour(report, "images.detect_stale").task_id
    ('images.detect_stale', 'images.detect_stale')
    """
    return next((found for each in ids_around(task, task_id) if (found := task.dag.task_dict.get(each))), None)


def states_beside(task: Any, other: BaseOperator, context: Context) -> dict[int, str | None]:
    """Return, by map index, the state of each instance of ``task`` that belongs to this instance of ``other``.

    In the same mapped TaskGroup that is the instance with the same index. Otherwise it is every instance that is still
    in this run.

    >>> states_beside(dag.get_task("detect_stale"), report, context)
    {-1: 'success'}
    """
    states = states_of(task.task_id, context)
    group, others = task.get_closest_mapped_task_group(), other.get_closest_mapped_task_group()
    if group and others and group.group_id == others.group_id:
        ti: Any = context["ti"]
        return {ti.map_index: states.get(ti.map_index)}
    return {index: state for index, state in sorted(states.items()) if state != "removed"}


def states_of(task_id: str, context: Context) -> dict[int, str | None]:
    """Return the state of each instance of a task in this run, by map index; an unmapped task has the index -1.

    >>> states_of("reconcile_preset", context)
    {0: 'success', 1: 'success'}
    """
    if not AIRFLOW_V_3_0_PLUS:
        run: Any = context["dag_run"]
        return {each.map_index: each.state for each in run.get_task_instances() if each.task_id == task_id}
    ti: Any = context["ti"]
    states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id], task_ids=[task_id]).get(ti.run_id, {})
    return {int(key.removeprefix(task_id).removeprefix("_") or -1): state for key, state in states.items()}
