"""Who takes part: our reconcilers, which are the real generators, and the others, which are written here.

Every actor is a generator that yields a call and is sent the answer. A generator cannot be copied, but it is pure:
the same answers lead to the same next call. So where an actor stands is the list of what it was answered, and a
:class:`Step` of it, once reached, is remembered.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from spot_runner_provider.protocol.calls import AmbiguousPut, Busy, Call, PutsInVain, Refused, Throttled
from spot_runner_provider.protocol.candidate import Candidate, Run
from spot_runner_provider.records.ami_state import AmiState, Status, render_timestamp
from spot_runner_provider.records.image import Image
from tests.interleavings.model import (
    PRESET,
    REGION,
    Annotate,
    DeleteItem,
    Detect,
    FinishBuild,
    GetItem,
    GetParameter,
    ListIntents,
    PassTime,
    PutItem,
    PutParameter,
    StartBuild,
    ami_of_image,
    dumps,
    moment,
)
from tests.interleavings.protocols import REAL, Flow, Protocol

Clock = Callable[[], datetime]

_numbers = itertools.count()


class Step:
    """Where an actor stands: the call that it is about to make, or, with none left, what it came to.

    ``events`` is how it got here: the seconds that its start and each answer fell on, and the answers. The generator
    that got here goes on with the first answer that is asked for; for any other, a new one takes the way once more.
    """

    __slots__ = ("_next", "_running", "_start", "call", "error", "events", "number", "result")

    def __init__(
        self, start: Callable[[Clock], Flow], events: tuple[tuple[int, Any], ...], running: _Running | None = None
    ) -> None:
        self.number = next(_numbers)
        self.events = events
        self.call: Call | None = None
        self.result: Any = None
        self.error: Exception | None = None
        self._start = start
        self._next: dict[tuple[int, Any], Step] = {}
        self._running: _Running | None = running or _Running(start)
        for time, answer in events if running is None else events[-1:]:
            self._go_on(self._running, time, answer)

    def _go_on(self, running: _Running, time: int, answer: Any) -> None:
        try:
            self.call = running.answered(time, answer)
        except StopIteration as stop:
            self.call, self.result = None, stop.value
        except Exception as error:
            self.call, self.error = None, error

    def answered(self, time: int, answer: Any) -> Step:
        """Return where the actor stands once its call is answered (or has an exception thrown in)."""
        key = (time, repr(answer) if isinstance(answer, Exception) else answer)
        if key not in self._next:
            running, self._running = self._running, None
            self._next[key] = Step(self._start, (*self.events, (time, answer)), running)
        return self._next[key]

    @property
    def following(self) -> list[Step]:
        """Where it has gone on to so far."""
        return list(self._next.values())

    @property
    def answers(self) -> list[Any]:
        """What it was answered so far."""
        return [answer for _, answer in self.events[1:]]


class _Running:
    """A generator that has begun, and the second that its clock says."""

    __slots__ = ("_flow", "_time")

    def __init__(self, start: Callable[[Clock], Flow]) -> None:
        self._time = 0
        self._flow = start(lambda: moment(self._time))

    def answered(self, time: int, answer: Any) -> Call:
        """Return its next call, given the answer to the last one; ``None`` begins."""
        self._time = time
        if isinstance(answer, Exception):
            return self._flow.throw(answer)
        return self._flow.send(answer)


@dataclass(eq=False)
class Actor:
    """Somebody who takes part in a schedule.

    :param name: as schedules say it; ours begin with ``R``.
    :param start: makes the generator, given a clock.
    :param skew: seconds that its clock is ahead.
    :param crashes: whether it may die before any of its calls (once in a schedule).
    :param retry: the actor that takes over when it dies or fails, as Airflow's retry does.
    :param faulty: whether replies to its writes may be lost.
    :param failing: whether a call may fail, its retries too: refused, or out of reach, a write applied or not.
    :param hindered: how SSM may refuse a put of it for now.
    :param waits: whether a put that SSM throttled may have to wait, for minutes or in vain.
    :param protocol: what it runs, if it is one of ours.
    :param steps: where it stands when it has begun, by the second that it began at. Actors that start alike share them.
    """

    name: str
    start: Callable[[Clock], Flow]
    skew: int = 0
    crashes: bool = False
    retry: Actor | None = None
    faulty: bool = False
    failing: bool = False
    hindered: tuple[Refused, ...] = ()
    waits: bool = False
    protocol: Protocol = REAL
    steps: dict[int, Step] = field(default_factory=dict, repr=False)

    @property
    def retries(self) -> list[Actor]:
        """Those that take over, one after the other."""
        return [self.retry, *self.retry.retries] if self.retry else []

    @property
    def ours(self) -> bool:
        """Whether it is one of our reconcilers."""
        return self.name.startswith("R")

    def clock(self, time: int) -> datetime:
        """Return what its clock says at that time."""
        return moment(time + self.skew)

    def begin(self, time: int) -> Step:
        """Return where it stands when it starts at that time."""
        if time not in self.steps:
            ahead = timedelta(seconds=self.skew)
            self.steps[time] = Step(lambda clock: self.start(lambda: clock() + ahead), ((time, None),))
        return self.steps[time]


# Ours.


LOST_REPLY = AmbiguousPut("the reply was lost")
REFUSED = Refused("throttled")
OUT_OF_REACH = TimeoutError("out of reach")
BUSY = Busy("too many updates")
FOR_NOW = (Throttled("slow down"), BUSY)
NO_PUT = PutsInVain("no put for too long")


def reconciling(
    name: str,
    candidate: Candidate | None = None,
    *,
    run: str = "run1",
    attempt: int = 1,
    dry: bool = False,
    skew: int = 0,
    names: int = 2,
    protocol: Protocol = REAL,
    **options: Any,
) -> Actor:
    """Return a reconciler.

    :param candidate: what its run detected, long ago; ``None`` if it detects for itself, as its first call.
    :param run: the run that signs records.
    :param attempt: the try.
    :param dry: whether it only says what it would do.
    :param names: how many names a pipeline may have.
    """

    def start(clock: Clock) -> Flow:
        what = Run(
            f"spot_runner/{run}",
            f"reconcile/0/{attempt}",
            REGION,
            clock,
            pipeline_names=("spot-runner-{preset}", "spot-runner-{preset}-windows")[:names],
            repeated=attempt > 1,
            dry_run=dry,
        )
        found = candidate if candidate is not None else (yield Detect())
        if found is None:
            return None
        if what.repeated:
            found = found.retried((yield ListIntents()), what.owner)
        return (yield from protocol.reconcile(found, what))

    steps = protocol.remembered.setdefault((candidate, run, attempt, dry, skew, names), {})
    return Actor(name, start, skew=skew, protocol=protocol, steps=steps, **options)


# The others.


def handling(name: str, image: Image, *, finishes: bool, **options: Any) -> Actor:
    """Return the deployed event handler, for the event that says that ``image`` is finished.

    It replaces the item on condition that its own clock is later, and if that wins, puts the parameter. For a build
    that failed it keeps the AMI that it read before, and leaves the parameter alone.

    :param finishes: whether the image finishes only now, as its first step; else the event comes late.
    """

    def start(clock: Clock) -> Flow:
        if finishes:
            yield FinishBuild(image)
        yield from _handle(image, clock())

    return Actor(name, start, **options)


def restarting(name: str, image: Image) -> Actor:
    """Return a program that starts the next build, ``image``, and the event handler when that has ended."""

    def start(clock: Clock) -> Flow:
        if (yield StartBuild(render_timestamp(clock()))):
            yield FinishBuild(image)
            yield from _handle(image, clock() + timedelta(seconds=1))

    return Actor(name, start)


def editing(name: str, key: str, *values: Any) -> Actor:
    """Return a person who gives a key of the parameter one value after the other; ``None`` removes it."""

    def start(clock: Clock) -> Flow:
        for value in values:
            yield from _edit(key, value)
        return None

    return Actor(name, start)


def beginning(name: str = "S", *, keeps: bool = False, **options: Any) -> Actor:
    """Return a program that starts a build, of which nobody hears again.

    :param keeps: whether it leaves in the record who signed it before.
    """

    def start(clock: Clock) -> Flow:
        yield StartBuild(render_timestamp(clock()), keeps)

    return Actor(name, start, **options)


def replacing(ami_id: str, image: Image, name: str = "S", **options: Any) -> Actor:
    """Return a program that says of the record that it is ready, with whatever AMI id."""

    def start(clock: Clock) -> Flow:
        yield PutItem(AmiState(PRESET, Status.READY, render_timestamp(clock()), ami_id, image.arn), image)

    return Actor(name, start, **options)


def in_turn(*actors: Actor) -> Actor:
    """Return somebody who does what all of them do, one after the other, in the name of the last."""

    def start(clock: Clock) -> Flow:
        for number, actor in enumerate(actors, 1):
            yield from actor.start(lambda later=timedelta(seconds=number): clock() + later)

    return Actor(actors[-1].name, start)


def deleting(name: str = "D") -> Actor:
    """Return a person who deletes the record."""
    return _doing(name, DeleteItem())


def annotating(name: str = "A") -> Actor:
    """Return a program that adds an attribute of its own to the record."""
    return _doing(name, Annotate("pinned"))


def building(image: Image, name: str = "B") -> Actor:
    """Return Image Builder, which finishes another image whose event gets lost."""
    return _doing(name, FinishBuild(image))


def passing_time(seconds: int, name: str = "T") -> Actor:
    """Return the passing of time, at any point of the schedule."""
    return _doing(name, PassTime(seconds))


def _doing(name: str, call: Call) -> Actor:
    def start(clock: Clock) -> Flow:
        yield call

    return Actor(name, start)


def _handle(image: Image, now: datetime) -> Flow:
    at, ami_id = render_timestamp(now), ami_of_image(image)
    if ami_id is None:
        before = yield GetItem()
        kept = before.ami_id if before else None
        yield PutItem(AmiState(PRESET, Status.FAILED, at, kept, image.arn, "no disk"), image)
    elif (yield PutItem(AmiState(PRESET, Status.READY, at, ami_id, image.arn), image)):
        yield from _edit("ami", ami_id)


def _edit(key: str, value: Any) -> Flow:
    number, text = yield GetParameter()
    values = json.loads(text) | {key: value}
    if value is None:
        del values[key]
    yield PutParameter(number, dumps(values))
    return None
