"""What an index leaves out of the items that it lists.

An index that does not project ``ALL`` makes every sound record look incomplete. Then the index is at fault, not the
records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from spot_runner_provider.records import ami_state, intent

NEEDED = {
    ami_state.RECORD_TYPE: frozenset({"presetName", "status", "amiId"}),
    intent.RECORD_TYPE: frozenset({"presetName", "paramVersion", "putsUntil", "standsFor", "amiId", "platform"}),
}
"""``recordType`` -> the attributes that every such item is written with, besides the keys of the table and index."""


def is_suspicious(record_type: str, names: Iterable[str]) -> bool:
    """Return whether an index may leave out a needed attribute: none of the listed items has it.

    :param record_type: the items' ``recordType``.
    :param names: the names of all attributes that any of the listed items has.

    >>> is_suspicious("AMI", {"jobId", "recordType", "updatedAt"})
    True
    """
    return not NEEDED[record_type] <= set(names)


def left_out(listed: Iterable[Mapping[str, Any]], stored: Mapping[str, Mapping[str, Any] | None]) -> set[str]:
    """Return the attributes that items have in the table and lack in the index.

    An index lags behind its table, so only items with the same ``updatedAt`` in both are compared.

    :param listed: items as the index lists them.
    :param stored: the same items as the table has them, by ``jobId``; ``None`` for one that is gone.

    >>> keys = {"jobId": "AMI#linux-x64", "recordType": "AMI", "updatedAt": "2026-02-11T15:35:48.123Z"}
    >>> left_out([keys], {"AMI#linux-x64": keys | {"status": "ready"}})
    {'status'}
    """
    pairs = ((item, stored.get(item["jobId"])) for item in listed)
    return {
        name
        for item, whole in pairs
        if whole and whole.get("updatedAt") == item.get("updatedAt")
        for name in whole.keys() - item.keys()
    }
