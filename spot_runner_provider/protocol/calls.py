"""What the protocol asks of its three stores: the calls, their answers, and the exceptions raised instead."""

from __future__ import annotations

from dataclasses import dataclass

from spot_runner_provider.records.ami_state import AmiState, job_id
from spot_runner_provider.records.intent import Intent
from spot_runner_provider.records.parameter import ConfigVersion, parameter_name


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a store, for one preset.

    A call is a value, so that a test can say which one it expects:

    >>> FindPipeline(("spot-runner-linux-x64",)) == FindPipeline(("spot-runner-linux-x64",))
    True
    """


@dataclass(frozen=True, slots=True)
class FindPipeline(Call):
    """Answered by the pipelines that have exactly one of the names: a tuple, in the names' order.

    Each is a :class:`~spot_runner_provider.records.image.Pipeline`.
    """

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LatestImage(Call):
    """Answered by the pipeline's most recently created image, or ``None``.

    It is an :class:`~spot_runner_provider.records.image.Image` with its details.
    """

    pipeline_arn: str


@dataclass(frozen=True, slots=True)
class ReadState(Call):
    """Answered by the record as it is now (a consistent read), or ``None`` if there is none."""

    preset_name: str


@dataclass(frozen=True, slots=True)
class Commit(Call):
    """Write ``corrected`` if the record is still ``seen``. Answered by a :class:`Committed` or a :class:`Lost`."""

    seen: AmiState
    corrected: AmiState


@dataclass(frozen=True, slots=True)
class LogIntent(Call):
    """Put the intent, overwriting whatever has its key."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class ForgetIntent(Call):
    """Delete the intent with this key; it is no error if the intent is already gone."""

    job_id: str


@dataclass(frozen=True, slots=True)
class ReadConfig(Call):
    """Answered by the parameter's newest version, or ``None`` if there is no parameter.

    It is a :class:`~spot_runner_provider.records.parameter.ConfigVersion`.
    """

    preset_name: str


@dataclass(frozen=True, slots=True)
class DescribeConfig(Call):
    """Answered by the same version with its tier and key."""

    preset_name: str
    config: ConfigVersion


@dataclass(frozen=True, slots=True)
class ReadHistory(Call):
    """Answered by every version that SSM still has, oldest first; none if the parameter is gone."""

    preset_name: str


@dataclass(frozen=True, slots=True)
class PutConfig(Call):
    """Make ``text`` the newest version, with the type, key and tier of ``config``. Answered by its number.

    :raises Throttled: thrown in if SSM refuses it for now.
    :raises Busy: thrown in, after a short wait, if SSM is updating this parameter for somebody else.
    :raises AmbiguousPut: thrown in if it is unknown whether the put was applied.
    """

    preset_name: str
    config: ConfigVersion
    text: str


@dataclass(frozen=True, slots=True)
class Pause(Call):
    """Wait until the put that SSM throttled may be tried again. Answered by whether it may; if not, pause again.

    :raises PutsInVain: thrown in if SSM has accepted no put for so long that the wait is given up.
    """


@dataclass(frozen=True, slots=True)
class Committed:
    """The condition held; the record is the corrected one."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The condition did not hold; ``present`` is the present record, ``None`` if it is gone or malformed."""

    present: AmiState | None


class Refused(Exception):
    """A store refused the call, so it was certainly not applied; the text names the resource and the remedy.

    The protocol passes a refusal on to its caller, unless it must first tidy up or wait:

    >>> from datetime import datetime
    >>> from spot_runner_provider.records.ami_state import Status
    >>> from spot_runner_provider.protocol.candidate import Candidate, Run
    >>> from spot_runner_provider.protocol.reconcile import reconcile
    >>> run = Run("dag/run", "reconcile_preset/0/1", "us-east-1", clock=lambda: datetime(2026, 2, 11, 16))
    >>> seen = AmiState("linux-x64", Status.BUILDING, "2026-02-11T15:35:48.123Z", "ami-0a1d")
    >>> flow = reconcile(Candidate("linux-x64", seen), run)
    >>> next(flow)
    FindPipeline(names=('spot-runner-linux-x64',))
    >>> flow.throw(ConfigurationError("Access denied: allow imagebuilder:ListImagePipelines"))
    Traceback (most recent call last):
        ...
    spot_runner_provider.protocol.calls.ConfigurationError: Access denied: allow imagebuilder:ListImagePipelines
    """


class ConfigurationError(Refused):
    """Nothing can work until a person changes a setting, a permission or a resource; the text says which."""


class ResourceRefused(ConfigurationError):
    """A store permanently refuses this one resource, for its kind or its limits; other presets are not affected."""


class Throttled(Refused):
    """For now, a store accepts no such call from anybody."""


class Busy(Refused):
    """A store is updating the same resource for somebody else."""


class AmbiguousPut(Exception):
    """The reply to a put was lost, so it is unknown whether the put was applied."""


class PutsInVain(Exception):
    """SSM accepted no put for too long, or each try met another's change of the parameter or got no reply."""


def resource_of(call: Call, config_prefix: str) -> str:
    """Return what ``call`` is about, worded for an error message.

    :param config_prefix: the path above the parameters.

    >>> resource_of(ReadState("linux-x64"), "/spot-runner/configs")
    'record AMI#linux-x64'
    >>> resource_of(ReadHistory("linux-x64"), "/spot-runner/configs")
    'parameter /spot-runner/configs/linux-x64'
    """
    match call:
        case FindPipeline(names):
            return f"{'pipeline' if len(names) == 1 else 'pipelines'} {', '.join(names)}"
        case LatestImage(arn):
            return f"pipeline {arn}"
        case ReadState(preset) | Commit(AmiState(preset_name=preset)):
            return f"record {job_id(preset)}"
        case LogIntent(Intent(job_id=key)) | ForgetIntent(key):
            return f"intent {key}"
        case ReadConfig(preset) | DescribeConfig(preset) | ReadHistory(preset) | PutConfig(preset):
            return f"parameter {parameter_name(config_prefix, preset)}"
        case Pause():
            return "a throttled put"
    return "the preset"
