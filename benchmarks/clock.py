"""A clock that leaves out what the machine does meanwhile: processor time of this process, and the waiting it asks for.

Threads take turns on it, one at a time, as Python's own lock lets them. Where all of them wait for a moment to come,
that moment comes at once. What they wait for besides, such as another process's answer or a free core, takes no time.
So a run's seconds are those on a machine that has nothing else to do, whatever this one does.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self

STUCK = 600.0
"""Real seconds in which no turn passes, after which a thread gives up: another one waits for what this one holds."""


class VirtualClock:
    """Seconds of this process's own processor time, plus those for which all its threads waited.

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

    def __call__(self) -> float:
        """Return the seconds so far."""
        return self._processor() + self._skipped

    def sleep(self, seconds: float) -> None:
        """Let the others go on, and come back so many seconds later: what ``time.sleep`` does."""
        self._wait(self._turn(self() + seconds))

    def condition(self) -> Condition:
        """Return what stands in for a ``threading.Condition``."""
        return Condition(self)

    def pool(self, max_workers: int, thread_name_prefix: str = "") -> Pool:
        """Return what stands in for a ``concurrent.futures.ThreadPoolExecutor``."""
        return Pool(self, max_workers)

    def run_together(self, functions: Iterable[Callable[[], object]]) -> None:
        """Run each function in a thread of its own, and come back when all have ended.

        :raises BaseException: what the first of them raised that did.
        """
        ended, errors = self._turn(float("inf")), []

        def run(turn: _Turn, function: Callable[[], object]) -> None:
            try:
                self._await(turn)
                function()
            except BaseException as error:
                errors.append(error)
            running.remove(turn)
            if not running:
                ended.due = self()
            self._pass_on()

        pairs = [(self._turn(self()), function) for function in functions]
        running = [turn for turn, _ in pairs]
        threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in pairs]
        if not threads:
            ended.due = self()
        for thread in threads:
            thread.start()
        self._wait(ended)
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

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
                raise RuntimeError(f"no turn passed for {STUCK:.0f} s: a thread waits for what another one holds")
            passed = self._passed

    def _pass_on(self) -> None:
        """Let the next one go on: only who does is ever at work in here, so nothing has to be locked."""
        turn = min(self._waiting)
        if turn.due == float("inf"):
            raise RuntimeError("all threads wait for each other")
        self._waiting.remove(turn)
        self._skipped += max(0.0, turn.due - self())
        self._passed += 1
        turn.come.set()


class Condition:
    """Stands in for a ``threading.Condition``; nobody else is at work while one is in it anyway."""

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
        """Wait for :meth:`notify_all`, so many seconds at most."""
        turn = self._clock._turn(float("inf") if timeout is None else self._clock() + timeout)
        self._waiting.append(turn)
        self._clock._wait(turn)
        self._waiting.remove(turn)

    def notify_all(self) -> None:
        """Let those who wait go on."""
        for turn in self._waiting:
            turn.due = min(turn.due, self._clock())


class Pool:
    """Stands in for a ``ThreadPoolExecutor`` of which only ``map`` is used."""

    def __init__(self, clock: VirtualClock, max_workers: int) -> None:
        self._clock = clock
        self._max_workers = max_workers

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def map(self, function: Callable[..., Any], *iterables: Iterable[Any]) -> Iterator[Any]:
        """Return what the function makes of the arguments, in their order, when all is done."""
        work = deque(enumerate(zip(*iterables, strict=False)))
        done: dict[int, Any] = {}

        def work_off() -> None:
            while work:
                number, arguments = work.popleft()
                done[number] = function(*arguments)

        self._clock.run_together([work_off] * min(self._max_workers, len(work)))
        return iter([done[number] for number in sorted(done)])


class _Turn:
    """When a thread goes on; of those that are due together, who came first."""

    def __init__(self, due: float, number: int) -> None:
        self.due = due
        self._number = number
        self.come = threading.Event()

    def __lt__(self, other: _Turn) -> bool:
        return (self.due, self._number) < (other.due, other._number)
