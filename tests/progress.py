"""A line where no test has ended for a while, so that nobody takes a long test for one that hangs."""

from __future__ import annotations

import threading
import time
from typing import Protocol

import pytest

SILENCE = 15.0
"""Seconds without the end of a test, after which a line tells what is under way."""


class Terminal(Protocol):
    """What is used of pytest's terminal reporter."""

    def ensure_newline(self) -> None:
        """Begin a line, if the last one has not ended."""

    def write_line(self, line: str) -> None:
        """Print a line."""


class Progress:
    """Watches over the run in a thread of its own: pytest has no hook for "nothing happens"."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._lock = threading.Lock()
        self._began = self._heard = time.monotonic()
        self._running: dict[str, float] = {}
        self._count = self._ended = 0
        self._over = threading.Event()

    def pytest_sessionstart(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, daemon=True).start()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Learn how many tests there are, where this process collects them itself."""
        self._count = len(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Learn it from a worker."""
        self._count = len(ids)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        with self._lock:
            self._running[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """A test has ended."""
        with self._lock:
            self._running.pop(nodeid, None)
            self._ended += 1
            self._heard = time.monotonic()

    def pytest_sessionfinish(self) -> None:
        """Stop watching."""
        self._over.set()

    def line(self, now: float) -> str:
        """Return what is told."""
        with self._lock:
            running = [f"{test} ({now - since:.0f} s)" for test, since in self._running.items()]
        at = f"{self._ended:,} of {self._count:,} tests done" if self._count else "collecting the tests"
        return "; ".join([f"[{_minutes(now - self._began)}] {at}", *running])

    def _watch(self) -> None:
        while not self._over.wait(max(0.1, self._heard + SILENCE - time.monotonic())):
            now = time.monotonic()
            if now - self._heard >= SILENCE:
                self._heard = now
                self._terminal.ensure_newline()
                self._terminal.write_line(self.line(now))


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02} min"
