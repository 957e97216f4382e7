"""The clock of the benchmarks: whose turn it is, and what counts as time."""

import threading
from concurrent.futures import ALL_COMPLETED, FIRST_EXCEPTION

import pytest

from benchmarks import clock as module
from benchmarks.clock import VirtualClock


class Processor:
    """Seconds of the processor, spent by hand."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def processor():
    return Processor()


@pytest.fixture
def clock(processor):
    return VirtualClock(processor)


def test_it_counts_the_processor_and_what_all_wait_for(clock, processor):
    clock.sleep(10)
    processor.seconds += 2
    assert clock() == 12


def test_waiting_for_something_else_takes_no_time(clock):
    with clock.pool(2) as pool:
        list(pool.map(lambda _: threading.Event().wait(0.001), range(2)))
    assert clock() == 0


def test_sleepers_wake_in_the_order_of_their_moments(clock):
    woken = []

    def sleep(seconds):
        clock.sleep(seconds)
        woken.append((seconds, clock()))

    with clock.pool(3) as pool:
        list(pool.map(sleep, [3, 1, 2]))
    assert woken == [(1, 1), (2, 2), (3, 3)]


def test_a_pool_has_so_many_threads_and_keeps_the_order(clock):
    def square(number):
        clock.sleep(10)
        return number**2

    with clock.pool(2, thread_name_prefix="any") as pool:
        assert list(pool.map(square, range(5))) == [0, 1, 4, 9, 16]
    assert clock() == 30


def test_a_pool_of_nothing_is_done_at_once(clock):
    assert list(clock.pool(3).map(abs, [])) == []


def test_pools_within_a_pool(clock):
    def outer(number):
        return sum(clock.pool(2).map(inner, [number, number]))

    def inner(number):
        clock.sleep(number)
        return number

    assert list(clock.pool(2).map(outer, [1, 5])) == [2, 10]
    assert clock() == 5


def test_processor_time_of_one_delays_the_others(clock, processor):
    """As on one core: who is due meanwhile comes late."""
    ended = []

    def work(seconds):
        clock.sleep(1)
        processor.seconds += seconds
        ended.append(clock())

    list(clock.pool(2).map(work, [4, 0]))
    assert ended == [5, 5]


def test_what_a_thread_raises_is_raised(clock):
    with pytest.raises(ZeroDivisionError):
        list(clock.pool(2).map(lambda number: 1 / number, [0, 1]))


@pytest.mark.parametrize(
    ("return_when", "timeout", "moment", "ended"),
    [
        pytest.param(ALL_COMPLETED, 99, 3, 3, id="all"),
        pytest.param(FIRST_EXCEPTION, 99, 2, 2, id="first-exception"),
        pytest.param(ALL_COMPLETED, 1.5, 1.5, 1, id="no-longer-than-that"),
    ],
)
def test_who_waits_for_futures_goes_on_in_time(clock, return_when, timeout, moment, ended):
    def work(seconds):
        clock.sleep(seconds)
        return 1 / (seconds - 2)

    with clock.pool(3) as pool:
        futures = [pool.submit(work, seconds) for seconds in (1, 2, 3)]
        done, others = clock.wait(futures, timeout, return_when)
        assert (clock(), len(done), len(others)) == (moment, ended, 3 - ended)


def test_a_pool_that_is_shut_down_begins_nothing_more(clock):
    pool, begun = clock.pool(1), []

    def work(number):
        begun.append(number)
        clock.sleep(1)

    futures = [pool.submit(work, number) for number in range(3)]
    clock.sleep(0.5)
    pool.shutdown(cancel_futures=True)
    assert begun == [0]
    assert [future.cancelled() for future in futures] == [False, True, True]
    assert clock() == 1


def test_a_waiter_goes_on_when_notified_or_in_time(clock):
    condition, ended = clock.condition(), {}

    def wait(timeout):
        with condition:
            condition.wait(timeout)
        ended[timeout] = clock()

    def tell(_):
        clock.sleep(3)
        with condition:
            condition.notify_all()

    with clock.pool(4) as pool:
        futures = [pool.submit(wait, timeout) for timeout in (1, None, 9)] + [pool.submit(tell, None)]
        clock.wait(futures)
    assert ended == {1: 1, None: 3, 9: 3}
    clock.sleep(0)
    assert clock() == 3


def test_threads_that_wait_for_each_other_are_an_error(clock):
    with pytest.raises(RuntimeError, match="wait for each other"):
        clock.condition().wait()


def test_a_deadlock_is_an_error(clock, monkeypatch):
    monkeypatch.setattr(module, "STUCK", 0.01)
    lock = threading.Lock()

    def hold(_):
        with lock:
            clock.sleep(1)

    with pytest.raises(RuntimeError, match="no turn passed"):
        list(clock.pool(2).map(hold, range(2)))
