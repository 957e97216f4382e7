"""The AMI state: the DynamoDB record that says how far a preset's image is, and when it is stale.

Other programs write the same records, so the format is a contract. ``updatedAt`` is compared **as text**, so it
is always written as ``YYYY-MM-DDTHH:MM:SS.mmmZ``. When another program replaces the item, any attribute that it
does not know is lost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Self, TypeGuard

from spot_runner_provider.records.text import DETAIL_LIMIT, shorten, shown

RECORD_TYPE = "AMI"
"""Value of ``recordType`` in every AMI state; runner jobs in the same table have none."""

_PRESET_NAME = re.compile(r"[A-Za-z0-9_-]{1,116}")
"""What fits both an Image Builder pipeline name and a segment of an SSM parameter name.

A pipeline name has 3 to 128 of these characters, or blanks inside; ``spot-runner-`` takes 12 of them.
"""

REASON_LIMIT = 4000
"""Characters of a build's reason that go into a record: enough for a person, and far below an item's 400 KB."""

_AMI_ID = re.compile(r"ami-[0-9A-Za-z]{1,32}")
"""EC2 ids have 8 or 17 hexadecimal digits. Emulators use others, so only the length is checked, not the digits."""

_MILLISECOND = timedelta(milliseconds=1)
_LAST_MOMENT = datetime.max.replace(microsecond=999000, tzinfo=UTC)


class Status(StrEnum):
    """How far a preset's image is.

    A word compares and prints as its text.

    >>> Status.READY == "ready"
    True
    """

    BUILDING = "building"
    """Image Builder is working on it, as far as the record knows."""
    READY = "ready"
    """``amiId`` is the image that new runners start from."""
    FAILED = "failed"
    """The last build failed; ``amiId`` is the image before it, if there was one."""


class MalformedRecord(ValueError):
    """An item that cannot be a record of its kind; the text says which attribute is wrong, and how.

    ``kind`` is the text without this item's own values, so that faults of the same kind can be counted together.

    >>> AmiState.from_item({"jobId": "AMI#windows-2022", "presetName": "linux-x64"})
    Traceback (most recent call last):
        ...
    spot_runner_provider.records.ami_state.MalformedRecord: jobId does not match presetName: expected 'AMI#linux-x64'
    """

    def __init__(self, reason: str, kind: str | None = None) -> None:
        super().__init__(reason)
        self.kind = kind or reason

    @classmethod
    def of_key(cls, expected: str) -> Self:
        """Return the error for an item whose ``jobId`` does not belong to its preset.

        :param expected: the key that it should have.

        >>> MalformedRecord.of_key("'AMI#linux-x64'").kind
        'jobId does not match presetName'
        """
        kind = "jobId does not match presetName"
        return cls(f"{kind}: expected {expected}", kind)


def is_ami_id(value: object) -> TypeGuard[str]:
    r"""Return whether ``value`` can be an AMI id; nothing else is ever put into a parameter.

    >>> is_ami_id("ami-0123456789abcdef0"), is_ami_id("pending"), is_ami_id("ami-0abc\n"), is_ami_id(None)
    (True, False, False, False)
    """
    return isinstance(value, str) and _AMI_ID.fullmatch(value) is not None


def check_preset_name(name: object) -> str:
    """Return ``name`` if it can be the name of a pipeline and of a parameter.

    :raises MalformedRecord: if it cannot, or is not text.

    >>> check_preset_name("linux-x64")
    'linux-x64'
    >>> check_preset_name("linux/x64")
    Traceback (most recent call last):
        ...
    spot_runner_provider.records.ami_state.MalformedRecord: presetName 'linux/x64' cannot be the name of a pipeline and
    a parameter: 1 to 116 letters, digits, '-' or '_'
    """
    if not isinstance(name, str) or not name:
        raise MalformedRecord("presetName is missing")
    if not _PRESET_NAME.fullmatch(name):
        raise MalformedRecord(
            f"presetName '{shorten(name, 60)}' cannot be the name of a pipeline and a parameter: "
            "1 to 116 letters, digits, '-' or '_'",
            "presetName cannot be the name of a pipeline and a parameter",
        )
    return name


def job_id(preset_name: str) -> str:
    """Return the partition key of a preset's AMI state.

    >>> job_id("linux-x64")
    'AMI#linux-x64'
    """
    return f"{RECORD_TYPE}#{preset_name}"


def is_ami_state(key: str) -> bool:
    """Return whether a partition key belongs to an AMI state, whatever else the item holds.

    >>> is_ami_state("AMI#linux-x64"), is_ami_state("AMI-INTENT#linux-x64#dag/run/1")
    (True, False)
    """
    return key.startswith(job_id(""))


def parse_timestamp(text: object) -> datetime:
    """Return the moment, in UTC, that an ISO 8601 ``text`` with a time zone stands for.

    :raises MalformedRecord: if it is not text, not a timestamp, or has no time zone.

    >>> parse_timestamp("2026-02-11T16:35:48.123+01:00")
    datetime.datetime(2026, 2, 11, 15, 35, 48, 123000, tzinfo=datetime.timezone.utc)
    """
    if not isinstance(text, str):
        raise MalformedRecord("updatedAt is missing or not text")
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None or len(text) > 40 or not text.isascii() or shown(text) != text:
            raise ValueError("no time zone, or a fraction of a second or a separator that nobody wrote")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise MalformedRecord(
            f"updatedAt '{shorten(text, 60)}' is not a timestamp such as 2026-02-11T15:35:48.123Z",
            "updatedAt is not a timestamp",
        ) from None


def render_timestamp(moment: datetime) -> str:
    """Return ``moment`` (aware) in the one form whose text order is time order: milliseconds, UTC, ``Z``.

    >>> render_timestamp(datetime(2026, 2, 11, 15, 35, 48, tzinfo=UTC))
    '2026-02-11T15:35:48.000Z'
    """
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def later(moment: datetime, than: datetime) -> datetime:
    """Return ``moment``, or one millisecond after ``than`` if that is later; at most ``datetime.max``.

    >>> seen = datetime(2026, 2, 11, 15, 35, 48, tzinfo=UTC)
    >>> render_timestamp(later(seen - timedelta(minutes=1), than=seen))
    '2026-02-11T15:35:48.001Z'
    """
    return max(moment, min(than, _LAST_MOMENT - _MILLISECOND) + _MILLISECOND)


@dataclass(frozen=True, slots=True)
class AmiState:
    """One preset's record, as it was read.

    ``updated_at`` is kept as the text that was read, because conditional writes compare it as text.
    ``reconciled_by`` is the ``<dag_id>/<run_id>`` of our last write; another program's write removes it.

    >>> state = AmiState.from_item({"jobId": "AMI#linux-x64", "presetName": "linux-x64", "amiId": "ami-0a1d",
    ...                             "status": "building", "updatedAt": "2026-02-11T15:35:48.123Z"})
    >>> state.is_stale(datetime(2026, 2, 11, 16, 5, 49, tzinfo=UTC), stale_after=timedelta(minutes=30))
    True
    >>> AmiState.from_json(state.to_json()) == state
    True
    """

    preset_name: str
    status: Status
    updated_at: str
    ami_id: str | None = None
    build_id: str | None = None
    error_message: str | None = None
    reconciled_by: str | None = None

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Self:
        """Read a DynamoDB item (attribute name to plain value); unknown attributes are ignored.

        :raises MalformedRecord: naming the first attribute that is wrong.
        """
        name = check_preset_name(item.get("presetName"))
        if item.get("jobId") != job_id(name):
            raise MalformedRecord.of_key(repr(job_id(name)))
        return cls._from_attributes(name, item)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote.

        :raises MalformedRecord: naming the first attribute that is wrong.
        """
        return cls._from_attributes(check_preset_name(value.get("presetName")), value)

    @classmethod
    def _from_attributes(cls, name: str, values: Mapping[str, Any]) -> Self:
        status, updated_at, ami_id = values.get("status"), values.get("updatedAt"), values.get("amiId")
        if status not in list(Status):
            kind = f"is none of {', '.join(Status)}"
            raise MalformedRecord(f"status '{shorten(str(status), 60)}' {kind}", f"status {kind}")
        parse_timestamp(updated_at)
        if not (ami_id is None or isinstance(ami_id, str)):
            raise MalformedRecord("amiId is neither text nor null")
        return cls(
            preset_name=name,
            status=Status(status),
            updated_at=str(updated_at),
            ami_id=ami_id or None,
            build_id=_text(values.get("buildId")),
            error_message=_text(values.get("errorMessage")),
            reconciled_by=_text(values.get("reconciledBy")),
        )

    def to_json(self) -> dict[str, str | None]:
        """Return the record for XCom, under its own attribute names and with long texts cut.

        >>> AmiState("linux-x64", Status.READY, "2026-02-11T15:35:48.123Z", "ami-0e3f").to_json()
        {'presetName': 'linux-x64', 'status': 'ready', 'amiId': 'ami-0e3f', 'updatedAt': '2026-02-11T15:35:48.123Z',
         'buildId': None}
        """
        return {
            "presetName": self.preset_name,
            "status": self.status.value,
            "amiId": self.ami_id and shorten(self.ami_id),
            "updatedAt": self.updated_at,
            "buildId": self.build_id and shorten(self.build_id),
        } | ({"errorMessage": shorten(self.error_message, DETAIL_LIMIT)} if self.error_message else {})

    @property
    def updated(self) -> datetime:
        """The moment of ``updated_at``, in UTC."""
        return parse_timestamp(self.updated_at)

    @property
    def usable_ami(self) -> str | None:
        """The AMI that runners must start from; ``None`` unless the record is ready, or failed with an AMI.

        A text that cannot be an AMI id counts as none, because it must never reach a parameter.
        """
        return self.ami_id if self.status is not Status.BUILDING and is_ami_id(self.ami_id) else None

    def is_stale(self, now: datetime, stale_after: timedelta) -> bool:
        """Return whether the record has been ``building`` for **more** than ``stale_after``."""
        return self.status is Status.BUILDING and now - self.updated > stale_after

    def now_ready(self, ami_id: str, *, build_id: str, at: datetime, by: str) -> Self:
        """Return the record of a build that succeeded.

        :param at: the moment when this was true. ``updatedAt`` becomes that moment, or one just after the record's
            own ``updatedAt`` if that is later.
        :param by: the ``<dag_id>/<run_id>`` that writes it.

        >>> seen = AmiState("linux-x64", Status.BUILDING, "2026-02-11T15:35:48.123Z", "ami-0a1d")
        >>> image = "arn:aws:imagebuilder:us-east-1:123456789012:image/spotrunnerstack-linux-x64/1.0.0/7"
        >>> ready = seen.now_ready("ami-0e3f", build_id=image, at=seen.updated, by="spot_runner_reconcile/manual__1")
        >>> ready.status, ready.ami_id, ready.updated_at
        (<Status.READY: 'ready'>, 'ami-0e3f', '2026-02-11T15:35:48.124Z')
        """
        rewritten = self._rewritten(build_id, at, by)
        return replace(rewritten, status=Status.READY, ami_id=ami_id, error_message=None)

    def now_failed(self, reason: str, *, build_id: str, at: datetime, by: str) -> Self:
        """Return the record of a build that failed; it keeps the previous AMI. Parameters as for :meth:`now_ready`.

        :param reason: why it failed, in the words of AWS, cut to :data:`REASON_LIMIT`.

        >>> seen = AmiState("linux-x64", Status.BUILDING, "2026-02-11T15:35:48.123Z", "ami-0a1d")
        >>> image = "arn:aws:imagebuilder:us-east-1:123456789012:image/spotrunnerstack-linux-x64/1.0.0/7"
        >>> failed = seen.now_failed("FAILED: Build timed out", build_id=image, at=seen.updated, by="dag/run")
        >>> failed.status, failed.usable_ami, failed.error_message
        (<Status.FAILED: 'failed'>, 'ami-0a1d', 'FAILED: Build timed out')
        """
        message = reason if len(reason) <= REASON_LIMIT else reason[: REASON_LIMIT - 1] + "…"
        return replace(self._rewritten(build_id, at, by), status=Status.FAILED, error_message=message)

    def _rewritten(self, build_id: str, at: datetime, by: str) -> Self:
        updated_at = render_timestamp(later(at, than=self.updated))
        return replace(self, updated_at=updated_at, build_id=build_id, reconciled_by=by)


def _text(value: object) -> str | None:
    """Return an informative attribute if it is text. Nothing depends on it, so a wrong one is no reason to refuse."""
    return value if isinstance(value, str) and value else None


@dataclass(frozen=True, slots=True)
class Malformed:
    """An item that was refused, and why. ``job_id`` and ``preset_name`` are ``None`` where the item has none.

    ``kind`` is the kind of reason under which the item is counted.

    >>> item = {"jobId": "AMI#nameless", "status": "building"}
    >>> try:
    ...     AmiState.from_item(item)
    ... except MalformedRecord as error:
    ...     Malformed.of(item, error).to_json()
    {'jobId': 'AMI#nameless', 'presetName': None, 'reason': 'presetName is missing'}
    """

    job_id: str | None
    preset_name: str | None
    reason: str
    kind: str

    @classmethod
    def of(cls, item: Mapping[str, Any], error: MalformedRecord) -> Self:
        """Return the refusal of a DynamoDB item."""
        return cls(_text(item.get("jobId")), _text(item.get("presetName")), str(error), error.kind)

    def to_json(self) -> dict[str, str | None]:
        """Return the refusal for XCom, with long texts cut."""
        return {
            "jobId": self.job_id and shorten(self.job_id),
            "presetName": self.preset_name and shorten(self.preset_name),
            "reason": shorten(self.reason),
        }
