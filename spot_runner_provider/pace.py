"""How fast calls of one kind may go out: as fast as they come, until AWS throttles; then as fast as it takes them.

AWS does not publish its quotas (Image Builder), or shares them between everybody in the account (SSM takes 3
puts a second), so the rate is found out. Who waits, waits here, before reading what the call is made from, rather
than in a repetition of the call.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

FIRST_GROWTH = 0.05
"""Growth of the rate with each call that worked, from the first throttle on until the next."""

LEAST_GROWTH, MOST_GROWTH = 0.0002, 0.2
"""Growth with a call that worked, at least and at most, once that next throttle came."""

SLOWER, FASTER = 0.05, 1.15
"""What a throttle makes of the growth, and each call that worked."""

REDUCTION = 0.98
"""What a throttle leaves of the rate before its last growth."""

HIGHEST = 100.0
"""Calls a second that are no limit any more."""

SHARE = 0.05
"""Part of the time between two calls after which a throttled one is tried again; twice as much each time."""

LONGEST = 2.0
"""Seconds for which a throttle holds everybody up at most: several tasks share a quota, and none may fall far back."""

PATIENCE = 600.0
"""Seconds of nothing but throttles after which nobody waits any longer."""

LULL = 60.0
"""Seconds without a throttle after which nothing is known of the present any more: it takes another try."""

TOGETHER = 0.2
"""Seconds' worth of calls that are let through together."""

SMOOTHING = 0.2
"""Weight of the last call in the mean time from a permit to the answer."""


class Permit(NamedTuple):
    """Leave to make so many calls, none if it is not one's turn yet, and the moment (in seconds) at which it was given.

    >>> Pace(expected=3.0, now=lambda: 60.0).take(place=0, wanted=10)
    Permit(calls=10, at=60.0)
    """

    calls: int
    at: float


class Pace:
    """The rate of one kind of calls, shared by the threads that make them.

    :param expected: the calls a second that AWS is expected to take once it throttles: where the search begins.
    :param now: a clock in seconds.

    >>> seconds = 60.0
    >>> pace = Pace(expected=3.0, now=lambda: seconds)
    >>> pace.throttled(pace.take(place=0))
    >>> pace.rate, pace.take(place=0, seconds=0)
    (3.0, Permit(calls=0, at=60.0))
    >>> seconds = 61.0
    >>> pace.worked(pace.take(place=0))
    >>> pace.rate > 3.0
    True
    """

    def __init__(self, expected: float, now: Callable[[], float] = time.monotonic) -> None:
        self._expected = expected
        self._now = now
        self._changed = threading.Condition()
        self._rate: float | None = None
        self._growth = FIRST_GROWTH
        self._grown = 1.0
        self._misses = 0
        self._lead = 0.0
        self._given_at = 0.0
        self._throttled_at = 0.0
        self._repeated_at = 0.0
        self._open_at = 0.0
        self._hungry_since: float | None = None
        self._worked_at: deque[float] = deque()
        self._line: list[tuple[int, int]] = []
        self._tickets = itertools.count()

    @property
    def rate(self) -> float | None:
        """Calls a second, ``None`` while there is no limit."""
        return self._rate

    @property
    def is_starved(self) -> bool:
        """Whether AWS has throttled whatever was tried for :data:`PATIENCE`, and did so just now."""
        hungry = self._hungry_since is not None and self._throttled_at - self._hungry_since > PATIENCE
        return hungry and self._now() - self._throttled_at <= LULL

    def take(self, place: int, wanted: int = 1, seconds: float = float("inf")) -> Permit:
        """Wait until calls may be made: one at least, and ``wanted`` at most; or none, after so many ``seconds``.

        :param place: whose turn it is among those who wait: the lowest one's, so that what is begun gets done.
        """
        with self._changed:
            until = self._now() + seconds
            ticket = (place, next(self._tickets))
            self._line.append(ticket)
            while (left := self._left(ticket)) and (rest := until - self._now()) > 0:
                self._changed.wait(min(left, rest) if min(left, rest) < float("inf") else None)
            self._line.remove(ticket)
            self._changed.notify_all()
            now = self._now()
            if left and self._rate is not None:
                return Permit(0, now)
            if self._rate is None:
                return Permit(wanted, now)
            calls = min(wanted, max(1, int(self._rate * TOGETHER)))
            if self._given_at <= self._throttled_at:  # the first one since
                self._repeated_at = now
            self._given_at, self._open_at = now, now + calls / self._rate
            return Permit(calls, now)

    def _left(self, ticket: tuple[int, int]) -> float:
        """Return the seconds for which a ticket has to wait, infinitely many while another one is before it."""
        if self._rate is None:
            return 0.0
        return max(0.0, self._open_at - self._now()) if min(self._line) == ticket else float("inf")

    def worked(self, permit: Permit) -> None:
        """Tell that AWS took a call."""
        with self._changed:
            now, self._hungry_since = self._now(), None
            self._worked_at.append(now)
            while self._worked_at[0] < now - 1:
                self._worked_at.popleft()
            if self._rate is None or permit.at < self._throttled_at:
                return
            self._misses = 0
            self._grown = 1 + self._growth
            self._rate *= self._grown
            if permit.at != self._repeated_at:
                self._learn(now - permit.at)
            if permit.at == self._given_at and permit.calls == 1:
                # The next one shall follow this call, be it quick or late, and not its permit, at the rate's distance.
                self._open_at = now + 1 / self._rate - self._lead
                self._changed.notify_all()
            if self._growth < MOST_GROWTH:
                self._growth = min(MOST_GROWTH, self._growth * FASTER)
            if self._rate > HIGHEST:
                self._rate, self._growth = None, FIRST_GROWTH
                self._changed.notify_all()

    def _learn(self, lead: float) -> None:
        """Take into account how long it is from a permit to the call's answer, a throttle included."""
        self._lead += (lead - self._lead) * (SMOOTHING if self._lead else 1.0)

    def throttled(self, permit: Permit) -> None:
        """Tell that AWS throttled a call. Those that were on their way already tell nothing new."""
        with self._changed:
            now = self._now()
            if self._rate is None:
                self._rate = max(self._expected, float(sum(moment > now - 1 for moment in self._worked_at)))
            elif permit.at < self._throttled_at:
                return
            elif permit.at != self._repeated_at:
                self._learn(now - permit.at)
                self._misses = 0
                self._rate *= REDUCTION / self._grown
                self._growth, self._grown = max(LEAST_GROWTH, self._growth * SLOWER), 1.0
            hold = SHARE / self._rate * 2.0 ** min(self._misses, 20)
            self._misses += 1
            if self._hungry_since is None or now - self._throttled_at > LULL:
                self._hungry_since = now
            self._throttled_at = now
            self._open_at = now + min(LONGEST, hold) * random.uniform(0.5, 1)
            self._changed.notify_all()
