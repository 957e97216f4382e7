"""R1 and two others: every interleaving; and with crashes and lost replies of R1, as far as the time goes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from tests.interleavings.cases import SKEWS, Faults, triples
from tests.interleavings.explorer import Case, Exploration, explore

SECONDS = float(os.environ.get("INTERLEAVINGS_SECONDS", "120"))
"""Time for the triples with crashes; 120 takes them all."""

FAULTS = [Faults(crashes, lost, retried) for crashes, lost in [(1, 0), (0, 1)] for retried in (False, True)]


@pytest.mark.parametrize("case", triples(skews=SKEWS), ids=lambda case: case.name)
def test_every_invariant_holds(case: Case, tell: Callable[[Exploration], None]) -> None:
    report = explore(case)
    tell(report)
    assert report.complete
    assert not report.unknown, report.unknown_text


def test_every_invariant_holds_with_crashes_and_lost_replies(tell: Callable[[Exploration | str], None]) -> None:
    end = time.monotonic() + SECONDS
    cases = [case for faults in FAULTS for case in triples(faults)]
    cases.sort(key=lambda case: "of the same run+E newer" in case.name)  # by far the largest
    wrong = []
    for number, case in enumerate(cases):
        left = end - time.monotonic()
        if left <= 0:
            tell(f"out of time: {len(cases) - number} of {len(cases)} triples with crashes or lost replies left out")
            break
        report = explore(case, left)
        tell(report)
        wrong += [f"{case.name}: {report.unknown_text}"] if report.unknown else []
    assert not wrong, "\n\n".join(wrong)


def test_what_is_lost_without_us_too_happens() -> None:
    found = {finding.problem.known for case in triples() for finding in explore(case).findings.values()}
    assert "lost without us too" in found
