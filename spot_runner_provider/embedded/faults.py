"""Calls that go wrong on purpose, and calls that are held until a test lets them go."""

import random
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from werkzeug.wrappers import Response

from spot_runner_provider.embedded.call import ApiCall, ConnectionDropped, Handler
from spot_runner_provider.embedded.errors import error_reply

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

KINDS = {"500", "503", "reset", "lost_reply", "timeout", "hold", "hold_reply"}


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and when.

    ============== =====================================================================================
    kind           what the client sees
    ============== =====================================================================================
    an error code  that AWS error, with its HTTP status; the call is not applied
    500, 503       the service's own server error; not applied
    reset          the connection is closed without an answer; not applied
    lost_reply     the call **is applied**, then the connection is closed without an answer
    timeout        nothing for ``seconds``, then the connection is closed; not applied
    hold           nothing, for ever or until it is released; applied then, unless released with ``apply=False``
    hold_reply     **applied** at once, but the answer waits until it is released (or is lost then)
    ============== =====================================================================================

    :param operation: pattern such as ``ssm.PutParameter`` or ``dynamodb.*``
    :param times: how many calls it hits; None for no end
    :param skip: how many matching calls it lets pass first
    :param probability: chance of a hit, above 0 and up to 1. The draws depend on the seed and on how many
        such calls there were (same operation, same keys), not on how threads interleave
    :param key: pattern of what the call must be about (:attr:`.ApiCall.keys`)
    :param seconds: how long a ``timeout`` takes
    :raises ValueError: when one of these makes no sense

    >>> Fault("dynamodb.UpdateItem", "lost_reply", times=1, key="AMI#linux-x64").seconds
    5.0
    >>> Fault("ssm.PutParameter", "sometimes")
    Traceback (most recent call last):
        ...
    ValueError: 'sometimes' is neither an AWS error code nor one of ['500', '503', 'hold', ...]
    """

    operation: str
    kind: str
    times: int | None = None
    skip: int = 0
    probability: float = 1.0
    key: str | None = None
    seconds: float = 5.0

    def __post_init__(self) -> None:
        """Refuse what would silently never happen."""
        if self.kind not in KINDS and not re.fullmatch(r"[A-Z][A-Za-z.]+", self.kind):
            raise ValueError(f"{self.kind!r} is neither an AWS error code nor one of {sorted(KINDS)}")
        if not 0 < self.probability <= 1 or self.skip < 0 or (self.times is not None and self.times < 1):
            raise ValueError(f"{self} would never happen")


class Holds:
    """The calls that are being held.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> holds = Holds()
    >>> with ThreadPoolExecutor(1) as pool:
    ...     held = pool.submit(holds.hold, ApiCall("ssm.PutParameter", {}, (), "us-east-1"))
    ...     [call.operation for call in holds.wait(count=1, timeout=10)], holds.release(apply=False), held.result()
    (['ssm.PutParameter'], 1, False)
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held: dict[int, ApiCall] = {}
        self._verdicts: dict[int, bool] = {}

    def hold(self, call: ApiCall) -> bool:
        """Wait until :meth:`release`; return its ``apply``."""
        ticket = id(call)
        with self._changed:
            self._held[ticket] = call
            self._changed.notify_all()
            self._changed.wait_for(lambda: ticket in self._verdicts)
            return self._verdicts.pop(ticket)

    def wait(self, count: int, timeout: float) -> list[ApiCall]:
        """Return the held calls as soon as there are ``count``, or those there are after ``timeout`` s."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._held) >= count, timeout)
            return list(self._held.values())

    def release(self, apply: bool) -> int:
        """Let all held calls go on, or drop them; return how many there were."""
        with self._changed:
            released = dict.fromkeys(self._held, apply)
            self._verdicts |= released
            self._held.clear()
            self._changed.notify_all()
            return len(released)


class Faults:
    """The layer that lets calls fail.

    >>> faults = Faults(lambda call, environ: Response("put"), Holds(), seed=0)
    >>> faults.add(Fault("ssm.PutParameter", "reset", times=1))
    >>> put = ApiCall("ssm.PutParameter", {}, ("/spot-runner/configs/linux-x64",), "us-east-1")
    >>> faults(put, {})
    Traceback (most recent call last):
        ...
    spot_runner_provider.embedded.call.ConnectionDropped
    >>> faults(put, {}).get_data(), faults.hits()
    (b'put', {'reset': 1})
    >>> faults.clear()
    """

    def __init__(self, inner: Handler, holds: Holds, seed: int) -> None:
        self._inner = inner
        self._holds = holds
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._matched: Counter[int] = Counter()
        self._hit: Counter[int] = Counter()
        self._drawn: Counter[str] = Counter()
        self.seed = seed

    def add(self, fault: Fault) -> None:
        """Let ``fault`` happen from now on, after those that were added before."""
        with self._lock:
            self._faults.append(fault)

    def hits(self) -> dict[str, int]:
        """Return how many calls were hit, by kind."""
        with self._lock:
            hits: Counter[str] = Counter()
            for index, count in self._hit.items():
                hits[self._faults[index].kind] += count
            return dict(hits)

    def clear(self) -> None:
        """Forget all faults, and the draws so far."""
        with self._lock:
            self._faults.clear()
            for counter in (self._matched, self._hit, self._drawn):
                counter.clear()

    def __call__(self, call: ApiCall, environ: "WSGIEnvironment") -> Response:
        """Let the first fault that is due happen; without one, pass the call on."""
        fault = None if call.bystander else self._due(call)
        if fault is None:
            return self._inner(call, environ)
        match fault.kind:
            case "reset":
                raise ConnectionDropped
            case "timeout":
                time.sleep(fault.seconds)
                raise ConnectionDropped
            case "lost_reply":
                self._inner(call, environ)
                raise ConnectionDropped
            case "hold":
                if not self._holds.hold(call):
                    raise ConnectionDropped
                return self._inner(call, environ)
            case "hold_reply":
                response = self._inner(call, environ)
                if not self._holds.hold(call):
                    raise ConnectionDropped
                return response
            case code:
                return error_reply(call, code, "Injected by the embedded AWS.")

    def _due(self, call: ApiCall) -> Fault | None:
        with self._lock:
            for index, fault in enumerate(self._faults):
                if not call.matches(fault.operation, fault.key):
                    continue
                self._matched[index] += 1
                if self._matched[index] <= fault.skip or self._hit[index] == fault.times:
                    continue
                if fault.probability < 1 and self._draw(index, call) >= fault.probability:
                    continue
                self._hit[index] += 1
                return fault
        return None

    def _draw(self, index: int, call: ApiCall) -> float:
        name = f"{self.seed} {index} {call.operation} {call.keys}"
        self._drawn[name] += 1
        return random.Random(f"{name} {self._drawn[name]}").random()
