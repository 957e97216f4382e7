"""An Airflow 3 as it is deployed: scheduler with LocalExecutor, dag processor and api-server, each a process."""

from __future__ import annotations

import json
import os
import secrets
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

FINISHED = {"success", "failed"}
REPOSITORY = Path(__file__).parents[2]
BUNDLES = {"dags": REPOSITORY / "dags", "test-dags": REPOSITORY / "tests" / "system" / "dags"}


class RealAirflow:
    """``with RealAirflow(home, environment) as airflow:`` starts it; whatever it started it stops, by its sessions.

    :param home: an empty folder for ``AIRFLOW_HOME``
    :param environment: more variables for all processes
    """

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self.home = home
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
                    for name, path in BUNDLES.items()
                ]
            ),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
            **environment,
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._run("db", "migrate")
            stack.callback(self._stop)
            self._start("api-server", "--host", "127.0.0.1")
            self._start("scheduler", "--skip-serve-logs")
            self._start("dag-processor")
            self._client = stack.enter_context(httpx.Client(base_url=self.url, timeout=30, trust_env=False))
            self.wait_for("the api-server to answer", self._log_in)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

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
        self.wait_for_dag(dag_id)
        self.call("POST", f"dags/{dag_id}/dagRuns", dag_run_id=run_id, logical_date=None, conf=conf)
        self.wait_for_run(dag_id, run_id)

    def wait_for_run(self, dag_id: str, run_id: str) -> None:
        """Wait until the run has succeeded or failed."""
        self.wait_for(f"the end of {run_id}", lambda: self.run_state(dag_id, run_id) in FINISHED)

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run."""
        return str(self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}")["state"])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the run's task instances, mapped ones each for itself."""
        found = self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100")
        return list(found["task_instances"])

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """Return a value that a task pushed."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}?stringify=false"
        return self.call("GET", path)["value"]

    def task_log(self, dag_id: str, run_id: str, task_id: str, attempt: int = 1) -> str:
        """Return what a task logged, as text."""
        return json.dumps(self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}"))

    def wait_for(self, what: str, is_so: Callable[[], bool], timeout: float = 120.0) -> None:
        """Wait until ``is_so()``; fail when it takes too long or a process ended."""
        deadline = time.monotonic() + timeout
        while not is_so():
            for name, process in self._processes.items():
                assert process.poll() is None, f"{name} ended while waiting for {what}:\n{self.output(name)}"
            if time.monotonic() > deadline:
                outputs = "\n".join(f"--- {name}\n{self.output(name)}" for name in self._processes)
                raise AssertionError(f"waited {timeout:.0f} s for {what}\n{outputs}")
            time.sleep(0.1)

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

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "airflow", *arguments]

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(self._command(*arguments), env=self._environment, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()

    def _start(self, name: str, *arguments: str) -> None:
        with (self.home / f"{name}.out").open("wb") as output:
            self._processes[name] = subprocess.Popen(
                self._command(name, *arguments),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _stop(self) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=15)
            # A session outlives its leader: what is left in it are tasks, which have groups of their own.
            for pid in session_members(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


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
