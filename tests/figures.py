"""What the tests showed, in figures: printed after the last test, each under its name in ``docs/reliability.md``."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

DOCUMENT = Path(__file__).parents[1] / "docs" / "reliability.md"
HEADING = "## Figures that the tests print\n"
PROPERTY = "figure"

Figure = Callable[[str, Any], None]


@cache
def documented() -> frozenset[str]:
    """Return the names in the document's table of figures."""
    table = DOCUMENT.read_text().partition(HEADING)[2].partition("\n## ")[0]
    return frozenset(re.findall(r"^\| `(.+?)` \|", table, re.M))


def interleavings(cases: Sequence[tuple[int, int]]) -> str:
    """Return what all cases came to: each has schedules and states."""
    schedules, states = map(sum, zip(*cases, strict=True))
    return f"{len(cases)} cases, {schedules:,} schedules by {states:,} states"


def storms(each: Sequence[tuple[int, int, int, int]]) -> str:
    """Return what all storms came to: each has calls, failed calls, failed tries, and runs."""
    calls, failed, tries, runs = zip(*each, strict=True)
    return (
        f"{len(each)}, {sum(calls):,} calls, {sum(failed):,} of them failed; {sum(tries)} tries failed; "
        f"{max(runs)} runs needed at most"
    )


SUMS: dict[str, Callable[[Any], str]] = {"interleavings": interleavings, "storms": storms}
"""Name -> what the numbers that several tests told under it come to."""


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Return a function that has a figure printed after the last test.

    It takes the figure's name and a text, or a tuple of numbers that one of :data:`SUMS` sums up.
    """

    def tell(name: str, value: str | tuple[int, ...]) -> None:
        assert name in documented(), f"{DOCUMENT.name} has no figure {name!r}"
        record_property(PROPERTY, (name, value))

    return tell


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures: texts as they came, then the sums."""
    reports = [each for some in terminalreporter.stats.values() for each in some if hasattr(each, "when")]
    told = [each for report in reports if report.when == "call" for each in report.user_properties]
    figures = [value for name, value in told if name == PROPERTY]
    if not figures:
        return
    terminalreporter.section("figures")
    numbers = defaultdict(list)
    for name, value in figures:
        if isinstance(value, str):
            terminalreporter.write_line(f"{name}: {value}")
        else:
            numbers[name].append(value)
    for name, values in numbers.items():
        terminalreporter.write_line(f"{name}: {SUMS[name](values)}")
