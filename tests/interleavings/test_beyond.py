"""Worse than what is promised: both reconcilers die, a put arrives late, a sleeper wakes after others cleaned up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.interleavings.cases import abandoned, beyond, finishing, slow, taken_back
from tests.interleavings.explorer import Exploration, Explorations

FOUND = Explorations([*beyond(), *finishing(), *abandoned(), *taken_back(), *slow()])


@pytest.mark.parametrize("name", FOUND.names())
def test_every_invariant_holds(name: str, tell: Callable[[Exploration], None]) -> None:
    tell(FOUND[name])
    assert not FOUND[name].unknown, FOUND[name].unknown_text


def test_what_a_late_restoration_cannot_prevent_happens() -> None:
    """Nothing stays on the known list that no schedule shows any more."""
    assert "write-back of a restored key" in FOUND.known(finishing())
