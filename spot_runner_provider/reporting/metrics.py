"""Metrics of a run, as ``report_status`` sends them through Airflow's own stats.

======================================= ======= =================================================================
name                                    kind    value
======================================= ======= =================================================================
``spot_runner.presets.<status>``        gauge   presets that the report calls ``ready``, ``building``, ``failed``
``spot_runner.presets.needs_attention`` gauge   presets that a person should look at
``spot_runner.records.malformed``       gauge   records that cannot be read
``spot_runner.outcomes.<outcome>``      counter presets with this outcome
``spot_runner.oldest_stale_seconds``    gauge   age of the oldest record that was found stale; 0 if none was
``spot_runner.seconds_spent``           gauge   from the query of the records to the report
======================================= ======= =================================================================

The gauges are about the whole fleet, so a run of named presets sends none. The outcomes of a dry run are not counted,
because it only predicts them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from spot_runner_provider.records.ami_state import Status, parse_timestamp
from spot_runner_provider.reporting.report import malformed_counts, needs_attention

PREFIX = "spot_runner"


class MetricKind(StrEnum):
    """What a receiver does with the values: keep the last one, or add them up.

    A word compares and prints as its text.

    >>> MetricKind.GAUGE == "gauge"
    True
    """

    GAUGE = "gauge"
    COUNTER = "counter"


@dataclass(frozen=True, slots=True)
class Metric:
    """One value to send: seconds where its name says so, a number of presets or records otherwise.

    >>> Metric("spot_runner.presets.ready", MetricKind.GAUGE, 9)
    Metric(name='spot_runner.presets.ready', kind=<MetricKind.GAUGE: 'gauge'>, value=9)
    """

    name: str
    kind: MetricKind
    value: float


def metrics(
    report: Mapping[str, Any],
    batches: Iterable[Iterable[Mapping[str, Any]]],
    *,
    now: datetime,
    named: bool = False,
    dry: Collection[str] = (),
) -> Iterator[Metric]:
    """Yield the metrics of a run; none if detection has no result.

    :param report: the report, as XCom has it.
    :param batches: what detection returned: the presets to reconcile, each with its record as detected.
    :param now: the moment of the report.
    :param named: whether the run looked at named presets only.
    :param dry: names of the presets whose outcome a dry run only predicts.

    >>> ready = {"name": "linux-x64", "status": "ready", "amiId": "ami-0e3f", "outcome": "corrected_ready"}
    >>> stale = {"presetName": "linux-x64", "status": "building", "updatedAt": "2026-02-11T15:00:00.000Z"}
    >>> report = {"checkedAt": "2026-02-11T16:00:00.000Z", "presets": [ready], "malformed": []}
    >>> sent = metrics(report, [[stale]], now=parse_timestamp("2026-02-11T16:00:04.000Z"))
    >>> {metric.name: metric.value for metric in sent if metric.value}
    {'spot_runner.outcomes.corrected_ready': 1, 'spot_runner.presets.ready': 1,
     'spot_runner.oldest_stale_seconds': 3600.0, 'spot_runner.seconds_spent': 4.0}
    """
    if report["checkedAt"] is None:
        return
    counted = (preset["outcome"] for preset in report["presets"] if preset["outcome"] and preset["name"] not in dry)
    for outcome, presets in sorted(Counter(counted).items()):
        yield Metric(f"{PREFIX}.outcomes.{outcome}", MetricKind.COUNTER, presets)
    if named:
        return
    checked_at = parse_timestamp(report["checkedAt"])
    statuses = Counter(preset["status"] for preset in report["presets"])
    for status in Status:
        yield Metric(f"{PREFIX}.presets.{status}", MetricKind.GAUGE, statuses[status])
    to_look_at = sum(needs_attention(preset) for preset in report["presets"])
    yield Metric(f"{PREFIX}.presets.needs_attention", MetricKind.GAUGE, to_look_at)
    yield Metric(f"{PREFIX}.records.malformed", MetricKind.GAUGE, sum(malformed_counts(report).values()))
    ages = [
        checked_at - parse_timestamp(item["updatedAt"])
        for batch in batches
        for item in batch
        if item.get("status") == Status.BUILDING  # the others are flagged for intents of earlier runs
    ]
    oldest = max(ages).total_seconds() if ages else 0.0
    yield Metric(f"{PREFIX}.oldest_stale_seconds", MetricKind.GAUGE, max(oldest, 0.0))
    yield Metric(f"{PREFIX}.seconds_spent", MetricKind.GAUGE, max((now - checked_at).total_seconds(), 0.0))
