"""R1 alone, and R1 and one other: every interleaving, every crash of R1, every lost reply to its writes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.interleavings.cases import alone, pairs, repeated_edits
from tests.interleavings.explorer import Exploration, Explorations
from tests.interleavings.invariants import KNOWN

FOUND = Explorations([*alone(), *pairs(), *repeated_edits()])


@pytest.mark.parametrize("name", FOUND.cases)
def test_every_invariant_holds(name: str, tell: Callable[[Exploration], None]) -> None:
    tell(FOUND[name])
    assert not FOUND[name].unknown, FOUND[name].unknown_text


def test_what_is_known_happens() -> None:
    """Nothing stays on the known list that no schedule shows any more."""
    assert set(KNOWN) <= FOUND.known(case.name for case in pairs(skews=[0]))
