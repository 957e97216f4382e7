"""What must hold at the end of every schedule, and the short list of what is known not to.

I1 is checked where the record is written, I4, I7, I12 to I14 where it happens; the others at the end, after a
healthy run:

====  ==================================================================================================
I1    a state written by somebody else after detection is never overwritten
I2    if the record is ready, or failed with an AMI, the parameter's ``ami`` is the record's ``amiId``
I3    nothing stays building whose image is finished, and no intent is left
I4    a failed build never changes the parameter, not even its version
I5    no edit of another key is lost through us
I6    a healthy repeat writes nothing
I7    the event of an image that finished after our lookup is never refused because of us
I8    where nobody else takes part, the parameter gets exactly one new version; so it does from us where others edit
      it before our put
I9    where nobody died and no reply was lost, I2 holds as soon as all are done, before any further run
I10   after the healthy run the audit finds what breaks I2, and nothing else: what is known ends as ``drifted``
I11   however many tries died or failed, two intents stand at most, and one more for each that lived beside another
I12   a try ends, and in no error but what a store threw in; no store is asked what makes no sense, or without need
I13   a dry run, and one that finds nothing to correct, writes nothing
I14   a put names the AMI that the record had when the try last read it; after a throttle it waits for its turn
I15   a put never joins an AMI and a platform that it is not for; where it cannot name the record's AMI for that
      reason, I14 asks for no AMI
====  ==================================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from spot_runner_provider.detection.audit import drift, settled
from spot_runner_provider.protocol.calls import (
    AmbiguousPut,
    Busy,
    Call,
    Commit,
    ForgetIntent,
    LogIntent,
    PutConfig,
    PutsInVain,
    Refused,
    Throttled,
)
from spot_runner_provider.protocol.reconcile import MAX_ROUNDS
from spot_runner_provider.records.ami_state import AmiState, Status
from tests.interleavings.actors import NO_PUT, Actor, Step, reconciling
from tests.interleavings.model import CONFIG, Tables, Version, World, moment, newest_config, perform
from tests.interleavings.protocols import Protocol

NEXT_RUN = 45 * 60
"""Seconds until the next run: so many that a record is stale which began to be ``building`` just now."""

MOST_INTENTS = 2
"""How many intents may stand when no try lives, however many died or failed one after the other."""

_ABSENT = "absent"
WRITES = (LogIntent, Commit, PutConfig, ForgetIntent)

ENDLESS = 120
"""Calls after which a try is taken to go on for ever; twenty puts in vain take half as many."""

HealthyRuns = tuple[Actor, Actor]


class Problem(NamedTuple):
    """An invariant that did not hold, what about it, and the name on the known list, if it stands there."""

    invariant: str
    what: str
    known: str | None = None

    def __str__(self) -> str:
        return f"{self.invariant}: {self.what}" + (f" [known: {self.known}]" if self.known else "")


def healthy_runs(protocol: Protocol) -> HealthyRuns:
    """Return a run that nobody disturbs, and its repeat."""
    return reconciling("R8", run="R8", protocol=protocol), reconciling("R9", run="R9", protocol=protocol)


def broken_by(name: str, step: Step, enough: int | None = None, *, endless: bool = False) -> list[str]:
    """I12: return what is wrong with how one of ours goes on.

    :param enough: how many calls must be enough.
    :param endless: whether others may keep it from ending well: it gives up after exactly so many puts.
    """
    wrong = []
    if isinstance(step.error, PutsInVain) and step.error is not NO_PUT:
        puts = sum(isinstance(answer, int | Busy) and not isinstance(answer, bool) for answer in step.answers)
        if not endless or puts != MAX_ROUNDS:
            wrong.append(f"{name} gives up after {puts} puts")
    if step.error is not None and not isinstance(step.error, Refused | PutsInVain | AmbiguousPut | TimeoutError):
        wrong.append(f"{name} ends in {type(step.error).__name__}")
    if len(step.events) > ENDLESS:
        wrong.append(f"{name} goes on for ever")
    if enough is not None and step.call is not None and len(step.events) > enough:
        wrong.append(f"{name} makes a call too many: {type(step.call).__name__}")
    return wrong


def verdict(
    end: World,
    healthy: HealthyRuns,
    *,
    versions: int | None = None,
    prompt: bool = False,
    most: int = MOST_INTENTS,
) -> list[Problem]:
    """Let one more healthy run follow, and another, and return which invariants do not hold after that.

    :param healthy: those runs.
    :param versions: how many new versions the parameter must have then.
    :param prompt: whether record and parameter must agree already: nobody died, and no reply was lost.
    :param most: how many intents may stand.
    """
    problems = [Problem(invariant, what) for invariant, what in end.faults]
    if len(end.intents) > most:
        problems.append(Problem("I11", f"{len(end.intents)} intents stand"))
    if prompt:
        problems += [problem._replace(invariant="I9") for problem in _agreement(end)]
    world, _ = _healthy_run(end, healthy[0])
    _, writes = _healthy_run(world, healthy[1])
    problems += [Problem(invariant, what) for invariant, what in world.faults[len(end.faults) :]]
    if writes:
        problems.append(Problem("I6", f"a healthy repeat makes {', '.join(writes)}"))
    problems += _agreement(world) + _audit(world) + _leftovers(world) + _edits(world)
    if versions is not None and (new := len(world.real.versions) - 1) != versions:
        problems.append(Problem("I8", f"the parameter has {new} new versions, not {versions}"))
    return list(dict.fromkeys(problems))


def _healthy_run(world: World, actor: Actor) -> tuple[World, list[str]]:
    """Return the world after a run a while later, and the names of the writes that it made."""
    world = world._replace(time=world.time + NEXT_RUN)
    step, writes = actor.begin(world.time), []
    while step.call is not None and len(step.events) <= ENDLESS:
        if isinstance(step.call, WRITES):
            writes.append(type(step.call).__name__)
        for invariant, what in wrong_write(actor.name, step.call, step.answers):
            world = world.blame(invariant, what)
        answer, world = perform(world, step.call, actor.name, actor.clock(world.time), actor.protocol.commit)
        step = step.answered(world.time, answer)
    for what in broken_by(actor.name, step):
        world = world.blame("I12", what)
    if step.error is not None:
        world = world.blame("I3", f"a healthy run fails: {type(step.error).__name__}")
    return world, writes


def _agreement(world: World) -> list[Problem]:
    """I2: the parameter names the AMI of a settled record."""
    record = world.real.record.state
    if record is None or record.usable_ami in (None, world.real.values.get("ami")):
        return []
    what = f"the record is {record.status}, the parameter has another AMI"
    return [Problem("I2", what, _known_disagreement(world))]


def _audit(world: World) -> list[Problem]:
    """I10: the next run's audit."""
    now = moment(world.time + NEXT_RUN)
    config, record = newest_config(world.real), world.real.record.state
    audited = settled([record] if record else [], unfinished={each.preset_name for each in world.intents}, now=now)
    found = any(drift(state, config) for state in audited)
    if found == bool(_agreement(world)):
        return []
    return [Problem("I10", "the audit finds nothing" if not found else "the audit finds what is right")]


def _leftovers(world: World) -> list[Problem]:
    """I3: nothing is building any more whose image is finished, and no intent stands."""
    problems, record = [], world.real.record.state
    if record is not None and record.status is Status.BUILDING:
        problems.append(Problem("I3", "the record is still building"))
    if world.intents:
        problems.append(Problem("I3", "an intent is left"))
    return problems


def _edits(world: World) -> list[Problem]:
    """I5: no edit of another key is lost that would not be lost without us."""
    stands, shadow = world.real.values, world.shadow.values
    problems = []
    wanted = {key: (value, "nobody") for key, value in CONFIG.items()} | _wanted(world.real)
    for key, (value, who) in wanted.items():
        if key != "ami" and stands.get(key, _ABSENT) != value:
            known = None
            if shadow.get(key, _ABSENT) != value:
                known = "lost without us too"
            elif _is_write_back(world, key, value):
                known = "write-back of a restored key"
            problems.append(Problem("I5", f"the edit of {key} by {who} is lost", known))
    return problems


def _wanted(tables: Tables) -> dict[str, tuple[Any, str]]:
    """Return every key that a person edited, with the last value given to it, and who that was."""
    wanted = {}
    for version in tables.versions:
        if version.writer.startswith("H"):
            base, values = tables.versions[version.base - 1].values, version.values
            for key in base.keys() | values.keys():
                if base.get(key, _ABSENT) != values.get(key, _ABSENT):
                    wanted[key] = (values.get(key, _ABSENT), version.writer)
    return wanted


# The known list.


def _known_disagreement(world: World) -> str | None:
    for name, holds in KNOWN.items():
        if holds(world):
            return name
    return None


def _wrote_back_the_ami(world: World) -> bool:
    record = world.real.record.state
    return record is not None and _is_write_back(world, "ami", record.ami_id)


def _is_write_back(world: World, key: str, value: Any) -> bool:
    """Return whether somebody wrote back what a key had before, after all of ours had looked.

    The version that stands is somebody else's, or another's who read that one and left the key. Its key has the value
    of the version that it was made from; in between the right one was put; and none of ours has seen a history since.
    """
    versions, number = world.real.versions, len(world.real.versions)
    while (version := versions[number - 1]).writer.startswith(("H", "E")):
        if _value(version, key) != _value(versions[version.base - 1], key):
            return False
        if any(_value(each, key) == value for each in versions[version.base : number - 1]):
            return world.looked < number
        number = version.base
    return False


def _is_failure_that_took_back(world: World) -> bool:
    """Return whether the handler of a failed build wrote back the AMI that it had read before.

    It replaced a record with another AMI, which the parameter has; and none of ours has read the record since.
    """
    record = world.real.record
    return record.took_back and not record.looked


def _value(version: Version, key: str) -> Any:
    return version.values.get(key, _ABSENT)


KNOWN = {"write-back": _wrote_back_the_ami, "failure that took back": _is_failure_that_took_back}
"""Ways in which record and parameter can disagree at the end, by name, each with its exact condition."""


# What is wrong with a write, as it happens.


def wrong_write(name: str, call: Call, answers: list[Any], *, dry: bool = False) -> Iterator[tuple[str, str]]:
    """Yield the invariants that a call of one of ours breaks, and how.

    :param answers: what it was answered before.
    :param dry: whether it must write nothing.
    """
    if dry and isinstance(call, WRITES):
        yield "I13", f"{name} writes"
    if isinstance(call, PutConfig) and isinstance(call.text, str):
        if any(getattr(answer, "status", None) in ("FAILED", "CANCELLED") for answer in answers):
            yield "I4", f"{name} put the parameter, though the build failed"
        looks, values = [answer for answer in answers if isinstance(answer, AmiState)], json.loads(call.text)
        if looks and values["ami"] != looks[-1].ami_id and values.get("platform") == CONFIG["platform"]:
            yield "I14", f"{name} puts an AMI that the record no longer had"
        turns = [answer for answer in answers if isinstance(answer, Throttled | bool)]
        if turns and isinstance(turns[-1], Throttled):
            yield "I14", f"{name} puts again without waiting for its turn"
