"""The wheel in an environment that has nothing but what the wheel asks for, under each major version of Airflow."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from spot_runner_provider import __version__, get_provider_info
from tests.packaging.conftest import REPOSITORY

NAME = "airflow-provider-spot-runner"
pytestmark = pytest.mark.long

PYTHON = {"airflow2": ">=3.11,<3.13", "airflow3": sys.executable}

DAG_TASKS = """
import runpy, sys, spot_runner_provider
dag = runpy.run_path(sys.argv[1])["detect"].dag
print(spot_runner_provider.__file__, *dag.task_ids, sep="\\n")
"""


@dataclass(frozen=True)
class Environment:
    """An environment into which the wheel was installed."""

    folder: Path
    lock: str

    def run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run one of its programs, where nothing of the repository can be imported."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        environment = inherited | {
            "AIRFLOW_HOME": str(self.folder / "home"),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }
        command = [self.folder / "bin" / program, *arguments]
        return subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=120)

    def airflow(self, *arguments: str) -> str:
        """Return what ``airflow`` prints."""
        done = self.run("airflow", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        """Return the rows of the table that ``airflow`` prints."""
        return list(json.loads(self.airflow(*arguments, "--output", "json")))


@pytest.fixture(
    scope="module",
    params=[pytest.param("airflow2", marks=pytest.mark.needs("Python 3.11 or 3.12")), "airflow3"],
)
def environment(
    request: pytest.FixtureRequest, distributions: tuple[Path, Path], uv: Callable[..., Any]
) -> Iterator[Environment]:
    """Install the wheel, and what it asks for in the versions and with the hashes that are locked.

    Beside uv's cache files are linked, not copied. What an earlier run has left there needs no network.
    """
    lock, (_, wheel) = REPOSITORY / "requirements" / f"{request.param}.txt", distributions
    cache = REPOSITORY / ".cache"
    cache.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=cache, prefix="clean-") as folder:
        uv("venv", "--python", PYTHON[request.param], folder, "--clear")
        wanted = Path(folder) / "wanted.txt"
        wanted.write_text(f"{wheel} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
        options = ("--require-hashes", "--constraints", lock, "--build-constraints", lock)
        install = ("pip", "install", "--python", Path(folder) / "bin" / "python", *options, "--requirements", wanted)
        if uv(*install, "--offline", check=False).returncode:
            uv(*install)
        yield Environment(Path(folder), request.param)


def test_nothing_that_it_asks_for_is_missing_or_too_old(environment: Environment, uv: Callable[..., Any]) -> None:
    python = environment.folder / "bin" / "python"
    uv("pip", "check", "--python", python)
    installed = {each["name"] for each in json.loads(uv("pip", "list", "--python", python, "--format=json").stdout)}
    assert installed > {NAME, "apache-airflow", "apache-airflow-providers-amazon"}
    assert not installed & {"moto", "pytest", "hatchling"}


def test_airflow_lists_the_provider(environment: Environment) -> None:
    versions = {row["package_name"]: row["version"] for row in environment.rows("providers", "list")}
    assert versions[NAME] == __version__


def test_airflow_lists_its_settings(environment: Environment) -> None:
    lines = environment.airflow("config", "list", "--section", "spot_runner").splitlines()
    names = [line.removeprefix("# ").partition(" =")[0] for line in lines if " =" in line]
    assert names == list(get_provider_info()["config"]["spot_runner"]["options"])


def test_airflow_lists_its_links(environment: Environment) -> None:
    links = {row["extra_link_class_name"] for row in environment.rows("providers", "links")}
    assert links >= set(get_provider_info()["extra-links"])


def test_airflow_lists_its_plugin(environment: Environment) -> None:
    sources = {row["name"]: row["source"] for row in environment.rows("plugins")}
    assert sources["spot_runner"].startswith(f"{NAME}=={__version__}")


def test_airflow_has_its_commands(environment: Environment) -> None:
    if environment.lock == "airflow2":
        pytest.skip("providers have no commands before Airflow 3.2")
    assert {"status", "detect", "reconcile"} <= set(environment.airflow("spot-runner", "--help").split())


def test_the_dag_is_made(environment: Environment) -> None:
    done = environment.run("python", "-c", DAG_TASKS, REPOSITORY / "dags" / "spot_runner_reconcile.py")
    assert done.returncode == 0, done.stderr
    place, *tasks = done.stdout.split()
    assert Path(place).is_relative_to(environment.folder)
    assert tasks == ["detect_stale", "reconcile_preset", "report_status"]
