"""When a run should have begun, for each kind of timetable that Airflow has."""

from datetime import UTC, datetime, timedelta

import pytest
from airflow.timetables.base import Timetable
from airflow.timetables.events import EventsTimetable
from airflow.timetables.interval import CronDataIntervalTimetable, DeltaDataIntervalTimetable
from airflow.timetables.simple import ContinuousTimetable, NullTimetable, OnceTimetable
from airflow.timetables.trigger import CronTriggerTimetable
from pendulum import instance

from spot_runner_provider.status.schedule import next_due

BEGAN = datetime(2026, 2, 11, 16, 0, 3, tzinfo=UTC)
"""Three seconds after each quarter, hour and day of the timetables below has begun."""


class Broken(Timetable):
    """One of somebody's own."""

    def infer_manual_data_interval(self, **_):
        raise RuntimeError("the calendar is out of reach")


def cases():
    interval, trigger = CronDataIntervalTimetable, CronTriggerTimetable
    yield "cron", trigger("*/15 * * * *", timezone="UTC"), BEGAN.replace(minute=15, second=0)
    yield "cron-daily", trigger("0 16 * * *", timezone="UTC"), BEGAN.replace(day=12, second=0)
    yield "cron-in-a-time-zone", trigger("0 18 * * *", timezone="Europe/Kyiv"), BEGAN.replace(day=12, second=0)
    yield "intervals", interval("*/15 * * * *", timezone="UTC"), BEGAN.replace(minute=15, second=0)
    yield "intervals-of-a-day", interval("0 16 * * *", timezone="UTC"), BEGAN.replace(day=12, second=0)
    yield "intervals-of-hours", DeltaDataIntervalTimetable(timedelta(hours=2)), BEGAN + timedelta(hours=2)
    events = [instance(BEGAN + timedelta(hours=hours)) for hours in (-5, -1, 3, 9)]
    for restricted in (False, True):
        timetable = EventsTimetable(event_dates=events, restrict_to_events=restricted)
        yield f"events-{restricted}", timetable, BEGAN + timedelta(hours=3)
    yield "events-are-over", EventsTimetable(event_dates=events[:2]), None
    yield "once", OnceTimetable(), None
    yield "never", NullTimetable(), None
    yield "broken", Broken(), None
    try:
        from airflow.timetables.trigger import DeltaTriggerTimetable, MultipleCronTriggerTimetable
    except ImportError:  # Airflow 2.11
        return
    yield "delta", DeltaTriggerTimetable(timedelta(hours=2)), BEGAN + timedelta(hours=2)
    multiple = MultipleCronTriggerTimetable("0 20 * * *", "30 17 * * *", timezone="UTC")
    yield "several-crons", multiple, BEGAN.replace(hour=17, minute=30, second=0)
    from airflow.sdk import Asset
    from airflow.timetables.assets import AssetOrTimeSchedule
    from airflow.timetables.simple import AssetTriggeredTimetable

    yield "asset", AssetTriggeredTimetable(Asset("images")), None
    either = AssetOrTimeSchedule(timetable=interval("0 16 * * *", timezone="UTC"), assets=[Asset("images")])
    yield "asset-or-time", either, BEGAN.replace(day=12, second=0)
    try:
        from airflow.timetables.simple import PartitionedAtRuntime
        from airflow.timetables.trigger import CronPartitionTimetable
    except ImportError:  # Airflow 3.1
        return
    partitions = CronPartitionTimetable("*/15 * * * *", timezone="UTC")
    yield "partitions", partitions, BEGAN.replace(minute=15, second=0)
    yield "partitions-of-a-run", PartitionedAtRuntime(), None


@pytest.mark.parametrize(("timetable", "due"), [pytest.param(*values, id=name) for name, *values in cases()])
def test_when_the_next_run_is_due(timetable, due):
    assert next_due(timetable, BEGAN) == due


def test_a_continuous_schedule_wants_one_at_once_or_tells_none():
    """Airflow 3.1 and older tell none without a start date."""
    due = next_due(ContinuousTimetable(), BEGAN)
    assert due is None or due >= BEGAN


def test_a_run_that_began_late_belongs_to_the_last_interval():
    late = BEGAN + timedelta(minutes=14)
    for timetable in (CronDataIntervalTimetable, CronTriggerTimetable):
        assert next_due(timetable("*/15 * * * *", timezone="UTC"), late) == BEGAN.replace(minute=15, second=0)
