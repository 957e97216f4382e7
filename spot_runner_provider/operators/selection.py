"""Selecting what to reconcile from a task's input: a batch as detection returns it, or names of presets."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from spot_runner_provider import clock
from spot_runner_provider.batch.breaker import Breaker
from spot_runner_provider.detection.survey import sift, survey
from spot_runner_provider.operators import arguments
from spot_runner_provider.protocol.calls import ReadHistory
from spot_runner_provider.protocol.candidate import Candidate
from spot_runner_provider.protocol.outcome import Outcome, Result
from spot_runner_provider.protocol.reconcile import retold, untouched
from spot_runner_provider.records.ami_state import AmiState, MalformedRecord, Status
from spot_runner_provider.records.intent import Intent, is_intent
from spot_runner_provider.records.text import shorten, shown

if TYPE_CHECKING:
    from spot_runner_provider.hooks.ami_state import AmiStateHook
    from spot_runner_provider.hooks.preset_config import PresetConfigHook

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Selection:
    """Finds the presets to reconcile, and gives a result for each of the others.

    :param states: the hook that reads records and intents.
    :param configs: the hook that reads what an earlier try put.
    :param owner: how an earlier try of this run signed its writes; ``None`` if there was no earlier try.
    :param breaker: what is known to fail for everybody.

    >>> from spot_runner_provider.hooks.ami_state import AmiStateHook
    >>> from spot_runner_provider.hooks.preset_config import PresetConfigHook
    >>> selection = Selection(AmiStateHook(table_name="spot-runner-state"), PresetConfigHook())
    >>> candidates, answered = selection.select(["linux-x64", "windows-2022"])
    >>> [candidate.preset_name for candidate in candidates], [result.detail for result in answered]
    (['linux-x64'], ['the record is ready: nothing to reconcile'])
    """

    states: AmiStateHook
    configs: PresetConfigHook
    owner: str | None = None
    breaker: Breaker = field(default_factory=Breaker)

    def select(self, given: Iterable[Mapping[str, Any] | str]) -> tuple[list[Candidate], list[Result]]:
        """Return the presets to reconcile, and results for the others.

        :param given: candidates as XCom has them, and names of presets. Named presets are read first.
        """
        candidates: dict[str, Candidate] = {}
        answered: list[Result] = []
        named = []
        for item in given:
            if isinstance(item, str):
                named.append(item)
                continue
            try:
                candidate = Candidate.from_json(item)
            except MalformedRecord as error:
                answered.append(Result(shorten(name_of(item)), Outcome.ERROR, f"not read: {error}"))
            else:
                candidates[candidate.preset_name] = candidate
        if named:
            found, refused = self._look_up(named)
            candidates |= found
            answered += refused
        return list(candidates.values()), answered

    def retried(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return the candidates of a later try, each with the intents that earlier tries have left.

        >>> from spot_runner_provider.hooks.ami_state import AmiStateHook
        >>> from spot_runner_provider.hooks.preset_config import PresetConfigHook
        >>> selection = Selection(AmiStateHook(table_name="spot-runner-state"), PresetConfigHook(), owner="dag/run")
        >>> selection.retried([Candidate("linux-x64")])[0].living
        ()
        """
        if self.owner is None or not candidates:
            return list(candidates)
        standing: dict[str, list[Intent]] = {}
        for item in self.states.list_intents():
            with suppress(MalformedRecord):  # detection lists it
                intent = Intent.from_item(item)
                standing.setdefault(intent.preset_name, []).append(intent)
        return [each.retried(standing.get(each.preset_name, ()), self.owner) for each in candidates]

    def _look_up(self, names: list[str]) -> tuple[dict[str, Candidate], list[Result]]:
        """Read the records of named presets, and what earlier runs left unfinished there.

        If an earlier try of this run has begun a preset and not finished it, the preset is a candidate as that try
        saw it.
        """
        good, refused = sift(names)
        found = survey(
            (),
            self.states.list_intents(),
            now=clock.now(),
            stale_after=timedelta(0),
            named=self.states.read_items(good),
        )
        candidates = {
            state.preset_name: Candidate(state.preset_name, replace(state, status=Status.BUILDING))
            for state in found.states
            if self._is_own(state) and state.preset_name in found.unfinished
        } | {candidate.preset_name: candidate for candidate in found.candidates}
        return candidates, [
            *(
                Result(refusal.preset_name or str(refusal.job_id), Outcome.ERROR, f"malformed: {refusal.reason}")
                for refusal in (*refused, *found.malformed)
                if not is_intent(refusal.job_id)  # detection lists it; its preset is reconciled without it
            ),
            *(self._without_work(state) for state in found.states if state.preset_name not in candidates),
        ]

    def _is_own(self, state: AmiState) -> bool:
        """Return whether an earlier try of this run wrote the record."""
        return self.owner is not None and state.reconciled_by == self.owner

    def _without_work(self, state: AmiState) -> Result:
        """Return the result of a preset with nothing to do; if an earlier try of this run settled it, that result."""
        if not self._is_own(state):
            return untouched(state)
        if state.status is not Status.READY:
            return retold(state, ())
        try:
            if refusal := self.breaker.refusal(ReadHistory):
                raise refusal
            history = self.configs.history(state.preset_name)
            self.breaker.worked(ReadHistory)
            return retold(state, history)
        except Exception as error:
            self.breaker.failed(ReadHistory, [state.preset_name], error)
            log.warning("preset %s: what became of its parameter is unknown: %s", state.preset_name, shown(str(error)))
            return untouched(state)


def check_items(given: Iterable[Any]) -> None:
    """Check that each item of a task's input can stand for a preset.

    :raises InvalidArgument: for an item that is neither text nor a mapping.

    >>> check_items(["linux-x64", {"presetName": "linux-arm64"}])
    """
    for item in given:
        if not isinstance(item, str | Mapping):
            raise arguments.no_name("presets", item)


def name_of(item: Any) -> str:
    """Return the name of the preset that an item stands for, as text.

    >>> name_of({"presetName": "linux-x64"}), name_of("linux-arm64")
    ('linux-x64', 'linux-arm64')
    """
    return str(_named(item))


def first_name(given: Iterable[Any]) -> str:
    """Return the name of the first preset that has one; an empty text if none has.

    >>> first_name([{"presetName": None}, {"presetName": "linux-x64"}])
    'linux-x64'
    """
    return next((name for name in map(_named, given) if isinstance(name, str)), "")


def _named(item: Any) -> Any:
    return item.get("presetName") if isinstance(item, Mapping) else item
