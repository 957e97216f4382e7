"""Ending a task before its work is done: no further call begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.client import BaseClient


class Cancelled(BaseException):
    """The task is to end. This is not an error of the call in which it is raised, so nothing handles it as one."""


class Cancellation:
    """Whether a task is to end. A signal handler may request it, and every thread checks it.

    >>> cancellation = Cancellation()
    >>> cancellation.check()
    >>> cancellation.request()
    >>> cancellation.check()
    Traceback (most recent call last):
        ...
    spot_runner_provider.hooks.cancellation.Cancelled: the task is being ended; the next try or run continues
    """

    def __init__(self) -> None:
        self._is_requested = False

    def request(self) -> None:
        """Let no further call begin."""
        self._is_requested = True

    def check(self, **_: Any) -> None:
        """Return if the task may go on.

        :raises Cancelled: if the task is to end.
        """
        if self._is_requested:
            raise Cancelled("the task is being ended; the next try or run continues")

    def stops(self, client: BaseClient) -> None:
        """Let ``client`` begin no attempt of a call, and no wait for the next one, once the task is to end.

        This ends botocore's own repetitions, too. An attempt in progress ends by its own time-outs.

        >>> import boto3
        >>> client = boto3.client("ssm", region_name="us-east-1")
        >>> cancellation = Cancellation()
        >>> cancellation.stops(client)
        >>> cancellation.request()
        >>> client.get_parameters(Names=["/spot-runner/configs/linux-x64"])
        Traceback (most recent call last):
            ...
        spot_runner_provider.hooks.cancellation.Cancelled: the task is being ended; the next try or run continues
        """
        self._register(client.meta.events, f".{client.meta.service_model.service_id.hyphenize()}")

    def stops_clients_of(self, session: Session) -> None:
        """Do the same for every client that ``session`` creates from here on, even botocore's own for credentials.

        >>> import boto3
        >>> Cancellation().stops_clients_of(boto3.session.Session())
        """
        self._register(session.events, "")

    def _register(self, events: Any, suffix: str) -> None:
        # Signing comes between the first two events, and may have to fetch credentials.
        for event in ("request-created", "before-send", "needs-retry"):
            events.register_first(f"{event}{suffix}", self.check, unique_id=f"{__name__}.{event}.{id(self)}")
