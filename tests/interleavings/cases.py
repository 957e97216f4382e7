"""The cases that are explored: who meets whom, and what may go wrong on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from spot_runner_provider.records.image import Image
from tests.interleavings.actors import (
    Actor,
    annotating,
    building,
    editing,
    handling,
    passing_time,
    reconciling,
    restarting,
)
from tests.interleavings.explorer import Case, dying
from tests.interleavings.model import World, detect, image, moment, stale_world
from tests.interleavings.protocols import REAL, Protocol

SAME, NEWER = image(1), image(2)
BROKEN, NEWER_BROKEN = image(1, status="FAILED"), image(2, status="FAILED")

SKEWS = (-5, 0, 5)
"""Seconds by which the clock of one actor is ahead of the other's."""


@dataclass(frozen=True)
class Faults:
    """What may go wrong with R1: how often it dies, how many replies to its writes are lost, and who follows.

    ``hindered`` says that instead of a lost reply there may be a put that SSM refuses for now.
    """

    crashes: int = 0
    lost: int = 0
    retried: bool = False
    hindered: bool = False

    def __str__(self) -> str:
        parts = ["crash" * self.crashes, ("busy" if self.hindered else "lost reply") * self.lost]
        return ", ".join(part for part in parts if part) + (", retried" if self.retried else "")


NONE = Faults()
ALL = tuple(Faults(1, 1, retried, hindered) for retried in (False, True) for hindered in (False, True))
"""Everything at once: R1 dies before any call, and the reply to any write is lost, or a put is refused for now, in the
same schedule or not."""


def first(world: World, faults: Faults, protocol: Protocol, skew: int = 0) -> Actor:
    """Return R1, with its retry if there is to be one: the same batch and run, another try."""
    candidate = detect(world, moment(0))
    retry = reconciling("R1'", candidate, attempt=2, skew=skew, protocol=protocol) if faults.retried else None
    faulty: dict[str, Any] = {
        "crashes": bool(faults.crashes),
        "faulty": bool(faults.lost) and not faults.hindered,
        "hindered": faults.hindered,
    }
    return reconciling("R1", candidate, retry=retry, skew=skew, protocol=protocol, **faulty)


def second(world: World, run: str, protocol: Protocol, *, crashes: bool = False) -> Actor:
    """Return R2, which detected the same record: of another run, or of the same (a worker thought dead)."""
    return reconciling("R2", detect(world, moment(0)), run=run, attempt=7, protocol=protocol, crashes=crashes)


def editor(name: str = "H", key: str = "timeout", value: Any = 7200) -> Actor:
    """Return a person who edits one key."""
    return editing(name, key, value)


def other_editor() -> Actor:
    """Return another person, who adds another key."""
    return editing("H'", "spotMaxPrice", "0.40")


RUNS = {"R2": "run2", "R2 of the same run": "run1"}
HANDLERS: dict[str, tuple[Image, Image, bool]] = {
    "E": (SAME, SAME, False),
    "E newer": (SAME, NEWER, True),
    "E newer failed": (SAME, NEWER_BROKEN, True),
    "E, build failed": (BROKEN, BROKEN, False),
    "E newer, build failed": (BROKEN, NEWER, True),
}
"""The handler's variants: the pipeline's image at the start, the event's, and whether that finishes only now."""


def alone(protocol: Protocol = REAL, all_faults: Iterable[Faults] = ALL) -> Iterator[Case]:
    """R1 by itself."""
    for faults in all_faults:
        for name, world in {"": stale_world(SAME), ", never ready": stale_world(SAME, fresh=True)}.items():
            yield _case(f"R1{name}", world, faults, first(world, faults, protocol), once=True)
        world = stale_world(BROKEN)
        yield _case("R1, build failed", world, faults, first(world, faults, protocol))


def pairs(
    protocol: Protocol = REAL, all_faults: Iterable[Faults] = ALL, skews: Iterable[int] = SKEWS
) -> Iterator[Case]:
    """R1 and one other, with every crash and every lost reply of R1."""
    for faults in all_faults:
        for name, run in RUNS.items():
            for more, built in {"": None, ", newer image": NEWER, ", newer failed": NEWER_BROKEN}.items():
                for skew in skews:
                    world = stale_world(SAME)
                    actors = [first(world, faults, protocol, skew), second(world, run, protocol)]
                    actors += [building(built)] if built else []
                    yield _case(f"R1+{name}{more}{_ahead(skew)}", world, faults, *actors)
        for name, (before, built, finishes) in HANDLERS.items():
            for skew in skews:
                world = stale_world(before)
                handler = handling("E", built, finishes=finishes)
                yield _case(f"R1+{name}{_ahead(skew)}", world, faults, first(world, faults, protocol, skew), handler)
        for name, value in {"H": 7200, "H removing": None}.items():
            world = stale_world(SAME)
            yield _case(f"R1+{name}", world, faults, first(world, faults, protocol), editor(value=value))
        for name, built in {"S": NEWER, "S, build failed": NEWER_BROKEN}.items():
            world = stale_world(SAME)
            yield _case(f"R1+{name}", world, faults, first(world, faults, protocol), restarting("S", built))
        world = stale_world(SAME)
        yield _case("R1+H adding", world, faults, first(world, faults, protocol), other_editor())
        yield _case("R1+A", world, faults, first(world, faults, protocol), annotating())


def repeated_edits(protocol: Protocol = REAL) -> Iterator[Case]:
    """R1, which does not die, and edits of the same key one after the other, so that a put that mends covers one."""
    for faults in (NONE, Faults(0, 1), Faults(0, 1, hindered=True)):
        world = stale_world(SAME)
        one = first(world, faults, protocol)
        yield _case("R1+H twice", world, faults, one, editing("H", "timeout", 7200, 9000))
        yield _case("R1+H and removing", world, faults, one, editing("H", "timeout", 7200, None))
        yield _case("R1+H+H' of one key", world, faults, one, editor(), editing("H'", "timeout", 9000))


def triples(faults: Faults = NONE, protocol: Protocol = REAL, skews: Iterable[int] = (0,)) -> Iterator[Case]:
    """R1 and two others."""
    world = stale_world(SAME)
    one = first(world, faults, protocol)
    yield _case("R1+H+H'", world, faults, one, editor(), other_editor())
    for run_name, run in RUNS.items():
        for more, built in {"": [], ", newer image": [building(NEWER)]}.items():
            yield _case(f"R1+{run_name}+H{more}", world, faults, one, second(world, run, protocol), editor(), *built)
    for name, (before, built, finishes) in HANDLERS.items():
        for skew in skews:
            world, ahead = stale_world(before), _ahead(skew)
            one, handler = first(world, faults, protocol, skew), handling("E", built, finishes=finishes)
            yield _case(f"R1+{name}+H{ahead}", world, faults, one, handler, editor())
            for run_name, run in RUNS.items():
                two = second(world, run, protocol)
                yield _case(f"R1+{run_name}+{name}{ahead}", world, faults, one, two, handler)


def three_tries(protocol: Protocol = REAL) -> Iterator[Case]:
    """One of the triples: a try that dies, its retry, and one that lives beside both, while a newer build fails."""
    name = "R1+R2 of the same run+E newer failed (crash, retried)"
    yield from (case for case in triples(Faults(1, retried=True), protocol) if case.name == name)


def beyond(protocol: Protocol = REAL) -> Iterator[Case]:
    """What was not asked for: both reconcilers die, a put arrives late, R1 sleeps while another run cleans up."""
    world = stale_world(SAME)
    editing, handler = editor(), handling("E", NEWER, finishes=True)
    for name, others in {"": [], "+H": [editing], "+E newer": [handler]}.items():
        one, lost = first(world, Faults(1), protocol), first(world, Faults(1, 1), protocol)
        two = second(world, "run2", protocol, crashes=True)
        yield Case(f"R1+R2{name}, both die", world, (one, two, *others), crashes=2)
        yield Case(f"R1{name}, a put arrives late", world, (lost, *others), crashes=1, lost=1, late=True)
    one, later = first(world, NONE, protocol), reconciling("R2", run="run2", protocol=protocol)
    for name, others in {"": [], "+H": [editing]}.items():
        actors = (one, later, passing_time(6 * 60), *others)
        yield Case(f"R1+R2 finishing{name}, six minutes pass", world, actors)
        yield Case(
            f"R1+R2 starting at any moment{name} (crash)", world, (first(world, Faults(1), protocol), later, *others), 1
        )
    two = second(world, "run1", protocol, crashes=True)
    yield Case("R1+R2 of the same run+H, both die", world, (first(world, Faults(1), protocol), two, editing), crashes=2)


def finishing(protocol: Protocol = REAL) -> Iterator[Case]:
    """R2, a quarter of an hour after R1 died in the middle; R2 may die as well, and is retried, or not."""
    met = {"before its put": [], "after a put that covered an edit": [(5, editor())]}
    others = {"": [], "+H'": [other_editor()], "+E newer": [handling("E", NEWER, finishes=True)]}
    for when, before in met.items():
        calls = 6 if before else 5
        world = dying(first(stale_world(SAME), NONE, protocol), stale_world(SAME), calls, before)
        world = world._replace(time=15 * 60)
        candidate = detect(world, moment(world.time))
        for retried in (False, True):
            retry = reconciling("R2'", candidate, run="run2", attempt=2, protocol=protocol) if retried else None
            for name, more in others.items():
                two = reconciling(
                    "R2", candidate, run="run2", protocol=protocol, crashes=True, faulty=True, retry=retry
                )
                told = f"R1 died {when}, R2{name} (crash, lost reply{', retried' if retried else ''})"
                yield Case(told, world, (two, *more), crashes=1, lost=1)


def _ahead(skew: int) -> str:
    return f", R1 {skew:+} s" if skew else ""


def _case(name: str, world: World, faults: Faults, *actors: Actor, once: bool = False) -> Case:
    told = f"{name} ({faults})" if faults != NONE else name
    return Case(told, world, actors, faults.crashes, faults.lost, once=once)
