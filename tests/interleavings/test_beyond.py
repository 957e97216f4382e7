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


def test_what_a_late_restoration_cannot_prevent_happens() -> None:
    """Nothing stays on the known list that no schedule shows any more."""
    found = {finding.problem.known for case in finishing() for finding in explore(case).findings.values()}
    assert "write-back of a restored key" in found
