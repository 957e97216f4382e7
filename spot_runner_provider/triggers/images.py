"""Wait for builds of EC2 Image Builder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from botocore.exceptions import ClientError

from spot_runner_provider import clock
from spot_runner_provider.batch.waiting import AIOBOTOCORE_REMEDY, Watch
from spot_runner_provider.hooks.calls import repeat_what_passes
from spot_runner_provider.hooks.connection import refusing_settings
from spot_runner_provider.hooks.image_builder import ImageBuilderHook, is_gone
from spot_runner_provider.protocol.calls import ConfigurationError
from spot_runner_provider.records.ami_state import parse_timestamp
from spot_runner_provider.records.image import goes_on


class ImagesTrigger(BaseTrigger):
    """Fires as soon as one of the images has stopped building, at the deadline, or when no image is left to look at.

    The event is ``{"finished": [ARN, ...], "refused": {ARN: text}, "unseen": {ARN: text}}``. ``refused`` are the images
    that nobody can look at until a person fixes something, and what to fix. After any other error it looks again;
    ``unseen`` are the images that the last look could not see, and why.

    :param image_arns: the images.
    :param deadline: the moment, as a timestamp with a time zone.
    :param poll_interval: seconds before the first look and between two looks.
    :param aws_conn_id: the Airflow connection for AWS.
    :param region_name: the AWS region; the connection's if ``None``.
    :param verify: whether, or with which bundle, TLS certificates are verified.
    :param botocore_config: settings for botocore's client.

    >>> arn = "arn:aws:imagebuilder:us-east-1:123456789012:image/spotrunnerstack-linux-x64/1.0.0/1"
    >>> until = "2026-02-11T16:05:49.123Z"
    >>> trigger = ImagesTrigger(image_arns=[arn], deadline=until, poll_interval=1, aws_conn_id="aws_default")
    >>> async def fired():
    ...     return [event.payload async for event in trigger.run()]
    >>> asyncio.run(fired()) == [{"finished": [arn], "refused": {}, "unseen": {}}]
    True
    """

    def __init__(
        self,
        *,
        image_arns: Sequence[str],
        deadline: str,
        poll_interval: int,
        aws_conn_id: str | None,
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.image_arns = list(image_arns)
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and the arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "image_arns": self.image_arns,
            "deadline": self.deadline,
            "poll_interval": self.poll_interval,
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "botocore_config": self.botocore_config,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look again and again until the wait has ended."""
        watch = Watch(list(self.image_arns), parse_timestamp(self.deadline), self.poll_interval)
        async with AsyncExitStack() as clients:
            hook = client = None
            while not watch.is_over:
                await asyncio.sleep(watch.pause(clock.now()))
                with watch.look() as arns:
                    if hook is None or client is None:
                        hook = self._hook()
                        client = await self._client(hook, clients)
                    for arn in arns:
                        with watch.looking_at(arn):
                            watch.saw(arn, is_building=await self._is_building(hook, client, arn))
                if watch.unseen:
                    hook = client = None  # they keep the credentials they were created with, even if there were none
        yield TriggerEvent(watch.event())  # type: ignore[no-untyped-call]

    def _hook(self) -> ImageBuilderHook:
        return ImageBuilderHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
            caller=type(self).__name__,
        )

    async def _client(self, hook: ImageBuilderHook, clients: AsyncExitStack) -> Any:
        """Return a new client, which ``clients`` will close; earlier ones are closed now."""
        await clients.aclose()
        with hook.explained("any image"), refusing_settings():
            try:
                connection = await hook.get_async_conn()  # type: ignore[no-untyped-call]
            except ImportError:
                raise ConfigurationError(f"the triggerer lacks aiobotocore: {AIOBOTOCORE_REMEDY}") from None
            client = await clients.enter_async_context(connection)
        repeat_what_passes(client, "GetImage")
        return client

    async def _is_building(self, hook: ImageBuilderHook, client: Any, arn: str) -> bool:
        with hook.explained(f"image {arn}"):
            try:
                return goes_on(await client.get_image(imageBuildVersionArn=arn))
            except ClientError as error:
                if is_gone(error):
                    return False
                raise
