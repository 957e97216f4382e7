"""How long calls take, and how many are allowed per second."""

import threading
import time
from typing import TYPE_CHECKING

from werkzeug.wrappers import Response

from spot_runner_provider.embedded.call import ApiCall, Handler
from spot_runner_provider.embedded.errors import throttled_reply

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class Latency:
    """The layer that delays calls.

    >>> latency = Latency(lambda call, environ: Response("put"))
    >>> latency.set(0.001, "ssm.*")
    >>> latency(ApiCall("ssm.PutParameter", {}, (), "us-east-1"), {}).get_data()  # a millisecond later
    b'put'
    >>> latency.clear()
    """

    def __init__(self, inner: Handler) -> None:
        self._inner = inner
        self._seconds: dict[str, float] = {}

    def set(self, seconds: float, operation: str) -> None:
        """Add ``seconds`` to each call that fits the pattern ``operation``; 0 removes the delay."""
        self._seconds = {**self._seconds, operation: seconds}

    def clear(self) -> None:
        """Remove all delays."""
        self._seconds = {}

    def __call__(self, call: ApiCall, environ: "WSGIEnvironment") -> Response:
        """Wait, then pass the call on."""
        if not call.bystander:
            seconds = sum(seconds for pattern, seconds in self._seconds.items() if call.matches(pattern))
            if seconds > 0:
                time.sleep(seconds)
        return self._inner(call, environ)


class RateLimit:
    """The layer that throttles, with one token bucket for each pattern.

    >>> limit = RateLimit(lambda call, environ: Response("put"))
    >>> limit.set("ssm.PutParameter", per_second=0.001, burst=2)
    >>> put = ApiCall("ssm.PutParameter", {}, (), "us-east-1")
    >>> [limit(put, {}).status_code for _ in range(3)]
    [200, 200, 400]
    >>> limit.clear()
    """

    def __init__(self, inner: Handler) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._buckets: dict[str, _Bucket] = {}

    def set(self, operation: str, per_second: float, burst: int) -> None:
        """Allow the calls that fit ``operation`` a rate of ``per_second`` together, after a first ``burst``."""
        with self._lock:
            self._buckets[operation] = _Bucket(per_second, burst)

    def clear(self) -> None:
        """Allow any rate."""
        with self._lock:
            self._buckets.clear()

    def __call__(self, call: ApiCall, environ: "WSGIEnvironment") -> Response:
        """Pass the call on if every bucket that it counts for has a token, otherwise throttle it."""
        with self._lock:
            buckets = [bucket for pattern, bucket in self._buckets.items() if call.matches(pattern)]
            allowed = call.bystander or all(bucket.take() for bucket in buckets)
        return self._inner(call, environ) if allowed else throttled_reply(call)


class _Bucket:
    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._tokens = float(burst)
        self._filled = time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._per_second)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
