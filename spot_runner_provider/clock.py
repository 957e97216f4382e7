"""The wall clock, and how long to wait. Reconciling is always about the present, not about a run's interval."""

from __future__ import annotations

import random
from datetime import UTC, datetime


def now() -> datetime:
    """Return the present moment in UTC.

    >>> now().tzinfo
    datetime.timezone.utc
    """
    return datetime.now(UTC)


def backoff(attempt: int) -> float:
    """Return the seconds to wait after try number ``attempt``: random, up to a bound that doubles to at most 20.

    >>> 0 <= backoff(3) <= 8
    True
    >>> backoff(60) <= 20
    True
    """
    # Not tenacity, which repeats one call as it was: callers ask again for what is left, or let the protocol decide.
    return random.uniform(0, min(20.0, 2.0**attempt))
