"""Protocols that are wrong in one thing each, made out of the real one, so that they follow it as it changes.

A mutant replaces text in the real source, and fails loudly if the text is gone; or it wraps the real generator; or
it changes what the stores make of a call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from spot_runner_provider.protocol.calls import Call, Commit, Committed, ForgetIntent, LogIntent, Lost, ReadState
from spot_runner_provider.protocol.candidate import Candidate, Run
from spot_runner_provider.records import parameter
from spot_runner_provider.records.ami_state import render_timestamp
from spot_runner_provider.records.intent import Intent
from spot_runner_provider.records.parameter import ConfigVersion
from tests.interleavings.model import Record, World, commit, overwrite, update_item
from tests.interleavings.protocols import REAL, Flow, Protocol, rewritten

# What the table makes of a commit.


def _unconditional(world: World, call: Commit, writer: str, now: datetime) -> tuple[Committed | Lost, World]:
    return Committed(), update_item(world, call, writer)


def _if_older(world: World, call: Commit, writer: str, now: datetime) -> tuple[Committed | Lost, World]:
    present = world.real.record.state
    if present.updated_at < render_timestamp(now):
        return Committed(), update_item(world, call, writer)
    return Lost(present), world


def _whole_item(world: World, call: Commit, writer: str, now: datetime) -> tuple[Committed | Lost, World]:
    answer, after = commit(world, call, writer, now)
    if isinstance(answer, Lost):
        return answer, after
    return answer, overwrite(world, call, Record(call.corrected, writer))


# Wrappers of the generator.


def _without_intent(candidate: Candidate, run: Run) -> Flow:
    def alter(call: Call) -> Flow:
        return None if isinstance(call, LogIntent) else (yield call)

    return (yield from _altered(candidate, run, alter))


def _forgetting_early(candidate: Candidate, run: Run) -> Flow:
    logged: list[str] = []

    def alter(call: Call) -> Flow:
        if isinstance(call, LogIntent):
            logged.append(call.intent.job_id)
        if isinstance(call, ReadState) and logged:
            yield ForgetIntent(logged[-1])
        return (yield call)

    return (yield from _altered(candidate, run, alter))


def _altered(candidate: Candidate, run: Run, alter: Callable[[Call], Flow]) -> Flow:
    """Run the real protocol, each of its calls made by ``alter``, which may make others or none."""
    flow = REAL.reconcile(candidate, run)
    try:
        call = next(flow)
        while True:
            try:
                answer = yield from alter(call)
            except Exception as error:
                call = flow.throw(error)
            else:
                call = flow.send(answer)
    except StopIteration as stop:
        return stop.value


# Merges.


def _no_merge(history: Sequence[ConfigVersion], ami_id: str, **_: Any) -> str:
    return parameter.merge(history[-1:], ami_id)


def _covered_version(history: Sequence[ConfigVersion], ami_id: str, **_: Any) -> str:
    return parameter.merge(history[-2:-1] or history, ami_id)


def _guessed(history: Sequence[ConfigVersion], ami_id: str, *, base: ConfigVersion, put: ConfigVersion) -> str:
    return parameter.merge(history, ami_id, base=base.version)


# Intents.


def _outreached(intents: Collection[Intent]) -> list[Intent]:
    """Those that another one reaches as far as, whether it was logged for them or not."""
    ages = sorted(intents, key=lambda intent: (intent.logged_at, intent.job_id))
    return [
        one
        for number, one in enumerate(ages)
        if any(
            other.param_version <= one.param_version and other.last_put_at >= one.last_put_at
            for other in ages[number + 1 :]
        )
    ]


_LOOK = """
            present: AmiState | None = yield ReadState(self._record.preset_name)
            if present is None:"""
_LOG = "    yield LogIntent(intent)\n"
_PUT_FIRST = """    if (text := merge([config], ami_id)) != config.text:
        config = config.with_text(text, (yield PutConfig(preset, config, text)))
"""
_PUT_ON_FAILURE = """    config = yield ReadConfig(seen.preset_name)
    yield PutConfig(seen.preset_name, config, config.text)
"""
_STANDING_FOR = ".standing_for(candidate.standing)"
_NEWEST = "merged = replace(merged, param_version=history[-1].version)"
_STANDING = "    record = _own(committed, corrected, run)\n"
_FOLLOW = "yield from _follow_up(record, config, intent, draft, run, repeated=repeated)"

MUTANTS: Mapping[str, Callable[[], Protocol]] = {
    "no condition": lambda: replace(REAL, commit=_unconditional),
    "condition updatedAt < now": lambda: replace(REAL, commit=_if_older),
    "SSM before the commit": lambda: Protocol(rewritten(("_commit_ready", _LOG, _LOG + _PUT_FIRST))),
    "no intent": lambda: Protocol(_without_intent),
    "intent after the commit": lambda: Protocol(
        rewritten(("_commit_ready", _LOG, ""), ("_commit_ready", _FOLLOW, f"(yield LogIntent(intent)) or ({_FOLLOW})"))
    ),
    "intent forgotten before the second look": lambda: Protocol(_forgetting_early),
    "no second look": lambda: Protocol(
        rewritten(("_Following", _LOOK, _LOOK.replace("yield ReadState(self._record.preset_name)", "self._record")))
    ),
    "no merge": lambda: Protocol(rewritten(merge=_no_merge, merge_covered=_no_merge)),
    "merge takes the covered version": lambda: Protocol(
        rewritten(merge=_covered_version, merge_covered=_covered_version)
    ),
    "merge guesses what our put covered": lambda: Protocol(rewritten(merge_covered=_guessed)),
    "intent forgotten though a throttled put is open": lambda: Protocol(
        rewritten(("_Following", "self._alone and not keeps", "self._alone"))
    ),
    "finishing without an intent": lambda: Protocol(rewritten(("_finish_put", "    yield LogIntent(own)\n", ""))),
    "finishing intent of the newest version": lambda: Protocol(
        rewritten(("_before_finishing", _STANDING_FOR, f"{_STANDING_FOR}\n    {_NEWEST}"))
    ),
    "an intent stands for all that it outreaches": lambda: Protocol(rewritten(redundant=_outreached)),
    "a covered platform comes back without its AMI": lambda: Protocol(
        rewritten(("_Following", "return self._merged_with(ami_of(edited))", "return text"))
    ),
    "updatedAt = now": lambda: Protocol(rewritten(("_judged", "at = looked_up_at - CLOCK_SKEW", "at = run.clock()"))),
    "own write taken for a defeat": lambda: Protocol(
        rewritten(("_own", "present.reconciled_by == run.owner", "False"))
    ),
    "hidden repeats of PutParameter": lambda: replace(REAL, repeats=True),
    "failed branch touches SSM": lambda: Protocol(
        rewritten(("_commit_failed", _STANDING, _STANDING + _PUT_ON_FAILURE))
    ),
    "whole-item put": lambda: replace(REAL, commit=_whole_item),
}
