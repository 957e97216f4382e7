"""Every schedule of some actors, and what each comes to.

A schedule is a list of choices: who makes its next call, who dies, which reply is lost. They are not run one by
one. Two schedules that lead to the same world, with every actor answered the same, go on alike, so the search goes
over such **states**, in the order of their depth, and carries along how many schedules lead to each: the number of
schedules is exact, the number of states is what was worked through. The first schedule found is a shortest one.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from _pytest.mark import ParameterSet

from spot_runner_provider.protocol.calls import Call, Commit, ForgetIntent, LogIntent, Pause, PutConfig
from tests.interleavings.actors import LOST_REPLY, NO_PUT, OUT_OF_REACH, REFUSED, Actor, Step
from tests.interleavings.invariants import (
    ENDLESS,
    MOST_INTENTS,
    Problem,
    broken_by,
    healthy_runs,
    verdict,
    wrong_write,
)
from tests.interleavings.model import World, land, perform, perform_other
from tests.interleavings.words import say

IDLE, DONE = -1, -2
"""In place of a step's number: an actor that has not begun (a retry), and one that is through or dead."""

PAUSE, PAUSES = 3 * 60, 2
"""Seconds that a throttled put waits at a time, and how often; both together are longer than an intent may be old."""


@dataclass(frozen=True)
class Case:
    """Actors, the world that they meet in, and what may go wrong.

    :param crashes: number of actors that die, out of those that may.
    :param lost: number of replies that are lost, or puts that are refused for now, of those that may be.
    :param late: whether a put whose reply is lost may arrive later than its sender believes.
    :param versions: how many new versions of the parameter must come of it.
    :param dry: whether nothing may be written.
    :param remedy: what a person must do, once all is over, before the next run can put it right.
    :param calls: how many calls must be enough for those of ours.
    :param tidy: whether no intent may be left.
    :param endless: whether others may keep a try from ending well.
    """

    name: str
    world: World
    actors: tuple[Actor, ...]
    crashes: int = 0
    lost: int = 0
    late: bool = False
    versions: int | None = None
    dry: bool = False
    remedy: Callable[[World], World] | None = None
    calls: int | None = None
    tidy: bool = False
    endless: bool = False


@dataclass
class Finding:
    """A kind of problem: in how many schedules, and the first of them, a line a step."""

    problem: Problem
    schedules: int
    steps: list[str]

    def __str__(self) -> str:
        lines = [f"{self.problem}, in {self.schedules:,} schedules; the shortest ({len(self.steps)} steps):"]
        return "\n".join([*lines, *(f"    {number:2} {step}" for number, step in enumerate(self.steps, 1))])


@dataclass
class Exploration:
    """What exploring a case came to."""

    case: str
    schedules: int = 0
    states: int = 0
    seconds: float = 0.0
    findings: dict[Problem, Finding] = field(default_factory=dict)

    @property
    def unknown(self) -> list[Finding]:
        """The findings that nobody has named."""
        return [finding for finding in self.findings.values() if finding.problem.known is None]

    @property
    def unknown_text(self) -> str:
        """Those findings, readable."""
        return "\n\n".join(map(str, self.unknown))

    def __str__(self) -> str:
        known = ", ".join(
            f"{finding.problem.known} {finding.schedules:,}"
            for finding in self.findings.values()
            if finding.problem.known
        )
        return f"{self.case:46} {self.schedules:>26,} schedules {self.states:>9,} states {self.seconds:6.1f} s" + (
            f"  known: {known}" if known else ""
        )


class State(NamedTuple):
    """A point that a schedule reaches: the world and the actors' steps, by number, and what may still go wrong."""

    world: int
    places: tuple[int, ...]
    crashes: int
    lost: int


class Move(NamedTuple):
    """What an actor can do: how schedules tell it, the world after it, where it stands, and what it used up."""

    told: str
    world: int
    place: int
    crashes: int = 0
    lost: int = 0
    fails: bool = False


class Explorer:
    """The search over the states of one case.

    :param stop: called with each new finding; exploring ends when it returns true.
    """

    def __init__(self, case: Case, stop: Callable[[Problem], bool] = lambda problem: False) -> None:
        self._case = case
        self._stop = stop
        self._actors: tuple[Actor, ...] = case.actors + tuple(retry for a in case.actors for retry in a.retries)
        self._retry = {number: self._actors.index(a.retry) for number, a in enumerate(self._actors) if a.retry}
        self._worlds: list[World] = []
        self._world_numbers: dict[World, int] = {}
        self._twins: list[tuple[Step, Step | None]] = []
        self._twin_numbers: dict[tuple[int, int | None], int] = {}
        self._moves: dict[tuple[int, int, int], list[Move]] = {}
        self._verdicts: dict[int, list[Problem]] = {}
        ours = next(actor for actor in self._actors if actor.ours)
        self._healthy = healthy_runs(ours.protocol)

    @property
    def actors(self) -> list[Actor]:
        """Everybody, and those who run once all is over."""
        return [*self._actors, *self._healthy]

    @property
    def ends(self) -> list[World]:
        """The worlds that schedules ended in."""
        return [self._worlds[number] for number in self._verdicts]

    def explore(self) -> Exploration:
        """Go through all schedules, unless it is stopped."""
        began = time.monotonic()
        report = Exploration(self._case.name)
        layer = {self._first(): 1}
        before: dict[State, tuple[State, str] | None] = dict.fromkeys(layer)
        stopped = False
        while layer and not stopped:
            following: dict[State, int] = {}
            for state, count in layer.items():
                ended = True
                for after, told in self._after(state):
                    ended = False
                    following[after] = following.get(after, 0) + count
                    if after not in before:
                        before[after] = (state, told)
                if ended:
                    report.schedules += count
                    for problem in self._judge(state.world):
                        if problem not in report.findings:
                            report.findings[problem] = Finding(problem, 0, _steps(before, state))
                        report.findings[problem].schedules += count
                        if self._stop(problem):
                            stopped = True
            layer = following
        report.states = len(before)
        report.seconds = time.monotonic() - began
        return report

    def _first(self) -> State:
        places = [self._place(actor, actor.begin(0)) for actor in self._case.actors]
        idle = [IDLE] * (len(self._actors) - len(places))
        return State(self._number(self._case.world), (*places, *idle), self._case.crashes, self._case.lost)

    def _after(self, state: State) -> Iterator[tuple[State, str]]:
        """Yield every state that one choice leads to, and the choice in words."""
        world, places, crashes, lost = state
        for who, place in enumerate(places):
            if place < 0:
                continue
            key = (world, who, place)
            if key not in self._moves:
                self._moves[key] = list(self._possible(world, who, place))
            for move in self._moves[key]:
                if move.crashes <= crashes and move.lost <= lost:
                    after = list(places)
                    after[who] = move.place
                    if move.fails and who in self._retry and after[self._retry[who]] == IDLE:
                        retry = self._retry[who]
                        began = self._actors[retry].begin(self._worlds[move.world].time)
                        after[retry] = self._place(self._actors[retry], began)
                    yield State(move.world, tuple(after), crashes - move.crashes, lost - move.lost), move.told
        flying = self._worlds[world].flying
        for number in range(len(flying)):
            landed = self._number(land(self._worlds[world], number))
            yield State(landed, places, crashes, lost), f"{flying[number][0]:4} the put that was given up arrives"

    def _possible(self, number: int, who: int, place: int) -> Iterator[Move]:
        """Yield what an actor can do next in a world."""
        actor, world = self._actors[who], self._worlds[number]
        step, shadow = self._twins[place]
        call = step.call
        assert call is not None
        if not actor.ours:
            yield self._other(actor, world, step, shadow)
            return
        answer, after = perform(world, call, actor.name, actor.clock(world.time), actor.protocol.commit)
        for invariant, what in wrong_write(actor.name, call, step.answers, dry=self._case.dry):
            after = after.blame(invariant, what)
        after = _reacting(after, call)
        told = f"{actor.name:4} {say(call)}"
        yield self._move(f"{told} -> {say(answer)}", actor, after, step.answered(world.time, answer))
        if actor.crashes:
            yield Move(f"{actor.name:4} dies before: {say(call)}", number, DONE, crashes=1, fails=True)
        yield from self._delays(actor, world, step, told)
        if actor.failing:
            yield from self._failures(actor, world, step, told, after)
        if actor.faulty:
            yield from self._faults(actor, world, step, place, told, answer, after)

    def _delays(self, actor: Actor, world: World, step: Step, told: str) -> Iterator[Move]:
        """Yield how SSM may refuse a put for now, and let it wait."""
        if isinstance(step.call, PutConfig):
            for error in actor.hindered:
                refused = step.answered(world.time, error)
                yield self._move(f"{told} -> {error}", actor, _reacting(world, error), refused, lost=1)
        if actor.waits and isinstance(step.call, Pause) and step.answers.count(False) < PAUSES:
            later = world._replace(time=world.time + PAUSE)
            yield self._move(f"{told} -> not yet", actor, later, step.answered(later.time, False))
            yield self._move(f"{told} -> {NO_PUT}", actor, later, step.answered(later.time, NO_PUT))

    def _failures(self, actor: Actor, world: World, step: Step, told: str, after: World) -> Iterator[Move]:
        """Yield how a call may fail that would lead to ``after``."""
        for error in (REFUSED, OUT_OF_REACH):
            yield self._move(f"{told} -> {error}", actor, world, step.answered(world.time, error), lost=1)
        if after != world and not isinstance(step.call, PutConfig):  # it cannot be told from a put that was applied
            failed = step.answered(world.time, OUT_OF_REACH)
            yield self._move(f"{told} -> applied, {OUT_OF_REACH}", actor, after, failed, lost=1)

    def _faults(
        self, actor: Actor, world: World, step: Step, place: int, told: str, answer: Any, after: World
    ) -> Iterator[Move]:
        """Yield what else may become of a call that would be answered so, and lead to ``after``."""
        call = step.call
        if isinstance(call, Commit) and actor.name not in world.unsure:
            yield self._move(f"{told} -> refused", actor, world, step.answered(world.time, REFUSED), lost=1)
        if isinstance(call, Commit | LogIntent | ForgetIntent) or (
            isinstance(call, PutConfig) and actor.protocol.repeats
        ):
            if isinstance(call, Commit):  # a refusal is none any more
                after = after._replace(unsure=tuple({*after.unsure, actor.name}))
            yield Move(f"{told} -> {say(answer)}, the reply is lost: once more", self._number(after), place, lost=1)
        elif isinstance(call, PutConfig):
            unsure = step.answered(world.time, LOST_REPLY)
            yield self._move(f"{told} -> applied, the reply is lost", actor, after, unsure, lost=1)
            yield self._move(f"{told} -> not applied, no reply", actor, world, unsure, lost=1)
            if self._case.late:
                put = (actor.name, call.config.version, call.text)
                flying = world._replace(flying=(*world.flying, put))
                yield self._move(f"{told} -> no reply, still on its way", actor, flying, unsure, lost=1)

    def _other(self, actor: Actor, world: World, step: Step, shadow: Step | None) -> Move:
        """Do what somebody else does next, and the same in the shadow."""
        assert step.call is not None
        answer, after, tables = perform_other(world, world.real, step.call, actor.name)
        after = after._replace(real=tables)
        following = step.answered(world.time, answer)
        while shadow is not None and shadow.call is not None:
            said, _, tables = perform_other(world, after.shadow, shadow.call, actor.name)
            after = after._replace(shadow=tables)
            shadow = shadow.answered(world.time, said)
            if following.call is not None:
                break
        told = f"{actor.name:4} {say(step.call)} -> {say(answer)}"
        return self._move(told, actor, after, following, shadow)

    def _move(
        self, told: str, actor: Actor, world: World, step: Step, shadow: Step | None = None, lost: int = 0
    ) -> Move:
        if step.error is not None:
            told += f"; fails: {step.error}"
        for what in broken_by(actor.name, step, self._case.calls, endless=self._case.endless) if actor.ours else ():
            world = world.blame("I12", what)
        place = self._place(actor, step, shadow)
        return Move(told, self._number(world), place, lost=lost, fails=step.error is not None)

    def _place(self, actor: Actor, step: Step, shadow: Step | None = None) -> int:
        if step.call is None or len(step.events) > ENDLESS:
            return DONE
        if shadow is None and not actor.ours:
            shadow = step
        key = (step.number, None if shadow is None else shadow.number)
        if key not in self._twin_numbers:
            self._twin_numbers[key] = len(self._twins)
            self._twins.append((step, shadow))
        return self._twin_numbers[key]

    def _number(self, world: World) -> int:
        if world not in self._world_numbers:
            self._world_numbers[world] = len(self._worlds)
            self._worlds.append(world)
        return self._world_numbers[world]

    def _judge(self, world: int) -> list[Problem]:
        if world not in self._verdicts:
            case = self._case
            died = case.crashes or case.world.intents
            prompt = not (died or case.lost or case.late or case.dry or case.remedy or case.endless)
            end = self._worlds[world] if case.remedy is None else case.remedy(self._worlds[world])
            beside = sum(actor.ours for actor in case.actors) - 1
            self._verdicts[world] = verdict(
                end,
                self._healthy,
                versions=case.versions,
                prompt=prompt,
                most=0 if case.tidy else MOST_INTENTS + beside,
            )
        return self._verdicts[world]


def _steps(before: dict[State, tuple[State, str] | None], state: State) -> list[str]:
    steps = []
    while (link := before[state]) is not None:
        state, told = link
        steps.append(told)
    return steps[::-1]


def dying(actor: Actor, world: World, calls: int, before: Iterable[tuple[int, Actor]] = ()) -> World:
    """Return the world after one of ours has made some calls, and died.

    :param before: others, each with the number of the call (from 0 on) before which it does all that it does.
    """
    step = actor.begin(world.time)
    for number in range(calls):
        for other in [other for place, other in before if place == number]:
            world = doing_all(world, other)
        if step.call is not None:
            answer, world = perform(world, step.call, actor.name, actor.clock(world.time), actor.protocol.commit)
            step = step.answered(world.time, answer)
    return world


def _reacting(world: World, event: Call | Exception) -> World:
    """Return the world after the other program that waits for this event, if any, has done all that it does."""
    if world.reactions and isinstance(event, world.reactions[0][0]):
        (_, other), *later = world.reactions
        return doing_all(world._replace(reactions=tuple(later)), other)
    return world


def doing_all(world: World, other: Actor) -> World:
    """Return the world after one of the others has done all that it does."""
    step = other.begin(world.time)
    while step.call is not None:
        answer, world, tables = perform_other(world, world.real, step.call, other.name)
        _, _, shadow = perform_other(world, world.shadow, step.call, other.name)
        world = world._replace(real=tables, shadow=shadow)
        step = step.answered(world.time, answer)
    return world


def explore(case: Case, stop: Callable[[Problem], bool] | None = None) -> Exploration:
    """Explore a case; see :class:`Explorer`."""
    gc.disable()  # millions of tuples, none of them in a cycle
    try:
        return Explorer(case, stop or (lambda problem: False)).explore()
    finally:
        gc.enable()


class Explorations(dict[str, Exploration]):
    """Name of a case -> what exploring it came to, which is found out once, when it is first asked for.

    :param normal: cases of every run
    :param more: cases of the long profile; those that are normal as well stay so
    """

    def __init__(self, normal: Iterable[Case], more: Iterable[Case] = ()) -> None:
        super().__init__()
        self._normal = {case.name: case for case in normal}
        self._cases = self._normal | {case.name: case for case in more}

    def __missing__(self, name: str) -> Exploration:
        self[name] = explore(self._cases[name])
        return self[name]

    def names(self) -> list[ParameterSet]:
        """Return the names as parameters of a test."""
        return [pytest.param(name, marks=[] if name in self._normal else [pytest.mark.long]) for name in self._cases]

    def known(self, cases: Iterable[Case]) -> set[str | None]:
        """Return the names of what was found in these cases."""
        return {finding.problem.known for case in cases for finding in self[case.name].findings.values()}
