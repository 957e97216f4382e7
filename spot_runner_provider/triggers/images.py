"""Wait for builds of EC2 Image Builder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from botocore.exceptions import BotoCoreError, ClientError

from spot_runner_provider import clock
from spot_runner_provider.ami_state import parse_timestamp
from spot_runner_provider.build import Image
from spot_runner_provider.hooks.calls import explained, retry_throttles
from spot_runner_provider.hooks.image_builder import THROTTLES, ImageBuilderHook, is_gone
from spot_runner_provider.waiting import AIOBOTOCORE_REMEDY


class ImagesTrigger(BaseTrigger):
    """Fires as soon as one of the images no longer builds, or at the deadline.

    The event is ``{"finished": [ARN, ...], "error": text or None}``. Nothing is finished at the deadline, nor where a
    person must mend something first: then ``error`` says what. After any other error it looks again.

    :param image_arns: the images.
    :param deadline: the moment, as a timestamp with a time zone.
    :param poll_interval: seconds before the first look, and from one to the next.
    :param aws_conn_id: the Airflow connection for AWS.
    :param region_name: the AWS region; the connection's if ``None``.
    :param verify: whether, or with which bundle, TLS certificates are verified.
    :param botocore_config: settings for botocore's client.

    >>> arn = "arn:aws:imagebuilder:us-east-1:123456789012:image/spotrunnerstack-linux-x64/1.0.0/1"
    >>> until = "2026-02-11T16:05:49.123Z"
    >>> trigger = ImagesTrigger(image_arns=[arn], deadline=until, poll_interval=1, aws_conn_id="aws_default")
    >>> async def fired():
    ...     return [event.payload async for event in trigger.run()]
    >>> asyncio.run(fired()) == [{"finished": [arn], "error": None}]
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
        """Look, and look again, until there is something to tell."""
        finished, told = [], None
        try:
            finished = await self._wait()
        except ImportError:
            told = f"the triggerer lacks aiobotocore: {AIOBOTOCORE_REMEDY}"
        except Exception as error:
            told = str(error)
        yield TriggerEvent({"finished": finished, "error": told})  # type: ignore[no-untyped-call]

    async def _wait(self) -> list[str]:
        hook = ImageBuilderHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
            caller=type(self).__name__,
        )
        deadline = parse_timestamp(self.deadline)
        async with AsyncExitStack() as stack:
            with explained("imagebuilder", "any image"):
                connection = await hook.get_async_conn()  # type: ignore[no-untyped-call]
                client = await stack.enter_async_context(connection)
            retry_throttles(client, THROTTLES, "GetImage")
            while True:
                left = (deadline - clock.now()).total_seconds()
                await asyncio.sleep(max(0, min(self.poll_interval, left)))
                finished = [arn for arn in self.image_arns if await self._has_finished(client, arn)]
                if finished or left <= self.poll_interval:
                    return finished

    async def _has_finished(self, client: Any, arn: str) -> bool:
        try:
            with explained("imagebuilder", f"image {arn}"):
                answer = await client.get_image(imageBuildVersionArn=arn)
        except (BotoCoreError, ClientError) as error:
            self.log.warning("image %s: %s", arn, error)
            return is_gone(error)
        return not Image.from_api(answer["image"]).is_building
