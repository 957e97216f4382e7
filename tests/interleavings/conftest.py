"""What was explored, told at the end of the run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.interleavings.explorer import Exploration

LINE, SCHEDULES = "interleavings", "schedules"


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[Exploration | str], None]:
    """Return a function that has a line, or what exploring a case came to, printed after the last test."""

    def record(what: Exploration | str) -> None:
        record_property(LINE, str(what))
        if isinstance(what, Exploration):
            record_property(SCHEDULES, (what.schedules, what.states))

    return record


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests told, and the sum."""
    reports = [report for some in terminalreporter.stats.values() for report in some if hasattr(report, "when")]
    told = [each for report in reports if report.when == "call" for each in report.user_properties]
    sums = [value for name, value in told if name == SCHEDULES]
    if not told:
        return
    terminalreporter.section("interleavings")
    for name, value in told:
        if name == LINE:
            terminalreporter.write_line(str(value))
    total = f"{sum(schedules for schedules, _ in sums):,} schedules by {sum(states for _, states in sums):,} states"
    terminalreporter.write_line(f"{len(sums)} cases, {total}")
