"""The cases that are explored: who meets whom, and what may go wrong on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from spot_runner_provider.build import Image
from tests.interleavings.actors import (
    REAL,
    Actor,
    Protocol,
    annotating,
    building,
    editing,
    handling,
    passing_time,
    reconciling,
)
from tests.interleavings.explorer import Case
from tests.interleavings.model import World, detect, image, moment, stale_world

SAME, NEWER = image(1), image(2)
BROKEN, NEWER_BROKEN = image(1, status="FAILED"), image(2, status="FAILED")

SKEWS = (-5, 0, 5)
"""Seconds by which the clock of one actor is ahead of the other's."""


@dataclass(frozen=True)
class Faults:
    """What may go wrong with R1: how often it dies, how many replies to its writes are lost, and who follows."""

    crashes: int = 0
    lost: int = 0
    retried: bool = False

    def __str__(self) -> str:
        parts = ["crash" * self.crashes, "lost reply" * self.lost]
        return ", ".join(part for part in parts if part) + (", retried" if self.retried else "")


NONE = Faults()
ALL = tuple(Faults(1, 1, retried) for retried in (False, True))
"""Everything at once: R1 dies before any call, and the reply to any write is lost, in the same schedule or not."""


def first(world: World, faults: Faults, protocol: Protocol, skew: int = 0) -> Actor:
    """Return R1, with its retry if there is to be one: the same batch and run, another try."""
    candidate = detect(world, moment(0))
    retry = reconciling("R1'", candidate, attempt=2, skew=skew, protocol=protocol) if faults.retried else None
    faulty: dict[str, Any] = {"crashes": bool(faults.crashes), "faulty": bool(faults.lost)}
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
        world = stale_world(SAME)
        yield _case("R1+H adding", world, faults, first(world, faults, protocol), other_editor())
        yield _case("R1+A", world, faults, first(world, faults, protocol), annotating())


def triples(faults: Faults = NONE, protocol: Protocol = REAL) -> Iterator[Case]:
    """R1 and two others."""
    world = stale_world(SAME)
    one = first(world, faults, protocol)
    yield _case("R1+H+H'", world, faults, one, editor(), other_editor())
    for run_name, run in RUNS.items():
        yield _case(f"R1+{run_name}+H", world, faults, one, second(world, run, protocol), editor())
    for name, (before, built, finishes) in HANDLERS.items():
        world = stale_world(before)
        one, handler = first(world, faults, protocol), handling("E", built, finishes=finishes)
        yield _case(f"R1+{name}+H", world, faults, one, handler, editor())
        for run_name, run in RUNS.items():
            yield _case(f"R1+{run_name}+{name}", world, faults, one, second(world, run, protocol), handler)


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
    two = second(world, "run1", protocol, crashes=True)
    yield Case("R1+R2 of the same run+H, both die", world, (first(world, Faults(1), protocol), two, editing), crashes=2)


def _ahead(skew: int) -> str:
    return f", R1 {skew:+} s" if skew else ""


def _case(name: str, world: World, faults: Faults, *actors: Actor, once: bool = False) -> Case:
    told = f"{name} ({faults})" if faults != NONE else name
    return Case(told, world, actors, faults.crashes, faults.lost, once=once)
