"""Repair runner images whose "build finished" event got lost.

Finds AMI states that have been ``building`` for too long, asks EC2 Image Builder what really happened, corrects
DynamoDB and SSM, and reports every preset. The settings are in section ``[spot_runner]`` of the Airflow configuration;
the params are for one manual run.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param

from spot_runner_provider.operators.arguments import verbatim_texts
from spot_runner_provider.operators.detect_stale import DetectStaleOperator
from spot_runner_provider.operators.reconcile_preset import ReconcilePresetOperator
from spot_runner_provider.operators.report_status import ReportStatusOperator
from spot_runner_provider.operators.run_conf import DRY_RUN_MARK
from spot_runner_provider.settings import Settings

try:
    from airflow.providers.standard.operators.empty import EmptyOperator
except ImportError:  # Airflow 2.11
    from airflow.operators.empty import EmptyOperator

settings = Settings.read()
detection = verbatim_texts(settings.detection) | {
    "stale_after": "{{ params.stale_after_minutes }}",
    "audit": "{{ params.audit }}",
}
reconciliation = verbatim_texts(settings.reconciliation) | {"dry_run": "{{ params.dry_run }}"}

with DAG(
    dag_id="spot_runner_reconcile",
    description="Repair runner images whose build event got lost",
    doc_md=__doc__,
    schedule=settings.schedule,
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
        "dry_run": Param(settings.dry_run, type="boolean", description="Write nothing"),
        "stale_after_minutes": Param(settings.stale_after_minutes, type="number", minimum=0),
        "audit": Param(settings.audit, type="boolean", description="Find drift"),
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
        presets="{{ params.presets }}",
        **detection,
    )
    reconcile = ReconcilePresetOperator.partial(
        task_id="reconcile_preset",
        max_active_tis_per_dag=8,
        map_index_template="{{ preset_names }}",
        **reconciliation,
    ).expand(presets=detect.output)
    reconcile >> ReportStatusOperator(task_id="report_status", trigger_rule="all_done", retries=0)
    if settings.dry_run:  # so that a worker without the setting sees that this is a dry run
        EmptyOperator(task_id=DRY_RUN_MARK) >> detect
