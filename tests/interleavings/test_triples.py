"""R1 and two others: every interleaving; and with a crash or a lost reply of R1."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.interleavings.cases import SKEWS, Faults, three_tries, triples
from tests.interleavings.explorer import Exploration, Explorations
from tests.nightly import NIGHTLY

FAULTS = [Faults(crashes, lost, retried) for crashes, lost in [(1, 0), (0, 1)] for retried in (False, True)]

HUGE = [f"R1+R2 of the same run+E newer ({fault}, retried)" for fault in ("crash", "lost reply")]
"""Minutes each, so they are left to ``make test-nightly``."""

MORE = [*triples(skews=SKEWS), *(case for faults in FAULTS for case in triples(faults))]

FOUND = Explorations(
    # the first of each fault is the smallest
    normal=[*triples(), *three_tries(), *(next(triples(faults)) for faults in FAULTS)],
    more=[case for case in MORE if NIGHTLY or case.name not in HUGE],
)


@pytest.mark.parametrize("name", FOUND.names())
def test_every_invariant_holds(name: str, tell: Callable[[Exploration], None]) -> None:
    tell(FOUND[name])
    assert not FOUND[name].unknown, FOUND[name].unknown_text


def test_what_is_lost_without_us_too_happens() -> None:
    assert "lost without us too" in FOUND.known(triples())
