"""Which deployment a command works on: that of a DAG in Airflow's database, or that of ``[spot_runner]``."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow.models.serialized_dag import SerializedDagModel
from airflow.providers.common.compat.sdk import DAG
from airflow.sdk.execution_time.context import ConnectionAccessor, VariableAccessor
from jinja2 import StrictUndefined
from sqlalchemy.orm import Session

from spot_runner_provider.operators import arguments
from spot_runner_provider.operators.arguments import InvalidArgument
from spot_runner_provider.operators.detect_stale import DetectStaleOperator
from spot_runner_provider.operators.reconcile_preset import ReconcilePresetOperator
from spot_runner_provider.settings import SECTION, Settings

PLACE = ("table_name", "config_prefix", "pipeline_name", "region_name", "aws_conn_id")
"""The arguments that say where records, parameters and pipelines are."""

UNTEMPLATED = ("botocore_config",)
"""Arguments of the AWS client that are not template fields."""

_DELTA = re.compile(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d(?:\.\d+)?)")
"""A ``timedelta`` as Airflow's database stores it: as text."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """The two tasks of a deployment, with rendered arguments; the command sets the presets.

    :param source: where the arguments come from, in words.

    >>> found = of_settings()
    >>> found.source, found.reconcile.table_name, found.confirmed_by(found) is found
    ('[spot_runner]', 'spot-runner-state', True)
    >>> found.announce()  # on stderr
    """

    source: str
    detect: DetectStaleOperator
    reconcile: ReconcilePresetOperator

    def announce(self) -> None:
        """Say on stderr which table, region, parameters and pipelines the command works on.

        :raises InvalidArgument: if there is no table name.
        :raises ConfigurationError: if there is no region.
        """
        table = arguments.table_name(self.reconcile.table_name)
        region = self.reconcile.hook.connect()
        sys.stderr.write(
            f"{self.source}: table {table}, region {region}, parameters {self.reconcile.config_prefix}, "
            f"pipelines {_said(self.reconcile, 'pipeline_name')}\n"
        )

    def confirmed_by(self, other: Deployment) -> Deployment:
        """Return this deployment if the other one has the same records, parameters and pipelines.

        It is dry if either is, so that a trial period does not end in a shell without the setting.

        :raises InvalidArgument: if they differ, naming the first difference.
        """
        for name in PLACE:
            here, there = _said(self.reconcile, name), _said(other.reconcile, name)
            if here != there:
                raise InvalidArgument(
                    f"{self.source} and the {other.source} differ in {name}: {here!r} and {there!r}. "
                    "Choose the DAG's with --dag-id, or correct the setting; nothing was done"
                )
        if arguments.boolean("dry_run", other.reconcile.is_dry_run):
            self.reconcile.is_dry_run = True
        return self


def of_settings() -> Deployment:
    """Return the deployment that ``[spot_runner]`` describes.

    :raises InvalidSetting: if a setting is invalid.

    >>> of_settings().detect.table_name
    'spot-runner-state'
    """
    settings = Settings.read()
    return Deployment(
        f"[{SECTION}]",
        DetectStaleOperator(task_id="detect", **settings.detection),
        _reconcile(settings.reconciliation),
    )


def of_dag(dag_id: str, session: Session) -> Deployment:
    """Return the deployment of a DAG, from its tasks' arguments in Airflow's database and the defaults of its params.

    The DAG's file is not run, because it would read the settings of this process, which may differ from the workers'.
    Nothing is guessed: a template that needs a run is refused.

    :raises InvalidArgument: if an argument cannot be determined, or if the two tasks work on different tables.

    >>> of_dag("spot_runner_reconcile", session)
    Traceback (most recent call last):
        ...
    spot_runner_provider.operators.arguments.InvalidArgument: Airflow has not parsed the DAG spot_runner_reconcile yet;
    ...
    """
    dag = SerializedDagModel.get_dag(dag_id, session=session)
    if dag is None:
        raise InvalidArgument(f"Airflow has not parsed the DAG {dag_id} yet; nothing was done")
    detecting = _given(dag, DetectStaleOperator)
    reconciling = _given(dag, ReconcilePresetOperator)
    with DAG(
        dag_id,
        schedule=None,
        render_template_as_native_obj=dag.render_template_as_native_obj,
        template_undefined=StrictUndefined,
    ):
        found = Deployment(f"DAG {dag_id}", DetectStaleOperator(task_id="detect", **detecting), _reconcile(reconciling))
    context: Any = {
        "params": dag.params.dump(),
        "var": {"value": VariableAccessor(deserialize_json=False), "json": VariableAccessor(deserialize_json=True)},
        "conn": ConnectionAccessor(),
    }
    for task in (found.detect, found.reconcile):
        try:
            task.render_template_fields(context)
        except Exception as error:  # a template may raise anything
            raise InvalidArgument(
                f"a template of the DAG {dag_id} cannot be rendered without a run: {error}; nothing was done"
            ) from error
    for name in ("aws_conn_id", "region_name", "table_name"):
        one, other = getattr(found.detect, name), getattr(found.reconcile, name)
        if one != other:
            raise InvalidArgument(
                f"the DAG {dag_id} detects with {name} {one!r}, and reconciles with {other!r}; nothing was done"
            )
    return found


def _reconcile(given: Mapping[str, Any]) -> ReconcilePresetOperator:
    return ReconcilePresetOperator(task_id="reconcile", presets=(), do_xcom_push=False, **given)


def _said(operator: ReconcilePresetOperator, name: str) -> Any:
    """Return an argument that says where something is; the templates of pipelines' names in one text and order."""
    given = getattr(operator, name)
    return ", ".join(sorted({*arguments.pipeline_names(given)})) if name == "pipeline_name" else given


def _duration(value: Any) -> Any:
    """Return an argument that is a ``timedelta`` as one; any other as it is."""
    parts = _DELTA.fullmatch(value) if isinstance(value, str) else None
    if parts is None:
        return value
    days, hours, minutes, seconds = (float(part or 0) for part in parts.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _given(dag: Any, operator: type[Any]) -> dict[str, Any]:
    """Return the arguments of the DAG's only task of an operator, without ``presets`` and those about waiting."""
    tasks = [task for task in dag.tasks if task.operator_name == operator.custom_operator_name]
    if len(tasks) != 1:
        raise InvalidArgument(
            f"the DAG {dag.dag_id} has {len(tasks) or 'no'} tasks of {operator.__name__}, and must have one; "
            "nothing was done"
        )
    (task,) = tasks
    if task.task_type != operator.__name__:
        raise InvalidArgument(
            f"the task {task.task_id} of the DAG {dag.dag_id} is a {task.task_type}, which may have other defaults "
            f"than {operator.__name__} and do something else; nothing was done"
        )
    given = {name: _duration(getattr(task, name, None)) for name in task.template_fields}
    if "is_dry_run" in given:
        given["dry_run"] = given.pop("is_dry_run")
    if task.is_mapped:
        mapped = task.expand_input.value
        if not isinstance(mapped, Mapping) or set(mapped) != {"presets"}:
            raise InvalidArgument(
                f"the task {task.task_id} of the DAG {dag.dag_id} is mapped over more than presets; nothing was done"
            )
        given = {name: task.partial_kwargs[name] for name in (*given, *UNTEMPLATED) if name in task.partial_kwargs}
    elif botocore_json := getattr(task, "botocore_json", None):
        given["botocore_config"] = json.loads(botocore_json)
        if given["botocore_config"] is None:
            raise InvalidArgument(
                f"the task {task.task_id} of the DAG {dag.dag_id} has a botocore_config that is not JSON, which "
                "Airflow's database cannot hold. Use only values that JSON can hold; nothing was done"
            )
    return {"table_name": None} | {name: value for name, value in given.items() if name != "presets"}
