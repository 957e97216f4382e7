"""What must hold at the end of every schedule, and the short list of what is known not to.

I1 is checked where the record is written, I4 and I7 where it happens (see :mod:`tests.interleavings.model`); the
others at the end, after a healthy run:

====  ==================================================================================================
I1    a state written by somebody else after detection is never overwritten
I2    if the record is ready, or failed with an AMI, the parameter's ``ami`` is the record's ``amiId``
I3    nothing stays building whose image is finished, and no intent is left
I4    a failed build never changes the parameter, not even its version
I5    no edit of another key is lost through us
I6    a healthy repeat writes nothing
I7    the event of an image that finished after our lookup is never refused because of us
I8    where nobody else takes part, the parameter gets exactly one new version
I9    where nobody died and no reply was lost, I2 holds as soon as all are done, before any further run
I10   after the healthy run the audit finds what breaks I2, and nothing else: what is known ends as ``drifted``
I11   however many tries died or failed, two intents stand at most, and one more for each that lived beside another
====  ==================================================================================================
"""

from __future__ import annotations

from typing import Any, NamedTuple

from spot_runner_provider.detection.audit import drift, settled
from spot_runner_provider.protocol.calls import Commit, ForgetIntent, LogIntent, PutConfig
from spot_runner_provider.records.ami_state import Status
from tests.interleavings.actors import reconciling
from tests.interleavings.model import CONFIG, Tables, Version, World, moment, newest_config, perform
from tests.interleavings.protocols import Protocol

NEXT_RUN = 15 * 60
"""Seconds between one run and the next."""

MOST_INTENTS = 2
"""How many intents may stand when no try lives, however many died or failed one after the other."""

_ABSENT = "absent"
_WRITES = (LogIntent, Commit, PutConfig, ForgetIntent)


class Problem(NamedTuple):
    """An invariant that did not hold, what about it, and the name on the known list, if it stands there."""

    invariant: str
    what: str
    known: str | None = None

    def __str__(self) -> str:
        return f"{self.invariant}: {self.what}" + (f" [known: {self.known}]" if self.known else "")


def verdict(
    end: World, protocol: Protocol, *, once: bool = False, prompt: bool = False, most: int = MOST_INTENTS
) -> list[Problem]:
    """Let one more healthy run follow, and another, and return which invariants do not hold after that.

    :param once: whether the parameter must have exactly one new version then: nobody else was there.
    :param prompt: whether record and parameter must agree already: nobody died, and no reply was lost.
    :param most: how many intents may stand.
    """
    problems = [Problem(invariant, what) for invariant, what in end.faults]
    if len(end.intents) > most:
        problems.append(Problem("I11", f"{len(end.intents)} intents stand"))
    if prompt:
        problems += [problem._replace(invariant="I9") for problem in _agreement(end)]
    world, _ = healthy_run(end, protocol, "R8")
    _, writes = healthy_run(world, protocol, "R9")
    problems += [Problem(invariant, what) for invariant, what in world.faults[len(end.faults) :]]
    if writes:
        problems.append(Problem("I6", f"a healthy repeat makes {', '.join(writes)}"))
    problems += _agreement(world)
    problems += _audit(world)
    problems += _leftovers(world)
    problems += _edits(world)
    if once and (new := len(world.real.versions) - 1) != 1:
        problems.append(Problem("I8", f"the parameter has {new} new versions, not one"))
    return list(dict.fromkeys(problems))


def healthy_run(world: World, protocol: Protocol, name: str) -> tuple[World, list[str]]:
    """Return the world after a run that nobody disturbs, a while later, and the names of the writes that it made."""
    world = world._replace(time=world.time + NEXT_RUN)
    actor = reconciling(name, run=name, protocol=protocol)
    step, writes = actor.begin(world.time), []
    while step.call is not None:
        if isinstance(step.call, _WRITES):
            writes.append(type(step.call).__name__)
        if isinstance(step.call, PutConfig) and saw_failure(step.answers):
            world = world.blame("I4", "the parameter was put, though the build failed")
        answer, world = perform(world, step.call, actor.name, actor.clock(world.time), actor.protocol.commit)
        step = step.answered(world.time, answer)
    if step.error is not None:
        world = world.blame("I3", f"a healthy run fails: {type(step.error).__name__}")
    return world, writes


def _agreement(world: World) -> list[Problem]:
    """I2: the parameter names the AMI of a settled record."""
    record, stands = world.real.record.state, world.real.newest
    if record.usable_ami in (None, stands.values.get("ami")):
        return []
    what = f"the record is {record.status}, the parameter has another AMI"
    return [Problem("I2", what, _known_disagreement(world))]


def _audit(world: World) -> list[Problem]:
    """I10: the next run's audit."""
    now = moment(world.time + NEXT_RUN)
    config = newest_config(world.real)
    audited = settled([world.real.record.state], unfinished={each.preset_name for each in world.intents}, now=now)
    found = any(drift(state, config) for state in audited)
    if found == bool(_agreement(world)):
        return []
    return [Problem("I10", "the audit finds nothing" if not found else "the audit finds what is right")]


def _leftovers(world: World) -> list[Problem]:
    """I3: nothing is building any more whose image is finished, and no intent stands."""
    problems = []
    if world.real.record.state.status is Status.BUILDING:
        problems.append(Problem("I3", "the record is still building"))
    if world.intents:
        problems.append(Problem("I3", "an intent is left"))
    return problems


def _edits(world: World) -> list[Problem]:
    """I5: no edit of another key is lost that would not be lost without us."""
    stands, shadow = world.real.newest.values, world.shadow.newest.values
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
    return _is_write_back(world, "ami", world.real.record.state.ami_id)


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


def saw_failure(answers: list[Any]) -> bool:
    """Return whether a reconciler's lookup said that the latest build failed."""
    return any(getattr(answer, "status", None) in ("FAILED", "CANCELLED") for answer in answers)
