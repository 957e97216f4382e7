"""The audit: finds parameters that do not name the AMI of their settled record.

A person or a stack deployment may read the whole parameter before a correction and write it back afterwards. That
restores the previous AMI, and SSM offers no way to prevent it. Only comparing record and parameter finds it. The
audit repairs nothing, because a person must decide which of the two is right.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from spot_runner_provider.protocol.outcome import Outcome
from spot_runner_provider.records.ami_state import AmiState, MalformedRecord
from spot_runner_provider.records.parameter import ConfigVersion, InvalidConfig, ami_of
from spot_runner_provider.records.text import shorten

SETTLED_AFTER = timedelta(minutes=5)
"""Age after which a record's writer, who puts the parameter after the record, has finished both."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A preset whose parameter does not name its record's AMI.

    >>> Finding("linux-x64", "the record (ready) says ami-0e3f, the parameter says ami-0a1d").to_json()["outcome"]
    'drifted'
    """

    preset_name: str
    detail: str

    def to_json(self) -> dict[str, str]:
        """Return the finding for XCom."""
        return {"presetName": self.preset_name, "outcome": Outcome.DRIFTED.value, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Audit:
    """The result of an audit; ``error`` says why it could not look at every parameter.

    >>> Audit(error="could not read the parameters of linux-x64").to_json()
    {'findings': [], 'error': 'could not read the parameters of linux-x64'}
    """

    findings: tuple[Finding, ...] = ()
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the audit for XCom."""
        return {"findings": [finding.to_json() for finding in self.findings], "error": self.error}


def settled(states: Iterable[AmiState], *, unfinished: Collection[str], now: datetime) -> list[AmiState]:
    """Return the records that a parameter must agree with.

    Such a record has been ``ready``, or ``failed`` with an AMI, for :data:`SETTLED_AFTER`, and has no unfinished
    intent. A record may be dated in the future, because its writer's clock is ahead.

    :param unfinished: names of the presets that have an unfinished intent.

    >>> from spot_runner_provider.records.ami_state import Status
    >>> state = AmiState("linux-x64", Status.READY, "2026-02-11T15:00:00.000Z", "ami-0e3f")
    >>> [each.preset_name for each in settled([state], unfinished=(), now=state.updated + timedelta(minutes=6))]
    ['linux-x64']
    >>> settled([state], unfinished={"linux-x64"}, now=state.updated + timedelta(minutes=6))
    []
    """
    return [
        state
        for state in states
        if state.usable_ami and state.preset_name not in unfinished and abs(now - state.updated) > SETTLED_AFTER
    ]


def drift(state: AmiState, config: ConfigVersion | None, parameter: str = "") -> Finding | None:
    """Return what is wrong with the parameter of a settled record, ``None`` if it names the record's AMI.

    :param config: the newest version; ``None`` if there is no parameter. The value of a SecureString is not quoted.
    :param parameter: its name, to be quoted if the parameter itself is missing or invalid.

    >>> from spot_runner_provider.records.ami_state import Status
    >>> state = AmiState("linux-x64", Status.READY, "2026-02-11T15:00:00.000Z", "ami-0e3f")
    >>> drift(state, ConfigVersion(9, '{"ami": "ami-0a1d"}')).detail
    'the record (ready) says ami-0e3f, the parameter says ami-0a1d'
    """
    try:
        if config is None:
            raise InvalidConfig.missing()
        ami_id = ami_of(config)
    except InvalidConfig as error:
        says = f"{error}: {parameter}. {error.remedy}" if parameter else str(error)
    else:
        if ami_id == state.usable_ami:
            return None
        says = "says another" if config.secure else f"says {shorten(ami_id or 'none', 60)}"
    record = f"the record ({state.status}) says {shorten(state.usable_ami or '', 60)}"
    return Finding(state.preset_name, f"{record}, the parameter {says}")


def confirmed(
    found: Mapping[str, Finding],
    seen: Iterable[AmiState],
    now_read: Mapping[str, AmiState | MalformedRecord | None],
) -> Iterator[Finding]:
    """Yield the findings whose record has not changed since it was compared: an index lags, and others keep writing.

    :param found: the findings, by preset.
    :param seen: the records that were compared; one for each finding.
    :param now_read: the records from a consistent read that was made after the parameters were read.

    >>> from spot_runner_provider.records.ami_state import Status
    >>> seen = AmiState("linux-x64", Status.READY, "2026-02-11T15:00:00.000Z", "ami-0e3f")
    >>> newer = AmiState("linux-x64", Status.BUILDING, "2026-02-11T16:00:00.000Z", "ami-0e3f")
    >>> found = {"linux-x64": Finding("linux-x64", "the record (ready) says ami-0e3f, the parameter says ami-0a1d")}
    >>> list(confirmed(found, [seen], {"linux-x64": newer}))
    []
    """
    by_name = {state.preset_name: state for state in seen}
    for name, finding in found.items():
        present = now_read[name]
        if isinstance(present, AmiState) and _version(present) == _version(by_name[name]):
            yield finding


def _version(state: AmiState) -> tuple[str, str, str | None]:
    return state.status, state.updated_at, state.ami_id
