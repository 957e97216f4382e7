"""An AWS that is far away and throttles, on a virtual clock. The embedded AWS answers; its own time does not count."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.handlers
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from moto.core.botocore_stubber import MockRawResponse

import spot_runner_provider.batch.batch
import spot_runner_provider.clock
import tests.integration.deployment
from benchmarks.clock import VirtualClock
from spot_runner_provider.batch.pace import Pace
from spot_runner_provider.embedded.call import ApiCall
from spot_runner_provider.embedded.errors import throttled_reply

LATENCY = 0.03
"""Seconds that each call takes."""


class Quota:
    """A limit of calls per second that does not accumulate.

    >>> seconds = 0.0
    >>> quota = Quota(2.0, now=lambda: seconds)
    >>> quota.take(), quota.take()
    (True, False)
    >>> seconds = 0.5
    >>> quota.take()
    True
    """

    def __init__(self, per_second: float, now: Callable[[], float]) -> None:
        self._distance = 1 / per_second
        self._now = now
        self._open_at = now()

    def take(self) -> bool:
        """Return whether a call is allowed now, and count it if so."""
        if (now := self._now()) < self._open_at:
            return False
        self._open_at = now + self._distance
        return True


class FarAws:
    """From :meth:`install` on, makes each call of this process take :data:`LATENCY`, and throttles.

    :param quotas: calls per second that AWS accepts, by operation, such as ``ssm.PutParameter``.
    """

    def __init__(self, clock: VirtualClock, quotas: Mapping[str, float]) -> None:
        self.calls: Counter[str] = Counter()
        self._clock = clock
        self._quotas = {operation: Quota(per_second, clock) for operation, per_second in quotas.items()}

    def install(self) -> None:
        """Intercept the calls of every client that is created from now on."""
        botocore.handlers.BUILTIN_HANDLERS.append(("before-send", self._send))

    def _send(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse | None:
        """Return AWS's answer if it throttles the call, otherwise ``None``, so that the call is sent."""
        operation = event_name.removeprefix("before-send.")
        self.calls[operation] += 1
        self._clock.sleep(LATENCY)
        quota = self._quotas.get(operation)
        if quota is None or quota.take():
            return None
        reply = throttled_reply(ApiCall(operation, {}, (), "us-east-1"))
        return AWSResponse(request.url, reply.status_code, dict(reply.headers), MockRawResponse(reply.get_data()))


def use(clock: VirtualClock, seed: int) -> None:
    """Make everything in this process that waits use this clock, and draw random numbers with this seed."""
    random.seed(seed)
    began, moment = clock(), datetime.now(UTC)

    class VirtualPace(Pace):
        def __init__(self, expected: float) -> None:
            super().__init__(expected, clock)
            self._changed = clock.condition()  # type: ignore[assignment]

    time.sleep = clock.sleep
    spot_runner_provider.clock.now = lambda: moment + timedelta(seconds=clock() - began)
    spot_runner_provider.batch.batch.Pace = VirtualPace  # type: ignore[misc]
    spot_runner_provider.batch.batch.wait = clock.wait  # type: ignore[assignment]
    for module in (spot_runner_provider.batch.batch, tests.integration.deployment):
        module.ThreadPoolExecutor = clock.pool  # type: ignore[attr-defined]
