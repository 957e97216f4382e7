"""An Image Builder image, and what its state means for a preset."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from spot_runner_provider.ami_state import MalformedRecord, parse_timestamp, storable

IN_PROGRESS = frozenset({"PENDING", "CREATING", "BUILDING", "TESTING", "DISTRIBUTING", "INTEGRATING"})
"""States in which a build goes on (Image Builder API: ``ImageStatus``)."""

GIVEN_UP = frozenset({"FAILED", "CANCELLED"})
"""States in which a build ended without an image."""

AVAILABLE = "AVAILABLE"

_PIPELINE_NAME = re.compile(r"[-_A-Za-z0-9][-_A-Za-z0-9 ]{1,126}[-_A-Za-z0-9]")
"""Image Builder API: ``ResourceName``."""

_AMI_ID = re.compile(r"ami-[0-9A-Za-z]+")


class Meaning(StrEnum):
    """What an image's state means for its preset.

    >>> judge(Image("arn:image", "DEPRECATED", None), region="us-east-1", account="123456789012").meaning
    <Meaning.UNUSABLE: 'unusable'>
    """

    READY = "ready"
    FAILED = "failed"
    BUILDING = "building"
    UNUSABLE = "unusable"


@dataclass(frozen=True, slots=True)
class Ami:
    """One AMI that a build put out. ``status`` is the state of the copy, where Image Builder names one.

    >>> Image.from_api({"outputResources": {"amis": [{"image": "ami-0e3f", "region": "us-east-1"}]}}).amis
    (Ami(image_id='ami-0e3f', region='us-east-1', account=None, status=None),)
    """

    image_id: str
    region: str | None = None
    account: str | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """One build of a pipeline.

    ``status`` is ``None`` where a listing left it out; ``created`` is ``None`` if it has no readable date.

    >>> image = Image.from_api({
    ...     "arn": "arn:aws:imagebuilder:us-east-1:123456789012:image/spotrunnerstack-linux-x64/1.0.0/7",
    ...     "state": {"status": "AVAILABLE"},
    ...     "dateCreated": "2026-02-11T15:30:00.000Z",
    ... })
    >>> image.status, image.amis, image.is_summary
    ('AVAILABLE', (), True)
    """

    arn: str
    status: str | None
    created: datetime | None
    reason: str | None = None
    failure: str | None = None
    amis: tuple[Ami, ...] = ()
    log_group: str | None = None

    @classmethod
    def from_api(cls, answer: Mapping[str, Any]) -> Self:
        """Read an ``ImageSummary`` or an ``Image`` of the Image Builder API.

        Whatever is absent stays absent, and what is of another type than the API says counts as absent: it is for
        the verdict to say what is missing, and an image that says nothing must not stop anything.
        """
        image = _structure(answer)
        state = _structure(image.get("state"))
        amis = _structure(image.get("outputResources")).get("amis")
        return cls(
            arn=_text(image.get("arn")) or "",
            status=_text(state.get("status")),
            created=_date(image.get("dateCreated")),
            reason=_text(state.get("reason")),
            failure=_failure(_structure(state.get("failureContext"))),
            amis=tuple(
                Ami(
                    image_id=image_id,
                    region=_text(ami.get("region")),
                    account=_text(ami.get("accountId")),
                    status=_text(_structure(ami.get("state")).get("status")),
                )
                for ami in map(_structure, amis if isinstance(amis, list) else ())
                if (image_id := _text(ami.get("image")))
            ),
            log_group=_text(_structure(image.get("loggingConfiguration")).get("logGroupName")),
        )

    @property
    def is_building(self) -> bool:
        """Whether the build goes on."""
        return self.status in IN_PROGRESS

    @property
    def is_summary(self) -> bool:
        """Whether what matters for its state is missing, so that ``GetImage`` must be asked."""
        if self.status is None:
            return True
        if self.status == AVAILABLE:
            return not self.amis
        return self.status == "FAILED" and not (self.reason or self.failure)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to make of a preset's latest image: the AMI if it is ready, the reason otherwise.

    >>> failed = Image("arn:image", "FAILED", None, reason="Build timed out")
    >>> judge(failed, region="us-east-1", account="123456789012")
    Verdict(meaning=<Meaning.FAILED: 'failed'>, ami_id=None, reason='FAILED: Build timed out')
    """

    meaning: Meaning
    ami_id: str | None = None
    reason: str = ""


class UndatedImage(ValueError):
    """An image has no readable ``dateCreated``, so that nobody can say which one is the latest.

    >>> latest([Image("arn:image/1.0.0/7", "AVAILABLE", created=None)])
    Traceback (most recent call last):
        ...
    spot_runner_provider.build.UndatedImage: image arn:image/1.0.0/7 has no readable dateCreated: cannot tell which is
    the latest
    """


def pipelines_of(answers: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Yield name and ARN of each ``ImagePipeline`` of the Image Builder API; one that lacks either is passed over.

    >>> dict(pipelines_of([{"name": "spot-runner-linux-x64", "arn": "arn:pipeline"}, {"name": "spot-runner-nowhere"}]))
    {'spot-runner-linux-x64': 'arn:pipeline'}
    """
    for pipeline in map(_structure, answers):
        name, arn = _text(pipeline.get("name")), _text(pipeline.get("arn"))
        if name and arn:
            yield name, arn


def is_pipeline_name(name: str) -> bool:
    """Return whether a pipeline can bear ``name``; one that cannot is asked for in vain, or as a wildcard.

    >>> is_pipeline_name("spot-runner-linux-x64"), is_pipeline_name("spot-runner-*")
    (True, False)
    """
    return _PIPELINE_NAME.fullmatch(name) is not None


def latest(images: Iterable[Image]) -> Image | None:
    """Return the most recently created of ``images``; listings come in any order, build numbers restart.

    :raises UndatedImage: if one has no date: taking another could put runners on an old image.

    >>> old = Image("arn:image/1.0.0/37", "AVAILABLE", parse_timestamp("2026-02-10T15:30:00.000Z"))
    >>> new = Image("arn:image/1.0.1/1", "FAILED", parse_timestamp("2026-02-11T15:30:00.000Z"))
    >>> latest([new, old]).arn
    'arn:image/1.0.1/1'
    """
    newest: Image | None = None
    for image in images:
        if image.created is None:
            raise UndatedImage(f"image {image.arn} has no readable dateCreated: cannot tell which is the latest")
        if newest is None or _age_key(image) > _age_key(newest):
            newest = image
    return newest


def goes_on(answer: Mapping[str, Any]) -> bool:
    """Return whether a build goes on by what ``GetImage`` answered; without an image in it nobody knows better.

    >>> goes_on({"image": {"state": {"status": "TESTING"}}}), goes_on({"image": {"state": {"status": "AVAILABLE"}}})
    (True, False)
    >>> goes_on({})
    True
    """
    return "image" not in answer or Image.from_api(answer["image"]).is_building


def judge(image: Image, *, region: str, account: str) -> Verdict:
    """Return what the state of the latest ``image`` means for the preset.

    :param region: the region whose AMI runners use.
    :param account: the pipeline's own account, empty if it is not known. An AMI of another one is never taken; one
        without an account is, if it is the only one in the region.

    >>> amis = (Ami("ami-0e3f", "us-east-1", "123456789012"), Ami("ami-0b7c", "eu-west-1", "123456789012"))
    >>> judge(Image("arn:image", "AVAILABLE", None, amis=amis), region="us-east-1", account="123456789012").ami_id
    'ami-0e3f'
    """
    if image.is_building:
        return Verdict(Meaning.BUILDING, reason=f"the build is {image.status}")
    if image.status in GIVEN_UP:
        return Verdict(Meaning.FAILED, reason=failure_reason(image))
    if image.status != AVAILABLE:
        return Verdict(Meaning.UNUSABLE, reason=f"the latest image is {image.status or 'without a state'}")
    here = [ami for ami in image.amis if ami.region == region and ami.status in (None, AVAILABLE)]
    own = [ami for ami in here if ami.account == account]
    if len(here) == 1 and not (account and here[0].account):
        own = here  # nobody says whose it is, and there is no other
    ids = {ami.image_id for ami in own if _AMI_ID.fullmatch(ami.image_id)}
    if len(ids) == 1:
        return Verdict(Meaning.READY, ami_id=ids.pop())
    if not here:
        return Verdict(Meaning.UNUSABLE, reason=f"the latest image is AVAILABLE, but has no AMI in {region}")
    if len(own) == 1:
        return Verdict(Meaning.UNUSABLE, reason=f"the latest image names no AMI id in {region}")
    if len(here) == 1:
        return Verdict(
            Meaning.UNUSABLE,
            reason=f"the only AMI of the latest image in {region} is of account {here[0].account}, "
            f"and the pipeline is of account {account}",
        )
    return Verdict(
        Meaning.UNUSABLE,
        reason=f"the latest image has {len(here)} AMIs in {region}, and not exactly one of account {account}",
    )


def failure_reason(image: Image) -> str:
    """Return why the build ended without an image: the reason, and the step or component that failed.

    >>> failure_reason(Image("arn:image", "FAILED", None, reason="Build timed out", failure="step RunTests"))
    'FAILED: Build timed out; step RunTests'
    """
    said = [text for text in (image.reason, image.failure) if text]
    return f"{image.status}: {'; '.join(said) or 'Image Builder gives no reason'}"


def _age_key(image: Image) -> tuple[datetime, str]:
    assert image.created is not None
    return image.created, image.arn


def _date(text: object) -> datetime | None:
    try:
        return parse_timestamp(text)
    except MalformedRecord:
        return None


def _structure(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str | None:
    return storable(value) if isinstance(value, str) and value else None


def _failure(context: Mapping[str, Any]) -> str | None:
    """Return ``ImageFailureContext`` in words: the workflow step, the component with its step, its message."""
    component = _structure(context.get("componentFailure"))
    distribution = _structure(context.get("distributionFailure"))
    parts = [
        ("while", context.get("imageStatus")),
        ("step", context.get("failedStep")),
        ("component", component.get("componentArn")),
        ("phase", component.get("phaseName")),
        ("component step", component.get("stepName")),
    ]
    words = ", ".join(f"{name} {text}" for name, value in parts if (text := _text(value)))
    message = _text(component.get("errorMessage")) or _text(distribution.get("errorMessage"))
    return ": ".join(text for text in (words, message) if text) or None
