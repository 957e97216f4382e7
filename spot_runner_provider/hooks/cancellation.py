"""The end of a task before its work is done: from then on no call begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.client import BaseClient


class Cancelled(BaseException):
    """The task is to end. This is no error of the call that it is raised in, so nothing handles it as one."""


class Cancellation:
    """Whether a task is to end. A signal handler may request it, and every thread asks.

    >>> cancellation = Cancellation()
    >>> cancellation.check()
    >>> cancellation.request()
    >>> cancellation.check()
    Traceback (most recent call last):
        ...
    spot_runner_provider.hooks.cancellation.Cancelled: the task is to end; the next try or run goes on
    """

    def __init__(self) -> None:
        self._is_requested = False

    def request(self) -> None:
        """Let nothing begin any more."""
        self._is_requested = True

    def check(self, **_: Any) -> None:
        """Go on, or not.

        :raises Cancelled: if the task is to end.
        """
        if self._is_requested:
            raise Cancelled("the task is to end; the next try or run goes on")

    def stops(self, client: BaseClient) -> None:
        """Let ``client`` begin no attempt of a call, and no wait for the next one, once the task is to end.

        botocore's own repetitions end by this as well. An attempt that is under way ends by its own time-outs.

        >>> import boto3
        >>> client = boto3.client("ssm", region_name="us-east-1")
        >>> cancellation = Cancellation()
        >>> cancellation.stops(client)
        >>> cancellation.request()
        >>> client.get_parameters(Names=["/spot-runner/configs/linux-x64"])
        Traceback (most recent call last):
            ...
        spot_runner_provider.hooks.cancellation.Cancelled: the task is to end; the next try or run goes on
        """
        self._register(client.meta.events, f".{client.meta.service_model.service_id.hyphenize()}")

    def stops_clients_of(self, session: Session) -> None:
        """Let no client that ``session`` makes from here on begin a call, be it botocore's own for credentials.

        >>> import boto3
        >>> Cancellation().stops_clients_of(boto3.session.Session())
        """
        self._register(session.events, "")

    def _register(self, events: Any, suffix: str) -> None:
        # Signing comes between the first two, and may have to fetch credentials.
        for event in ("request-created", "before-send", "needs-retry"):
            events.register_first(f"{event}{suffix}", self.check, unique_id=f"{__name__}.{event}.{id(self)}")
