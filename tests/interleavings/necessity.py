"""What becomes of a changed protocol: the explorer catches it, or it makes the same calls, or it goes undetected."""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import NamedTuple

from tests.interleavings.actors import Actor, Step
from tests.interleavings.cases import (
    Faults,
    abandoned,
    alone,
    beyond,
    failing,
    finishing,
    lockstep,
    overtaken,
    pairs,
    repeated_edits,
    slow,
    taken_back,
    three_tries,
    triples,
    undisturbed,
    vanishing,
    waiting,
)
from tests.interleavings.explorer import Case, Explorer, explore
from tests.interleavings.protocols import REAL, Protocol

FAULTS = Faults(1, 1)

HANGS_AFTER = 60
"""Seconds of processor time after which a protocol is taken to hang; the largest case takes a tenth."""


def cases(protocol: Protocol) -> Iterator[Case]:
    """The cases that changed protocols are put through, small ones first, but for those that only count calls."""
    yield from alone(protocol, [FAULTS])
    yield from failing(protocol)
    yield from vanishing(protocol)
    yield from abandoned(protocol)
    yield from pairs(protocol, [FAULTS], skews=[0, 5])
    yield from pairs(protocol, [Faults(1, 1, hindered=True)], skews=[0])
    yield from repeated_edits(protocol)
    yield from waiting(protocol)
    yield from finishing(protocol)
    yield from taken_back(protocol)
    yield from slow(protocol)
    yield from beyond(protocol)
    yield from undisturbed(protocol)
    yield from overtaken(protocol)
    yield from lockstep(protocol)
    yield from three_tries(protocol)
    yield from triples(protocol=protocol)


class Fate(Enum):
    """What became of a changed protocol: no call differs in the first two."""

    SAME = "same"
    OTHER_RESULTS = "other results"
    SURVIVES = "survives"
    CAUGHT = "caught"


ORDER = list(Fate)


class Hangs(BaseException):
    """A protocol makes no call and does not end. The protocol cannot catch it as a store's error."""


def explore_all() -> list[Case]:
    """Explore each case with the real protocol, which remembers all the ways that it went; return the cases."""
    explored = list(cases(REAL))
    for case in explored:
        report = explore(case)
        assert not report.unknown, report.unknown_text
    return explored


class Found(NamedTuple):
    """What became of a changed protocol; if it was caught, the case, and what it breaks there."""

    fate: Fate
    case: str = ""
    broken: str = ""


def fate(protocol: Protocol, explored: Collection[Case]) -> Found:
    """Return what becomes of a changed protocol.

    It goes the ways that the real one went, which are far fewer than the schedules. A case is explored only if a call
    differs on a way that somebody in it may go; with the same calls no schedule can differ.

    :param explored: the cases, with the real protocol.
    """
    compared, where, changed = _Compared(), "", cases(protocol)
    try:
        for real in explored:
            with _limited():
                case = next(changed)
                where = case.name
                differs = real.world != case.world or compared.any_call(real, case)
            if differs and (problem := breaks(case)):
                return Found(Fate.CAUGHT, where, problem)
    except Hangs:
        return Found(Fate.CAUGHT, where, "I12: it hangs")
    return Found(compared.fate)


def still_caught(protocol: Protocol, before: Found) -> Found | None:
    """Return that the case which caught a changed protocol before does so still, and how, if it does."""
    case = next((case for case in cases(protocol) if case.name == before.case), None)
    problem = breaks(case) if case else ""
    return before._replace(broken=problem) if problem else None


def breaks(case: Case) -> str:
    """Return what a changed protocol breaks in a case, if anything."""
    try:
        with _limited():
            unknown = explore(case, stop=lambda problem: problem.known is None).unknown
    except Hangs:
        return "I12: it hangs"
    return str(unknown[0].problem) if unknown else ""


class _Compared:
    """What differs between the real protocol and a changed one, for those that start alike."""

    def __init__(self) -> None:
        self._fates: dict[int, Fate] = {}

    @property
    def fate(self) -> Fate:
        """What differs at most."""
        return max(self._fates.values(), key=ORDER.index)

    def any_call(self, real: Case, case: Case) -> bool:
        """Return whether a call differs of anybody who takes part."""
        pairs = zip(Explorer(real).actors, Explorer(case).actors, strict=True)
        return any(self._fate(one, other) is Fate.SURVIVES for one, other in pairs if one.ours)

    def _fate(self, one: Actor, other: Actor) -> Fate:
        if id(one.steps) not in self._fates:
            fates = (_difference(step, other.begin(time)) for time, step in one.steps.items())
            self._fates[id(one.steps)] = max(fates, key=ORDER.index, default=Fate.SAME)
        return self._fates[id(one.steps)]


def _difference(one: Step, other: Step) -> Fate:
    """Return what differs from a step on: a call, or what it comes to, or nothing."""
    found, pairs = Fate.SAME, [(one, other)]
    while pairs:
        one, other = pairs.pop()
        if one.call != other.call or type(one.error) is not type(other.error):
            return Fate.SURVIVES
        if one.result != other.result or str(one.error) != str(other.error):
            found = Fate.OTHER_RESULTS
        pairs += [(after, other.answered(*after.events[-1])) for after in one.following]
    return found


@contextmanager
def _limited() -> Iterator[None]:
    """Raise :class:`Hangs` if what is done within takes more processor time than anything should."""

    def end(*_: object) -> None:
        raise Hangs

    signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANGS_AFTER)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
