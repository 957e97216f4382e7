"""R1 and two others: every interleaving; and with a crash or a lost reply of R1."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.interleavings.cases import SKEWS, Faults, triples
from tests.interleavings.explorer import Exploration, Explorations

FAULTS = [Faults(crashes, lost, retried) for crashes, lost in [(1, 0), (0, 1)] for retried in (False, True)]

THREE_TRIES = [case for case in triples(Faults(1, retried=True)) if "R2 of the same run+E newer failed" in case.name]
"""A try that dies, its retry, and one that lives beside both: which intent may stand for which?"""

FOUND = Explorations(
    # the first of each fault is the smallest
    normal=[*triples(), *THREE_TRIES, *(next(triples(faults)) for faults in FAULTS)],
    more=[*triples(skews=SKEWS), *(case for faults in FAULTS for case in triples(faults))],
)


@pytest.mark.parametrize("name", FOUND.names())
def test_every_invariant_holds(name: str, tell: Callable[[Exploration], None]) -> None:
    tell(FOUND[name])
    assert not FOUND[name].unknown, FOUND[name].unknown_text


def test_what_is_lost_without_us_too_happens() -> None:
    assert "lost without us too" in FOUND.known(triples())
