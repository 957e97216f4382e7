"""An Airflow 2 as small as it can be: a scheduler with the SequentialExecutor, driven through its database."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from airflow.api.common.trigger_dag import trigger_dag
from airflow.models.dag import DagModel
from airflow.models.dagbag import DagBag
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.models.xcom import XCom
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import delete

from tests.system.real_airflow import FINISHED, kill_session


class Airflow2:
    """``with Airflow2(home, environment) as airflow:`` starts it, on the database of this process, emptied of runs.

    :param home: an empty folder.
    :param environment: more variables for the scheduler and its tasks.
    """

    def __init__(self, home: Path, environment: dict[str, str], dags: dict[str, Path]) -> None:
        self.home = home
        folder = home / "dags"
        folder.mkdir()
        for name, path in dags.items():
            (folder / name).symlink_to(path)
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # the executor calls ``airflow``
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
            "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
            **environment,
        }

    def __enter__(self) -> Airflow2:
        initdb()
        with create_session() as session:
            session.execute(delete(DagRun))
            session.execute(delete(DagModel))
            session.execute(delete(SerializedDagModel))
        self._output = (self.home / "scheduler.out").open("ab")
        self._scheduler = subprocess.Popen(
            [sys.executable, "-m", "airflow", "scheduler", "--skip-serve-logs"],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._scheduler.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._scheduler.wait(timeout=30)
        kill_session(self._scheduler.pid)
        self._scheduler.wait()
        self._output.close()

    def trigger(self, dag_id: str, run_id: str, **conf: Any) -> None:
        """Trigger a run with ``conf`` and wait for its end."""
        self.wait_for(f"the DAG {dag_id}", lambda: DagModel.get_dagmodel(dag_id) and _dag(dag_id) is not None)
        trigger_dag(dag_id, run_id=run_id, conf=conf)
        self.wait_for_run(dag_id, run_id)

    def clear(self, dag_id: str, run_id: str, *tasks: str | tuple[str, int]) -> None:
        """Clear these tasks of a run, or instances of mapped ones, or everything, and wait for the run's end."""
        with create_session() as session:
            instances = [
                each for each in _instances(session, run_id) if not tasks or {each.task_id, _key(each)} & set(tasks)
            ]
            clear_task_instances(instances, session, dag=_dag(dag_id))
        self.wait_for_run(dag_id, run_id)

    def wait_for_run(self, dag_id: str, run_id: str) -> None:
        """Wait until the run has succeeded or failed."""
        self.wait_for(f"the end of {run_id}", lambda: self.run_state(dag_id, run_id) in FINISHED)

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run."""
        with create_session() as session:
            return str(session.query(DagRun.state).filter_by(dag_id=dag_id, run_id=run_id).scalar())

    def tasks(self, dag_id: str, run_id: str, task_id: str = "*") -> list[dict[str, Any]]:
        """Return the run's task instances, or those of one task; mapped ones each for itself."""
        with create_session() as session:
            return [
                {"task_id": each.task_id, "map_index": each.map_index, "state": each.state and str(each.state)}
                for each in _instances(session, run_id)
                if task_id in ("*", each.task_id)
            ]

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """Return a value that a task pushed."""
        return XCom.get_one(key=key, dag_id=dag_id, task_id=task_id, run_id=run_id)

    def wait_for(self, what: str, is_so: Callable[[], bool], timeout: float = 300.0) -> None:
        """Wait until ``is_so()``; fail when it takes too long or the scheduler ended."""
        deadline = time.monotonic() + timeout
        while not is_so():
            output = (self.home / "scheduler.out").read_text(errors="replace")[-5000:]
            assert self._scheduler.poll() is None, f"the scheduler ended while waiting for {what}:\n{output}"
            assert time.monotonic() < deadline, f"waited {timeout:.0f} s for {what}\n{output}"
            time.sleep(0.2)


def _dag(dag_id: str) -> Any:
    return DagBag(read_dags_from_db=True).get_dag(dag_id)


def _instances(session: Any, run_id: str) -> list[TaskInstance]:
    return list(session.query(TaskInstance).filter_by(run_id=run_id))


def _key(instance: TaskInstance) -> tuple[str, int]:
    return instance.task_id, instance.map_index
