"""What is said where a program is missing, and that CI never passes for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import needs

PROJECT = Path(__file__).parents[2]

TEST = """
import pytest

@pytest.mark.needs({name!r})
@pytest.mark.parametrize("number", range(3))
def test_it(number):
    pass
"""


def run(folder: Path, *names: str, **environment: str) -> list[str]:
    """Run two files of tests without the programs that they need; return the last lines."""
    for file, name in zip(("test_one.py", "test_two.py"), names, strict=True):
        (folder / file).write_text(TEST.format(name=name))
    inherited = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PYTEST_")}
    options = ("-p", "tests.needs", "-c", str(PROJECT / "pyproject.toml"), "--rootdir", str(folder))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(folder)],
        cwd=PROJECT,
        env=inherited | {"PATH": ""} | environment,
        capture_output=True,
        text=True,
    )
    return done.stdout.splitlines()


def test_one_line_names_the_need_its_tests_and_the_remedy(tmp_path: Path) -> None:
    *_, line, last = run(tmp_path, "chromium", "chromium")
    reason = r"chromium is missing \(apt-get install chromium\) for test_one\.py, test_two\.py"
    assert re.fullmatch(rf"SKIPPED \[6\] .*needs\.py:\d+: {reason}", line)
    assert "6 skipped" in last


def test_each_program_has_a_line(tmp_path: Path) -> None:
    lines = run(tmp_path, "chromium", "redis-server")
    assert [line.partition(": ")[2].split()[0] for line in lines if line.startswith("SKIPPED [3]")] == [
        "chromium",
        "redis-server",
    ]


def test_in_ci_it_fails(tmp_path: Path) -> None:
    lines = run(tmp_path, "chromium", "redis-server", CI="true")
    assert "6 errors" in lines[-1]
    assert "chromium is missing (apt-get install chromium) for test_one.py" in lines


def test_services_are_kept_from_starting_while_root_installs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "POLICY", policy := tmp_path / "policy-rc.d")
    with needs.no_services_started():
        assert subprocess.run([policy]).returncode == 101
    assert not policy.exists()


def test_a_policy_that_is_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "POLICY", policy := tmp_path / "policy-rc.d")
    policy.write_text("mine")
    with needs.no_services_started():
        assert policy.read_text() == "mine"
    assert policy.read_text() == "mine"
