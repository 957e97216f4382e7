"""A clock without the load of other processes: it counts this process's processor time, and the waits it asks for.

Threads take turns on it, one at a time, as with Python's own lock. If all of them wait for a moment, it comes at
once. Other waits, such as for another process's answer or a free core, take no time. So a run's seconds are those of an
otherwise idle machine.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ALL_COMPLETED, FIRST_EXCEPTION, Future
from functools import partial
from types import TracebackType
from typing import Any, Self

STUCK = 600.0
"""Real seconds without a turn after which a thread gives up: another thread waits for something that this one holds."""


class VirtualClock:
    """The seconds of this process's own processor time, plus those for which all its threads waited.

    :param processor: the processor's seconds so far.

    >>> clock = VirtualClock(processor=lambda: 5.0)
    >>> clock()
    5.0
    >>> clock.sleep(3600)  # at once
    >>> clock()
    3605.0
    """

    def __init__(self, processor: Callable[[], float] = time.process_time) -> None:
        self._processor = processor
        self._skipped = 0.0
        self._waiting: list[_Turn] = []
        self._numbers = itertools.count()
        self._passed = 0
        self._stuck = False
        self.ended = Condition(self)
        """Told whenever something that a pool runs has ended."""

    def __call__(self) -> float:
        """Return the seconds so far."""
        return self._processor() + self._skipped

    def sleep(self, seconds: float) -> None:
        """Let the others go on, and return after so many seconds, like ``time.sleep``."""
        self._wait(self._turn(self() + seconds))

    def condition(self) -> Condition:
        """Return what stands in for a ``threading.Condition``."""
        return Condition(self)

    def pool(self, max_workers: int, thread_name_prefix: str = "") -> Pool:
        """Return what stands in for a ``concurrent.futures.ThreadPoolExecutor``."""
        return Pool(self, max_workers)

    def wait(
        self, futures: Collection[Future[Any]], timeout: float = float("inf"), return_when: str = ALL_COMPLETED
    ) -> tuple[set[Future[Any]], set[Future[Any]]]:
        """Stand in for ``concurrent.futures.wait``, for the first exception or the end of all."""
        until = self() + timeout
        while True:
            done = {future for future in futures if future.done()}
            failed = return_when == FIRST_EXCEPTION and any(future.exception() for future in done)
            if failed or len(done) == len(futures) or self() >= until:
                return done, set(futures) - done
            self.ended.wait(until - self())

    def start(self, function: Callable[[], object]) -> None:
        """Run a function in a new thread that takes turns with the others. It must not raise."""

        def run(turn: _Turn) -> None:
            self._await(turn)
            function()
            self._pass_on()

        threading.Thread(target=run, args=[self._turn(self())], daemon=True).start()

    def _turn(self, due: float) -> _Turn:
        turn = _Turn(due, next(self._numbers))
        self._waiting.append(turn)
        return turn

    def _wait(self, turn: _Turn) -> None:
        self._pass_on()
        self._await(turn)

    def _await(self, turn: _Turn) -> None:
        passed = self._passed
        while not turn.come.wait(STUCK):
            if passed == self._passed:
                self._stuck = True
                raise RuntimeError(f"no turn passed for {STUCK:.0f} s: a thread waits for what another one holds")
            passed = self._passed

    def _pass_on(self) -> None:
        """Let the next thread go on. Only one thread at a time runs in here, so nothing has to be locked."""
        if self._stuck:  # who gave up was not the one at work
            return
        turn = min(self._waiting)
        if turn.due == float("inf"):
            raise RuntimeError("all threads wait for each other")
        self._waiting.remove(turn)
        self._skipped += max(0.0, turn.due - self())
        self._passed += 1
        turn.come.set()


class Condition:
    """Stands in for a ``threading.Condition``; only one thread runs at a time anyway."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._waiting: list[_Turn] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def wait(self, timeout: float | None = None) -> None:
        """Wait for :meth:`notify_all`, at most so many seconds."""
        turn = self._clock._turn(float("inf") if timeout is None else self._clock() + timeout)
        self._waiting.append(turn)
        self._clock._wait(turn)
        self._waiting.remove(turn)

    def notify_all(self) -> None:
        """Let the waiting threads go on."""
        for turn in self._waiting:
            turn.due = min(turn.due, self._clock())


class Pool:
    """Stands in for a ``ThreadPoolExecutor``."""

    def __init__(self, clock: VirtualClock, max_workers: int) -> None:
        self._clock = clock
        self._max_workers = max_workers
        self._workers = 0
        self._work: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Let a thread call the function as soon as one is free."""
        future: Future[Any] = Future()
        self._work.append((future, partial(function, *arguments)))
        if self._workers < self._max_workers:
            self._workers += 1
            self._clock.start(self._work_off)
        return future

    def map(self, function: Callable[..., Any], *iterables: Iterable[Any]) -> Iterator[Any]:
        """Return the function's results for the arguments, in their order, when all are done."""
        futures = [self.submit(function, *arguments) for arguments in zip(*iterables, strict=False)]
        self._clock.wait(futures)
        return iter([future.result() for future in futures])

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for the threads to end."""
        while cancel_futures and self._work:
            self._work.popleft()[0].cancel()
        while wait and self._workers:
            self._clock.ended.wait()

    def _work_off(self) -> None:
        while self._work:
            future, call = self._work.popleft()
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
            self._clock.ended.notify_all()
        self._workers -= 1
        self._clock.ended.notify_all()


class _Turn:
    """When a thread goes on; of those that are due together, the first one first."""

    def __init__(self, due: float, number: int) -> None:
        self.due = due
        self._number = number
        self.come = threading.Event()

    def __lt__(self, other: _Turn) -> bool:
        return (self.due, self._number) < (other.due, other._number)
