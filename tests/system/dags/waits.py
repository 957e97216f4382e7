"""A DAG that waits in the triggerer for a build that goes on, after it has finished another."""

from __future__ import annotations

from airflow.sdk import DAG

from spot_runner_provider.embedded.demo.seed import TABLE
from spot_runner_provider.operators.reconcile_preset import ReconcilePresetOperator

with DAG("waits", schedule=None):
    ReconcilePresetOperator(
        task_id="reconcile_preset",
        presets=["quick", "slow"],
        table_name=TABLE,
        wait_for_completion=True,
        deferrable=True,
        poll_interval=1,
    )
