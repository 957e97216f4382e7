"""Pipelines and images of EC2 Image Builder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from botocore.exceptions import ClientError

from spot_runner_provider import clock
from spot_runner_provider.hooks.calls import ATTEMPTS, ConfiguredHook, chunks, repeat_what_passes
from spot_runner_provider.hooks.errors import code_of, is_of_credentials, is_refused_for_now, is_repeatable
from spot_runner_provider.protocol.calls import Throttled
from spot_runner_provider.records.image import Image, Pipeline, goes_on, latest, pipelines_of

NAMES_LIMIT = 10
"""Values that one filter of ListImagePipelines accepts."""

PAGE_SIZE = 25
"""Entries per page; botocore before 1.44 rejects more."""


class ImageBuilderHook(ConfiguredHook, AwsBaseHook):
    """Look up pipelines and their images. Nothing is ever written.

    :param kwargs: ``aws_conn_id``, ``region_name``, ``verify``, ``config``, as every Amazon hook takes them.

    Every method raises :class:`~spot_runner_provider.protocol.calls.ConfigurationError` for errors that only a person
    can fix, and botocore's errors for all others.

    >>> hook = ImageBuilderHook(aws_conn_id="aws_default", region_name="us-east-1")
    >>> pipelines = hook.find_pipelines(["spot-runner-linux-x64", "spot-runner-linux-riscv64"])
    >>> list(pipelines)
    ['spot-runner-linux-x64']
    >>> image = hook.latest_image(pipelines["spot-runner-linux-x64"].arn)
    >>> image.status, image.amis
    ('AVAILABLE', (Ami(image_id='ami-0e3f', region='us-east-1', account='123456789012', status=None),))
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(client_type="imagebuilder", **kwargs)

    def get_client_type(self, *args: Any, **kwargs: Any) -> Any:
        """Return a client that waits when Image Builder throttles, except for listing images; a trigger's unchanged."""
        client = super().get_client_type(*args, **kwargs)
        if kwargs.get("deferrable"):
            return client  # not connected yet
        repeat_what_passes(client, "ListImagePipelines", "GetImage")
        return client

    def find_pipelines(self, names: Sequence[str]) -> dict[str, Pipeline]:
        """Return the pipelines that have exactly one of ``names``, by name."""
        found: dict[str, Pipeline] = {}
        wanted = [*dict.fromkeys(names)]  # one name may be asked for on behalf of two presets
        for some in chunks(wanted, NAMES_LIMIT):
            with self.explained(f"pipelines {', '.join(some)}"):
                filters = [{"name": "name", "values": list(some)}]
                listed = _pages(self.conn.list_image_pipelines, "imagePipelineList", filters=filters)
                found |= {pipeline.name: pipeline for pipeline in pipelines_of(listed) if pipeline.name in some}
        return found

    def latest_image(self, pipeline_arn: str) -> Image | None:
        """Return the pipeline's most recently created image from all pages, ``None`` if there is none.

        If the listing leaves out details that the image's state needs, ``GetImage`` is called.

        :raises UndatedImage: if an image has no date.
        :raises Throttled: if Image Builder, for now, refuses to begin listing the images. The caller must wait, because
            every pipeline needs this call and they all share the quota.
        """
        try:
            with self.explained(f"pipeline {pipeline_arn}"):
                image = latest(
                    Image.from_api(summary)
                    for summary in _pages(self._list_images, "imageSummaryList", imagePipelineArn=pipeline_arn)
                )
        except ClientError as error:
            if not is_refused_for_now(error):
                raise
            raise Throttled(f"Image Builder lists no images of pipeline {pipeline_arn} for now") from error
        if image is None or not image.is_summary:
            return image
        with self.explained(f"image {image.arn}"):
            return Image.from_api(self.conn.get_image(imageBuildVersionArn=image.arn)["image"])

    def is_building(self, image_arn: str) -> bool:
        """Return whether the build is still running; it is not if the image is gone.

        >>> hook = ImageBuilderHook(aws_conn_id="aws_default")
        >>> hook.is_building("arn:aws:imagebuilder:us-east-1:123456789012:image/spotrunnerstack-linux-x64/1.0.0/1")
        False
        """
        with self.explained(f"image {image_arn}"):
            try:
                return goes_on(self.conn.get_image(imageBuildVersionArn=image_arn))
            except ClientError as error:
                if is_gone(error):
                    return False
                raise

    def _list_images(self, **arguments: Any) -> Any:
        """Ask for one page. Later pages are waited for, so that a long listing need not start again."""
        for attempt in range(1, ATTEMPTS if "nextToken" in arguments else 1):
            try:
                return self.conn.list_image_pipeline_images(**arguments)
            except ClientError as error:
                if not is_repeatable(code_of(error)):
                    raise
                time.sleep(clock.backoff(attempt))
        return self.conn.list_image_pipeline_images(**arguments)


def is_gone(error: ClientError) -> bool:
    """Return whether Image Builder says that there is no such image.

    >>> is_gone(ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetImage"))
    True
    >>> is_gone(ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetRoleCredentials"))
    False
    """
    return code_of(error) == "ResourceNotFoundException" and not is_of_credentials(error)


def _pages(call: Callable[..., Any], key: str, **arguments: Any) -> Iterator[Any]:
    """Yield the entries of every page. A page may be short or empty without being the last."""
    # Not botocore's paginators: 1.37.2, which the Amazon provider still allows, has none for Image Builder.
    token: dict[str, str] = {}
    while True:
        answer = call(maxResults=PAGE_SIZE, **arguments, **token)
        yield from answer.get(key, ())
        if not answer.get("nextToken"):
            return
        token = {"nextToken": answer["nextToken"]}
