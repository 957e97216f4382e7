"""R1 alone, and R1 and one other: every interleaving, every crash of R1, every lost reply to its writes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.interleavings.cases import alone, pairs, repeated_edits
from tests.interleavings.explorer import Case, Exploration, explore
from tests.interleavings.invariants import KNOWN


@pytest.mark.parametrize("case", [*alone(), *pairs(), *repeated_edits()], ids=lambda case: case.name)
def test_every_invariant_holds(case: Case, tell: Callable[[Exploration], None]) -> None:
    report = explore(case)
    tell(report)
    assert report.complete
    assert not report.unknown, report.unknown_text


def test_what_is_known_happens() -> None:
    """Nothing stays on the known list that no schedule shows any more."""
    found = {finding.problem.known for case in pairs(skews=[0]) for finding in explore(case).findings.values()}
    assert set(KNOWN) <= found
