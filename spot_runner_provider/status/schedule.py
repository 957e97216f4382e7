"""When a run should have begun, by a DAG's schedule."""

from __future__ import annotations

import logging
from datetime import datetime

from airflow.timetables.base import TimeRestriction, Timetable
from pendulum import instance

log = logging.getLogger(__name__)


def next_due(timetable: Timetable, began: datetime) -> datetime | None:
    """Return when the schedule wants a run after one that began at that moment; ``None`` if it wants none.

    The scheduler's own next date is of no use, because it moves on while the DAG is paused.

    A timetable of somebody's own may fail at this. The page then says nothing of runs that did not come.

    >>> from airflow.timetables.trigger import CronTriggerTimetable
    >>> began = datetime.fromisoformat("2026-02-11T16:00:03+00:00")
    >>> next_due(CronTriggerTimetable("*/15 * * * *", timezone="UTC"), began).isoformat()
    '2026-02-11T16:15:00+00:00'
    """
    try:
        # For a timetable of data intervals, a run belongs to the interval that was over when it began.
        last = timetable.infer_manual_data_interval(run_after=instance(began))
        info = timetable.next_dagrun_info(
            last_automated_data_interval=last,
            restriction=TimeRestriction(earliest=None, latest=None, catchup=True),
        )
    except Exception as error:
        log.info("timetable %s tells no next run: %s", type(timetable).__name__, error)
        return None
    return info.run_after if info else None
