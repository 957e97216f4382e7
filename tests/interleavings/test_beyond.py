"""Worse than what is promised: both reconcilers die, a put arrives late, a sleeper wakes after others cleaned up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.interleavings.cases import beyond, finishing
from tests.interleavings.explorer import Case, Exploration, explore


@pytest.mark.parametrize("case", [*beyond(), *finishing()], ids=lambda case: case.name)
def test_every_invariant_holds(case: Case, tell: Callable[[Exploration], None]) -> None:
    report = explore(case)
    tell(report)
    assert report.complete
    assert not report.unknown, report.unknown_text
