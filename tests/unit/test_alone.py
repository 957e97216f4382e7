"""Two calls of one make target in one folder: the second one is refused while the first one runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "alone.py"


def alone(lock: Path, *command: str) -> list[str]:
    return [sys.executable, str(SCRIPT), str(lock), "It runs already.", *command]


def test_the_second_one_is_refused_until_the_first_one_ends(tmp_path: Path) -> None:
    lock = tmp_path / "locks" / "test"
    with subprocess.Popen(alone(lock, "cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdin
        assert first.stdout
        first.stdin.write("locked\n")
        first.stdin.flush()
        assert first.stdout.readline() == "locked\n"
        second = subprocess.run(alone(lock, "echo", "done"), capture_output=True, text=True)
        assert (second.returncode, second.stdout, second.stderr) == (75, "", "It runs already.\n")
    assert subprocess.run(alone(lock, "echo", "done"), capture_output=True, text=True).stdout == "done\n"


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_is_the_commands(tmp_path: Path, code: int) -> None:
    assert subprocess.run(alone(tmp_path / "test", "sh", "-c", f"exit {code}")).returncode == code


def test_a_folder_that_takes_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("a file")
    done = subprocess.run(alone(tmp_path / "locks" / "test", "true"), capture_output=True, text=True)
    assert done.returncode == 75
    assert done.stderr.startswith("This folder cannot be written to: ")
    assert str(tmp_path) in done.stderr
