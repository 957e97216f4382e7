"""The intent: a write-ahead note, in the same table, that a preset's parameter is about to follow its record.

It is written before the record is committed, and deleted once the parameter is seen to agree. A worker that dies
in between leaves it behind, and a later run knows what to finish. It has no ``status``, so ``status-index`` never
lists it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Self

from spot_runner_provider.records.ami_state import (
    MalformedRecord,
    check_preset_name,
    is_ami_id,
    parse_timestamp,
    render_timestamp,
)
from spot_runner_provider.records.platform import Platform
from spot_runner_provider.records.text import shown

RECORD_TYPE = "AMI-INTENT"
"""Value of ``recordType`` in every intent."""

KEY_LIMIT = 1024
"""Characters that an intent's ``jobId`` may have. Ours are shorter: Airflow's DAG and run ids have 250 each."""

ABANDONED_AFTER = timedelta(minutes=5)
"""Age after which the try that wrote an intent counts as dead. Its few calls take seconds, and it gives up on a
lost call before then. Nobody else may finish the intent earlier, because a live worker may still need it."""

RENEWED_AFTER = timedelta(minutes=1)
"""Age after which a try that throttling holds up logs its intent again before its next put."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What one try of one run was about to do for a preset.

    ``logged_at`` is when it was written (the item's ``updatedAt``). ``param_version`` is the version of the SSM
    parameter that was read before. ``ami_id`` and ``build_id`` are what the record was about to get. ``platform`` is
    what that AMI is for, if it is known.

    An intent can stand for others as well: it names them in ``stands_for`` and has the oldest of their versions.
    ``puts_until`` is then the end of their puts, as long as its own try has not put.

    >>> logged_at = datetime(2026, 2, 11, 16, tzinfo=UTC)
    >>> logged = Intent.of("linux-x64", owner="spot_runner_reconcile/manual__1/1", at=logged_at, param_version=7,
    ...                    ami_id="ami-0e3f", build_id="arn:aws:imagebuilder:us-east-1:123456789012:image/...")
    >>> logged.job_id
    'AMI-INTENT#linux-x64#spot_runner_reconcile/manual__1/1'
    >>> Intent.from_item(logged.to_item()) == logged
    True
    >>> logged.is_abandoned(logged_at + timedelta(minutes=6))
    True
    """

    job_id: str
    preset_name: str
    logged_at: str
    param_version: int
    ami_id: str | None = None
    build_id: str | None = None
    puts_until: str | None = None
    stands_for: tuple[str, ...] = ()
    platform: Platform | None = None

    @classmethod
    def of(
        cls,
        preset_name: str,
        *,
        owner: str,
        at: datetime,
        param_version: int,
        ami_id: str,
        build_id: str,
        platform: Platform | None = None,
    ) -> Self:
        """Return the intent of one try. ``owner`` names the try, so that no other try overwrites the intent."""
        return cls(
            job_id=key_of(preset_name, owner),
            preset_name=preset_name,
            logged_at=render_timestamp(at),
            param_version=param_version,
            ami_id=ami_id,
            build_id=build_id,
            platform=platform,
        )

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Self:
        """Read a DynamoDB item, or what :meth:`to_json` wrote.

        :raises MalformedRecord: naming the first attribute that is wrong.
        """
        name = check_preset_name(item.get("presetName"))
        key = item.get("jobId")
        if not isinstance(key, str) or not key.startswith(_key_prefix(name)):
            raise MalformedRecord.of_key(f"{_key_prefix(name)}...")
        if len(key) > KEY_LIMIT:
            raise MalformedRecord(f"jobId has more than {KEY_LIMIT} characters")
        if shown(key) != key:  # XCom and logs change such a key, so nobody could delete the item by it
            raise MalformedRecord("jobId has a character that XCom cannot hold or nobody can see")
        parse_timestamp(item.get("updatedAt"))
        if (puts_until := item.get("putsUntil")) is not None:
            parse_timestamp(puts_until)
        names = item.get("standsFor")
        return cls(
            job_id=key,
            preset_name=name,
            logged_at=item["updatedAt"],
            param_version=_version(item.get("paramVersion")),
            ami_id=item.get("amiId"),
            build_id=item.get("buildId"),
            puts_until=puts_until,
            stands_for=tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else (),
            platform=Platform.of(item.get("platform")),
        )

    def to_item(self) -> dict[str, Any]:
        """Return the DynamoDB item."""
        return {
            "jobId": self.job_id,
            "recordType": RECORD_TYPE,
            "presetName": self.preset_name,
            "updatedAt": self.logged_at,
            "paramVersion": self.param_version,
            "amiId": self.ami_id,
            "buildId": self.build_id,
            "putsUntil": self.puts_until,
            "standsFor": list(self.stands_for),
            "platform": self.platform and self.platform.value,
        }

    def to_json(self, standing: Collection[str] = ()) -> dict[str, Any]:
        """Return, for XCom, what is needed to finish it.

        :param standing: the keys of the intents that are passed on with it; ``standsFor`` names no others.

        >>> Intent("AMI-INTENT#linux-x64#dag/run/1", "linux-x64", "2026-02-11T16:00:00.000Z", 7, "ami-0e3f").to_json()
        {'jobId': 'AMI-INTENT#linux-x64#dag/run/1', 'updatedAt': '2026-02-11T16:00:00.000Z', 'paramVersion': 7}
        """
        own = {"jobId": self.job_id, "updatedAt": self.logged_at, "paramVersion": self.param_version}
        others = {"putsUntil": self.puts_until, "standsFor": [key for key in self.stands_for if key in standing]}
        guard: dict[str, Any] = {}
        if self.platform and is_ami_id(self.ami_id):
            guard = {"amiId": self.ami_id, "platform": self.platform.value}
        return own | guard | {name: value for name, value in others.items() if value}

    @property
    def given_up_at(self) -> datetime:
        """The moment after which its try writes nothing any more."""
        logged = parse_timestamp(self.logged_at)
        return logged + min(ABANDONED_AFTER, datetime.max.replace(tzinfo=UTC) - logged)

    @property
    def last_put_at(self) -> datetime:
        """The moment after which no put under this intent can have overwritten anything."""
        return parse_timestamp(self.puts_until) if self.puts_until else self.given_up_at

    def is_of(self, owner: str) -> bool:
        """Return whether it was written by a try of the run ``owner`` (``<dag_id>/<run_id>``).

        >>> intent = Intent("AMI-INTENT#linux-x64#dag/run/1", "linux-x64", "2026-02-11T16:00:00.000Z", param_version=7)
        >>> intent.is_of("dag/run"), intent.is_of("dag/ru")
        (True, False)
        """
        return self.job_id.startswith(f"{key_of(self.preset_name, owner)}/")

    def standing_for(self, others: Collection[Self]) -> Self:
        """Return the same intent, standing for others as well: whoever finishes it also repairs what they overwrote.

        >>> key, logged_at = "AMI-INTENT#linux-x64#dag/run/", "2026-02-11T16:00:00.000Z"
        >>> own = Intent(key + "2", "linux-x64", "2026-02-11T17:00:00.000Z", param_version=9)
        >>> merged = own.standing_for([Intent(key + "1", "linux-x64", logged_at, param_version=7)])
        >>> merged.param_version, merged.puts_until, merged.stands_for
        (7, '2026-02-11T16:05:00.000Z', ('AMI-INTENT#linux-x64#dag/run/1',))
        """
        if not others:
            return self
        return replace(
            self,
            param_version=base_of([self, *others]),
            puts_until=render_timestamp(max(each.last_put_at for each in others)),
            stands_for=tuple(sorted(each.job_id for each in others)),
        )

    def is_due(self, now: datetime) -> bool:
        """Return whether its own try must renew it before its next put.

        Otherwise another run may take it for abandoned, or whoever finishes it may miss what that put overwrites.

        >>> logged = Intent("AMI-INTENT#linux-x64#dag/run/1", "linux-x64", "2026-02-11T16:00:00.000Z", param_version=7)
        >>> logged.is_due(datetime(2026, 2, 11, 16, 0, 30, tzinfo=UTC))
        False
        """
        return self.puts_until is not None or now - parse_timestamp(self.logged_at) > RENEWED_AFTER

    def renewed(self, now: datetime) -> Self:
        """Return the same intent, logged at a later moment; from then on it covers its own try's puts.

        >>> now = datetime(2026, 2, 11, 16, 2, tzinfo=UTC)
        >>> logged = Intent("AMI-INTENT#linux-x64#dag/run/1", "linux-x64", "2026-02-11T16:00:00.000Z", param_version=7)
        >>> logged.is_due(now), logged.renewed(now).is_due(now)
        (True, False)
        """
        return replace(self, logged_at=render_timestamp(now), puts_until=None)

    def is_abandoned(self, now: datetime) -> bool:
        """Return whether its try counts as dead, so that another run may finish it."""
        return now > self.given_up_at


def key_of(preset_name: str, owner: str) -> str:
    """Return the key of one try's intent; ``owner`` names the try.

    >>> key_of("linux-x64", "spot_runner_reconcile/manual__1/1")
    'AMI-INTENT#linux-x64#spot_runner_reconcile/manual__1/1'
    """
    return f"{_key_prefix(preset_name)}{shown(owner)}"


def base_of(intents: Iterable[Intent]) -> int:
    """Return the oldest version of the parameter that any of ``intents`` had read.

    >>> key, logged_at = "AMI-INTENT#linux-x64#dag/run/", "2026-02-11T16:00:00.000Z"
    >>> base_of([Intent(key + "1", "linux-x64", logged_at, 8), Intent(key + "2", "linux-x64", logged_at, 7)])
    7
    """
    return min(intent.param_version for intent in intents)


def redundant(intents: Collection[Intent]) -> list[Intent]:
    """Return the intents that another one of them stands for.

    That the other one reaches as far is not enough: it must also name them. The try that logged it forgets it once
    its own work is done, and knows only the intents that it names.

    >>> key, logged_at = "AMI-INTENT#linux-x64#dag/run/", "2026-02-11T16:00:00.000Z"
    >>> first, second = (Intent(key + number, "linux-x64", logged_at, param_version=7) for number in "12")
    >>> redundant([first, second]), redundant([first, second.standing_for([first])]) == [first]
    ([], True)
    """

    def stands_for(one: Intent, other: Intent) -> bool:
        reaches = one.param_version <= other.param_version and one.last_put_at >= other.last_put_at
        return reaches and other.job_id in one.stands_for

    return [one for one in intents if any(other is not one and stands_for(other, one) for other in intents)]


def is_intent(job_id: str | None) -> bool:
    """Return whether a partition key belongs to an intent, whatever else the item holds.

    >>> is_intent("AMI-INTENT#linux-x64#dag/run/1"), is_intent("AMI#linux-x64"), is_intent(None)
    (True, False, False)
    """
    return job_id is not None and job_id.startswith(f"{RECORD_TYPE}#")


def _key_prefix(preset_name: str) -> str:
    return f"{RECORD_TYPE}#{preset_name}#"


def _version(value: object) -> int:
    """Return a parameter's version, which is a ``Decimal`` in DynamoDB and an ``int`` in XCom."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool) and 0 < value < 10**9 and value % 1 == 0:
        return int(value)
    raise MalformedRecord("paramVersion is not a whole number above 0")
