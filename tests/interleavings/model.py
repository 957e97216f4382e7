"""The three stores in memory, as one immutable value, and what each call does to it.

A :class:`World` holds the record and the intents (DynamoDB), the parameter's versions (SSM) and the pipelines and their
finished images (Image Builder), all for one preset, and the time. A call takes a world and returns an answer and
the next world, so that worlds can be compared, hashed, and returned to.

Beside the real tables stands their **shadow**: the same record and parameter as they would be if none of our
reconcilers existed. It decides who lost an edit. What an invariant has to know of the past is kept in the world as
well (who wrote what, from which version, and ``faults``), so that two worlds that are equal have equal futures
*and* equal verdicts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from spot_runner_provider.detection.survey import survey
from spot_runner_provider.protocol.calls import (
    Busy,
    Call,
    Commit,
    Committed,
    DescribeConfig,
    FindPipeline,
    ForgetIntent,
    LatestImage,
    LogIntent,
    Lost,
    Pause,
    PutConfig,
    ReadConfig,
    ReadHistory,
    ReadState,
    Refused,
)
from spot_runner_provider.protocol.candidate import Candidate
from spot_runner_provider.records.ami_state import AmiState, MalformedRecord, Status, job_id, render_timestamp
from spot_runner_provider.records.image import GIVEN_UP, Ami, Image, Pipeline, UndatedImage
from spot_runner_provider.records.intent import Intent
from spot_runner_provider.records.parameter import ConfigVersion
from spot_runner_provider.records.platform import Platform

PRESET = "linux-x64"
REGION = "us-east-1"
ACCOUNT = "123456789012"
_ARN = f"arn:aws:imagebuilder:{REGION}:{ACCOUNT}:image-pipeline/spot-runner-{PRESET}"
PIPELINE = Pipeline(f"spot-runner-{PRESET}", _ARN, Platform.LINUX)
NEIGHBOUR = f"{PRESET}-windows"
WINDOWS_PIPELINE = Pipeline(f"spot-runner-{PRESET}-windows", f"{_ARN}-windows", Platform.WINDOWS)
START = datetime(2026, 2, 11, 16, 5, 48, 123000, tzinfo=UTC)
STALE_AFTER = timedelta(minutes=30)

OLD = "ami-0old"
CONFIG = {"ami": OLD, "timeout": 3600, "diskSizeGb": 100, "labels": ["linux"], "platform": "linux"}


# What is in the stores.


class Record(NamedTuple):
    """The preset's item, ``None`` if it is gone.

    ``writer`` wrote it last; ``note`` is an attribute that no program knows.

    ``took_back`` says that the handler of a failed build, which keeps the AMI that it read before, wrote another AMI
    than the one that stood; ``looked`` that one of ours has read the record since.
    """

    state: AmiState | None
    writer: str
    note: str | None = None
    took_back: bool = False
    looked: bool = False


class Version(NamedTuple):
    """One version of the parameter: who wrote it, having read which version, and when."""

    text: str
    writer: str
    base: int
    modified: int

    @property
    def values(self) -> dict[str, Any]:
        """The JSON object."""
        values: dict[str, Any] = json.loads(self.text)
        return values


class Tables(NamedTuple):
    """What our reconcilers and the others share: the record, and the parameter's versions, numbered from 1."""

    record: Record
    versions: tuple[Version, ...]

    @property
    def values(self) -> dict[str, Any]:
        """What the parameter holds; nothing if it is gone, or holds no JSON object."""
        try:
            return self.versions[-1].values
        except (IndexError, ValueError):
            return {}


class World(NamedTuple):
    """Everything there is. ``tier`` is the parameter's, ``secure`` whether it is a SecureString, of which reading tells
    the tier too. Times are seconds since :data:`START`.

    ``denied`` is a kind of call that is refused to ours. ``reactions`` are others, each with a kind of call of ours, or
    ``Busy``: right after the next such call, or before a put that is busy, the first of them does all that it does.
    """

    real: Tables
    shadow: Tables
    images: tuple[Image, ...]
    pipelines: tuple[Pipeline, ...] = (PIPELINE,)
    tier: str = "Standard"
    secure: bool = False
    denied: type[Call] | None = None
    reactions: tuple[tuple[type[Call] | type[Busy], Any], ...] = ()
    unsure: tuple[str, ...] = ()
    """Those of ours whose commit was applied, and its reply lost."""
    intents: tuple[Intent, ...] = ()
    time: int = 0
    neighbour: AmiState | MalformedRecord | None = None
    """The record of another preset, to which the pipeline for Windows may belong as well."""
    looked: int = 0
    """The newest version that one of ours has seen in a history."""
    flying: tuple[tuple[str, int, str], ...] = ()
    """Puts (writer, base, text) whose sender gave them up, and which may arrive yet."""
    faults: tuple[tuple[str, str], ...] = ()
    """Violations seen on the way: invariant and what happened."""

    def blame(self, invariant: str, what: str) -> World:
        """Return this world with a violation noted."""
        return self._replace(faults=(*self.faults, (invariant, what)))


def moment(seconds: int) -> datetime:
    """Return the moment that many seconds after :data:`START`."""
    return START + timedelta(seconds=seconds)


def image(number: int, *, status: str = "AVAILABLE") -> Image:
    """Return the pipeline's image of that number; a higher one is newer."""
    return Image(
        arn=f"arn:aws:imagebuilder:{REGION}:{ACCOUNT}:image/spot-runner-{PRESET}/1.0.0/{number}",
        status=status,
        created=START + timedelta(minutes=number - 60),
        reason="no disk" if status in GIVEN_UP else None,
        amis=(Ami(f"ami-0image{number}", REGION, ACCOUNT),) if status == "AVAILABLE" else (),
        platform=Platform.LINUX,
    )


def ami_of_image(built: Image) -> str | None:
    """Return the AMI that a build put out."""
    return built.amis[0].image_id if built.amis else None


def stale_world(*images: Image, fresh: bool = False) -> World:
    """Return a world whose record has been building for an hour.

    :param fresh: the preset was only just deployed: it never had an AMI.
    """
    old = None if fresh else OLD
    state = AmiState(PRESET, Status.BUILDING, render_timestamp(START - timedelta(hours=1)), old)
    config = dumps({**CONFIG, "ami": old or "pending"})
    tables = Tables(Record(state, "initial"), (Version(config, "initial", 0, -3600),))
    return World(tables, tables, images)


def dumps(values: dict[str, Any]) -> str:
    """Return the text of a parameter."""
    return json.dumps(values, separators=(",", ":"))


# What reconcilers of ours ask besides the protocol's own calls.


@dataclass(frozen=True, slots=True)
class Detect(Call):
    """The first task of a run. Answered by the :class:`Candidate`, out of XCom, or ``None``."""


@dataclass(frozen=True, slots=True)
class ListIntents(Call):
    """What a retry asks first. Answered by the intents that stand."""


# What the others ask.


@dataclass(frozen=True, slots=True)
class FinishBuild(Call):
    """Image Builder finishes an image, which is the latest from now on."""

    image: Image


@dataclass(frozen=True, slots=True)
class PassTime(Call):
    """Nobody does anything for some seconds."""

    seconds: int


@dataclass(frozen=True, slots=True)
class GetItem(Call):
    """Answered by the record."""


@dataclass(frozen=True, slots=True)
class PutItem(Call):
    """Replace the whole record on condition ``updatedAt < now``. Answered by whether it held."""

    state: AmiState
    image: Image


@dataclass(frozen=True, slots=True)
class StartBuild(Call):
    """Set the record to building on condition ``updatedAt < now``, its AMI being kept. Answered by whether it held.

    ``keeps``: who signed the record before is kept as well.
    """

    now: str
    keeps: bool = False


@dataclass(frozen=True, slots=True)
class Annotate(Call):
    """Add an attribute that no program knows to the record."""

    note: str


@dataclass(frozen=True, slots=True)
class DeleteItem(Call):
    """Delete the record."""


@dataclass(frozen=True, slots=True)
class GetParameter(Call):
    """Answered by the newest version's number and text."""


@dataclass(frozen=True, slots=True)
class PutParameter(Call):
    """Make ``text`` the newest version; ``base`` is the version that its writer had read."""

    base: int
    text: str


# What a call does.

CommitRule = Callable[[World, Commit, str, datetime], tuple[Committed | Lost, World]]


def commit(world: World, call: Commit, writer: str, now: datetime) -> tuple[Committed | Lost, World]:
    """Do what the hook's conditional UpdateItem does: ``#status = :building AND #updatedAt = :seen``."""
    present = world.real.record.state
    if present is None or present.status is not Status.BUILDING or present.updated_at != call.seen.updated_at:
        return Lost(present), world
    return Committed(), update_item(world, call, writer)


def update_item(world: World, call: Commit, writer: str) -> World:
    """Write what a commit sets; an attribute that it does not name stays."""
    record = world.real.record
    return overwrite(world, call, Record(call.corrected, writer, record.note))


def overwrite(world: World, call: Commit, record: Record) -> World:
    """Write the record, noting if that takes away something which was not there when it was detected (I1)."""
    before = world.real.record
    world = world._replace(real=world.real._replace(record=record))
    others = before.writer.rstrip("'") != record.writer.rstrip("'")
    if others and _detected(before.state) != _detected(call.seen):
        return world.blame("I1", f"{record.writer} overwrote the record of {before.writer}")
    if before.note != record.note:
        return world.blame("I1", f"{record.writer} removed an attribute written by another program")
    return world


def _detected(state: AmiState | None) -> tuple[Any, ...]:
    return (state.status, state.updated_at, state.ami_id, state.build_id) if state else ()


def perform(
    world: World, call: Call, writer: str, now: datetime, commit_rule: CommitRule = commit
) -> tuple[Any, World]:
    """Return the answer to a call of our reconcilers, and the world after it.

    :param writer: the reconciler that asks.
    :param now: what its clock says.
    """
    if not _makes_sense(world, call):
        nonsense = TypeError(f"no store can answer {type(call).__name__}")
        return nonsense, world.blame("I12", f"{writer}: {nonsense}")
    if world.denied is type(call):
        return Refused("denied"), world
    return _perform(world, call, writer, now, commit_rule)


def _makes_sense(world: World, call: Call) -> bool:
    """Return whether a call is about this preset, and its arguments are what they should be."""
    match call:
        case ReadState(name) if name == NEIGHBOUR:
            return True
        case ReadState(name) | ReadConfig(name) | ReadHistory(name) | DescribeConfig(name, ConfigVersion()):
            return name == PRESET
        case PutConfig(name, ConfigVersion(), str()):
            return name == PRESET
        case Commit(AmiState(seen), AmiState(corrected)):
            return seen == corrected == PRESET
        case LogIntent(Intent(str(), name)):
            return name == PRESET
        case LatestImage(arn):
            return any(pipeline.arn == arn for pipeline in world.pipelines)
        case FindPipeline(tuple()) | ForgetIntent(str()) | Pause() | Detect() | ListIntents():
            return True
    return False


def _perform(world: World, call: Call, writer: str, now: datetime, commit_rule: CommitRule) -> tuple[Any, World]:
    match call:
        case ReadState(name) if name == NEIGHBOUR:
            return world.neighbour, world
        case ReadState():
            record = world.real.record
            looked = world.real._replace(record=record._replace(looked=True))
            return record.state, world._replace(real=looked)
        case Commit():
            return commit_rule(world, call, writer, now)
        case LogIntent(intent):
            others = [standing for standing in world.intents if standing.job_id != intent.job_id]
            return None, world._replace(intents=tuple(sorted([*others, intent], key=lambda each: each.job_id)))
        case ForgetIntent(key):
            return None, world._replace(intents=tuple(each for each in world.intents if each.job_id != key))
        case ReadHistory():
            count = len(world.real.versions)
            versions = tuple(_config(world, number) for number in range(1, count + 1))
            return versions, world._replace(looked=max(world.looked, count))
        case PutConfig(_, config, text):
            if not replace(newest_config(world.real), text=text, tier=world.tier).fits:
                world = world.blame("I12", f"{writer} puts more than the tier has room for")
            if _is_for_another_platform(world, text):
                world = world.blame("I15", f"{writer} puts an AMI beside a platform that it is not for")
            return _put(world, writer, config.version, text)
    return _answer(world, call, now), world


def _answer(world: World, call: Call, now: datetime) -> Any:
    """Return the answer to a call that leaves the world as it is."""
    match call:
        case Detect():
            return detect(world, now)
        case ListIntents():
            return world.intents
        case FindPipeline(names):
            return tuple(pipeline for name in names for pipeline in world.pipelines if pipeline.name == name)
        case LatestImage():
            return _latest(world)
        case ReadConfig():
            return _read(world) if world.real.versions else None
        case DescribeConfig(_, config):
            return replace(config, tier=world.tier)
        case Pause():
            return True
    raise TypeError(f"no call of a reconciler: {call!r}")


def _is_for_another_platform(world: World, text: str) -> bool:
    """Return whether a put names an AMI and a platform that it is not for."""
    values = json.loads(text)
    own = Platform.of(values.get("platform"))
    platforms = {built.platform for built in world.images if ami_of_image(built) == values["ami"]}
    return bool(own and platforms - {None, own})


def _read(world: World) -> ConfigVersion:
    config = newest_config(world.real)
    return replace(config, secure=True, tier=world.tier) if world.secure else config


def _latest(world: World) -> Image | Exception | None:
    """Return the latest image, or what the client raises if nobody can tell which one that is."""
    if any(each.created is None for each in world.images):
        return UndatedImage("an image has no date")
    return world.images[-1] if world.images else None


def land(world: World, number: int) -> World:
    """Let a put arrive that its sender gave up."""
    writer, base, text = world.flying[number]
    flying = world.flying[:number] + world.flying[number + 1 :]
    return _put(world._replace(flying=flying), f"{writer}, late", base, text)[1]


def perform_other(world: World, tables: Tables, call: Call, writer: str) -> tuple[Any, World, Tables]:
    """Return the answer to a call of somebody else, and world and tables after it.

    :param tables: the real ones or the shadow.
    """
    match call:
        case FinishBuild(built):
            images = world.images if built in world.images else (*world.images, built)
            return None, world._replace(images=images), tables
        case PassTime(seconds):
            return None, world._replace(time=world.time + seconds), tables
        case GetItem():
            return tables.record.state, world, tables
        case PutItem():
            return _put_item(world, tables, call, writer)
        case StartBuild():
            return _start_build(world, tables, call, writer)
        case DeleteItem():
            return None, world, tables._replace(record=Record(None, writer))
        case Annotate(note):
            return None, world, tables._replace(record=tables.record._replace(note=note))
        case GetParameter():
            return (len(tables.versions), tables.versions[-1].text), world, tables
        case PutParameter(base, text):
            version = Version(text, writer, base, world.time)
            return None, world, tables._replace(versions=(*tables.versions, version))
    raise TypeError(f"no call of anybody else: {call!r}")


def _put_item(world: World, tables: Tables, call: PutItem, writer: str) -> tuple[bool, World, Tables]:
    present, state = tables.record, call.state
    if present.state is None:
        return False, world, tables
    if present.state.updated_at < state.updated_at:
        took_back = state.status is Status.FAILED and state.ami_id != present.state.ami_id
        return True, world, tables._replace(record=Record(state, writer, took_back=took_back))
    if present.writer.startswith("R") and _is_older(world, present.state.build_id, call.image):
        world = world.blame("I7", f"the event of {call.image.arn[-1]} was refused because of {present.writer}")
    return False, world, tables


def _start_build(world: World, tables: Tables, call: StartBuild, writer: str) -> tuple[bool, World, Tables]:
    state = tables.record.state
    if state is None or state.updated_at >= call.now:
        return False, world, tables
    started = AmiState(PRESET, Status.BUILDING, call.now, state.ami_id)
    if call.keeps:
        started = replace(started, reconciled_by=state.reconciled_by)
    return True, world, tables._replace(record=Record(started, writer))


def detect(world: World, now: datetime) -> Candidate | None:
    """Return what the first task of a run would hand to the second, through XCom."""
    state = world.real.record.state
    items = [_item(state)] if state else []
    intents = [intent.to_item() for intent in world.intents]
    found = survey(items, intents, now=now, stale_after=STALE_AFTER).candidates
    return Candidate.from_json(json.loads(json.dumps(found[0].to_json()))) if found else None


def _item(state: AmiState) -> dict[str, Any]:
    return {"jobId": job_id(PRESET), "recordType": "AMI", "presetName": PRESET} | {
        "status": state.status.value,
        "amiId": state.ami_id,
        "updatedAt": state.updated_at,
        "buildId": state.build_id,
        "errorMessage": state.error_message,
        "reconciledBy": state.reconciled_by,
    }


def newest_config(tables: Tables) -> ConfigVersion:
    """Return the parameter as reading it tells."""
    return ConfigVersion(len(tables.versions), tables.versions[-1].text)


def _config(world: World, number: int) -> ConfigVersion:
    """Return a version as the history tells."""
    version = world.real.versions[number - 1]
    modified = moment(version.modified)
    return ConfigVersion(number, version.text, secure=world.secure, tier=world.tier, modified=modified)


def _put(world: World, writer: str, base: int, text: str) -> tuple[int, World]:
    versions = (*world.real.versions, Version(text, writer, base, world.time))
    return len(versions), world._replace(real=world.real._replace(versions=versions))


def _is_older(world: World, build_id: str | None, built: Image) -> bool:
    arns = [each.arn for each in world.images]
    return build_id in arns and arns.index(build_id) < arns.index(built.arn)
