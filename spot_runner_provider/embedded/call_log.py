"""The log of the calls: which operations, how often and in which order."""

import re
import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from werkzeug.wrappers import Response

from spot_runner_provider.embedded.call import ApiCall, Handler

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SCANNED_COUNT = re.compile(rb'"ScannedCount":\s*(\d+)')


class CallLog:
    """The layer that records every call in order of arrival, including throttled and failed ones.

    >>> log = CallLog(lambda call, environ: Response("{}"))
    >>> answer = log(ApiCall("ssm.PutParameter", {}, ("/spot-runner/configs/linux-x64",), "us-east-1"), {})
    >>> log.counts(), [(call.status, call.size) for call in log.calls()]
    ({'ssm.PutParameter': 1}, [(200, 2)])
    >>> log.clear()
    >>> log.counts()
    {}
    """

    def __init__(self, inner: Handler) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._calls: dict[int, ApiCall] = {}
        self._arrived = 0

    def calls(self) -> list[ApiCall]:
        """Return the calls since the last :meth:`clear`."""
        with self._lock:
            return list(self._calls.values())

    def counts(self) -> dict[str, int]:
        """Return how many calls there were, by operation."""
        return dict(Counter(call.operation for call in self.calls()))

    def clear(self) -> None:
        """Forget the calls so far."""
        with self._lock:
            self._calls.clear()

    def __call__(self, call: ApiCall, environ: "WSGIEnvironment") -> Response:
        """Note the call when it arrives, and the answer's status and size."""
        if call.bystander:
            return self._inner(call, environ)
        with self._lock:
            self._arrived += 1
            place = self._arrived
            self._calls[place] = call
        response = self._inner(call, environ)
        answered = replace(call, status=response.status_code, size=len(response.get_data()))
        if call.operation in ("dynamodb.Query", "dynamodb.Scan"):
            found = SCANNED_COUNT.search(response.get_data())
            answered = replace(answered, scanned_count=int(found[1]) if found else None)
        with self._lock:
            if place in self._calls:
                self._calls[place] = answered
        return response
