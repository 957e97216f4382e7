"""Pipelines and their images, with a Python API for the building that AWS does by itself."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from moto.core.base_backend import BackendDict, BaseBackend

from spot_runner_provider.embedded.imagebuilder.exceptions import (
    InvalidRequest,
    ResourceAlreadyExists,
    ResourceNotFound,
)
from spot_runner_provider.embedded.imagebuilder.paging import page_of

MAX_FILTER_VALUES = 10


def timestamp(moment: datetime) -> str:
    """Return an aware ``moment`` in the format of AWS and the deployed programs: ``2020-02-19T18:56:11.511Z``.

    >>> timestamp(datetime(2020, 2, 19, 18, 56, 11, 511000, tzinfo=UTC))
    '2020-02-19T18:56:11.511Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Ami:
    """One AMI that an image was distributed as.

    >>> Ami("us-east-1", "ami-0e3f", "123456789012").to_json()
    {'region': 'us-east-1', 'image': 'ami-0e3f', 'accountId': '123456789012'}
    """

    region: str
    image: str
    account: str

    def to_json(self) -> dict[str, str]:
        """Return the API's ``Ami``."""
        return {"region": self.region, "image": self.image, "accountId": self.account}


@dataclass(frozen=True)
class Image:
    """One build of a recipe version.

    :param status: an ``ImageStatus``, or a word that AWS has not invented yet
    :param date_created: such as ``2020-02-19T18:56:11.511Z``
    :param unlisted: members of the API's shape (``state``, ``outputResources``) that only ``GetImage`` has, not
        listings

    >>> backend = ImageBuilderBackend("us-east-1", "123456789012")
    >>> pipeline = backend.create_pipeline("spot-runner-linux-x64")
    >>> image = backend.add_image(pipeline.arn, status="TESTING", unlisted={"state"})
    >>> image.to_json()["state"], "state" in image.to_summary()
    ({'status': 'TESTING'}, False)
    """

    arn: str
    name: str
    version: str
    platform: str
    date_created: str
    status: str
    reason: str | None
    failure_context: Mapping[str, Any] | None
    amis: tuple[Ami, ...]
    unlisted: frozenset[str]
    log_group: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the API's ``Image``."""
        state: dict[str, Any] = {"status": self.status}
        if self.reason is not None:
            state["reason"] = self.reason
        if self.failure_context is not None:
            state["failureContext"] = dict(self.failure_context)
        return {
            "arn": self.arn,
            "type": "AMI",
            "name": self.name,
            "version": self.version,
            "platform": self.platform,
            "state": state,
            "dateCreated": self.date_created,
            "outputResources": {"amis": [ami.to_json() for ami in self.amis]},
        } | ({"loggingConfiguration": {"logGroupName": self.log_group}} if self.log_group else {})

    def to_summary(self) -> dict[str, Any]:
        """Return the API's ``ImageSummary``."""
        return {name: value for name, value in self.to_json().items() if name not in self.unlisted}


@dataclass(frozen=True)
class Pipeline:
    """An image pipeline; its images have the name ``recipe`` and the version ``recipe_version``.

    >>> backend = ImageBuilderBackend("us-east-1", "123456789012")
    >>> backend.create_pipeline("spot-runner-Linux-x64", recipe="linux").to_json()["arn"]
    'arn:aws:imagebuilder:us-east-1:123456789012:image-pipeline/spot-runner-linux-x64'
    """

    arn: str
    name: str
    platform: str
    recipe: str
    recipe_version: str
    date_created: str

    def to_json(self) -> dict[str, Any]:
        """Return the API's ``ImagePipeline``."""
        prefix = self.arn.partition(":image-pipeline/")[0]
        return {
            "arn": self.arn,
            "name": self.name,
            "platform": self.platform,
            "imageRecipeArn": f"{prefix}:image-recipe/{self.recipe}/{self.recipe_version}",
            "status": "ENABLED",
            "dateCreated": self.date_created,
        }


class ImageBuilderBackend(BaseBackend):
    """Image Builder in one region of one account.

    >>> backend = ImageBuilderBackend("us-east-1", "123456789012")
    >>> pipeline = backend.create_pipeline("spot-runner-linux-x64")
    >>> image = backend.start_execution(pipeline.arn)
    >>> image = backend.set_image_state(image.arn, "AVAILABLE", amis=[Ami("us-east-1", "ami-0e3f", "123456789012")])
    >>> backend.get_image(image.arn).status
    'AVAILABLE'
    """

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._pipelines: dict[str, Pipeline] = {}
        self._images: dict[str, Image] = {}
        self._arns_by_pipeline: dict[str, list[str]] = {}
        self._answers: dict[str, str] = {}

    def create_pipeline(
        self,
        name: str,
        *,
        recipe: str | None = None,
        recipe_version: str = "1.0.0",
        platform: str = "Linux",
        client_token: str | None = None,
    ) -> Pipeline:
        """Create a pipeline whose ARN ends in its lower-cased name.

        :param recipe: name of the images; the pipeline's own name when omitted
        :param client_token: makes a repeated call harmless
        :raises ResourceAlreadyExists: unless ``client_token`` is that of the call that created it

        >>> backend = ImageBuilderBackend("us-east-1", "123456789012")
        >>> pipeline = backend.create_pipeline("spot-runner-linux-x64")
        >>> backend.create_pipeline("spot-runner-linux-x64")
        Traceback (most recent call last):
            ...
        spot_runner_provider.embedded.imagebuilder.exceptions.ResourceAlreadyExists: ResourceAlreadyExistsException: The
        resource with ARN 'arn:aws:imagebuilder:us-east-1:123456789012:image-pipeline/spot-runner-linux-x64' already
        exists.
        """
        arn = self._arn("image-pipeline", name.lower())
        if client_token is not None and self._answers.get(client_token) == arn:
            return self._pipelines[arn]
        if arn in self._pipelines:
            raise ResourceAlreadyExists(arn)
        pipeline = Pipeline(
            arn=arn,
            name=name,
            platform=platform,
            recipe=(recipe or name).lower(),
            recipe_version=recipe_version,
            date_created=timestamp(datetime.now(UTC)),
        )
        self._pipelines[arn] = pipeline
        self._arns_by_pipeline[arn] = []
        if client_token is not None:
            self._answers[client_token] = arn
        return pipeline

    def add_image(
        self,
        pipeline: str,
        *,
        status: str,
        date_created: str | None = None,
        version: str | None = None,
        build: int | None = None,
        amis: Iterable[Ami] = (),
        reason: str | None = None,
        failure_context: Mapping[str, Any] | None = None,
        unlisted: Collection[str] = (),
        log_group: str | None = None,
    ) -> Image:
        """Add an image to a pipeline, given by its name or ARN.

        :param version: the recipe's version; the pipeline's present one when omitted
        :param build: the build number; the next one of that recipe version when omitted
        :param date_created: as AWS writes it; now when omitted
        :raises ResourceNotFound: if there is no such pipeline
        :raises ResourceAlreadyExists: if there is such a build already

        >>> backend = ImageBuilderBackend("us-east-1", "123456789012")
        >>> pipeline = backend.create_pipeline("spot-runner-linux-x64", recipe="spotrunnerstack-linux-x64")
        >>> backend.add_image(pipeline.arn, status="FAILED", build=36, reason="Build timed out").arn
        'arn:aws:imagebuilder:us-east-1:123456789012:image/spotrunnerstack-linux-x64/1.0.0/36'
        >>> backend.add_image("spot-runner-linux-x64", status="AVAILABLE").version
        '1.0.0/37'
        """
        known = self._pipeline(pipeline)
        version = version or known.recipe_version
        if build is None:
            prefix = self._arn("image", f"{known.recipe}/{version}/")
            numbers = (int(arn.removeprefix(prefix)) for arn in self._images if arn.startswith(prefix))
            build = max(numbers, default=0) + 1
        image = Image(
            arn=self._arn("image", f"{known.recipe}/{version}/{build}"),
            name=known.recipe,
            version=f"{version}/{build}",
            platform=known.platform,
            date_created=date_created or timestamp(datetime.now(UTC)),
            status=status,
            reason=reason,
            failure_context=failure_context,
            amis=tuple(amis),
            unlisted=frozenset(unlisted),
            log_group=log_group,
        )
        if image.arn in self._images:
            raise ResourceAlreadyExists(image.arn)
        self._images[image.arn] = image
        self._arns_by_pipeline[known.arn].append(image.arn)
        return image

    def set_image_state(
        self,
        arn: str,
        status: str,
        *,
        reason: str | None = None,
        failure_context: Mapping[str, Any] | None = None,
        amis: Iterable[Ami] | None = None,
    ) -> Image:
        """Move an image to another state; its AMIs stay as they are when ``amis`` is omitted."""
        image = self.get_image(arn)
        moved = replace(
            image,
            status=status,
            reason=reason,
            failure_context=failure_context,
            amis=image.amis if amis is None else tuple(amis),
        )
        self._images[arn] = moved
        return moved

    def start_execution(self, arn: str, client_token: str | None = None) -> Image:
        """Start a build: a PENDING image, and no second one for the same ``client_token``."""
        if client_token is not None and client_token in self._answers:
            return self.get_image(self._answers[client_token])
        image = self.add_image(arn, status="PENDING")
        if client_token is not None:
            self._answers[client_token] = image.arn
        return image

    def get_image(self, arn: str) -> Image:
        """Return an image by the ARN of its build version.

        :raises ResourceNotFound: if there is no such image

        >>> ImageBuilderBackend("us-east-1", "123456789012").get_image("arn:image")
        Traceback (most recent call last):
            ...
        spot_runner_provider.embedded.imagebuilder.exceptions.ResourceNotFound: ResourceNotFoundException: The resource
        with ARN 'arn:image' does not exist.
        """
        try:
            return self._images[arn]
        except KeyError:
            raise ResourceNotFound(arn) from None

    def list_pipelines(
        self, filters: list[dict[str, Any]], max_results: int | None, token: str | None
    ) -> tuple[list[Pipeline], str | None]:
        """Return a page of the pipelines whose names match, and the next page's token.

        :param filters: as the API takes them; ``*`` in a value stands for any text
        :raises InvalidRequest: for another filter than ``name``, or one of no value or more than ten

        >>> backend = ImageBuilderBackend("us-east-1", "123456789012")
        >>> for name in ("spot-runner-linux-x64", "spot-runner-linux-arm64", "spot-runner-windows-2022"):
        ...     pipeline = backend.create_pipeline(name)
        >>> page, token = backend.list_pipelines([{"name": "name", "values": ["spot-runner-linux-*"]}], None, None)
        >>> sorted(pipeline.name for pipeline in page)
        ['spot-runner-linux-arm64', 'spot-runner-linux-x64']
        >>> backend.list_pipelines([{"name": "name", "values": []}], None, None)
        Traceback (most recent call last):
            ...
        spot_runner_provider.embedded.imagebuilder.exceptions.InvalidRequest: InvalidRequestException: A filter takes
        1 to 10 values, not 0.
        """
        found = self._pipelines
        for condition in filters:
            name, values = condition.get("name"), condition.get("values") or []
            if name != "name":
                raise InvalidRequest(f"The filter {name!r} is not supported here; 'name' is.")
            if not 1 <= len(values) <= MAX_FILTER_VALUES:
                raise InvalidRequest(f"A filter takes 1 to {MAX_FILTER_VALUES} values, not {len(values)}.")
            pattern = re.compile("|".join(".*".join(map(re.escape, value.split("*"))) for value in values))
            found = {arn: pipeline for arn, pipeline in found.items() if pattern.fullmatch(pipeline.name)}
        return page_of(found, f"pipelines {filters}", max_results, token)

    def list_pipeline_images(
        self, pipeline_arn: str, max_results: int | None, token: str | None
    ) -> tuple[list[Image], str | None]:
        """Return a page of a pipeline's images and the next page's token; nothing for an unknown ARN.

        >>> ImageBuilderBackend("us-east-1", "123456789012").list_pipeline_images("arn:unknown", None, None)
        ([], None)
        """
        images = {arn: self._images[arn] for arn in self._arns_by_pipeline.get(pipeline_arn, [])}
        return page_of(images, f"images {pipeline_arn}", max_results, token)

    def _pipeline(self, name_or_arn: str) -> Pipeline:
        is_arn = name_or_arn.startswith("arn:")
        arn = name_or_arn if is_arn else self._arn("image-pipeline", name_or_arn.lower())
        try:
            return self._pipelines[arn]
        except KeyError:
            raise ResourceNotFound(arn) from None

    def _arn(self, kind: str, name: str) -> str:
        return f"arn:{self.partition}:imagebuilder:{self.region_name}:{self.account_id}:{kind}/{name}"


# botocore lists no regions for Image Builder, so these are EC2's.
imagebuilder_backends = BackendDict(ImageBuilderBackend, "ec2")
