"""R1 and two others: every interleaving; and with a crash or a lost reply of R1."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.interleavings.cases import SKEWS, Faults, triples
from tests.interleavings.explorer import Case, Exploration, Explorations, explore

FAULTS = [Faults(crashes, lost, retried) for crashes, lost in [(1, 0), (0, 1)] for retried in (False, True)]
FAULTY = [
    pytest.param(case, id=case.name, marks=[pytest.mark.long] if number else [])
    for faults in FAULTS
    for number, case in enumerate(triples(faults))
]
"""The first of each fault is the smallest."""

FOUND = Explorations(triples(skews=SKEWS))
NORMAL = {case.name for case in triples()}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in NORMAL else [pytest.mark.long]) for name in FOUND.cases]
)
def test_every_invariant_holds(name: str, tell: Callable[[Exploration], None]) -> None:
    tell(FOUND[name])
    assert not FOUND[name].unknown, FOUND[name].unknown_text


@pytest.mark.parametrize("case", FAULTY)
def test_every_invariant_holds_with_a_crash_or_a_lost_reply(case: Case, tell: Callable[[Exploration], None]) -> None:
    report = explore(case)
    tell(report)
    assert not report.unknown, report.unknown_text


def test_what_is_lost_without_us_too_happens() -> None:
    assert "lost without us too" in FOUND.known(NORMAL)
