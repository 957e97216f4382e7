"""Repair runner images whose "build finished" event got lost.

Finds AMI states that have been ``building`` for too long, asks EC2 Image Builder what really happened, corrects
DynamoDB and SSM, and reports every preset. Settings: section ``[spot_runner]`` of the Airflow configuration; the
params are for one manual run.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param, conf

from spot_runner_provider.operators.detect_stale import DetectStaleOperator
from spot_runner_provider.operators.reconcile_preset import ReconcilePresetOperator
from spot_runner_provider.operators.report_status import ReportStatusOperator

SECTION = "spot_runner"
AWS = {
    "aws_conn_id": conf.get(SECTION, "aws_conn_id", fallback="aws_default"),
    "region_name": conf.get(SECTION, "region_name", fallback="") or None,
}
TABLE = conf.get(SECTION, "table_name", fallback=None)
PREFIX = conf.get(SECTION, "config_prefix", fallback="/spot-runner/configs")

with DAG(
    dag_id="spot_runner_reconcile",
    description="Repair runner images whose build event got lost",
    doc_md=__doc__,
    schedule=conf.get(SECTION, "schedule", fallback="*/15 * * * *") or None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    render_template_as_native_obj=True,
    tags=["spot-runner"],
    params={
        "presets": Param(
            None,
            type=["null", "array"],
            items={"type": "string"},
            description="Only these, whatever their age",
        ),
        "dry_run": Param(
            conf.getboolean(SECTION, "dry_run", fallback=False), type="boolean", description="Write nothing"
        ),
        "stale_after_minutes": Param(
            conf.getfloat(SECTION, "stale_after_minutes", fallback=30.0), type="number", minimum=0
        ),
        "audit": Param(conf.getboolean(SECTION, "audit", fallback=False), type="boolean", description="Find drift"),
    },
    default_args={
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=5),
    },
):
    detect = DetectStaleOperator(
        task_id="detect_stale",
        table_name=TABLE,
        presets="{{ params.presets }}",
        stale_after="{{ params.stale_after_minutes }}",
        max_mapped_tasks=conf.getint(SECTION, "max_mapped_tasks", fallback=8),
        audit="{{ params.audit }}",
        config_prefix=PREFIX,
        **AWS,
    )
    reconcile = ReconcilePresetOperator.partial(
        task_id="reconcile_preset",
        table_name=TABLE,
        config_prefix=PREFIX,
        pipeline_name=conf.get(SECTION, "pipeline_name", fallback="spot-runner-{preset}"),
        dry_run="{{ params.dry_run }}",
        max_active_tis_per_dag=8,
        map_index_template="{{ preset_names }}",
        **AWS,
    ).expand(presets=detect.output)
    reconcile >> ReportStatusOperator(task_id="report_status", trigger_rule="all_done", retries=0)
