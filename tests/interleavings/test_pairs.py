"""R1 alone, and R1 and one other: every interleaving, every crash of R1, every lost reply and failure of its calls."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.interleavings.cases import (
    ALL,
    alone,
    failing,
    lockstep,
    overtaken,
    pairs,
    repeated_edits,
    undisturbed,
    vanishing,
    waiting,
)
from tests.interleavings.explorer import Exploration, Explorations
from tests.interleavings.invariants import KNOWN

FOUND = Explorations(
    normal=[
        *alone(),
        *undisturbed(),
        *failing(),
        *vanishing(),
        *waiting(),
        *overtaken(),
        *lockstep(),
        *pairs(skews=[0]),
        *pairs(all_faults=ALL[:1]),
        *repeated_edits(),
    ],
    more=pairs(),
)


@pytest.mark.parametrize("name", FOUND.names())
def test_every_invariant_holds(name: str, tell: Callable[[Exploration], None]) -> None:
    tell(FOUND[name])
    assert not FOUND[name].unknown, FOUND[name].unknown_text


def test_what_is_known_happens() -> None:
    """Nothing stays on the known list that no schedule shows any more."""
    assert set(KNOWN) <= FOUND.known(pairs(skews=[0]))
