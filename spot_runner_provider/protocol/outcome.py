"""What reconciling a preset came to: the outcomes and the result, as logs, XCom and the report say them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from spot_runner_provider.records.ami_state import AmiState
from spot_runner_provider.records.text import DETAIL_LIMIT, shorten

ARN_LIMIT = 1024
"""Characters that an ARN may have (Image Builder API: ``ImageBuilderArn`` and its kin are far shorter)."""


class Outcome(StrEnum):
    """What reconciling did. ``ERROR`` fails a task; in a wait, ``REFUSED`` does too, for good.

    >>> Outcome.CORRECTED_READY.needs_attention, Outcome.CONFIG_INVALID.needs_attention
    (False, True)
    """

    CORRECTED_READY = "corrected_ready"
    """The build had succeeded: the record is ready and the parameter names its AMI."""
    CORRECTED_FAILED = "corrected_failed"
    """The build had failed or was cancelled: the record says so; the parameter was not touched."""
    STILL_BUILDING = "still_building"
    """The build goes on; nothing was written."""
    SUPERSEDED = "superseded"
    """Another program changed the record since it was detected; its newer state was kept."""
    FINISHED = "finished"
    """What an earlier run had begun and left behind was finished."""
    PIPELINE_NOT_FOUND = "pipeline_not_found"
    """Image Builder has no pipeline of that name; nothing was written."""
    NO_IMAGES = "no_images"
    """The pipeline never built an image; nothing was written."""
    NO_USABLE_AMI = "no_usable_ami"
    """The latest image is in no state, or has no AMI, that runners could start from; nothing was written."""
    CONFIG_INVALID = "config_invalid"
    """The parameter holds nothing that could be updated; nothing was written."""
    REFUSED = "refused"
    """AWS refuses a call for this preset until a person mends what the detail names; each run tries again."""
    DRIFTED = "drifted"
    """The audit found that the parameter does not name the AMI of its settled record; nothing was written."""
    ERROR = "error"
    """A call failed, and went on failing; the next try, or the next run, goes on from where it stopped."""

    @property
    def needs_attention(self) -> bool:
        """Whether a person should look: it is logged as a warning."""
        return self in _NEEDS_ATTENTION


_NEEDS_ATTENTION = frozenset(
    {
        Outcome.PIPELINE_NOT_FOUND,
        Outcome.NO_IMAGES,
        Outcome.NO_USABLE_AMI,
        Outcome.CONFIG_INVALID,
        Outcome.REFUSED,
        Outcome.DRIFTED,
        Outcome.ERROR,
    }
)


@dataclass(frozen=True, slots=True)
class Replacement:
    """The parameter names another AMI since this run, which ``build_id`` made, if that is known.

    The one before is ``None`` if there was none, or none to tell.

    >>> Result("linux-x64", Outcome.CORRECTED_READY, replacement=Replacement("ami-0e3f", "ami-0a1d")).replacement
    Replacement(ami_id='ami-0e3f', previous_ami_id='ami-0a1d', build_id=None)
    """

    ami_id: str
    previous_ami_id: str | None
    build_id: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What one preset came to.

    ``outcome`` is ``None`` if there was nothing to do; ``status`` to ``build_id`` are the record's, as last seen,
    ``None`` if unknown. ``log_group`` is the image's, where Image Builder names one. ``replacement`` is what this run
    made of the parameter, in this try or an earlier one; ``None`` if its AMI is the same. ``warn`` asks for a warning
    in the log even if the outcome alone needs none.

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
    replacement: Replacement | None = None
    warn: bool = False

    @classmethod
    def of(cls, state: AmiState | None, preset_name: str, outcome: Outcome | None, **fields: Any) -> Self:
        """Return a result that describes the record as it is."""
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
        """Return the result in the record's vocabulary, texts cut, for XCom."""
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
