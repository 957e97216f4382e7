"""The wall clock. Reconciling is about the present, whatever interval a run is for."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)
