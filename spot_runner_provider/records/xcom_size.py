"""How much of each reason is pushed, so that no XCom grows beyond what a database or a backend takes easily.

A reason is whole in the log of its task. What is pushed has a thousand characters of it. Only where very many presets
have long reasons at the same time do these share what is left of the value's size.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from spot_runner_provider.records.text import DETAIL_LIMIT, shorten

SIZE_LIMIT = 950_000
"""Bytes, as JSON, of a pushed value of up to 1,900 presets. With what Airflow adds it stays below a megabyte."""

BYTES_A_PRESET = 500
"""The same for each preset of more. Without its reason a preset takes 170 in the report, 290 in the survey."""

LEAST_SHARE = 100
"""Bytes that the reasons of a preset may have in any case, on average."""

ODD_TEXT_LIMIT = 300
"""Bytes, as JSON, of each text of a record that cannot be read: JSON writes twelve for one character beyond the BMP."""


def fitted(items: Sequence[Mapping[str, Any]], key: str, *, beside: Any = ()) -> list[dict[str, Any]]:
    """Return the items of a list that is pushed, their reasons as long as there is room.

    :param items: one a preset.
    :param key: where an item has its reason, if it has one.
    :param beside: what else is pushed in the same value.

    >>> [item] = fitted([{"presetName": "linux-x64", "detail": "x" * 5000}], "detail")
    >>> len(item["detail"])
    1000
    """
    return fitted_together([(items, key)], beside=beside)[0]


def fitted_together(
    lists: Sequence[tuple[Sequence[Mapping[str, Any]], str]], *, beside: Any = ()
) -> list[list[dict[str, Any]]]:
    """Return lists that are pushed in one value, their reasons as long as there is room for all.

    :param lists: each with the key of its items' reasons; one item a preset.
    :param beside: what else is pushed in the same value.

    >>> states, findings = [{"status": "failed", "errorMessage": "x" * 5000}] * 900, [{"detail": "x" * 5000}] * 900
    >>> states, findings = fitted_together([(states, "errorMessage"), (findings, "detail")])
    >>> len(states[0]["errorMessage"]) == len(findings[0]["detail"]), size([states, findings]) < SIZE_LIMIT
    (True, True)
    """
    reasons = [item[key] for items, key in lists for item in items if item.get(key)]
    if not reasons:
        return [[dict(item) for item in items] for items, _ in lists]
    presets = max(len(items) for items, _ in lists)
    rest = size([beside, *([{**item, key: ""} for item in items] for items, key in lists)])
    room = max(SIZE_LIMIT - rest, BYTES_A_PRESET * presets - rest, LEAST_SHARE * presets)
    limit = _longest(reasons, room)
    return [
        [{**item, key: shorten(item[key], limit)} if item.get(key) else dict(item) for item in items]
        for items, key in lists
    ]


def odd_text(text: str | None) -> str | None:
    r"""Return a text of a record that cannot be read, cut to :data:`ODD_TEXT_LIMIT` bytes of JSON.

    >>> odd_text("linux/x64"), len(odd_text("\N{FIRE}" * 200))
    ('linux/x64', 25)
    """
    return text and shorten(text, _longest([text], ODD_TEXT_LIMIT))


def size(value: Any) -> int:
    """Return the bytes that a value takes as JSON.

    >>> size({"detail": ""})
    14
    """
    return len(json.dumps(value))


def _longest(reasons: Sequence[str], room: int) -> int:
    """Return how many characters each reason may have so that all of them fit into ``room`` bytes."""

    def fits(limit: int) -> bool:
        return sum(size(shorten(reason, limit)) for reason in reasons) <= room

    if fits(DETAIL_LIMIT):
        return DETAIL_LIMIT
    return bisect_left(range(1, DETAIL_LIMIT), True, key=lambda limit: not fits(limit + 1)) + 1
