"""The explorer has teeth: each protocol that is wrong in one thing breaks an invariant."""

from __future__ import annotations

import pytest

from tests.figures import Figure
from tests.interleavings.explorer import Case, Finding, explore
from tests.interleavings.mutants import MUTANTS
from tests.interleavings.necessity import cases
from tests.interleavings.protocols import Protocol

LONGEST = "an intent stands for all that it outreaches"
"""The mutant that takes three tries to be caught."""


def first_kill(protocol: Protocol) -> tuple[Case, Finding] | None:
    """Return the first case that shows the mutant wrong, and how."""
    for case in cases(protocol):
        unknown = explore(case, stop=lambda problem: problem.known is None).unknown
        if unknown:
            return case, unknown[0]
    return None


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.long] * (name == LONGEST)) for name in MUTANTS])
def test_a_mutant_is_caught(name: str, figure: Figure) -> None:
    kill = first_kill(MUTANTS[name]())
    assert kill is not None, "no invariant tells it from the real protocol"
    case, finding = kill
    problem, steps = finding.problem, len(finding.steps)
    figure("mutants", f"{name:40} {problem.invariant}  {steps:2} steps  {case.name}: {problem.what}")
