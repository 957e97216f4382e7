"""DAGs whose tasks reconcile, and what Airflow has of the asset events of their runs."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import DAG

from tests.integration.test_plugin import IS_3

TEXT = """
from datetime import UTC, datetime
from airflow.providers.common.compat.sdk import DAG, AssetAlias
from spot_runner_provider.operators.reconcile_preset import ReconcilePresetOperator

arguments = {arguments}
with DAG("{dag_id}", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
    ReconcilePresetOperator.partial(task_id="mapped", **arguments).expand(presets=[["a", "b"], ["c"]])
    ReconcilePresetOperator(task_id="single", presets=["d"], **arguments)
"""
"""A mapped task and another one. To be formatted with the DAG's id and the text of the operators' arguments."""


def declare(*dags: Any) -> None:
    """Let Airflow 2 know the DAGs' aliases, as its dag processor does; Airflow 3 does it by itself."""
    if not IS_3:
        DAG.bulk_write_to_db(dags)


def events_of(dag_run: Any) -> list[tuple[str, dict[str, Any], int]]:
    """Return URI, extra and map index of the events that Airflow's database has of a run."""
    from airflow.utils.session import create_session
    from sqlalchemy import select

    if IS_3:
        from airflow.models.asset import AssetEvent, AssetModel

        query = select(AssetModel.uri, AssetEvent).join(AssetEvent, AssetEvent.asset_id == AssetModel.id)
    else:
        from airflow.models.dataset import DatasetEvent as AssetEvent
        from airflow.models.dataset import DatasetModel as AssetModel

        query = select(AssetModel.uri, AssetEvent).join(AssetEvent, AssetEvent.dataset_id == AssetModel.id)
    with create_session() as session:
        found = session.execute(query.where(AssetEvent.source_run_id == dag_run.run_id)).all()
        return sorted((uri, event.extra, event.source_map_index) for uri, event in found)
