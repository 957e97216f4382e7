"""``make up``: Airflow with the DAG and its page, on an embedded AWS, until Ctrl-C.

Each call has its own folder in ``.airflow``, and removes it at the end unless something failed. Every process has its
own session, so Ctrl-C reaches only this script, which stops all processes and whatever they started.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import ProxyHandler, Request, build_opener

import psutil
from environment import PROJECT, airflow_environment
from progress import Progress

DAG = "spot_runner_reconcile"
USER = "admin"
COMPONENTS = {
    "api-server": (),
    "scheduler": ("--skip-serve-logs",),
    "dag-processor": (),
    "triggerer": ("--skip-serve-logs",),
}
PYTHON = Path(sys.executable)

LIMIT = 300.0
"""Seconds that anything may take to start."""

PATIENCE = 5.0
"""Seconds that processes get to end by themselves."""

T = TypeVar("T")


class Stopped(Exception):
    """Somebody asked to stop."""


class Failed(Exception):
    """Something does not run; the text names it, and has its last output."""


class Processes:
    """Processes that are ended together; the output of each goes to a file in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._once: set[str] = set()
        self._asked = False

    def ask_to_stop(self, *_: object) -> None:
        """Make whatever waits here raise :class:`Stopped`; a signal handler."""
        self._asked = True

    def start(
        self, name: str, arguments: tuple[str, ...], environment: Mapping[str, str], *, once: bool = False
    ) -> None:
        """Start a Python module with arguments; only one that runs ``once`` may end, with exit code 0."""
        with self.output(name).open("wb") as output:
            self._running[name] = subprocess.Popen(
                [PYTHON, "-m", *arguments],
                cwd=PROJECT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if once:
            self._once.add(name)

    def wait_for(self, name: str, what: str, found: Callable[[], T | None]) -> T:
        """Wait until ``found`` returns something, and return it; the process ``name`` must make it appear.

        An :class:`OSError` means that there is nothing yet.
        """
        deadline = time.monotonic() + LIMIT
        while True:
            why = ""
            try:
                if value := found():
                    return value
            except OSError as error:
                why = f" ({error})"
            if time.monotonic() > deadline:
                raise Failed(f"Waited {LIMIT:.0f} s for {what}{why}. {self._end_of(name)}")
            self.watch()

    def wait_for_end(self, name: str) -> None:
        """Wait until a process that runs once has succeeded."""
        self.wait_for(name, f"the end of {name}", lambda: self._running[name].poll() is not None)

    def watch(self) -> None:
        """Check for a moment that every process is still running."""
        time.sleep(0.2)
        if self._asked:
            raise Stopped
        for name, process in self._running.items():
            ended = process.poll()
            if ended or (ended == 0 and name not in self._once):
                raise Failed(f"{name} ended, with exit code {ended}. {self._end_of(name)}")

    def stop(self) -> None:
        """End every process and whatever it started."""
        for process in self._running.values():
            process.terminate()
        deadline = time.monotonic() + PATIENCE
        for process in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            kill_session(process.pid)
            process.wait()
        self._running.clear()

    def output(self, name: str) -> Path:
        """Return the file of what a process printed."""
        return self.folder / f"{name}.log"

    def _end_of(self, name: str) -> str:
        path = self.output(name)
        lines = path.read_text(errors="replace").splitlines()[-15:]
        return "\n  ".join([f"The end of {path.relative_to(PROJECT)}:", *lines])


class Api:
    """Airflow's REST API, and the page's endpoint."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._opener = build_opener(ProxyHandler({}))
        self._headers = {"Content-Type": "application/json"}

    def log_in(self, password: str) -> bool:
        """Log in."""
        token = self.call("/auth/token", {"username": USER, "password": password})["access_token"]
        self._headers["Authorization"] = f"Bearer {token}"
        return True

    def call(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """GET, or POST if there is a body.

        :raises OSError: if there is no answer, or an error
        """
        data = None if body is None else json.dumps(body).encode()
        with self._opener.open(Request(self.url + path, data, self._headers), timeout=10) as response:
            return json.load(response)

    def has_run(self) -> bool:
        """Return whether the DAG has a run. Its schedule may start none at once, so one is triggered then."""
        if errors := self.call("/api/v2/importErrors")["import_errors"]:
            raise Failed(f"The DAG cannot be imported.\n{errors[0]['stack_trace']}")
        due = self.call(f"/api/v2/dags/{DAG}")["next_dagrun_run_after"]
        runs = f"/api/v2/dags/{DAG}/dagRuns"
        if self.call(runs)["dag_runs"]:
            return True
        if due and datetime.fromisoformat(due) > datetime.now(UTC):
            self.call(runs, {"logical_date": None})
        return False

    def report(self) -> dict[str, Any] | None:
        """Return what the page shows, if it shows anything."""
        status: dict[str, Any] = self.call("/spot-runner/status")
        return status if status["presets"] else None


def main() -> None:
    """Start everything, and stop it on Ctrl-C."""
    homes = PROJECT / ".airflow"
    homes.mkdir(exist_ok=True)
    processes = Processes(Path(tempfile.mkdtemp(prefix="up-", dir=homes)))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, processes.ask_to_stop)
    try:
        serve(processes, Progress())
    except Stopped:
        with suppress(OSError):  # the terminal may be gone
            print("\nStopping ...", flush=True)
    except Failed as failure:
        sys.exit(f"\n{failure}\n\nAll of it is stopped again, and its folder is kept.")
    finally:
        processes.stop()
    shutil.rmtree(processes.folder, ignore_errors=True)


def serve(processes: Processes, progress: Progress) -> None:
    """Start everything, print the addresses, and watch the processes until somebody asks to stop."""
    home = processes.folder
    url, password = f"http://127.0.0.1:{free_port()}", secrets.token_hex(4)
    environment = airflow_environment(home) | settings(home, url)
    (home / "passwords.json").write_text(json.dumps({USER: password}))

    progress(f"An embedded AWS, and airflow db migrate   (output: {home.relative_to(PROJECT)}/*.log)")
    processes.start("embedded", ("spot_runner_provider.embedded", "--port", "0", "--seed", "demo"), environment)
    processes.start("db-migrate", ("airflow", "db", "migrate"), environment, once=True)
    environment |= processes.wait_for("embedded", "the embedded AWS", lambda: exports(processes.output("embedded")))
    processes.wait_for_end("db-migrate")

    progress(f"airflow {', '.join(COMPONENTS)}")
    for name, arguments in COMPONENTS.items():
        processes.start(name, ("airflow", name, *arguments), environment)
    api = Api(url)
    processes.wait_for("api-server", "the api-server to answer", lambda: api.log_in(password))
    processes.wait_for("dag-processor", f"the DAG {DAG} and its first run", api.has_run)

    aws = json.loads(environment["AIRFLOW_CONN_AWS_DEFAULT"])["extra"]["endpoint_url"]
    airflow = write_command(home / "airflow", environment).relative_to(PROJECT)
    python = PYTHON.relative_to(PROJECT) if PYTHON.is_relative_to(PROJECT) else PYTHON
    print(READY.format(url=url, user=USER, password=password, python=python, aws=aws, airflow=airflow), flush=True)

    report = processes.wait_for("scheduler", "the report of the first run", api.report)
    progress(f"The first run has reported: {report['status']}, {report['message']}")
    while True:
        processes.watch()


READY = """
Airflow is at {url}, user {user}, password {password}

  The page      {url}/plugin/spot-runner-presets
                or in Airflow's menu: Browse > Spot runner presets
  What happens  The first run is under way; in about half a minute the page shows every preset and what became of it.
                From then on the DAG runs every 15 minutes, and whenever you press Trigger on its page:
                {url}/dags/spot_runner_reconcile

  To try, in another terminal in this folder
    Let a build end well and its event get lost; the next run finds and repairs it:
      {python} -m spot_runner_provider.embedded.demo.lose_event {aws} linux-x64-docker
    The same without a run, as the person on call would:
      {airflow} spot-runner detect
      {airflow} spot-runner reconcile linux-x64-docker --dry-run
    What the page shows:
      {airflow} spot-runner status

Ctrl-C stops all of it.
"""


def settings(home: Path, url: str) -> dict[str, str]:
    """Return the variables that make Airflow use ``home`` and ``url``."""
    return {
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": url.rpartition(":")[2],
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=60",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
    }


def exports(output: Path) -> dict[str, str]:
    """Return the variables that the embedded AWS printed for export; none until all are there."""
    lines = [line for line in output.read_text().splitlines(keepends=True) if line.startswith("export ")]
    if len(lines) < 2 or not lines[-1].endswith("\n"):
        return {}
    return dict(shlex.split(line)[1].split("=", 1) for line in lines)


def write_command(path: Path, environment: Mapping[str, str]) -> Path:
    """Write a script that runs ``airflow`` in this environment."""
    lines = [f"unset {name}" for name in os.environ if name not in environment]
    lines += [
        f"export {name}={shlex.quote(value)}" for name, value in environment.items() if os.environ.get(name) != value
    ]
    command = f'exec {shlex.quote(str(PYTHON))} -m airflow "$@"'
    path.write_text("\n".join(["#!/bin/sh", *lines, command, ""]))
    path.chmod(0o700)
    return path


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kill_session(session: int) -> None:
    """Kill what is left in a session after its leader has ended: tasks have their own process groups."""
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == session:
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
