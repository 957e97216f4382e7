"""Which presets need reconciling, and how they are divided among tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar

from spot_runner_provider.detection.audit import Audit
from spot_runner_provider.protocol.candidate import Candidate
from spot_runner_provider.records.ami_state import (
    AmiState,
    Malformed,
    MalformedRecord,
    Status,
    check_preset_name,
    job_id,
    render_timestamp,
)
from spot_runner_provider.records.intent import Intent
from spot_runner_provider.records.xcom_size import fitted_together, odd_text

NO_RECORD = "no record"
"""Why a requested preset is refused if the table has no record of that name."""

LISTED = 100
"""Malformed records that are listed one by one; all of them are counted. Another program may fill the table with any
number of them, and they all would end up in XCom, in the report and on the page."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Survey:
    """What the table says at ``checked_at``: every record, what was refused, and what needs reconciling.

    If ``named`` is true, somebody named the presets, and the survey covers only these.

    >>> now = datetime.fromisoformat("2026-02-11T16:00:00Z")
    >>> found = survey([], [], now=now, stale_after=timedelta(minutes=30))
    >>> found.to_json()
    {'checkedAt': '2026-02-11T16:00:00.000Z', 'states': [], 'malformed': [], 'malformedCounts': {}}
    """

    checked_at: datetime
    states: tuple[AmiState, ...]
    malformed: tuple[Malformed, ...]
    candidates: tuple[Candidate, ...]
    unfinished: frozenset[str]
    named: bool = False

    @property
    def malformed_counts(self) -> dict[str, int]:
        """How many items were refused for each kind of reason, most frequent first."""
        return dict(Counter(refusal.kind for refusal in self.malformed).most_common())

    def to_json(self, audit: Audit | None = None) -> dict[str, Any]:
        """Return the survey as the XCom ``states``, together with the audit if there was one."""
        states = [
            state.to_json() | ({"unfinished": True} if state.preset_name in self.unfinished else {})
            for state in self.states
        ]
        malformed = [
            {name: odd_text(text) for name, text in refusal.to_json().items()} for refusal in self.malformed[:LISTED]
        ]
        audited = {"findings": [], "error": None} if audit is None else audit.to_json()
        fitted_states, findings = fitted_together(
            [(states, "errorMessage"), (audited["findings"], "detail")], beside=[malformed, audited["error"]]
        )
        return (
            {
                "checkedAt": render_timestamp(self.checked_at),
                "states": fitted_states,
                "malformed": malformed,
                "malformedCounts": self.malformed_counts,
            }
            | ({"named": True} if self.named else {})
            | ({} if audit is None else {"audit": audited | {"findings": findings}})
        )


def survey(
    items: Iterable[Mapping[str, Any]],
    intents: Iterable[Mapping[str, Any]],
    *,
    now: datetime,
    stale_after: timedelta,
    named: Mapping[str, Mapping[str, Any] | None] | None = None,
) -> Survey:
    """Return what must be done about these records and intents.

    A preset is a candidate if its record is stale. It is one, too, if its record is settled or gone and a dead try
    left an intent behind. A record that cannot be read is listed, and does not affect the others.

    :param items: the items of AMI states.
    :param intents: the items of intents.
    :param named: the presets that somebody asked for, with their items. If given, ``items`` is ignored, and each of
        these presets is a candidate if it is building, whatever its age.

    >>> items = [
    ...     {"jobId": "AMI#linux-x64", "presetName": "linux-x64", "status": "building",
    ...      "updatedAt": "2026-02-11T15:00:00.000Z"},
    ...     {"jobId": "AMI#nameless", "status": "building"},
    ... ]
    >>> now = datetime.fromisoformat("2026-02-11T16:00:00Z")
    >>> found = survey(items, [], now=now, stale_after=timedelta(minutes=30))
    >>> [candidate.preset_name for candidate in found.candidates]
    ['linux-x64']
    >>> found.malformed
    (Malformed(job_id='AMI#nameless', preset_name=None, reason='presetName is missing', kind='presetName is missing'),)
    """
    refused = [
        Malformed(job_id(name), name, NO_RECORD, NO_RECORD) for name, item in (named or {}).items() if item is None
    ]
    states: dict[str, AmiState] = {}
    unread: set[str] = set()
    for item in items if named is None else [item for item in named.values() if item is not None]:
        try:
            state = AmiState.from_item(item)
        except MalformedRecord as error:
            refused.append(Malformed.of(item, error))
            unread.add(str(item.get("presetName")))
        else:
            states[state.preset_name] = state
    standing, refused_intents = _standing(
        item for item in intents if named is None or str(item.get("presetName")) in named
    )

    candidates = []
    for name in sorted(states.keys() | standing.keys() - unread):
        found = states.get(name)
        abandoned = tuple(intent for intent in standing.get(name, ()) if intent.is_abandoned(now))
        if found is not None and found.status is Status.BUILDING:
            due = named is not None or found.is_stale(now, stale_after)
        else:
            due = bool(abandoned)
        if due:
            candidates.append(Candidate(name, found, abandoned))
    return Survey(
        checked_at=now,
        states=tuple(states[name] for name in sorted(states)),
        malformed=(*refused, *refused_intents),
        candidates=tuple(candidates),
        unfinished=frozenset(standing),
        named=named is not None,
    )


def _standing(items: Iterable[Mapping[str, Any]]) -> tuple[dict[str, list[Intent]], list[Malformed]]:
    """Return the intents of each preset, and the items that are not intents."""
    standing: dict[str, list[Intent]] = {}
    refused = []
    for item in items:
        try:
            intent = Intent.from_item(item)
        except MalformedRecord as error:
            refused.append(Malformed.of(item, error))
        else:
            standing.setdefault(intent.preset_name, []).append(intent)
    return standing, refused


def sift(names: Sequence[str]) -> tuple[list[str], list[Malformed]]:
    """Divide the given preset names into those that can exist, each once, and those that are refused.

    >>> good, refused = sift(["linux-x64", "linux/x64", "linux-x64"])
    >>> good, [refusal.preset_name for refusal in refused]
    (['linux-x64'], ['linux/x64'])
    """
    good: dict[str, None] = {}
    refused = []
    for name in names:
        try:
            good[check_preset_name(name)] = None
        except MalformedRecord as error:
            refused.append(Malformed(None, name, str(error), error.kind))
    return list(good), refused


def divide(items: Sequence[T], tasks: int) -> list[list[T]]:
    """Return ``items`` in at most ``tasks`` batches of even size; one item per batch if there are enough tasks.

    >>> divide(["linux-arm64", "linux-x64", "windows-2022"], tasks=8)
    [['linux-arm64'], ['linux-x64'], ['windows-2022']]
    >>> divide(["linux-arm64", "linux-x64", "windows-2022"], tasks=2)
    [['linux-arm64', 'linux-x64'], ['windows-2022']]
    """
    count = min(len(items), tasks)
    bounds = [round(len(items) * number / count) for number in range(count + 1)] if count else [0]
    return [list(items[start:end]) for start, end in pairwise(bounds)]
