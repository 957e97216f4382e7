"""The settings of ``[spot_runner]``, which are read and checked where the DAG is parsed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import pendulum
from airflow.providers.common.compat.sdk import AirflowConfigException, AirflowException, conf
from airflow.timetables.base import TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable

from spot_runner_provider import SETTINGS
from spot_runner_provider.hooks.credentials import region_fault
from spot_runner_provider.operators import arguments

SECTION = "spot_runner"

_TEXTS = {setting.name: setting.option["default"] for setting in SETTINGS}

T = TypeVar("T")


class InvalidSetting(arguments.InvalidArgument):
    """A setting has an invalid value, or an unknown name; the text names it.

    >>> raise InvalidSetting("stale_after_minutes is '-5'; it takes minutes from 0 up")
    Traceback (most recent call last):
        ...
    spot_runner_provider.settings.InvalidSetting: [spot_runner] stale_after_minutes is '-5'; it takes minutes from 0 up
    """

    def __init__(self, complaint: str) -> None:
        super().__init__(f"[{SECTION}] {complaint}")


@dataclass(frozen=True, slots=True)
class Settings:
    """The values of ``[spot_runner]``. ``None`` means that a setting without a default is not set.

    >>> settings = Settings.read()
    >>> settings.table_name, settings.stale_after_minutes, settings.dry_run
    ('spot-runner-state', 30.0, False)
    """

    table_name: str | None
    config_prefix: str
    pipeline_name: str
    aws_conn_id: str | None
    region_name: str | None
    stale_after_minutes: float
    stuck_after_minutes: float
    schedule: str | None
    max_mapped_tasks: int
    audit: bool
    dry_run: bool

    @property
    def detection(self) -> dict[str, Any]:
        """The arguments of ``DetectStaleOperator`` that are settings."""
        return {
            **self._place,
            "stale_after": self.stale_after_minutes,
            "max_mapped_tasks": self.max_mapped_tasks,
            "audit": self.audit,
        }

    @property
    def reconciliation(self) -> dict[str, Any]:
        """The arguments of ``ReconcilePresetOperator`` that are settings."""
        return {
            **self._place,
            "pipeline_name": self.pipeline_name,
            "stuck_after": self.stuck_after_minutes,
            "dry_run": self.dry_run,
        }

    @property
    def _place(self) -> dict[str, Any]:
        names = ("table_name", "config_prefix", "aws_conn_id", "region_name")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def read(cls) -> Self:
        """Return the settings as this process sees them.

        :raises InvalidSetting: for the first invalid one.
        """
        _refuse_unknown()
        return cls(
            table_name=_checked(arguments.table_name, _get("table_name")) if _get("table_name") else None,
            config_prefix=_checked(arguments.config_prefix, _get("config_prefix")),
            pipeline_name=", ".join(_checked(arguments.pipeline_names, _get("pipeline_name"))),
            aws_conn_id=_get("aws_conn_id") or None,
            region_name=_region(_get("region_name")),
            stale_after_minutes=_checked(arguments.minutes, "stale_after_minutes", _get("stale_after_minutes")),
            stuck_after_minutes=_checked(arguments.minutes, "stuck_after_minutes", _get("stuck_after_minutes")),
            schedule=_schedule(_get("schedule")),
            max_mapped_tasks=_max_mapped_tasks(),
            audit=_boolean("audit"),
            dry_run=_boolean("dry_run"),
        )


def _get(name: str) -> Any:
    return conf.get(SECTION, name, fallback=_TEXTS[name])


def _checked(check: Callable[..., T], *given: Any) -> T:
    try:
        return check(*given)
    except arguments.InvalidArgument as error:
        raise InvalidSetting(str(error)) from None


def _boolean(name: str) -> bool:
    try:
        return bool(conf.getboolean(SECTION, name, fallback=_TEXTS[name]))
    except AirflowConfigException:
        raise InvalidSetting(f"{name} is {str(_get(name))[:60]!r}; it takes True or False") from None


def _schedule(text: str) -> str | None:
    """Return a cron expression or preset, ``None`` for an empty text. Airflow's error would not name the setting."""
    if not text.strip():
        return None
    if text not in ("@once", "@continuous") and not _fires(text):
        raise InvalidSetting(
            f"schedule is {text[:60]!r}; it takes five cron fields that come due, a preset such as @hourly, "
            "or nothing at all"
        )
    return text


def _fires(schedule: str) -> bool:
    """Return whether a run ever comes due, at the same time for each process; ``R`` stands for a random time."""
    if not (schedule.startswith("@") or len(schedule.split()) == 5) or re.search(r"\br\b", schedule, re.IGNORECASE):
        return False
    try:
        timetable = CronTriggerTimetable(schedule, timezone="UTC")
        timetable.validate()
        restriction = TimeRestriction(earliest=pendulum.now("UTC"), latest=None, catchup=True)
        return timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction) is not None
    except (AirflowException, ValueError):  # ValueError: croniter's errors
        return False


def _region(text: str) -> str | None:
    if text and (fault := region_fault(text)):
        raise InvalidSetting(f"region_name {fault}")
    return text or None


def _max_mapped_tasks() -> int:
    name, most = "max_mapped_tasks", conf.getint("core", "max_map_length", fallback=1024)
    tasks = _checked(arguments.count, name, _get(name))
    if tasks > most:
        raise InvalidSetting(f"{name} is {tasks}, and [core] max_map_length allows {most}")
    return tasks


def _refuse_unknown() -> None:
    """Refuse a misspelt setting, so that nobody relies on a ``dry_run`` that nothing reads.

    ``<name>_cmd`` and ``<name>_secret`` are refused, too: Airflow reads them only for sensitive settings, and none of
    these is.
    """
    known, prefix = [*_TEXTS], f"AIRFLOW__{SECTION}__".upper()
    keys = conf.options(SECTION) if conf.has_section(SECTION) else []
    for key in (*keys, *(name.removeprefix(prefix).lower() for name in os.environ if name.startswith(prefix))):
        if key not in known:
            raise InvalidSetting(f"has no setting {key!r}{arguments.did_you_mean(key, known)}")
    for section in conf.sections():
        if arguments.letters(section) == arguments.letters(SECTION) and section != SECTION:
            raise InvalidSetting(f"is read, and not [{section}], which the configuration has")
    right = {arguments.letters(name): name for name in (prefix + key.upper() for key in known)}
    for name in os.environ:
        if (meant := right.get(arguments.letters(name), name)) != name:
            raise InvalidSetting(f"is set by {meant}, and not by {name}, which the environment has")
