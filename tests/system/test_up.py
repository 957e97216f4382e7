"""``make up``, as a newcomer meets it: what it prints, where that leads, and what Ctrl-C leaves behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from spot_runner_provider.embedded.demo.deployment import OUTCOMES
from tests.system.real_airflow import is_alive, session_members

REPOSITORY = Path(__file__).parents[2]

pytestmark = [pytest.mark.system, pytest.mark.long]


class Up:
    """The script in a process group of its own, as a terminal starts it."""

    def __init__(self, output: Path, environment: dict[str, str]) -> None:
        self._output = output
        with output.open("wb") as stdout:
            self.process = subprocess.Popen(
                [sys.executable, "scripts/up.py"],
                cwd=REPOSITORY,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.sessions: set[int] = set()

    def _look(self) -> None:
        """Remember what it has started."""
        with suppress(psutil.NoSuchProcess):
            self.sessions |= {child.pid for child in psutil.Process(self.process.pid).children()}

    @property
    def text(self) -> str:
        return self._output.read_text()

    @property
    def folder(self) -> Path:
        return REPOSITORY / self.wait_for(r"output: (\S+)/\*\.log")[1]

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until it has printed what fits the pattern."""
        deadline = time.monotonic() + 300
        while not (found := re.search(pattern, self.text, re.M)):
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            self._look()
            time.sleep(0.1)
        return found

    def end(self, ask: Callable[[], Any]) -> int:
        """Ask for the end and wait for it; then nothing is left of it. Return the exit code."""
        ask()
        deadline = time.monotonic() + 60
        while (code := self.process.poll()) is None:
            assert time.monotonic() < deadline, self.text
            self._look()
            time.sleep(0.01)
        left = {pid: psutil.Process(pid) for session in self.sessions for pid in session_members(session)}
        assert [pid for pid, process in left.items() if is_alive(process)] == []
        return code

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)


@contextmanager
def started(output: Path, **environment: str) -> Iterator[Up]:
    up = Up(output, environment)
    try:
        yield up
    finally:
        if up.process.poll() is None:
            up.process.terminate()
            up.process.wait(60)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """It has started, and the first run has reported."""
    with started(tmp_path_factory.mktemp("up") / "printed") as up:
        up.wait_for("first run has reported")
        yield up


@contextmanager
def client(up: Up) -> Iterator[httpx.Client]:
    """Log in with what was printed."""
    url, user, password = up.wait_for(r"^Airflow is at (\S+), user (\S+), password (\S+)$").groups()
    assert url.startswith("http://127.0.0.1:")
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        answer = client.post("/auth/token", json={"username": user, "password": password})
        assert answer.status_code == 201, answer.text
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


def lines(api: httpx.Client) -> dict[str, dict[str, Any]]:
    """Return what the page shows, by preset."""
    return {preset["name"]: preset for preset in api.get("/spot-runner/status").json()["presets"]}


def test_the_printed_login_leads_to_the_presets_of_the_first_run(up: Up) -> None:
    with client(up) as api:
        status = api.get("/spot-runner/status").json()
        assert {name: line["outcome"] for name, line in lines(api).items()} == OUTCOMES
        assert f"The first run has reported: {status['status']}, {status['message']}\n" in up.text
        assert len(api.get("/api/v2/dags/spot_runner_reconcile/dagRuns").json()["dag_runs"]) == 1
        plugins = api.get("/api/v2/plugins").json()["plugins"]
        (view,) = (view for plugin in plugins for view in plugin["external_views"])
        assert up.wait_for(r"^  The page +(\S+)$")[1] == str(api.base_url.join(f"/plugin/{view['url_route']}"))
        assert "<title>Spot runner presets" in api.get(f"/{view['href']}").text


def test_the_commands_that_are_printed_work(up: Up) -> None:
    commands = re.findall(r"^      (\S.*)$", up.text, re.M)
    done = [subprocess.run(each, shell=True, cwd=REPOSITORY, capture_output=True, text=True) for each in commands]
    lost, detected, dry, status = done
    assert lost.stdout.startswith("linux-x64-docker is stale:"), lost.stderr
    assert re.search(r"^linux-x64-docker +\| building .*\| yes", detected.stdout, re.M), detected.stderr
    ami = re.search(r"ami-\w+", lost.stdout)[0]
    assert f"dry run: would set ready with {ami}" in dry.stdout, dry.stderr
    assert re.search(r"^degraded at .*: 9 presets ready", status.stdout, re.M), status.stderr
    with client(up) as api:
        api.post("/api/v2/dags/spot_runner_reconcile/dagRuns", json={"logical_date": None}).raise_for_status()
        deadline = time.monotonic() + 300
        while lines(api)["linux-x64-docker"]["outcome"] != "corrected_ready":
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert lines(api)["linux-x64-docker"]["amiId"] == ami


def test_a_second_one_works_beside_it(up: Up, tmp_path: Path) -> None:
    with started(tmp_path / "printed") as second:
        second.wait_for("airflow api-server")
        assert second.folder != up.folder
        assert second.end(second.process.terminate) == 0
        assert not second.folder.exists()
    with client(up) as api:
        assert api.get("/api/v2/monitor/health").json()["scheduler"]["status"] == "healthy"


def test_ctrl_c_stops_all_of_it(up: Up) -> None:
    ports = {int(port) for port in re.findall(r"http://127\.0\.0\.1:(\d+)", up.text)}
    assert len(ports) == 2
    assert up.folder.is_dir()
    assert up.end(up.interrupt) == 0
    assert not up.folder.exists()
    assert "Traceback" not in up.text
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_ctrl_c_is_obeyed_while_it_starts(tmp_path: Path) -> None:
    with started(tmp_path / "printed") as up:
        folder = up.folder
        assert up.end(up.interrupt) == 0
        assert not folder.exists()
        assert re.fullmatch(r"\[.*\n+Stopping \.\.\.\n", up.text)


def test_what_does_not_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "airflow.py").write_text("raise SystemExit('no Airflow today')")
    with started(tmp_path / "printed", PYTHONPATH=str(tmp_path)) as up:
        assert up.end(lambda: None) == 1
    folder = up.folder.relative_to(REPOSITORY)
    assert f"db-migrate ended, with exit code 1. The end of {folder}/db-migrate.log:\n  no Airflow today\n" in up.text
    assert "Traceback" not in up.text
    shutil.rmtree(up.folder)
