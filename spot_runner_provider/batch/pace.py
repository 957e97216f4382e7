"""How fast calls of one kind may go out: without a limit until AWS throttles, then at the rate that AWS accepts.

AWS does not publish some quotas (Image Builder) and shares others within the account (SSM allows 3 puts a second),
so the rate is found by trying. Callers wait here, before they read what the call is made from, and not between
repetitions of the call.

After a throttle the rate is a cubic function of time, like the window in TCP's CUBIC (RFC 9438). Time passes alike for
tasks that make many calls and for tasks that make few, so all that share a quota recover soon.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from spot_runner_provider.protocol.calls import Throttled

REDUCTION = 0.02
"""Fraction by which a throttle lowers the rate."""

RECOVERY = 5.0
"""Seconds after a throttle until the rate is back where it was. It levels off there, then grows ever faster."""

FIRST_GROWTH = 1.15
"""Growth with each call that worked, between the first and the second throttle: until then the rate is a guess."""

HIGHEST = 100.0
"""Calls per second above which there is no limit any more."""

SHARE = 0.05
"""Fraction of the time between two calls after which a throttled one is tried again; it doubles each time."""

LONGEST = 2.0
"""Seconds that one throttle holds up calls at most: several tasks share a quota, and none may fall far behind."""

PATIENCE = 600.0
"""Seconds of nothing but throttles after which nobody waits any longer."""

LULL = 60.0
"""Seconds without a throttle after which the last one says nothing about the present: another try is needed."""

SMOOTHING = 0.2
"""Weight of the last call in the average time from a permit to the answer."""


T = TypeVar("T")


class Permit(NamedTuple):
    """Permission to make a number of calls (none if it is not one's turn yet), and when it was given, in seconds.

    >>> Pace(expected=3.0, now=lambda: 60.0).take(place=0, wanted=10)
    Permit(calls=10, at=60.0)
    """

    calls: int
    at: float


class Pace:
    """The rate of one kind of calls, shared by the threads that make them.

    :param expected: the calls per second that AWS probably accepts when it throttles: where the search begins.
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
        self._peak: float | None = None
        self._lowered_at: float | None = None
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
        """Calls per second, ``None`` while there is no limit."""
        peak, lowered_at = self._peak, self._lowered_at
        if peak is None or lowered_at is None:
            return peak
        return peak * (1 + REDUCTION * ((self._now() - lowered_at) / RECOVERY - 1) ** 3)

    @property
    def is_starved(self) -> bool:
        """Whether AWS has throttled every call for :data:`PATIENCE`, the last one just now."""
        throttled_at, hungry_since = self._throttled_at, self._hungry_since
        hungry = hungry_since is not None and throttled_at - hungry_since > PATIENCE
        return hungry and self._now() - throttled_at <= LULL

    def take(self, place: int, wanted: int = 1, seconds: float = float("inf")) -> Permit:
        """Wait until one call may be made, or ``wanted`` calls if there is no limit; after ``seconds``, permit none.

        :param place: the position in the queue. The lowest place goes first, so that what was begun gets finished.
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
            if self._peak is None:
                return Permit(wanted, now)
            if left:
                return Permit(0, now)
            if self._given_at <= self._throttled_at:  # the first permit since the throttle
                self._repeated_at = now
            if self._lowered_at is not None:
                # Time in which nobody asked does not count for growth. An opening in the past does not slow the rate.
                self._lowered_at = min(now, self._lowered_at + max(0.0, now - self._open_at))
            self._given_at, self._open_at = now, now + 1 / (self.rate or HIGHEST)
            return Permit(1, now)

    def _left(self, ticket: tuple[int, int]) -> float:
        """Return the seconds that a ticket must still wait; infinite while another ticket is ahead of it."""
        if self._peak is None:
            return 0.0
        return max(0.0, self._open_at - self._now()) if min(self._line) == ticket else float("inf")

    def repeat(
        self,
        call: Callable[[], T],
        *,
        place: int,
        seconds: float,
        check: Callable[[], None],
        in_vain: str,
    ) -> T:
        """Wait until a call may be made, and make it; repeat this as long as AWS throttles the call.

        :param call: raises :class:`Throttled` if AWS throttles it.
        :param place: as in :meth:`take`.
        :param seconds: how long to wait before ``check`` is called again.
        :param check: raises an exception if the wait must end.
        :param in_vain: what to say if AWS has accepted nothing for :data:`PATIENCE`.
        :raises Throttled: if AWS has accepted nothing for that long.

        >>> Pace(expected=3.0).repeat(lambda: "done", place=0, seconds=1.0, check=lambda: None, in_vain="All throttled")
        'done'
        """
        while not self.is_starved:
            check()
            permit = self.take(place, seconds=seconds)
            if not permit.calls:
                continue
            try:
                return self.attempt(call, permit)
            except Throttled:
                continue
        raise Throttled(f"{in_vain} for {PATIENCE:.0f} s")

    def attempt(self, call: Callable[[], T], permit: Permit) -> T:
        """Make a call under a permit, and learn from its result. Errors other than throttles say nothing of the quota.

        :param call: raises :class:`Throttled` if AWS throttles it.

        >>> pace = Pace(expected=3.0)
        >>> pace.attempt(lambda: "done", pace.take(place=0))
        'done'
        """
        try:
            answer = call()
        except Throttled:
            self.throttled(permit)
            raise
        self.worked(permit)
        return answer

    def worked(self, permit: Permit) -> None:
        """Record that AWS accepted a call."""
        with self._changed:
            now, self._hungry_since = self._now(), None
            self._worked_at.append(now)
            while self._worked_at[0] < now - 1:
                self._worked_at.popleft()
            if self._peak is None or permit.at < self._throttled_at:
                return
            self._misses = 0
            if self._lowered_at is None:
                self._peak *= FIRST_GROWTH
            rate = self.rate or HIGHEST
            if permit.at != self._repeated_at:
                self._learn(now - permit.at)
            if permit.at == self._given_at:
                # The next call keeps the rate's distance from this call, not from its permit, however long it took.
                self._open_at = now + 1 / rate - self._lead
                self._changed.notify_all()
            if rate > HIGHEST:
                self._peak = self._lowered_at = None
                self._changed.notify_all()

    def _learn(self, lead: float) -> None:
        """Record the time from a permit to the call's answer; a throttle is an answer, too."""
        self._lead += (lead - self._lead) * (SMOOTHING if self._lead else 1.0)

    def throttled(self, permit: Permit) -> None:
        """Record that AWS throttled a call. Calls that were already on their way say nothing new."""
        with self._changed:
            now, rate = self._now(), self.rate
            if rate is None:
                rate = self._peak = max(self._expected, float(sum(moment > now - 1 for moment in self._worked_at)))
            elif permit.at < self._throttled_at:
                return
            elif permit.at != self._repeated_at:
                self._learn(now - permit.at)
                self._misses = 0
                self._peak = rate if self._lowered_at is not None else rate / FIRST_GROWTH
                self._lowered_at = now
            elif self._lowered_at is not None:
                self._lowered_at = now  # nothing grows while even repetitions are throttled
            hold = SHARE / rate * 2.0 ** min(self._misses, 20)
            self._misses += 1
            if self._hungry_since is None or now - self._throttled_at > LULL:
                self._hungry_since = now
            self._throttled_at = now
            self._open_at = now + min(LONGEST, hold) * random.uniform(0.5, 1)
            self._changed.notify_all()
