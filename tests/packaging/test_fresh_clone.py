"""A stranger's machine: a copy of the project, an empty home, a bare PATH, and the commands of the README."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.packaging.conftest import REPOSITORY

MINIMAL = (
    "bash cat chmod cp cut date dirname echo env expr false grep head id ln ls mkdir mktemp mv rm rmdir sed sh sleep "
    "sort tail test touch tr true uname wc xargs"
)
"""Programs of Debian's minimal image; without apt-get, so that root installs nothing."""

PYTHON = os.path.realpath(sys.executable)

NO_NETWORK = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
"""Nothing listens at the discard port."""

NETWORK = re.compile(r"(PIP|UV)_.+|.+_(PROXY|CA_BUNDLE)|SSL_CERT_.+", re.IGNORECASE)
"""Variables that say how this machine reaches a package registry."""

SELECTED = "test_label or test_celery or test_status_page"

pytestmark = pytest.mark.needs("make")


class Machine:
    """A folder with the project in it, and nothing of what this machine has beside it."""

    def __init__(self, root: Path) -> None:
        self.project, self.home, self.programs = root / "ein Häuschen", root / "home", root / "bin"
        ignored = [line.strip("/") for line in (REPOSITORY / ".gitignore").read_text().split()]
        shutil.copytree(REPOSITORY, self.project, ignore=shutil.ignore_patterns(".git", *ignored))
        self.home.mkdir(mode=0o555)
        self.programs.mkdir()
        for name in ("make", *MINIMAL.split()):
            if program := shutil.which(name):
                (self.programs / name).symlink_to(program)

    def add_python(self, name: str, before: str = "") -> None:
        """Put a Python into the PATH; ``before`` is run before its ``-c`` text."""
        script = f'exec {PYTHON} "$@"'
        if before:
            script = f'exec {PYTHON} -c "{before}; exec(sys.argv[2])" "$@"'
        (self.programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.programs / name).chmod(0o755)

    def make(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Call make, with nothing of this process's environment."""
        bare = {"PATH": str(self.programs), "HOME": str(self.home)}
        return subprocess.run(
            [self.programs / "make", *arguments],
            cwd=self.project,
            env=bare | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )


def end(done: subprocess.CompletedProcess[str]) -> str:
    """Return the end of what was printed, which may be very long."""
    return done.stdout[-5000:] + done.stderr[-5000:]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without Python."""
    return Machine(tmp_path)


def version(minor: int) -> str:
    return f"import sys; sys.version_info = (3, {minor}, 0)"


NO_VENV = "import sys; sys.modules['ensurepip'] = None"


@pytest.mark.parametrize(
    "pythons",
    [
        pytest.param({}, id="none"),
        pytest.param({"python3": version(10)}, id="too old"),
        pytest.param({"python3": version(15)}, id="too new"),
        pytest.param({"python3": NO_VENV}, id="no ensurepip"),
    ],
)
def test_a_python_that_cannot_do_is_refused_in_a_sentence(machine: Machine, pythons: Mapping[str, str]) -> None:
    for name, before in pythons.items():
        machine.add_python(name, before)
    done = machine.make("run")
    told, _ = done.stderr.splitlines()  # make itself says that it failed
    assert told.startswith("Python 3.11 to 3.14 with its modules venv and ensurepip is missing")
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("pythons", "chosen"),
    [
        pytest.param({"python3": 12, "python3.13": 13}, "python3", id="the default"),
        pytest.param({"python3": 14, "python3.12": 12}, "python3.12", id="a tested one before 3.14"),
        pytest.param({"python3": 14}, "python3", id="3.14 if there is no other"),
        pytest.param({"python3": 10, "python3.13": 13}, "python3.13", id="not the default where that is too old"),
    ],
)
def test_the_python_that_is_taken(machine: Machine, pythons: Mapping[str, int], chosen: str) -> None:
    for name, minor in pythons.items():
        machine.add_python(name, version(minor))
    assert machine.make("--eval", "show: ; @echo $(PYTHON)", "show").stdout.split() == [chosen]


def test_without_a_registry_it_says_that_it_takes_one(machine: Machine) -> None:
    machine.add_python("python3")
    done = machine.make("run", PIP_CONFIG_FILE=os.devnull, **NO_NETWORK)
    assert done.returncode == 2
    assert "installing takes a package registry" in done.stderr


@pytest.mark.long
@pytest.mark.needs("a package registry")
class TestWithARegistry:
    @pytest.fixture(scope="class")
    def machine(self) -> Iterator[Machine]:
        with TemporaryDirectory(prefix="spot-runner-fresh-") as folder:
            machine = Machine(Path(folder))
            machine.add_python("python3")
            yield machine

    @pytest.fixture(scope="class")
    def network(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if NETWORK.fullmatch(name)}

    def test_make_run_shows_every_preset(self, machine: Machine, network: Mapping[str, str]) -> None:
        done = machine.make("run", **network)
        assert done.returncode == 0, end(done)
        assert "Report: degraded. 9 presets ready, 9 presets building, 3 presets failed" in done.stdout

    @pytest.mark.parametrize(
        ("target", "program", "file"),
        [("test", "chromium", "test_status_page"), ("test-long", "redis-server", "test_celery")],
        ids=["test", "test-long"],
    )
    def test_it_begins_and_names_what_it_skips(
        self, machine: Machine, network: Mapping[str, str], target: str, program: str, file: str
    ) -> None:
        done = machine.make(target, PYTEST_ADDOPTS=f"-k '{SELECTED}'", **network)
        assert done.returncode == 0, end(done)
        reason = rf"{program} is missing \(apt-get install {program}\) for tests/system/{file}\.py"
        assert len(re.findall(rf"^SKIPPED \[\d+\] .*{reason}$", done.stdout, re.M)) == 1, end(done)
        assert re.search(r"\d+ skipped", done.stdout.splitlines()[-1])

    def test_in_ci_nothing_is_skipped_for_a_missing_program(self, machine: Machine) -> None:
        done = machine.make("test", PYTEST_ADDOPTS=f"-k '{SELECTED}'", CI="true", **NO_NETWORK)
        assert done.returncode == 2
        assert re.search(r"\d+ passed, \d+ errors", done.stdout.splitlines()[-1])
        assert "SKIPPED" not in done.stdout

    @pytest.mark.parametrize("target", ["run", "docs", "check"])
    def test_no_network_is_needed_any_more(self, machine: Machine, target: str) -> None:
        done = machine.make(target, **NO_NETWORK)
        assert done.returncode == 0, end(done)

    def test_the_home_is_as_empty_as_before(self, machine: Machine) -> None:
        assert list(machine.home.iterdir()) == []
