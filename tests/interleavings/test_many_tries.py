"""Twelve runs of four tries each, every one of which dies or fails: two intents stand at most, and all ends right."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

import pytest

from spot_runner_provider.protocol.calls import AmbiguousPut, Call, Commit, PutConfig, ReadHistory, ReadState, Refused
from spot_runner_provider.records.intent import ABANDONED_AFTER
from tests.interleavings.actors import Actor, reconciling
from tests.interleavings.cases import NEWER, SAME
from tests.interleavings.invariants import MOST_INTENTS, healthy_runs, verdict
from tests.interleavings.model import World, detect, moment, perform, stale_world
from tests.interleavings.protocols import REAL, Protocol, rewritten

RUNS, TRIES = 12, 4
BETWEEN_TRIES, BETWEEN_RUNS = 30, 15 * 60
"""Seconds."""

QUICKLY = 60
"""Seconds between runs of which the next begins before the last one's tries are taken for dead."""

Fate = Callable[[int, Call], Exception | bool]
"""Given a call's number and the call: whether the try dies before it, or what the call ends in."""


def attempt(world: World, actor: Actor, fate: Fate) -> World:
    """Return the world after a try."""
    step, calls = actor.begin(world.time), 0
    while step.call is not None:
        fails = fate(calls, step.call)
        calls += 1
        if fails is True:
            return world
        if isinstance(fails, Exception):
            step = step.answered(world.time, fails)
            continue
        answer, world = perform(world, step.call, actor.name, actor.clock(world.time))
        step = step.answered(world.time, answer)
    return world


def failing_runs(fate: Callable[[], Fate], protocol: Protocol = REAL, *, pause: int = BETWEEN_RUNS) -> World:
    """Return the world after all runs; no more intents than may be stand after any try."""
    world = stale_world(SAME)
    for number in range(1, RUNS + 1):
        candidate = detect(world, moment(world.time))  # its retries see no more of it
        for tries in range(1, TRIES + 1) if candidate else ():
            actor = reconciling(f"R{number}", candidate, run=f"run{number}", attempt=tries, protocol=protocol)
            world = attempt(world, actor, fate())
            assert len(world.intents) <= most(pause), f"after try {tries} of run {number}"
            world = world._replace(time=world.time + BETWEEN_TRIES)
        world = world._replace(time=world.time + pause)
    return world


def most(pause: int) -> int:
    """Return how many intents may stand: tries of two runs within five minutes know nothing of each other."""
    return MOST_INTENTS * (1 + ABANDONED_AFTER // timedelta(seconds=pause + TRIES * BETWEEN_TRIES))


def ends_right(world: World, pause: int = BETWEEN_RUNS) -> list[str]:
    return [str(problem) for problem in verdict(world, healthy_runs(REAL), most=most(pause))]


@pytest.mark.parametrize("pause", [BETWEEN_RUNS, QUICKLY])
@pytest.mark.parametrize("number", range(16))
def test_each_try_dies_before_the_same_call(number, pause):
    world = failing_runs(lambda: lambda calls, call: calls == number, pause=pause)
    assert ends_right(world, pause) == []


@pytest.mark.parametrize(
    "error", [Refused("no"), AmbiguousPut("no reply"), TimeoutError()], ids=["refused", "ambiguous", "out-of-reach"]
)
@pytest.mark.parametrize("kind", [PutConfig, Commit, ReadState, ReadHistory])
def test_each_try_fails_with_the_same_call(kind, error):
    world = failing_runs(lambda: lambda calls, call: error if isinstance(call, kind) else False)
    assert ends_right(world) == []


@pytest.mark.parametrize("pause", [BETWEEN_RUNS, QUICKLY])
@pytest.mark.parametrize("seed", range(200))
def test_each_try_dies_or_fails_anywhere(seed, pause):
    chance = random.Random(seed)

    def fate() -> Fate:
        last, error = chance.randrange(16), chance.choice([True, Refused("no"), TimeoutError(), AmbiguousPut("no")])
        puts = isinstance(error, AmbiguousPut)
        return lambda calls, call: calls >= last and isinstance(call, PutConfig if puts else Call) and error

    assert ends_right(failing_runs(fate, pause=pause), pause) == []


def test_the_build_that_is_the_latest_may_change_in_between():
    chance = random.Random(0)

    def fate() -> Fate:
        last = chance.randrange(16)
        return lambda calls, call: calls == last

    world = failing_runs(fate)
    world = world._replace(images=(*world.images, NEWER))
    assert ends_right(world) == []


def test_they_pile_up_if_none_is_forgotten_for_another():
    protocol = Protocol(rewritten(("reconcile", "[] if run.dry_run else redundant(candidate.standing)", "[]")))
    with pytest.raises(AssertionError, match="after try 3 of run 1"):
        failing_runs(lambda: lambda calls, call: isinstance(call, Commit) and TimeoutError(), protocol)
