"""The outcomes of reconciling a preset, and the result, as logs, XCom and the report show them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from spot_runner_provider.records.ami_state import AmiState
from spot_runner_provider.records.platform import Platform
from spot_runner_provider.records.text import DETAIL_LIMIT, shorten

ARN_LIMIT = 1024
"""Characters that an ARN may have (Image Builder API: ``ImageBuilderArn`` and similar types are far shorter)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """Everything about an outcome that is the same for every preset with it.

    :param label: the outcome's name on the status page.
    :param means: what it means, for a person, in Markdown.
    :param advice: what that person should do, in Markdown.
    :param needs_attention: whether a person should look: it is logged as a warning, and the report is ``degraded``.
    :param fails_task: whether the task fails, so that Airflow tries again.
    :param fails_wait: whether a task that waits for builds fails without retries.
    :param is_awaited: whether a task that waits for builds waits for this one.
    :param settles: whether it finishes the intents that the preset had when it was detected.

    >>> Meaning(label="No such pipeline", means="no pipeline of that name", advice="create it").needs_attention
    False
    """

    label: str
    means: str
    advice: str
    needs_attention: bool = False
    fails_task: bool = False
    fails_wait: bool = False
    is_awaited: bool = False
    settles: bool = False


class Outcome(StrEnum):
    """The outcome of reconciling, or of the audit: the word, and its meaning.

    >>> Outcome("config_invalid").meaning.label, Outcome.CONFIG_INVALID.meaning.needs_attention
    ('Parameter invalid', True)
    """

    _value_: str
    meaning: Meaning

    def __new__(cls, word: str, meaning: Meaning) -> Self:
        """Create a member whose value is its word."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.meaning = meaning
        return member

    CORRECTED_READY = (
        "corrected_ready",
        Meaning(
            label="Corrected to ready",
            means="the build had succeeded; record and parameter say so now",
            advice="nothing",
            settles=True,
        ),
    )
    CORRECTED_FAILED = (
        "corrected_failed",
        Meaning(
            label="Corrected to failed",
            means="the build had failed or was cancelled; the record says why, the parameter is as it was",
            advice="fix what the reason names (recipe, infrastructure or distribution), then start a build",
            settles=True,
        ),
    )
    STILL_BUILDING = (
        "still_building",
        Meaning(
            label="Still building",
            means="the build is still running",
            advice="nothing",
            is_awaited=True,
        ),
    )
    STUCK = (
        "stuck",
        Meaning(
            label="Build stuck",
            means="the build has been running for longer than `stuck_after_minutes`; the detail says since when",
            advice="look at the image in the Image Builder console; if nothing moves, cancel the build and start "
            "another",
            needs_attention=True,
            is_awaited=True,
        ),
    )
    SUPERSEDED = (
        "superseded",
        Meaning(
            label="Newer state kept",
            means="another program changed the record meanwhile; its state was kept",
            advice="nothing",
            settles=True,
        ),
    )
    FINISHED = (
        "finished",
        Meaning(
            label="Earlier repair finished",
            means="an earlier run left something to finish or to look at again (its worker died, or somebody "
            "wrote in between)",
            advice="nothing",
            settles=True,
        ),
    )
    PIPELINE_NOT_FOUND = (
        "pipeline_not_found",
        Meaning(
            label="No such pipeline",
            means="no pipeline of that name in the region",
            advice="create it, correct `pipeline_name` or the region; if the preset is gone, delete its record",
            needs_attention=True,
        ),
    )
    PIPELINE_AMBIGUOUS = (
        "pipeline_ambiguous",
        Meaning(
            label="Several pipelines",
            means="several pipelines may be the preset's, or one may be several presets'; an image of the wrong one "
            "would stop every runner, so nothing was written",
            advice="delete the pipeline, or the record, that nobody needs; if all are needed, replace one pipeline by "
            "one with a name that `pipeline_name` gives for its preset only",
            needs_attention=True,
        ),
    )
    NO_IMAGES = (
        "no_images",
        Meaning(
            label="Pipeline has no images",
            means="the pipeline never built anything",
            advice="start a build",
            needs_attention=True,
        ),
    )
    NO_USABLE_AMI = (
        "no_usable_ami",
        Meaning(
            label="No usable AMI",
            means="the latest image is deprecated, deleted, disabled, in an unknown state, or has no AMI for "
            "region and account; or an image has no date; or a settled record with an unfinished intent "
            "names no AMI id",
            advice="what the detail says: start a build, or fix the distribution configuration first",
            needs_attention=True,
            settles=True,
        ),
    )
    CONFIG_INVALID = (
        "config_invalid",
        Meaning(
            label="Parameter invalid",
            means="the parameter is missing, not a JSON object, or too large for its tier, or its `ami` is not text, "
            "or its `platform` is not the image's",
            advice="what the detail says: create, repair or shorten the parameter, or correct `pipeline_name`; the "
            "next run continues",
            needs_attention=True,
        ),
    )
    REFUSED = (
        "refused",
        Meaning(
            label="Refused by AWS",
            means="AWS refuses a call for this preset until a person fixes something; the detail says what, in "
            "AWS's words",
            advice="what the detail says; each run tries again",
            needs_attention=True,
            fails_wait=True,
        ),
    )
    DRIFTED = (
        "drifted",
        Meaning(
            label="Parameter drifted",
            means="audit only: the parameter does not name its record's AMI; the detail says what each says",
            advice="set the key `ami` of the parameter to the AMI that is right, or start a build",
            needs_attention=True,
        ),
    )
    ERROR = (
        "error",
        Meaning(
            label="Error",
            means="a call failed again and again in this try",
            advice="nothing at first: Airflow and the next run try again; the detail begins with the cause",
            needs_attention=True,
            fails_task=True,
        ),
    )


NEED_ATTENTION = frozenset(outcome for outcome in Outcome if outcome.meaning.needs_attention)
FAIL_TASKS = frozenset(outcome for outcome in Outcome if outcome.meaning.fails_task)
FAIL_WAITS = frozenset(outcome for outcome in Outcome if outcome.meaning.fails_wait)
AWAITED = frozenset(outcome for outcome in Outcome if outcome.meaning.is_awaited)
SETTLE = frozenset(outcome for outcome in Outcome if outcome.meaning.settles)
"""XComs hold only the words, which are looked up in these sets."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """The new AMI that the parameter names since this run, and the build that made it, if known.

    ``previous_ami_id`` is ``None`` if there was no AMI before, or if it must not be told.

    >>> Result("linux-x64", Outcome.CORRECTED_READY, replacement=Replacement("ami-0e3f", "ami-0a1d")).replacement
    Replacement(ami_id='ami-0e3f', previous_ami_id='ami-0a1d', build_id=None)
    """

    ami_id: str
    previous_ami_id: str | None
    build_id: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one preset.

    ``outcome`` is ``None`` if there was nothing to do. ``status`` to ``build_id`` are the record's, as last seen, or
    ``None`` if unknown. ``log_group`` is the image's, where Image Builder names one. ``platform`` is the image's, or
    the pipeline's. ``replacement`` is what this run changed in the parameter, in this try or an earlier one; ``None``
    if its AMI is the same. ``warn`` asks for a warning in the log even if the outcome needs none.

    >>> result = Result.of(None, "linux-x64", Outcome.FINISHED, detail="the record is gone")
    >>> {name: value for name, value in result.to_json().items() if value}
    {'presetName': 'linux-x64', 'outcome': 'finished', 'detail': 'the record is gone'}
    """

    preset_name: str
    outcome: Outcome | None
    detail: str = ""
    status: str | None = None
    ami_id: str | None = None
    previous_ami_id: str | None = None
    updated_at: str | None = None
    build_id: str | None = None
    dry_run: bool = False
    pipeline_arn: str | None = None
    image_arn: str | None = None
    image_state: str | None = None
    log_group: str | None = None
    platform: Platform | None = None
    replacement: Replacement | None = None
    warn: bool = False

    @classmethod
    def of(cls, state: AmiState | None, preset_name: str, outcome: Outcome | None, **fields: Any) -> Self:
        """Return a result with the values of the record."""
        if state is None:
            return cls(preset_name, outcome, **fields)
        return cls(
            preset_name,
            outcome,
            status=state.status.value,
            ami_id=state.ami_id,
            previous_ami_id=state.ami_id,
            updated_at=state.updated_at,
            build_id=state.build_id,
            **fields,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the result for XCom, under the record's attribute names and with long texts cut."""
        return {
            "presetName": shorten(self.preset_name),
            "status": self.status,
            "amiId": self.ami_id and shorten(self.ami_id),
            "previousAmiId": self.previous_ami_id and shorten(self.previous_ami_id),
            "updatedAt": self.updated_at,
            "buildId": self.build_id and shorten(self.build_id),
            "outcome": self.outcome and self.outcome.value,
            "detail": shorten(self.detail, DETAIL_LIMIT),
            "dryRun": self.dry_run,
            "pipelineArn": self.pipeline_arn and shorten(self.pipeline_arn, ARN_LIMIT),
            "imageArn": self.image_arn and shorten(self.image_arn, ARN_LIMIT),
            "imageState": self.image_state and shorten(self.image_state),
        }
