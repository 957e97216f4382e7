"""The cases that are explored: who meets whom, and what may go wrong on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from spot_runner_provider.protocol.calls import Busy, Commit, Pause, PutConfig
from spot_runner_provider.records.ami_state import MalformedRecord
from spot_runner_provider.records.image import Image
from spot_runner_provider.records.platform import Platform
from tests.interleavings.actors import (
    BUSY,
    FOR_NOW,
    Actor,
    annotating,
    beginning,
    building,
    deleting,
    editing,
    handling,
    in_turn,
    passing_time,
    reconciling,
    replacing,
    restarting,
)
from tests.interleavings.explorer import Case, doing_all, dying
from tests.interleavings.invariants import ENDLESS
from tests.interleavings.model import (
    CONFIG,
    NEIGHBOUR,
    PIPELINE,
    START,
    WINDOWS_PIPELINE,
    Version,
    World,
    ami_of_image,
    detect,
    dumps,
    image,
    moment,
    stale_world,
)
from tests.interleavings.protocols import REAL, Protocol

SAME, NEWER = image(1), image(2)
BROKEN, NEWER_BROKEN = image(1, status="FAILED"), image(2, status="FAILED")

Remedy = Callable[[World], World]
"""What a person does once all is over."""

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
        "hindered": FOR_NOW if faults.hindered else (),
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


def filling() -> Actor:
    """Return a person whose notes fill the parameter, as long as it has its first AMI."""
    return editor(key="notes", value=_notes(4096))


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
            yield _case(f"R1{name}", world, faults, first(world, faults, protocol), versions=1)
        world = stale_world(BROKEN)
        yield _case("R1, build failed", world, faults, first(world, faults, protocol))


def undisturbed(protocol: Protocol = REAL) -> Iterator[Case]:
    """R1 by itself, with nothing that goes wrong: no call more than it takes, and no write of a dry run."""
    world, full = stale_world(SAME), _text_of(4096)
    windows = replace(SAME, platform=Platform.WINDOWS)
    plain = _holding(world, dumps({key: value for key, value in CONFIG.items() if key != "platform"}))
    unknown = stale_world(replace(SAME, platform=None))._replace(pipelines=(replace(PIPELINE, platform=None),))
    for_windows = _holding(stale_world(windows), dumps({**CONFIG, "platform": "windows"}))
    told_by_pipeline = stale_world(replace(SAME, platform=None))._replace(
        pipelines=(replace(PIPELINE, platform=Platform.WINDOWS),)
    )
    neighbour = replace(world.real.record.state, preset_name=NEIGHBOUR) if world.real.record.state else None
    correct = {
        "": (world, 3, 5),
        ", secure": (world._replace(secure=True), 3, 5),
        ", build failed": (stale_world(BROKEN), 3, 1),
        ", build failed, a platform that nobody tells": (
            stale_world(replace(BROKEN, platform=None))._replace(pipelines=unknown.pipelines),
            2,
            1,
        ),
        ", build failed, pipeline off": (
            stale_world(BROKEN)._replace(pipelines=(replace(PIPELINE, is_enabled=False, failures=5),)),
            3,
            1,
        ),
        ", Windows": (for_windows._replace(pipelines=(WINDOWS_PIPELINE,)), 4, 5),
        ", a platform that nobody tells": (unknown, 3, 5),
        ", a parameter that tells no platform": (plain, 3, 5),
    }
    refuse: dict[str, tuple[World, int, Remedy]] = {
        "no pipeline": (world._replace(pipelines=()), 1, _back_to(world)),
        "pipeline of two": (
            for_windows._replace(pipelines=(WINDOWS_PIPELINE,), neighbour=neighbour),
            2,
            lambda end: end._replace(neighbour=None),
        ),
        "pipeline of two, one malformed": (
            for_windows._replace(pipelines=(WINDOWS_PIPELINE,), neighbour=MalformedRecord("no status")),
            2,
            lambda end: end._replace(neighbour=None),
        ),
        "two pipelines": (world._replace(pipelines=(PIPELINE, WINDOWS_PIPELINE)), 1, _back_to(world)),
        "no image": (stale_world(), 2, _back_to(world)),
        "image undated": (stale_world(replace(SAME, created=None)), 2, _back_to(world)),
        "image unfinished": (stale_world(image(1, status="TESTING")), 2, _back_to(world)),
        "image stuck": (
            stale_world(replace(image(1, status="TESTING"), created=START - timedelta(hours=7))),
            2,
            _back_to(world),
        ),
        "image without an AMI": (stale_world(replace(SAME, amis=())), 2, _back_to(world)),
        "failed image for Windows": (
            stale_world(replace(BROKEN, platform=Platform.WINDOWS)),
            3,
            _back_to(stale_world(BROKEN)),
        ),
        "image for Windows": (stale_world(windows), 3, _back_to(world)),
        "pipeline for Windows": (told_by_pipeline, 3, _back_to(world)),
        "no parameter": (_holding(world), 3, _repaired),
        "no JSON": (_holding(world, "{"), 3, _repaired),
        "no room": (_holding(world, full), 4, _repaired),
        "no room, secure": (_holding(world._replace(secure=True), full), 3, _repaired),
    }
    for dry in (False, True):
        told = ", dry" if dry else ""
        for name, (met, reads, more) in correct.items():
            one = reconciling("R1", detect(met, moment(0)), dry=dry, protocol=protocol)
            yield Case(f"R1{name}{told}", met, (one,), dry=dry, calls=reads + (0 if dry else more), tidy=True)
        for name, (met, enough, remedy) in refuse.items():
            one = reconciling("R1", detect(met, moment(0)), dry=dry, protocol=protocol)
            yield Case(f"R1, {name}{told}", met, (one,), dry=True, remedy=remedy, calls=enough, tidy=True)
    for name, texts in {"no parameter": (), "no JSON": ("{",)}.items():
        met = _holding(stale_world(BROKEN), *texts)
        one = reconciling("R1", detect(met, moment(0)), protocol=protocol)
        yield Case(f"R1, build failed, {name}", met, (one,), remedy=_repaired, calls=4, tidy=True)
    only = reconciling("R1", detect(world, moment(0)), names=1, protocol=protocol)
    of_windows = stale_world(replace(BROKEN, platform=Platform.WINDOWS))
    yield Case("R1, one name, build failed", of_windows, (only,), calls=3, tidy=True)
    yield Case(
        "R1, one name, no pipeline", world._replace(pipelines=()), (only,), dry=True, remedy=_back_to(world), calls=1
    )
    advanced = _holding(world._replace(tier="Advanced"), full)
    yield Case("R1, room in the Advanced tier", advanced, (first(advanced, NONE, protocol),), versions=1, calls=9)
    new, text = stale_world(SAME, fresh=True), dumps({**CONFIG, "ami": ami_of_image(SAME)})
    yield Case("R1, never ready", new, (first(new, NONE, protocol),), versions=1, calls=8, tidy=True)
    for name, right in {"": _holding(world, text), ", never ready": _holding(new, text)}.items():
        yield Case(
            f"R1, parameter right already{name}", right, (first(right, NONE, protocol),), versions=0, calls=7, tidy=True
        )


def _back_to(world: World) -> Remedy:
    """Return what puts the pipelines, or the images, as they are in ``world``."""
    return lambda end: end._replace(pipelines=world.pipelines, images=world.images)


def _repaired(end: World) -> World:
    """Return the world after a person has written a sound parameter."""
    version = Version(dumps(CONFIG), "P", len(end.real.versions), end.time)
    tables = end.real._replace(versions=(*end.real.versions, version))
    return end._replace(real=tables, shadow=tables)


def failing(protocol: Protocol = REAL) -> Iterator[Case]:
    """R1, one of whose calls fails though it is repeated: refused, or out of reach."""
    for retried in (False, True):
        for name, others in {
            "": [],
            "+H": [editor()],
            "+E": [handling("E", SAME, finishes=False)],
            "+E newer failed": [handling("E", NEWER_BROKEN, finishes=True)],
        }.items():
            world = stale_world(SAME)
            one = first(world, Faults(retried=retried), protocol)
            one.failing = True
            told = f"R1{name} (a call fails{', retried' if retried else ''})"
            yield Case(told, world, (one, *others), lost=1)


def waiting(protocol: Protocol = REAL) -> Iterator[Case]:
    """R1, whose throttled put waits longer than an intent may be old, beside others; and one that is busy for ever."""
    world = stale_world(SAME)
    one = reconciling("R1", detect(world, moment(0)), protocol=protocol, hindered=FOR_NOW, waits=True)
    later = reconciling("R2", run="run2", protocol=protocol)
    for name, others in {
        "R2": [later],
        "R2+H": [later, editor()],
        "H": [editor()],
        "S": [beginning()],
        "S, build failed": [beginning(), handling("E", NEWER_BROKEN, finishes=True, skew=5)],
    }.items():
        yield Case(f"R1+{name} (busy, waits)", world, (one, *others), lost=1, versions=1 if name == "R2" else None)
    one = reconciling("R1", detect(world, moment(0)), protocol=protocol, hindered=(BUSY,))
    yield Case("R1 (busy for ever)", world, (one,), lost=ENDLESS, endless=True)


def vanishing(protocol: Protocol = REAL) -> Iterator[Case]:
    """R1 beside somebody who takes away what it needs: the record, its AMI id, the parameter's room or its platform."""
    for faults in (NONE, Faults(1, 1), Faults(1, 1, retried=True), Faults(0, 1, hindered=True)):
        world = stale_world(SAME)
        one = first(world, faults, protocol)
        yield _case("R1+D", world, faults, one, deleting())
        yield _case("R1+S, no AMI id", world, faults, one, replacing("none", SAME))
        case = _case("R1+H, no room", world, faults, one, filling())
        yield replace(case, remedy=_advanced)
        case = _case("R1+H, other platform", world, faults, one, editor(key="platform", value="windows"))
        yield replace(case, remedy=_for_linux(protocol))


def overtaken(protocol: Protocol = REAL) -> Iterator[Case]:
    """R1 by itself, where others have been at the record since it was detected, or an earlier try of its run."""
    world = stale_world(SAME)
    candidate = detect(world, moment(0))
    one = reconciling("R1", candidate, protocol=protocol)
    for name, other in {"E": handling("E", SAME, finishes=False), "D": deleting()}.items():
        yield Case(f"{name}, then R1", _after(world, other), (one,), versions=int(name == "E"), calls=6, tidy=True)
    again = reconciling("R1'", candidate, attempt=2, protocol=protocol)
    failed = _after(dying(first(stale_world(BROKEN), NONE, protocol), stale_world(BROKEN), 4), building(NEWER))
    yield Case("R1 said failed and died, newer image, R1'", failed, (again,), versions=0, calls=7, tidy=True)
    ready = _after(dying(one, world, 5), building(NEWER_BROKEN))
    yield Case("R1 said ready and died, newer failed, R1'", ready, (again,), calls=5)
    for kind, enough in {Commit: 6, PutConfig: 6}.items():
        denied = world._replace(denied=kind)
        yield Case(f"R1, {kind.__name__} denied", denied, (one,), remedy=_allowed, calls=enough, tidy=kind is Commit)


def lockstep(protocol: Protocol = REAL) -> Iterator[Case]:
    """R1, and others who act right after a certain call of it."""
    world = stale_world(SAME)
    throttled, busy = (
        reconciling("R1", detect(world, moment(0)), protocol=protocol, hindered=(error,)) for error in FOR_NOW
    )
    newer = handling("E", NEWER, finishes=True, skew=5)
    told: dict[str, tuple[Actor, int, bool]] = {
        "H": (editor(), 12, True),
        "D": (deleting(), 9, True),
        "S": (beginning(skew=5), 8, False),
        "E newer": (newer, 11, True),
        "E newer, which dies": (replacing("ami-0newer", NEWER, skew=5), 12, True),
        "E newer, which dies, and S": (in_turn(replacing("ami-0newer", NEWER), beginning()), 9, True),
    }
    for name, (other, enough, tidy) in told.items():
        reacting = world._replace(reactions=((Pause, other),))
        yield Case(f"R1, {name} while it waits", reacting, (throttled,), lost=1, calls=enough, tidy=tidy)
    edited = world._replace(reactions=((Commit, editor()),))
    yield Case("R1, H before its put", edited, (first(world, NONE, protocol),), calls=9)
    overtaken_too = (*edited.reactions, (Pause, in_turn(replacing("ami-0newer", NEWER), beginning())))
    yield Case(
        "R1, H before its put, E newer, which dies, and S while it waits",
        world._replace(reactions=overtaken_too),
        (throttled,),
        lost=1,
    )
    yield Case("R1 (busy)", world, (busy,), lost=1, calls=10, tidy=True, versions=1)
    flips = [replacing(f"ami-0flip{number % 2}", NEWER, skew=number) for number in range(1, ENDLESS)]
    restless = world._replace(reactions=tuple((PutConfig, flip) for flip in flips))
    one = first(world, NONE, protocol)
    yield Case("R1, another AMI after each put", restless, (one,), endless=True)
    took_back = editing("H", "timeout", 7200, CONFIG["timeout"])
    reacting = world._replace(reactions=((PutConfig, replacing("ami-0newer", NEWER)), (Busy, took_back)))
    yield Case("R1 (busy), newer record and an edit taken back after its put", reacting, (busy,), lost=1)
    before = [{"ami": "ami-0older"}, {"ami": "ami-0older", "timeout": 7200}, {}]
    held = _holding(world, *(dumps({**CONFIG, **values}) for values in before))
    yield Case("R1 (busy), an edit taken back before its read", held, (busy,), lost=1)
    begun, failed = beginning(keeps=True), handling("E", NEWER_BROKEN, finishes=True)
    lossy = reconciling("R1", detect(world, moment(0)), protocol=protocol, faulty=True)
    for name, other in {"S": begun, "S, build failed": in_turn(begun, failed)}.items():
        reacting = world._replace(reactions=((Commit, other),))
        yield Case(f"R1 (lost replies), {name} after its commit", reacting, (lossy, editor()), lost=2, late=True)
    reacting = world._replace(reactions=((Commit, in_turn(begun, failed, filling())),))
    yield Case(
        "R1 (lost reply), S, build failed, no room after its commit", reacting, (lossy,), lost=1, remedy=_advanced
    )


def slow(protocol: Protocol = REAL) -> Iterator[Case]:
    """A retry that takes so long that a later run takes it for dead; its own calls may fail."""
    world = stale_world(SAME)
    for when, calls, before in (("before its put", 5, []), ("after a put that covered an edit", 6, [(5, editor())])):
        died = dying(first(world, NONE, protocol), world, calls, before)
        again = reconciling("R1'", detect(world, moment(0)), attempt=2, protocol=protocol, failing=True)
        later = reconciling("R2", run="run2", protocol=protocol)
        yield Case(
            f"R1 died {when}, R1' (a call fails), R2, six minutes pass", died, (again, later, passing_time(360)), lost=1
        )


def _allowed(end: World) -> World:
    """Return the world after a person has allowed what was denied."""
    return end._replace(denied=None)


def _for_linux(protocol: Protocol) -> Remedy:
    """Return what tells of it in the next run, after which a person makes the parameter one for Linux again."""
    next_run = reconciling("R4", run="run4", protocol=protocol)

    def remedy(end: World) -> World:
        told = dying(next_run, end._replace(time=end.time + 15 * 60), calls=20)
        return _after(told._replace(time=told.time + 6 * 60), editing("H'", "platform", "linux"))

    return remedy


def _advanced(end: World) -> World:
    """Return the world after a person has made room for the parameter."""
    return end._replace(tier="Advanced")


def _holding(world: World, *texts: str) -> World:
    """Return the world with other versions of the parameter."""
    first_version = world.real.versions[0]
    tables = world.real._replace(versions=tuple(first_version._replace(text=text) for text in texts))
    return world._replace(real=tables, shadow=tables)


def _text_of(length: int) -> str:
    """Return a parameter's value of so many bytes."""
    return dumps({**CONFIG, "notes": _notes(length)})


def _notes(length: int) -> str:
    """Return notes with which a parameter's value has so many bytes."""
    return "x" * (length - len(dumps({**CONFIG, "notes": ""})))


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
    died = dying(first(world, NONE, protocol), world, 4)._replace(time=15 * 60)
    two = reconciling("R2", detect(died, moment(died.time)), run="run2", protocol=protocol, faulty=True)
    yield Case("R1 died before its commit, R2+H, a put arrives late", died, (two, editing), lost=1, late=True)
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
    others = {
        "": [],
        "+H": [editor()],
        "+H'": [other_editor()],
        "+E newer": [handling("E", NEWER, finishes=True)],
    }
    met: dict[str, tuple[int, list[tuple[int, Actor]], list[str]]] = {
        "before its commit": (4, [], ["", "+H", "+E newer"]),
        "before its put": (5, [], ["", "+H'", "+E newer"]),
        "after a put that covered an edit": (6, [(5, editor())], ["", "+H'", "+E newer"]),
    }
    for when, (calls, before, beside) in met.items():
        world = dying(first(stale_world(SAME), NONE, protocol), stale_world(SAME), calls, before)
        world = world._replace(time=15 * 60)
        candidate = detect(world, moment(world.time))
        for retried in (False, True):
            retry = reconciling("R2'", candidate, run="run2", attempt=2, protocol=protocol) if retried else None
            for name in beside:
                two = reconciling(
                    "R2", candidate, run="run2", protocol=protocol, crashes=True, faulty=True, retry=retry
                )
                told = f"R1 died {when}, R2{name} (crash, lost reply{', retried' if retried else ''})"
                yield Case(told, world, (two, *others[name]), crashes=1, lost=1)


def abandoned(protocol: Protocol = REAL) -> Iterator[Case]:
    """R2, a quarter of an hour after R1 died before its put, where something has happened to record or parameter."""
    world = stale_world(SAME)
    before_commit, died = (dying(first(world, NONE, protocol), world, calls)._replace(time=15 * 60) for calls in (4, 5))
    broken = handling("E", NEWER_BROKEN, finishes=True, skew=5)
    right = editing("E'", "ami", ami_of_image(SAME))
    gone, invalid = _holding(died), _holding(died, died.real.versions[0].text, "{")
    windows = editor(key="platform", value="windows")
    other_platform = _after(died, windows)
    for dry in (False, True):
        told = " (dry)" if dry else ""
        for name, (met, more, enough) in {
            "": (died, (), 7),
            " before its commit": (before_commit, (), 14),
            ", build begun": (_after(died, beginning()), (broken,), None),
            ", build begins": (died, (beginning(), broken), None),
            ", record deleted": (_after(died, deleting()), (), 3),
            ", no AMI id": (_after(died, replacing("none", SAME)), (), 3),
            ", failed and no AMI id": (_after(died, replacing("none", SAME), broken), (), 3),
            ", parameter right already": (_after(died, right), (), 6),
            ", all for Windows": (_after(died, replacing("ami-0newer", NEWER), windows), (), 7),
        }.items():
            two = reconciling("R2", detect(met, moment(met.time)), run="run2", dry=dry, protocol=protocol)
            enough = min(enough, 4) if dry and enough else enough
            yield Case(f"R1 died{name}, R2{told}", met, (two, *more), dry=dry, calls=enough)
        new = stale_world(SAME, fresh=True)
        never = _after(dying(first(new, NONE, protocol), new, 4)._replace(time=15 * 60), broken)
        two = reconciling("R2", detect(never, moment(never.time)), run="run2", dry=dry, protocol=protocol)
        yield Case(f"R1 died before its commit, never ready, build failed, R2{told}", never, (two,), dry=dry, calls=3)
        for name, (met, remedy) in {
            "no parameter": (gone, _repaired),
            "no JSON": (invalid, _repaired),
            "other platform": (other_platform, _for_linux(protocol)),
        }.items():
            two = reconciling("R2", detect(met, moment(met.time)), run="run2", dry=dry, protocol=protocol)
            yield Case(f"R1 died, {name}, R2{told}", met, (two,), dry=True, remedy=remedy, calls=2)


def taken_back(protocol: Protocol = REAL) -> Iterator[Case]:
    """R2 finishes what R1 began, where somebody has edited a key since R1 died, and taken that back on purpose."""
    world = stale_world(SAME)
    died = dying(first(world, NONE, protocol), world, 6)._replace(time=6 * 60)
    died = _after(died, editing("H", "timeout", 7200, CONFIG["timeout"]))._replace(time=15 * 60)
    covered = dying(first(world, NONE, protocol), world, 6, [(5, editor())])._replace(time=15 * 60)
    disk = editing("H'", "diskSizeGb", 200, CONFIG["diskSizeGb"])
    two = reconciling("R2", detect(died, moment(died.time)), run="run2", protocol=protocol)
    yield Case("R1 died after its put, an edit taken back, R2", died, (two,), calls=6)
    again = reconciling("R1'", detect(world, moment(0)), attempt=2, protocol=protocol)
    two = reconciling("R2", detect(covered, moment(covered.time)), run="run2", protocol=protocol)
    for name, one in {"R1'": again, "R2": two}.items():
        yield Case(
            f"R1 died after a put that covered an edit, {name}, PutConfig denied, another edit taken back",
            covered._replace(denied=PutConfig),
            (one,),
            remedy=lambda end: _after(_allowed(end)._replace(time=end.time + 120), disk),
        )


def _after(world: World, *others: Actor) -> World:
    """Return the world after others have done all that they do."""
    for other in others:
        world = doing_all(world, other)
    return world


def _ahead(skew: int) -> str:
    return f", R1 {skew:+} s" if skew else ""


def _case(name: str, world: World, faults: Faults, *actors: Actor, versions: int | None = None) -> Case:
    told = f"{name} ({faults})" if faults != NONE else name
    return Case(told, world, actors, faults.crashes, faults.lost, versions=versions)
