"""The explorer has teeth: each protocol that is wrong in one thing breaks an invariant."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.figures import Figure
from tests.interleavings.cases import Faults, alone, finishing, pairs, repeated_edits, three_tries, triples
from tests.interleavings.explorer import Case, Finding, explore
from tests.interleavings.invariants import Problem
from tests.interleavings.mutants import MUTANTS
from tests.interleavings.protocols import REAL, Protocol

FAULTS = Faults(1, 1)


def cases(protocol: Protocol) -> Iterator[Case]:
    """The cases that mutants are put through, small ones first."""
    yield from alone(protocol, [FAULTS])
    yield from pairs(protocol, [FAULTS], skews=[0, 5])
    yield from pairs(protocol, [replace(FAULTS, hindered=True)], skews=[0])
    yield from repeated_edits(protocol)
    yield from finishing(protocol)
    yield from three_tries(protocol)
    yield from triples(protocol=protocol)


@functools.cache
def problems_of_the_real_protocol(number: int) -> frozenset[Problem]:
    """What the real protocol gets wrong in a case: no merit of a mutant."""
    case = list(cases(REAL))[number]
    return frozenset(finding.problem for finding in explore(case).unknown)


def first_kill(protocol: Protocol) -> tuple[Case, Finding] | None:
    """Return the first case that shows the mutant wrong, and how."""
    for number, case in enumerate(cases(protocol)):
        is_new = functools.partial(_is_new, number)
        for finding in explore(case, stop=is_new).unknown:
            if is_new(finding.problem):
                return case, finding
    return None


def _is_new(number: int, problem: Problem) -> bool:
    return problem.known is None and problem not in problems_of_the_real_protocol(number)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught(name: str, figure: Figure) -> None:
    kill = first_kill(MUTANTS[name]())
    assert kill is not None, "no invariant tells it from the real protocol"
    case, finding = kill
    problem, steps = finding.problem, len(finding.steps)
    figure("mutants", f"{name:40} {problem.invariant}  {steps:2} steps  {case.name}: {problem.what}")
