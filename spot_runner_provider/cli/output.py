"""Printing a report, for a terminal or a program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow.cli.simple_table import AirflowConsole

from spot_runner_provider.records.text import shown

_PRESET = ("name", "status", "amiId", "updatedAt", "stale", "unfinished", "outcome", "detail")
_MALFORMED = ("jobId", "presetName", "reason")


def show(report: dict[str, Any], output: str) -> None:
    """Print a report to stdout.

    Texts from outside are shown as they are. Otherwise the console would take brackets for markup and colons for
    emojis, and a control character would control the terminal.

    :param report: a report of :mod:`~spot_runner_provider.reporting.report`.
    :param output: ``table``, ``json`` or ``yaml``.

    >>> ready = {"name": "linux-x64", "status": "ready", "amiId": "ami-0e3f"}
    >>> report = {"status": "ready", "message": "1 preset ready", "checkedAt": None, "presets": [ready],
    ...           "malformed": [], "malformedCounts": {}}
    >>> show(report, "table")
    name      | status | amiId
    ==========+========+=========
    linux-x64 | ready  | ami-0e3f
    <BLANKLINE>
    ready: 1 preset ready
    """
    console = AirflowConsole(markup=False, emoji=False, highlight=False)
    report = _shown(report)
    if output == "json":
        console.print_as_json(report)
    elif output == "yaml":
        console.print_as_yaml(report)
    else:
        for items, columns in ((report["presets"], _PRESET), (report["malformed"], _MALFORMED)):
            if rows := _rows(items, columns):
                console.print_as_table(rows)
        if (malformed := sum(report["malformedCounts"].values())) > len(report["malformed"]):
            console.print(f"{malformed} records are malformed; by reason:", soft_wrap=True)
            for reason, number in report["malformedCounts"].items():
                console.print(f"{number:8} {reason}", soft_wrap=True)
        checked = f" at {report['checkedAt']}" if report["checkedAt"] else ""
        console.print(f"{report['status']}{checked}: {report['message']}", soft_wrap=True)


def _shown(value: Any) -> Any:
    """Return a JSON value in which every text is safe for a terminal."""
    match value:
        case str():
            return shown(value)
        case Mapping():
            return {key: _shown(each) for key, each in value.items()}
        case list():
            return [_shown(each) for each in value]
    return value


def _rows(items: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a table, without its empty columns."""
    rows = [{column: _cell(item.get(column)) for column in columns} for item in items]
    used = [column for column in columns if any(row[column] for row in rows)]
    return [{column: row[column] for column in used} for row in rows]


def _cell(value: str | bool | None) -> str:
    return "yes" if value is True else value or ""
