"""The explorer itself: it takes every schedule into account, and its model is the hooks'."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import spot_runner_provider
from spot_runner_provider.protocol.calls import Call
from spot_runner_provider.protocol.reconcile import reconcile
from tests.interleavings.actors import Actor, handling, reconciling
from tests.interleavings.cases import SAME, editor, other_editor
from tests.interleavings.explorer import Case, Explorer
from tests.interleavings.model import World, detect, moment, perform, perform_other, stale_world
from tests.interleavings.protocols import rewritten

WORLD = stale_world(SAME)


def one_by_one(actors: list[Actor], world: World) -> Iterator[World]:
    """Run each schedule by itself, with live generators from its beginning to its end; yield the worlds at the end."""
    pending: list[list[int]] = [[]]
    while pending:
        schedule = pending.pop()
        flows = [actor.start(lambda: moment(0)) for actor in actors]
        calls: list[Call | None] = [next(flow) for flow in flows]
        now = world
        for who in schedule:
            actor, call = actors[who], calls[who]
            assert call is not None
            if actor.ours:
                answer, now = perform(now, call, actor.name, moment(0))
            else:
                answer, now, tables = perform_other(now, now.real, call, actor.name)
                now = now._replace(real=tables)
            try:
                calls[who] = flows[who].send(answer)
            except StopIteration:
                calls[who] = None
        alive = [who for who, call in enumerate(calls) if call is not None]
        if not alive:
            yield now
        pending += [[*schedule, who] for who in alive]


@pytest.mark.parametrize(
    "others",
    [
        pytest.param([editor()], id="H"),
        pytest.param([editor(), other_editor()], id="H+H'"),
        pytest.param([handling("E", SAME, finishes=False)], id="E"),
    ],
)
def test_it_counts_what_running_each_schedule_counts(others: list[Actor]) -> None:
    actors = [reconciling("R1", detect(WORLD, moment(0))), *others]
    ends = Counter((end.real, end.intents) for end in one_by_one(actors, WORLD))
    explorer = Explorer(Case("", WORLD, tuple(actors)))
    assert explorer.explore().schedules == ends.total()
    assert {(end.real, end.intents) for end in explorer.ends} == set(ends)


def test_the_table_commits_on_the_condition_of_the_hook() -> None:
    hook = Path(spot_runner_provider.__file__).parent / "hooks" / "ami_state.py"
    assert 'ConditionExpression="#status = :building AND #updatedAt = :seen"' in hook.read_text()


def test_a_mutant_of_text_that_is_gone_fails_loudly() -> None:
    with pytest.raises(LookupError, match="0 times in _Following"):
        rewritten(("_Following", "no such text", ""))


def test_rewriting_nothing_is_the_real_protocol() -> None:
    assert rewritten().__code__ == reconcile.__code__
