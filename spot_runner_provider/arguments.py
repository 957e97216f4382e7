"""Operator arguments as people and templates give them: values, or the text of values."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any


class InvalidArgument(ValueError):
    """An argument holds something that it cannot mean; the text names the argument and what it takes.

    >>> count("max_mapped_tasks", "many")
    Traceback (most recent call last):
        ...
    spot_runner_provider.arguments.InvalidArgument: max_mapped_tasks is 'many'; it takes a whole number from 1 up
    """


def boolean(name: str, value: Any) -> bool:
    """Return ``value``, or what the text ``true`` or ``false`` says. Nothing else is taken for either.

    :raises InvalidArgument: for anything else.

    >>> boolean("dry_run", "False")
    False
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise _invalid(name, value, "true or false")


def duration(name: str, value: Any) -> timedelta:
    """Return a ``timedelta``, or the minutes that a number or its text gives; never a negative one.

    :raises InvalidArgument: for anything else.

    >>> duration("stale_after", "45")
    datetime.timedelta(seconds=2700)
    """
    if isinstance(value, timedelta) and value >= timedelta(0):
        return value
    minutes = _number(value)
    if minutes is not None and minutes >= 0:
        try:
            return timedelta(minutes=minutes)
        except OverflowError:
            pass
    raise _invalid(name, value, "a timedelta, or minutes from 0 up")


def count(name: str, value: Any) -> int:
    """Return a whole number from 1 up, or what its text says.

    :raises InvalidArgument: for anything else.

    >>> count("max_mapped_tasks", "8")
    8
    """
    number = _number(value)
    if number is None or number < 1 or number != int(number):
        raise _invalid(name, value, "a whole number from 1 up")
    return int(number)


def items(name: str, value: Any) -> list[Any]:
    """Return a list, what its JSON text says, or an empty list for nothing (``None``, an empty text).

    :raises InvalidArgument: for anything else.

    >>> items("presets", '["linux-x64"]'), items("presets", None)
    (['linux-x64'], [])
    """
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() not in ("", "None") else None
        except (ValueError, RecursionError):
            raise _invalid(name, value, "a list, or a JSON list as text") from None
    if value is None:
        return []
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return list(value)
    raise _invalid(name, value, "a list, or a JSON list as text")


def names(name: str, value: Any) -> list[str]:
    """Return a list of texts, or what its JSON text says, or an empty list for nothing.

    :raises InvalidArgument: for anything else.

    >>> names("fail_on", '["config_invalid", "drifted"]')
    ['config_invalid', 'drifted']
    """
    found = items(name, value)
    if all(isinstance(item, str) for item in found):
        return found
    raise _invalid(name, value, "a list of texts")


def text(name: str, value: Any, remedy: str) -> str:
    """Return a text that is not empty; ``remedy`` tells what to do where there is none.

    :raises InvalidArgument: if there is none, or blanks alone.

    >>> text("table_name", None, "set [spot_runner] table_name")
    Traceback (most recent call last):
        ...
    spot_runner_provider.arguments.InvalidArgument: table_name is not set: set [spot_runner] table_name
    """
    if isinstance(value, str) and value.strip():
        return value
    raise InvalidArgument(f"{name} is not set: {remedy}")


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _invalid(name: str, value: Any, takes: str) -> InvalidArgument:
    return InvalidArgument(f"{name} is {str(value)[:60]!r}; it takes {takes}")
