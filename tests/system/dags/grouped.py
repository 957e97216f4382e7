"""The three tasks in a TaskGroup, with the ids of the README, behind a gate that a test opens and shuts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowSkipException, BaseOperator, TaskGroup

from spot_runner_provider.embedded.demo.seed import TABLE
from spot_runner_provider.operators.detect_stale import DetectStaleOperator
from spot_runner_provider.operators.reconcile_preset import ReconcilePresetOperator
from spot_runner_provider.operators.report_status import ReportStatusOperator


class Gate(BaseOperator):
    """Skip what comes after it while a file is there."""

    def execute(self, context: Any) -> None:
        if Path(os.environ["SPOT_RUNNER_GATE"]).exists():
            raise AirflowSkipException("the gate is shut")


with DAG("grouped", schedule=None), TaskGroup("images"):
    detect = DetectStaleOperator(task_id="detect_stale", table_name=TABLE)
    Gate(task_id="gate") >> detect
    reconcile = ReconcilePresetOperator.partial(task_id="reconcile_preset", table_name=TABLE).expand(
        presets=detect.output
    )
    reconcile >> ReportStatusOperator(task_id="report_status", trigger_rule="all_done", retries=0)
