"""What somebody who waits for a long test reads."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests import progress
from tests.progress import Progress

PROJECT = Path(progress.__file__).parents[1]

RUN = """
import pytest
from tests.progress import Progress

class Look:
    def pytest_collection_finish(self, session):
        print("watched:", any(isinstance(plugin, Progress) for plugin in session.config.pluginmanager.get_plugins()))

pytest.main(["--collect-only", "-s", "-p", "no:cacheprovider", "tests/unit/test_progress.py"], plugins=[Look()])
"""


class Terminal:
    """What is printed, and an event for each line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.told = threading.Event()

    def ensure_newline(self) -> None:
        self.lines.append("")

    def write_line(self, line: str) -> None:
        self.lines.append(line)
        self.told.set()


def test_a_line_says_how_far_it_is_and_what_is_under_way() -> None:
    watch = Progress(Terminal())
    began = time.monotonic()
    assert watch.line(began + 8) == "[0:08 min] collecting the tests"
    watch.pytest_xdist_node_collection_finished(["a", "b", *map(str, range(2000))])
    watch.pytest_runtest_logstart("a")
    watch.pytest_runtest_logfinish("a")
    watch.pytest_runtest_logstart("b")
    assert watch.line(began + 200) == "[3:20 min] 1 of 2,002 tests done; b (200 s)"


def test_it_comes_by_itself_where_no_test_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SILENCE", 0.01)
    terminal = Terminal()
    watch = Progress(terminal)
    watch.pytest_sessionstart()
    assert terminal.told.wait(60)
    watch.pytest_sessionfinish()
    assert terminal.lines[0] == ""
    assert terminal.lines[1].endswith(" min] collecting the tests")


def test_every_run_has_it() -> None:
    done = subprocess.run([sys.executable, "-c", RUN], cwd=PROJECT, capture_output=True, text=True)
    assert "watched: True" in done.stdout, done.stdout + done.stderr
