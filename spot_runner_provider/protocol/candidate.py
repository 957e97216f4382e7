"""What to reconcile, and the run that does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

from spot_runner_provider import DEFAULTS
from spot_runner_provider.records.ami_state import AmiState, MalformedRecord, check_preset_name
from spot_runner_provider.records.image import pipeline_name_of, preset_of
from spot_runner_provider.records.intent import Intent
from spot_runner_provider.records.parameter import parameter_name


@dataclass(frozen=True, slots=True)
class Candidate:
    """A preset with work to do: its record as detected, and intents that dead tries left.

    ``state`` is ``None`` if only the intents are left. ``living`` are the intents of earlier tries of the same run,
    which may still be alive.

    >>> item = {"presetName": "linux-x64", "status": "building", "amiId": "ami-0a1d",
    ...         "updatedAt": "2026-02-11T15:35:48.123Z", "buildId": None}
    >>> candidate = Candidate.from_json(item)
    >>> candidate.state.ami_id, candidate.intents
    ('ami-0a1d', ())
    >>> candidate.to_json() == item
    True
    """

    preset_name: str
    state: AmiState | None = None
    intents: tuple[Intent, ...] = ()
    living: tuple[Intent, ...] = ()

    @property
    def standing(self) -> tuple[Intent, ...]:
        """All known intents of the preset."""
        return *self.intents, *self.living

    def retried(self, intents: Iterable[Intent], owner: str) -> Self:
        """Return the candidate of a later try of the run ``owner``, given the preset's present intents.

        >>> left = Intent("AMI-INTENT#linux-x64#dag/run/1", "linux-x64", "2026-02-11T16:00:00.000Z", param_version=7)
        >>> Candidate("linux-x64").retried([left], "dag/run").living == (left,)
        True
        """
        standing = {intent.job_id: intent for intent in intents}
        dead = {intent.job_id for intent in self.intents}
        return replace(
            self,
            # Race: a try that was taken for dead may have renewed its intent since.
            intents=tuple(standing.get(intent.job_id, intent) for intent in self.intents),
            living=tuple(each for key, each in standing.items() if each.is_of(owner) and key not in dead),
        )

    def to_json(self) -> dict[str, Any]:
        """Return, for XCom, only what reconciling needs."""
        state = {} if self.state is None else self.state.to_json()
        state.pop("errorMessage", None)
        keys = {intent.job_id for intent in self.intents}
        return (
            {"presetName": self.preset_name}
            | state
            | ({"intents": [intent.to_json(keys) for intent in self.intents]} if self.intents else {})
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote.

        :raises MalformedRecord: naming what is wrong.
        """
        name = check_preset_name(value.get("presetName"))
        intents = value.get("intents", [])
        if not isinstance(intents, Sequence) or not all(isinstance(intent, Mapping) for intent in intents):
            raise MalformedRecord("intents is not a list of intents")
        return cls(
            preset_name=name,
            state=AmiState.from_json(value) if value.get("status") else None,
            intents=tuple(Intent.from_item({"presetName": name, **intent}) for intent in intents),
        )


@dataclass(frozen=True, slots=True)
class Run:
    """The run that reconciles presets, and its settings.

    ``owner`` is the ``<dag_id>/<run_id>`` that signs records; every try of the run shares it. ``attempt`` identifies
    one execution of a try, so that it never overwrites or forgets the intent of another that may still be alive.
    ``pipeline_names`` are templates. A build that runs for longer than ``stuck_after`` is stuck; none is if that is 0.
    ``repeated``: an earlier try of this run may already have written the parameter.

    >>> run = Run("spot_runner_reconcile/manual__1", "reconcile_preset/0/1", "us-east-1", clock=datetime.now)
    >>> run.pipelines_of("linux-x64"), run.parameter_of("linux-x64"), run.dry_run
    (('spot-runner-linux-x64',), '/spot-runner/configs/linux-x64', False)
    """

    owner: str
    attempt: str
    region: str
    clock: Callable[[], datetime]
    pipeline_names: tuple[str, ...] = (DEFAULTS["pipeline_name"],)
    stuck_after: timedelta = timedelta(minutes=DEFAULTS["stuck_after_minutes"])
    config_prefix: str = DEFAULTS["config_prefix"]
    repeated: bool = False
    dry_run: bool = False

    @property
    def signature(self) -> str:
        """The owner and the attempt, which sign an intent."""
        return f"{self.owner}/{self.attempt}"

    def pipelines_of(self, preset_name: str) -> tuple[str, ...]:
        """Return the names that a preset's pipeline may have, each once."""
        return tuple(dict.fromkeys(pipeline_name_of(template, preset_name) for template in self.pipeline_names))

    def presets_of(self, pipeline_name: str) -> tuple[str, ...]:
        """Return the names of all presets whose pipeline may have a certain name.

        >>> run = Run("dag/run", "1", "us-east-1", clock=datetime.now, pipeline_names=("{preset}", "{preset}-windows"))
        >>> run.presets_of("x64-windows"), run.presets_of("x64")
        (('x64-windows', 'x64'), ('x64',))
        """
        presets = (preset_of(template, pipeline_name) for template in self.pipeline_names)
        return tuple(dict.fromkeys(preset for preset in presets if preset))

    def parameter_of(self, preset_name: str) -> str:
        """Return the name of a preset's parameter."""
        return parameter_name(self.config_prefix, preset_name)
