"""An Image Builder image, and what its state means for a preset."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from spot_runner_provider.records.ami_state import MalformedRecord, is_ami_id, parse_timestamp
from spot_runner_provider.records.platform import Platform
from spot_runner_provider.records.text import storable

IN_PROGRESS = frozenset({"PENDING", "CREATING", "BUILDING", "TESTING", "DISTRIBUTING", "INTEGRATING"})
"""States of a build that is still running (Image Builder API: ``ImageStatus``)."""

GIVEN_UP = frozenset({"FAILED", "CANCELLED"})
"""States in which a build ended without an image."""

AVAILABLE = "AVAILABLE"

_RETIRED = frozenset({"DEPRECATED", "DISABLED", "DELETED"})
"""States that a person or a lifecycle policy gives a finished image."""

_PIPELINE_NAME = re.compile(r"[-_A-Za-z0-9][-_A-Za-z0-9 ]{1,126}[-_A-Za-z0-9]")
"""Image Builder API: ``ResourceName``."""


class BuildState(StrEnum):
    """What an image's state means for its preset.

    >>> judge(Image("arn:image", "DEPRECATED", None), region="us-east-1", account="123456789012").state
    <BuildState.UNUSABLE: 'unusable'>
    """

    READY = "ready"
    FAILED = "failed"
    BUILDING = "building"
    UNUSABLE = "unusable"


@dataclass(frozen=True, slots=True)
class Ami:
    """One AMI that a build produced. ``status`` is the state of the copy, where Image Builder names one.

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

    ``status`` is ``None`` where a listing left it out; ``created`` is ``None`` if the image has no readable date.
    For a failed build, ``message`` is what the component or the distribution said, ``failure`` is where it failed,
    and ``reason`` is what Image Builder says about the state.

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
    message: str | None = None
    platform: Platform | None = None

    @classmethod
    def from_api(cls, answer: Mapping[str, Any]) -> Self:
        """Read an ``ImageSummary`` or an ``Image`` of the Image Builder API.

        A value that is missing, or has another type than the API says, is left out. The verdict says what is
        missing; reading never fails.
        """
        image = _structure(answer)
        state = _structure(image.get("state"))
        amis = _structure(image.get("outputResources")).get("amis")
        context = _structure(state.get("failureContext"))
        return cls(
            arn=_text(image.get("arn")) or "",
            status=_text(state.get("status")),
            created=_date(image.get("dateCreated")),
            reason=_text(state.get("reason")),
            failure=_where(context),
            message=_message(context),
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
            platform=Platform.of(image.get("platform")),
        )

    @property
    def is_building(self) -> bool:
        """Whether the build is still running."""
        return self.status in IN_PROGRESS

    @property
    def is_summary(self) -> bool:
        """Whether details that its state needs are missing, so that ``GetImage`` must be called."""
        if self.status is None:
            return True
        if self.status == AVAILABLE:
            return not self.amis
        return self.status == "FAILED" and not (self.reason or self.failure or self.message)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to make of a preset's latest image: the AMI if it is ready, the reason otherwise.

    ``remedy`` is what a person can do about an unusable image.

    >>> verdict = judge(Image("arn:image", "DELETED", None), region="us-east-1", account="123456789012")
    >>> verdict.reason, verdict.remedy.partition(":")[0]
    ('the latest image is DELETED', 'Start a build')
    """

    state: BuildState
    ami_id: str | None = None
    reason: str = ""
    remedy: str = ""

    @classmethod
    def unusable(cls, reason: str, remedy: str) -> Self:
        """Return the verdict on an image that no runner can start from.

        >>> Verdict.unusable("the latest image is DELETED", "Start a new build").state
        <BuildState.UNUSABLE: 'unusable'>
        """
        return cls(BuildState.UNUSABLE, reason=reason, remedy=remedy)


class UndatedImage(ValueError):
    """An image has no readable ``dateCreated``, so nobody can tell which image is the latest.

    >>> latest([Image("arn:image/1.0.0/7", "AVAILABLE", created=None)])
    Traceback (most recent call last):
        ...
    spot_runner_provider.records.image.UndatedImage: image arn:image/1.0.0/7 has no readable dateCreated: cannot tell
    which is the latest
    """


@dataclass(frozen=True, slots=True)
class Pipeline:
    """An image pipeline. ``platform`` is ``None`` if it names no known one. ``failures`` are failed builds in a row.

    >>> Pipeline("spot-runner-linux-x64", "arn:pipeline", Platform.LINUX).platform.value
    'Linux'
    """

    name: str
    arn: str
    platform: Platform | None = None
    is_enabled: bool = True
    failures: int = 0

    @property
    def is_switched_off(self) -> bool:
        """Whether Image Builder disabled it because of failed builds; a person who does leaves no failures.

        Image Builder does so after a number of scheduled builds in a row have failed, by default five (API:
        ``autoDisablePolicy``).
        """
        return not self.is_enabled and self.failures > 0


def pipelines_of(answers: Iterable[Any]) -> Iterator[Pipeline]:
    """Yield each ``ImagePipeline`` of the Image Builder API; one that lacks its name or its ARN is passed over.

    >>> list(pipelines_of([{"name": "spot-runner-linux-x64", "arn": "arn:pipeline"}, {"name": "spot-runner-nowhere"}]))
    [Pipeline(name='spot-runner-linux-x64', arn='arn:pipeline', platform=None, is_enabled=True, failures=0)]
    """
    for pipeline in map(_structure, answers):
        name, arn = _text(pipeline.get("name")), _text(pipeline.get("arn"))
        if name and arn:
            failures = pipeline.get("consecutiveFailures")
            yield Pipeline(
                name,
                arn,
                Platform.of(pipeline.get("platform")),
                is_enabled=pipeline.get("status") != "DISABLED",
                failures=failures if isinstance(failures, int) else 0,
            )


def pipeline_name_of(template: str, preset_name: str) -> str:
    """Return the name of a preset's pipeline: ``template`` with the preset's name for ``{preset}``.

    >>> pipeline_name_of("spot-runner-{preset}", "linux-x64")
    'spot-runner-linux-x64'
    """
    return template.replace("{preset}", preset_name)


def preset_of(template: str, pipeline_name: str) -> str | None:
    """Return the preset whose pipeline has that name by ``template``; ``None`` if no preset's has.

    >>> preset_of("spot-runner-{preset}", "spot-runner-linux-x64"), preset_of("{preset}-windows", "linux-x64")
    ('linux-x64', None)
    """
    before, *others = template.split("{preset}")
    length = (len(pipeline_name) - len("".join((before, *others)))) // len(others)
    name = pipeline_name[len(before) : len(before) + length] if length > 0 else ""
    return name if name and pipeline_name_of(template, name) == pipeline_name else None


def is_pipeline_name(name: str) -> bool:
    """Return whether ``name`` can be a pipeline's name. Any other finds nothing, or matches as a wildcard.

    >>> is_pipeline_name("spot-runner-linux-x64"), is_pipeline_name("spot-runner-*")
    (True, False)
    """
    return _PIPELINE_NAME.fullmatch(name) is not None


def latest(images: Iterable[Image]) -> Image | None:
    """Return the most recently created of ``images``: listings have no order, and build numbers restart.

    :raises UndatedImage: if one has no date, because choosing another could put runners on an old image.

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


class NoImage(ValueError):
    """The response of ``GetImage`` has no image in it, so nobody knows whether the build is still running.

    >>> goes_on({})
    Traceback (most recent call last):
        ...
    spot_runner_provider.records.image.NoImage: Image Builder answered without an image
    """


def goes_on(answer: Mapping[str, Any]) -> bool:
    """Return whether, according to a response of ``GetImage``, a build is still running.

    :raises NoImage: if there is no image in the response.

    >>> goes_on({"image": {"state": {"status": "TESTING"}}}), goes_on({"image": {"state": {"status": "AVAILABLE"}}})
    (True, False)
    """
    if "image" not in answer:
        raise NoImage("Image Builder answered without an image")
    return Image.from_api(answer["image"]).is_building


def judge(image: Image, *, region: str, account: str) -> Verdict:
    """Return what the state of the latest ``image`` means for the preset.

    :param region: the region whose AMI runners use.
    :param account: the pipeline's own account, empty if it is not known. An AMI of another account is never taken.
        An AMI without an account is taken if it is the only one in the region.

    >>> amis = (Ami("ami-0e3f", "us-east-1", "123456789012"), Ami("ami-0b7c", "eu-west-1", "123456789012"))
    >>> judge(Image("arn:image", "AVAILABLE", None, amis=amis), region="us-east-1", account="123456789012").ami_id
    'ami-0e3f'
    """
    if image.is_building:
        return Verdict(BuildState.BUILDING, reason=f"the build is {image.status}")
    if image.status in GIVEN_UP:
        return Verdict(BuildState.FAILED, reason=failure_reason(image))
    if image.status != AVAILABLE:
        return Verdict.unusable(
            f"the latest image is {image.status or 'without a state'}",
            "Start a build: its image becomes the latest. If a lifecycle policy did this, let it keep the latest image"
            if image.status in _RETIRED
            else "Look at the image in the Image Builder console; the next run asks again",
        )
    there = [ami for ami in image.amis if ami.region == region]
    here = [ami for ami in there if ami.status in (None, AVAILABLE)]
    own = [ami for ami in here if ami.account == account]
    if len(here) == 1 and not (account and here[0].account):
        own = here  # its owner is not known, and there is no other AMI
    ids = {ami.image_id for ami in own if is_ami_id(ami.image_id)}
    if len(ids) == 1:
        return Verdict(BuildState.READY, ami_id=ids.pop())
    if there and not here:
        return Verdict.unusable(
            f"the latest image is AVAILABLE, but its AMI in {region} is {there[0].status}",
            "Look up the reason in the Image Builder console, fix it, and start a build",
        )
    if not here:
        elsewhere = ", ".join(sorted({ami.region for ami in image.amis if ami.region}))
        return Verdict.unusable(
            f"the latest image is AVAILABLE, but has no AMI in {region}, "
            + (f"only in {elsewhere}" if elsewhere else "or anywhere else"),
            f"Add {region} to the pipeline's distribution configuration and start a build, or correct region_name"
            if elsewhere
            else f"Check that the pipeline makes AMIs and distributes them to {region}; then start a build",
        )
    if len(own) == 1:
        return Verdict.unusable(
            f"the latest image names no AMI id in {region}",
            "Look at the image in the Image Builder console; if it shows no AMI either, start a build",
        )
    distribute = (
        f"Let the pipeline's distribution configuration put exactly one AMI into {region}"
        + (f" for account {account}" if account else "")
        + ", and start a build"
    )
    if len(here) == 1:
        return Verdict.unusable(
            f"the only AMI of the latest image in {region} is of account {here[0].account}, "
            f"and the pipeline is of account {account}",
            distribute,
        )
    whose = f"not exactly one of account {account}" if account else "the account of the pipeline is not known"
    return Verdict.unusable(f"the latest image has {len(here)} AMIs in {region}, and {whose}", distribute)


def failure_reason(image: Image) -> str:
    """Return why the build ended without an image: the cause first, then the circumstances.

    >>> failure_reason(Image("arn:image", "FAILED", None, reason="Build timed out", failure="step RunTests"))
    'FAILED: Build timed out; step RunTests'
    """
    said = [image.message, image.failure, image.reason] if image.message else [image.reason, image.failure]
    return f"{image.status}: {'; '.join(filter(None, said)) or 'Image Builder gives no reason'}"


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


def _message(context: Mapping[str, Any]) -> str | None:
    """Return what failed according to an ``ImageFailureContext``, in the words of the component or distribution."""
    distribution = _structure(context.get("distributionFailure"))
    regions = distribution.get("regionFailures")
    said = [
        _text(_structure(context.get("componentFailure")).get("errorMessage")),
        _text(distribution.get("errorMessage")),
        *(
            f"{_text(failure.get('region')) or 'a region'}: {message}"
            for failure in map(_structure, regions if isinstance(regions, list) else ())
            if (message := _text(failure.get("errorMessage")))
        ),
    ]
    return "; ".join(filter(None, said)) or None


def _where(context: Mapping[str, Any]) -> str | None:
    """Return where it failed according to an ``ImageFailureContext``: the steps first, the long ARN last."""
    component = _structure(context.get("componentFailure"))
    parts = [
        ("component step", component.get("stepName")),
        ("phase", component.get("phaseName")),
        ("step", context.get("failedStep")),
        ("while", context.get("imageStatus")),
        ("component", component.get("componentArn")),
    ]
    return ", ".join(f"{name} {text}" for name, value in parts if (text := _text(value))) or None
