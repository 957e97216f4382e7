"""The pace against a token bucket such as AWS has, on a clock that is moved by hand."""

import heapq
import random
import threading
from itertools import pairwise

import pytest

from spot_runner_provider.batch import pace
from spot_runner_provider.batch.pace import Pace
from spot_runner_provider.protocol.calls import Throttled


class Clock:
    """A clock, and the condition whose waiting moves it."""

    def __init__(self):
        self.time = 100.0

    def __call__(self):
        return self.time

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def notify_all(self):
        pass

    def wait(self, seconds):
        assert seconds is not None, "nobody else would ever let this one through"
        assert seconds > 0
        self.time += seconds


class Bucket:
    """A quota of so many calls a second, of which none can be saved up."""

    def __init__(self, clock, per_second):
        self.clock, self.per_second, self.full_at = clock, per_second, clock.time

    def take(self):
        if self.clock.time < self.full_at - 1e-9:
            return False
        self.full_at = self.clock.time + 1 / self.per_second
        return True


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def limiter(clock):
    made = Pace(1.0, clock)
    made._changed = clock
    return made


def call(limiter, bucket, clock, seconds=0.03, again=None):
    """Make a call, again until it works; return when it did and how often it was throttled."""
    for throttles in range(50):
        permit = limiter.take(0)
        clock.time += again if again and throttles else seconds
        if bucket.take():
            limiter.worked(permit)
            return clock.time, throttles
        limiter.throttled(permit)
    raise AssertionError("throttled for ever")


def test_without_throttles_nobody_waits(limiter, clock):
    assert limiter.take(0, 10).calls == 10
    assert limiter.rate is None
    assert clock.time == 100.0


@pytest.mark.parametrize(
    ("per_second", "ratio", "throttles_a_call"), [(0.5, 1.25, 1.3), (3, 1.08, 0.3), (10, 1.08, 0.3), (40, 1.1, 0.3)]
)
def test_it_finds_the_quota_and_keeps_close_to_it(limiter, clock, per_second, ratio, throttles_a_call):
    """The rate is back within seconds, so that of calls which are seconds apart each may be throttled."""
    bucket = Bucket(clock, per_second)
    made = [call(limiter, bucket, clock, 0.3 / per_second) for _ in range(200)]
    seconds = made[-1][0] - made[20][0]
    assert seconds <= ratio * 179 / per_second
    assert sum(throttles for _, throttles in made[20:]) <= throttles_a_call * 179


def test_occasional_late_calls_cause_no_throttles(limiter, clock):
    """Each put is a tenth of a second behind its permit, some a good deal more, and repetitions are quicker."""
    chance, bucket, made, throttles = random.Random(3), Bucket(clock, 3), [], 0
    for _ in range(300):
        late = 0.06 * chance.random() if chance.random() < 0.1 else 0.0
        moment, times = call(limiter, bucket, clock, 0.12 + late, again=0.09)
        made.append(moment)
        throttles += times
    assert made[-1] - made[0] <= 1.11 * 299 / 3
    assert throttles <= 0.2 * 299


def test_a_call_that_came_late_is_followed_at_the_same_distance(limiter, clock):
    limiter.throttled(limiter.take(0))
    for seconds in (0.1, 0.1, 0.25):
        permit = limiter.take(0)
        clock.time += seconds
        limiter.worked(permit)
    answered, rate = clock.time, limiter.rate
    assert limiter.take(0).at + 0.13 - answered == pytest.approx(1 / rate, abs=0.001)  # the mean of the three: 0.13


def test_a_call_that_hangs_leaves_the_rate_as_it_is(limiter, clock):
    """The next ones are let through at once then, which is not the time of somebody who asks for nothing."""
    for _ in range(2):
        limiter.throttled(limiter.take(0))
        limiter.worked(limiter.take(0))
    hanging = limiter.take(0)
    clock.time += 30
    limiter.worked(hanging)
    limiter.throttled(limiter.take(0))
    peak = limiter.rate
    for _ in range(20):
        permit = limiter.take(0)
        clock.time += 0.1
        limiter.worked(permit)
        assert limiter.rate >= 0.97 * peak


def test_a_throttled_call_tells_too_how_long_calls_take(limiter, clock):
    limiter.throttled(limiter.take(0))
    for seconds in (0.3, 0.3, *[0.1] * 30):
        permit = limiter.take(0)
        clock.time += seconds
        again = permit.at == limiter._repeated_at
        (limiter.worked if seconds == 0.3 or again else limiter.throttled)(permit)
    permit = limiter.take(0)
    clock.time += 0.1
    limiter.worked(permit)
    answered, rate = clock.time, limiter.rate
    assert limiter.take(0).at + 0.1 - answered == pytest.approx(1 / rate, abs=0.01)


def test_it_finds_a_quota_that_changes(limiter, clock):
    bucket = Bucket(clock, 3)
    for _ in range(50):
        call(limiter, bucket, clock)
    for per_second in (1, 10):
        bucket.per_second = per_second
        for _ in range(120):
            call(limiter, bucket, clock)
        made = [call(limiter, bucket, clock)[0] for _ in range(20)]
        assert made[-1] - made[0] <= 1.2 * 19 / per_second


def test_a_time_without_calls_changes_nothing(limiter, clock):
    bucket = Bucket(clock, 3)
    for _ in range(50):
        call(limiter, bucket, clock)
    clock.time += 600
    assert sum(call(limiter, bucket, clock)[1] for _ in range(20)) <= 10
    assert limiter.rate < 4


def test_where_nothing_is_throttled_any_more_there_is_no_limit(limiter, clock):
    call(limiter, bucket := Bucket(clock, 3), clock)
    call(limiter, bucket, clock)
    assert limiter.rate is not None
    bucket.per_second = 10_000
    for _ in range(50):
        call(limiter, bucket, clock, 0.001)
    assert limiter.rate is None
    assert limiter.take(0, 10).calls == 10


def test_it_never_waits_longer_than_it_says(limiter, clock):
    permits = [limiter.take(0)]
    for _ in range(15):
        limiter.throttled(permits[-1])
        permits.append(limiter.take(0))
    waits = [later.at - earlier.at for earlier, later in pairwise(permits)]
    assert max(waits) <= pace.LONGEST
    assert max(waits) > pace.LONGEST / 2


def test_a_thousand_throttles_in_a_row_are_no_error(limiter):
    for _ in range(2000):
        limiter.throttled(limiter.take(0))


def test_whose_turn_it_is_not_gets_none_after_a_while(limiter, clock):
    limiter.throttled(limiter.take(0))
    limiter._open_at = clock.time + 60
    before = clock.time
    assert limiter.take(0, 5, seconds=20).calls == 0
    assert clock.time - before == 20
    assert limiter.take(0, 5, seconds=50).calls == 1


def throttled_for(limiter, clock, seconds):
    """Let every call be throttled for so long, the first one included."""
    until = clock.time + seconds
    while True:
        limiter.throttled(limiter.take(0))
        if clock.time >= until:
            return


def test_it_is_starved_once_nothing_worked_for_long(limiter, clock):
    limiter.worked(limiter.take(0))
    clock.time += 2 * pace.PATIENCE
    throttled_for(limiter, clock, pace.PATIENCE - pace.LONGEST)
    assert not limiter.is_starved
    throttled_for(limiter, clock, 2 * pace.LONGEST)
    assert limiter.is_starved
    limiter.worked(limiter.take(0))
    assert not limiter.is_starved


def test_it_is_not_starved_while_nothing_is_asked_for(limiter, clock):
    for _ in range(3):
        limiter.throttled(limiter.take(0))
        clock.time += 2 * pace.PATIENCE
        assert not limiter.is_starved


def test_what_is_starved_is_tried_again_after_a_while(limiter, clock):
    throttled_for(limiter, clock, pace.PATIENCE + pace.LONGEST)
    clock.time += pace.LULL
    assert limiter.is_starved
    clock.time += 1
    assert not limiter.is_starved


@pytest.mark.parametrize(("per_second", "seconds"), [(10, 0.1), (3, 0.3), (10, 0.03)])
def test_many_calls_under_way_at_once_keep_to_the_quota_as_well(limiter, clock, per_second, seconds):
    """Sixteen threads, event by event: calls arrive in the order in which they were sent."""
    bucket, under_way, done, throttled = Bucket(clock, per_second), [], [], 0
    while len(done) < 200:
        while len(under_way) < 16 and (permit := limiter.take(0, seconds=1e-9)).calls:
            under_way.append((clock.time + seconds, permit))
        if not under_way or (len(under_way) < 16 and limiter._open_at < under_way[0][0]):
            clock.time = max(clock.time, limiter._open_at)
            continue
        clock.time, permit = under_way.pop(0)
        if bucket.take():
            limiter.worked(permit)
            done.append(clock.time)
        else:
            limiter.throttled(permit)
            throttled += 1
    assert done[-1] - done[50] <= 1.35 * 149 / per_second
    assert throttled <= 200


def test_calls_that_were_on_their_way_together_count_once(limiter, clock):
    permits = [limiter.take(0) for _ in range(10)]
    for permit in permits[:2]:
        limiter.worked(permit)
    clock.time += 0.01
    for permit in permits[2:]:
        limiter.throttled(permit)
    assert limiter.rate == 2


def test_one_is_let_through_at_a_time_where_there_is_a_limit(limiter, clock):
    for _ in range(40):
        limiter.worked(limiter.take(0))
    limiter.throttled(limiter.take(0))
    assert limiter.rate == 40
    assert limiter.take(0, 10).calls == 1
    before = clock.time
    assert limiter.take(0, 3).calls == 1
    assert clock.time - before == pytest.approx(1 / 40)


@pytest.mark.parametrize("tasks", [2, 8])
def test_tasks_that_share_a_quota_use_it_up(clock, tasks):
    """Event by event: each task makes one call at a time, which takes longer than the tasks' calls are apart."""
    each, bucket, left = 2400 // tasks, Bucket(clock, 3), [2400 // tasks] * tasks
    limiters = [Pace(3.0, clock) for _ in range(tasks)]
    events = [(clock.time + 0.13 * task, task, None) for task in range(tasks)]
    while events:
        clock.time, task, permit = heapq.heappop(events)
        limiter = limiters[task]
        if permit is None:
            permit = limiter.take(0, seconds=0)
            again = (clock.time + 0.14, task, permit) if permit.calls else (limiter._open_at, task, None)
            heapq.heappush(events, again)
            continue
        if bucket.take():
            limiter.worked(permit)
            left[task] -= 1
        else:
            limiter.throttled(permit)
        if left[task]:
            heapq.heappush(events, (clock.time, task, None))
    assert clock.time - 100 <= 1.25 * tasks * each / 3


def test_the_first_in_line_goes_first():
    limiter, order = Pace(1.0), []
    limiter.throttled(limiter.take(0))
    limiter._open_at += 60  # until all stand in line

    def wait(place):
        limiter.take(place)
        order.append(place)

    threads = [threading.Thread(target=wait, args=[place]) for place in (3, 1, 2)]
    for thread in threads:
        thread.start()
    with limiter._changed:
        assert limiter._changed.wait_for(lambda: True)
    while len(limiter._line) < 3:
        threading.Event().wait(0.001)
    with limiter._changed:
        limiter._open_at, limiter._peak = 0.0, 20.0
        limiter._changed.notify_all()
    for thread in threads:
        thread.join()
    assert order == [1, 2, 3]


def ending_in(*answers):
    """A call that ends in each of ``answers`` in turn: is raised if it is an exception."""
    left = iter(answers)

    def call():
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return call


def repeated(limiter, call, check=lambda: None):
    return limiter.repeat(call, place=0, seconds=1.0, check=check, in_vain="all was throttled")


def test_what_is_throttled_is_repeated_at_the_rate(limiter, clock):
    began = clock.time
    assert repeated(limiter, ending_in(Throttled(), Throttled(), "answer")) == "answer"
    assert limiter.rate is not None
    assert clock.time > began


def test_other_errors_are_not_repeated_and_change_no_rate(limiter):
    with pytest.raises(TimeoutError):
        repeated(limiter, ending_in(TimeoutError()))
    assert limiter.rate is None
    with pytest.raises(Throttled):
        limiter.attempt(ending_in(Throttled()), limiter.take(place=0))
    rate = limiter.rate
    with pytest.raises(TimeoutError):
        repeated(limiter, ending_in(TimeoutError()))
    assert limiter.rate <= rate


def test_repeating_in_vain_ends_also_for_later_callers(limiter, monkeypatch):
    monkeypatch.setattr(pace, "PATIENCE", 10.0)
    with pytest.raises(Throttled, match=r"^all was throttled for 10 s$"):
        repeated(limiter, ending_in(*[Throttled()] * 100))
    with pytest.raises(Throttled, match="all was throttled"):
        repeated(limiter, ending_in())


def test_who_waits_is_asked_each_second_whether_to_go_on(limiter):
    class Ended(Exception):
        pass

    limiter.throttled(limiter.take(place=0))
    limiter._open_at = limiter._now() + 60
    checks = iter([None, None, Ended()])

    def check():
        if error := next(checks):
            raise error

    with pytest.raises(Ended):
        repeated(limiter, ending_in(), check)
