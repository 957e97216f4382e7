"""How much of each reason is pushed, so that no XCom becomes too large for a database or a backend.

The task log has each reason in full. XCom has the first thousand characters. If very many presets have long reasons
at the same time, these share the space that is left in the value.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from spot_runner_provider.records.text import DETAIL_LIMIT, shorten

SIZE_LIMIT = 950_000
"""Bytes, as JSON, of a pushed value for up to 1,900 presets. With what Airflow adds it stays below a megabyte."""

BYTES_A_PRESET = 500
"""Bytes for each preset if there are more. Without its reason a preset takes 170 in the report, 290 in the survey."""

LEAST_SHARE = 100
"""Bytes that each preset's reasons may always have, on average."""

ODD_TEXT_LIMIT = 300
"""Bytes, as JSON, of each text from an unreadable record. JSON takes twelve for one character beyond the BMP."""


def fitted(items: Sequence[Mapping[str, Any]], key: str, *, beside: Any = ()) -> list[dict[str, Any]]:
    """Return the items of a list that is pushed, with as much of each reason as there is room for.

    :param items: one for each preset.
    :param key: the key of an item's reason; an item may have none.
    :param beside: what else is pushed in the same value.

    >>> [item] = fitted([{"presetName": "linux-x64", "detail": "x" * 5000}], "detail")
    >>> len(item["detail"])
    1000
    """
    return fitted_together([(items, key)], beside=beside)[0]


def fitted_together(
    lists: Sequence[tuple[Sequence[Mapping[str, Any]], str]], *, beside: Any = ()
) -> list[list[dict[str, Any]]]:
    """Return lists that are pushed in one value, with as much of each reason as there is room for.

    :param lists: each with the key of its items' reasons; one item for each preset.
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
    r"""Return a text from an unreadable record, cut to :data:`ODD_TEXT_LIMIT` bytes of JSON.

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
