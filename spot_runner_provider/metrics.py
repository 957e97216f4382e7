"""Metrics of a run, as ``report_status`` sends them through Airflow's own stats.

==================================== ======= =================================================================
name                                 kind    value
==================================== ======= =================================================================
``spot_runner.presets.<status>``     gauge   presets that the report calls ``ready``, ``building``, ``failed``
``spot_runner.outcomes.<outcome>``   counter presets that came to this outcome
``spot_runner.oldest_stale_seconds`` gauge   age of the oldest record that was found stale; 0 if none was
``spot_runner.seconds_spent``        gauge   from the query of the records to the report
==================================== ======= =================================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from spot_runner_provider.ami_state import Status, parse_timestamp

PREFIX = "spot_runner"


class Kind(StrEnum):
    """What a receiver does with values: keep the last one, or add them up."""

    GAUGE = "gauge"
    COUNTER = "counter"


@dataclass(frozen=True, slots=True)
class Metric:
    """One value to send."""

    name: str
    kind: Kind
    value: float


def metrics(
    report: Mapping[str, Any], batches: Iterable[Iterable[Mapping[str, Any]]], *, now: datetime
) -> Iterator[Metric]:
    """Yield what a run has to tell; nothing if detection failed, because then nothing is known.

    :param report: the report, as XCom has it.
    :param batches: what detection returned: the presets to reconcile, with their records as they were.
    :param now: the moment of the report.
    """
    if report["checkedAt"] is None:
        return
    checked_at = parse_timestamp(report["checkedAt"])
    statuses = Counter(preset["status"] for preset in report["presets"])
    for status in Status:
        yield Metric(f"{PREFIX}.presets.{status}", Kind.GAUGE, statuses[status])
    outcomes = Counter(preset["outcome"] for preset in report["presets"] if preset["outcome"])
    for outcome, presets in sorted(outcomes.items()):
        yield Metric(f"{PREFIX}.outcomes.{outcome}", Kind.COUNTER, presets)
    ages = [
        checked_at - parse_timestamp(item["updatedAt"])
        for batch in batches
        for item in batch
        if item.get("status") == Status.BUILDING  # the others have intents of earlier runs to finish
    ]
    oldest = max(ages).total_seconds() if ages else 0.0
    yield Metric(f"{PREFIX}.oldest_stale_seconds", Kind.GAUGE, max(oldest, 0.0))
    yield Metric(f"{PREFIX}.seconds_spent", Kind.GAUGE, max((now - checked_at).total_seconds(), 0.0))
