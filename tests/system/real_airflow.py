"""An Airflow 3 as it is deployed: scheduler with LocalExecutor, dag processor and api-server, each a process."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil

COMPONENTS = {"api-server": ("--host", "127.0.0.1"), "scheduler": ("--skip-serve-logs",), "dag-processor": ()}
FINISHED = {"success", "failed"}

POLL = 0.5
"""Seconds between two looks: each costs the api-server as much processor time as a fifteenth of that."""

REPOSITORY = Path(__file__).parents[2]
HERE = Path(__file__).parent
BUNDLES = {"dags": REPOSITORY / "dags", "test-dags": HERE / "dags"}


class RealAirflow:
    """``with RealAirflow(home, environment) as airflow:`` starts it; whatever it started it stops, by its sessions.

    :param home: an empty folder for ``AIRFLOW_HOME``
    :param environment: more variables for all processes
    :param database: a migrated SQLite database to begin with, which saves the time to make one
    :param bundles: folders with DAGs, by name
    """

    def __init__(
        self,
        home: Path,
        environment: Mapping[str, str],
        database: Path | None = None,
        bundles: Mapping[str, Path] = BUNDLES,
    ) -> None:
        self.home = home
        self._database = database
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._environment = {
            **os.environ,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(
                [
                    {
                        "name": name,
                        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                        "kwargs": {"path": str(path)},
                    }
                    for name, path in bundles.items()
                ]
            ),
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",  # the files stay as they are
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=60",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
            **environment,
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._orphaned: list[int] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        (self.home / "config").symlink_to(HERE / "config")
        with ExitStack() as stack:
            if self._database:
                shutil.copy(self._database, self.home / "airflow.db")
            else:
                self.command("db", "migrate")
            stack.callback(self._stop)
            self._client = stack.enter_context(httpx.Client(base_url=self.url, timeout=120, trust_env=False))
            for name in COMPONENTS:
                self.start(name)
            self.wait_for_api()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def start(self, name: str, *arguments: str, **environment: str) -> None:
        """Start one of :data:`COMPONENTS`, for the first time or again, or ``airflow`` with arguments of one's own."""
        with (self.home / f"{name}.out").open("ab") as output:
            self._processes[name] = subprocess.Popen(
                self._argv(*(arguments or (name, *COMPONENTS[name]))),
                env=self._environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def process(self, name: str) -> psutil.Process:
        """Return the process of a component."""
        return psutil.Process(self._processes[name].pid)

    def kill(self, name: str, *, alone: bool = False) -> None:
        """Kill a component with SIGKILL, and whatever it started with it, unless ``alone``."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()
        if alone:
            self._orphaned.append(process.pid)
        else:
            kill_session(process.pid)

    def kill_task(self, task: Mapping[str, Any], *, with_supervisor: bool = False) -> None:
        """Kill the process that runs a task instance with SIGKILL, and the one that watches over it."""
        process = psutil.Process(task["pid"])
        assert task["id"] in " ".join(process.cmdline()), process
        doomed = [*process.parents()[:1], process] if with_supervisor else [process]
        for each in doomed:
            each.kill()
        self.wait_for("the end of the killed task", lambda: not any(is_alive(each) for each in doomed))

    def command(self, *arguments: str) -> None:
        """Run ``airflow`` with these arguments, and fail if it does."""
        done = self.typed(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr

    def typed(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``airflow`` with these arguments, and return what it printed and its exit code."""
        argv = self._argv(*arguments)
        return subprocess.run(argv, env=self._environment, capture_output=True, text=True, timeout=240)

    def call(self, method: str, path: str, **body: Any) -> Any:
        """Call the REST API and return its answer; ``body`` is sent as JSON."""
        response = self._client.request(method, f"/api/v2/{path}", json=body or None)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json()

    def wait_for_dag(self, dag_id: str) -> None:
        """Wait until the DAG was parsed, and fail if it was not for an error."""

        def is_there() -> bool:
            errors = self.call("GET", "importErrors")["import_errors"]
            assert not errors, errors
            return any(dag["dag_id"] == dag_id for dag in self.call("GET", "dags")["dags"])

        self.wait_for(f"the DAG {dag_id}", is_there)

    def trigger(self, dag_id: str, run_id: str, **conf: Any) -> None:
        """Trigger a run with ``conf`` and wait for its end."""
        self.start_run(dag_id, run_id, **conf)
        self.wait_for_run(dag_id, run_id)

    def start_run(self, dag_id: str, run_id: str, **conf: Any) -> None:
        """Trigger a run with ``conf``."""
        self.wait_for_dag(dag_id)
        self.call("POST", f"dags/{dag_id}/dagRuns", dag_run_id=run_id, logical_date=None, conf=conf)

    def clear(self, dag_id: str, run_id: str, *tasks: str | tuple[str, int]) -> None:
        """Clear these tasks of a run, or instances of mapped ones, or everything, and wait for the run's end."""
        everything = {task["task_id"] for task in self.tasks(dag_id, run_id)}
        self.call(
            "POST",
            f"dags/{dag_id}/clearTaskInstances",
            dry_run=False,
            dag_run_id=run_id,
            task_ids=[list(task) if isinstance(task, tuple) else task for task in tasks or everything],
            only_failed=False,
            reset_dag_runs=True,
        )
        self.wait_for_run(dag_id, run_id)

    def page(self, dag_id: str) -> dict[str, Any]:
        """Return what the status page's endpoint says of a deployment."""
        answer: dict[str, Any] = self._client.get("/spot-runner/status", params={"dag_id": dag_id}).json()
        return answer

    def wait_for_run(self, dag_id: str, run_id: str) -> None:
        """Wait until the run has succeeded or failed."""
        self.wait_for(f"the end of {run_id}", lambda: self.run_state(dag_id, run_id) in FINISHED)

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run."""
        return str(self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}")["state"])

    def tasks(self, dag_id: str, run_id: str, task_id: str = "*") -> list[dict[str, Any]]:
        """Return the run's task instances, or those of one task; mapped ones each for itself."""
        found = self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100")["task_instances"]
        return [task for task in found if task_id in ("*", task["task_id"])]

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """Return a value that a task pushed."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}?stringify=false"
        return self.call("GET", path)["value"]

    def task_log(self, dag_id: str, run_id: str, task_id: str, attempt: int = 1) -> str:
        """Return what a task logged, as text."""
        return json.dumps(self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}"))

    def wait_for_api(self) -> None:
        """Wait until the api-server answers."""
        self.wait_for("the api-server to answer", self._log_in)

    def wait_for(self, what: str, is_so: Callable[[], bool], timeout: float = 300.0) -> None:
        """Wait until ``is_so()``; fail when it takes too long or a process ended."""
        deadline = time.monotonic() + timeout
        while not is_so():
            for name, process in self._processes.items():
                assert process.poll() is None, f"{name} ended while waiting for {what}:\n{self.output(name)}"
            if time.monotonic() > deadline:
                outputs = "\n".join(f"--- {name}\n{self.output(name)}" for name in self._processes)
                raise AssertionError(f"waited {timeout:.0f} s for {what}\n{outputs}")
            time.sleep(POLL)

    def output(self, name: str) -> str:
        """Return the end of what a process printed."""
        return (self.home / f"{name}.out").read_text(errors="replace")[-5000:]

    def _log_in(self) -> bool:
        try:
            response = self._client.get("/auth/token")
        except httpx.TransportError:
            return False
        if response.is_success:
            self._client.headers["Authorization"] = f"Bearer {response.json()['access_token']}"
        return response.is_success

    def _argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "airflow", *arguments]

    def _stop(self) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=15)
            kill_session(process.pid)
            process.wait()
        for session in self._orphaned:
            kill_session(session)


def kill_session(session: int) -> None:
    """Kill what is left in a session, which outlives its leader: tasks have process groups of their own."""
    for pid in session_members(session):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def is_alive(process: psutil.Process) -> bool:
    """Return whether a process still does anything."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def session_members(session: int) -> list[int]:
    """Return the processes of a session."""

    def is_member(pid: int) -> bool:
        try:
            return os.getsid(pid) == session
        except (ProcessLookupError, PermissionError):
            return False

    return [pid for pid in psutil.pids() if is_member(pid)]


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
