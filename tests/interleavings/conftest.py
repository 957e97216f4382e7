"""What was explored, told at the end of the run (by ``tests/conftest.py``)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.interleavings.explorer import Exploration

LINE, SCHEDULES = "told", "schedules"


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[Exploration | str], None]:
    """Return a function that has a line, or what exploring a case came to, printed after the last test."""

    def record(what: Exploration | str) -> None:
        record_property(LINE, str(what))
        if isinstance(what, Exploration):
            record_property(SCHEDULES, (what.schedules, what.states))

    return record
