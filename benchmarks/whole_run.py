"""What whole runs of the DAG cost under a real scheduler with its LocalExecutor."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psutil

from benchmarks.aws import OLD
from benchmarks.processes import PATIENCE, connection
from spot_runner_provider.embedded.control import ControlClient
from spot_runner_provider.embedded.demo.seed import PARAMETER_PREFIX, TABLE, ami_state, preset_config, put_items
from tests.system.real_airflow import FINISHED, RealAirflow

DAG_ID = "spot_runner_reconcile"
WORKING = ("api-server", "scheduler")
"""The components that work for a run; tasks are the scheduler's children. The dag processor works on a timer."""


@dataclass(frozen=True)
class Took:
    """The processor seconds of a run, and the seconds from its beginning to its end."""

    processor: float
    wall: float


def environment(aws: ControlClient) -> dict[str, str]:
    """Return the further settings that Airflow's processes need."""
    return {
        "AIRFLOW_CONN_AWS_DEFAULT": connection(aws),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "AIRFLOW__SPOT_RUNNER__SCHEDULE": "",
        "AIRFLOW__SPOT_RUNNER__TABLE_NAME": TABLE,
    }


def make_stale(aws: ControlClient, presets: Sequence[str]) -> None:
    """Restore records and parameters to what they were before they were corrected."""
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    records = [ami_state(name, "building", an_hour_ago, ami=OLD) for name in presets]
    put_items(aws.client("dynamodb", bystander=True), records)
    ssm, config = aws.client("ssm", bystander=True), json.dumps(preset_config(OLD))
    for name in presets:
        ssm.put_parameter(Name=PARAMETER_PREFIX + name, Value=config, Overwrite=True)


def take(airflow: RealAirflow, aws: ControlClient, run_id: str, corrected: int) -> Took:
    """Trigger a run and wait for its end.

    :param corrected: how many presets the run should correct.
    """
    aws.reset()
    before = _processor_seconds(airflow)
    airflow.start_run(DAG_ID, run_id)
    # The api-server is not polled, because its processor time should be the run's alone.
    airflow.wait_for(f"the end of {run_id}", lambda: _state(airflow, run_id) in FINISHED, PATIENCE)
    airflow.wait_for("the end of its tasks' processes", lambda: not _tasks(airflow), PATIENCE)
    processor = _processor_seconds(airflow) - before
    found = airflow.call("GET", f"dags/{DAG_ID}/dagRuns/{run_id}")
    puts = aws.calls().get("ssm.PutParameter", 0)
    assert (found["state"], puts) == ("success", corrected), f"{run_id}: {found['state']}, {puts} puts"
    begin, end = (datetime.fromisoformat(found[key]) for key in ("start_date", "end_date"))
    return Took(processor, (end - begin).total_seconds())


def _state(airflow: RealAirflow, run_id: str) -> str:
    with closing(sqlite3.connect(f"file:{airflow.home}/airflow.db?mode=ro", uri=True, timeout=60)) as database:
        [state] = database.execute("SELECT state FROM dag_run WHERE run_id = ?", [run_id]).fetchone()
        return str(state)


def _processor_seconds(airflow: RealAirflow) -> float:
    """Return the processor time so far of the components and their children, ended ones included."""
    times = [
        process.cpu_times()
        for name in WORKING
        for process in (airflow.process(name), *airflow.process(name).children(recursive=True))
    ]
    return sum(each.user + each.system + each.children_user + each.children_system for each in times)


def _tasks(airflow: RealAirflow) -> list[psutil.Process]:
    """Return the processes of tasks: the children of the executor's workers, which are the scheduler's."""
    workers = airflow.process("scheduler").children()
    return [process for worker in workers for process in worker.children()]
