"""How the hooks call AWS: which calls are repeated, and what an error means to its reader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook, SessionFactory
from botocore.config import Config
from botocore.exceptions import ClientError, CredentialRetrievalError, NoRegionError

from spot_runner_provider import clock
from spot_runner_provider.hooks.cancellation import Cancellation
from spot_runner_provider.hooks.connection import (
    UNREADABLE,
    UNREADABLE_REMEDY,
    check_environment,
    check_region,
    guard,
    read_connection,
    refusing_settings,
)
from spot_runner_provider.hooks.errors import (
    CREDENTIAL_OPERATIONS,
    ErrorKind,
    code_of,
    is_about_credentials,
    is_repeatable,
    kind_of,
    words_of,
)
from spot_runner_provider.hooks.explanation import FailedCall
from spot_runner_provider.hooks.scrubbing import scrubbed
from spot_runner_provider.protocol.calls import ConfigurationError, ResourceRefused

if TYPE_CHECKING:
    import boto3
    from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper
    from airflow.providers.common.compat.sdk import Connection
    from botocore.client import BaseClient

ATTEMPTS = 8
"""Tries of one call, including the first; with botocore's exponential backoff they take about half a minute."""

DEFAULTS = Config(
    connect_timeout=5,
    read_timeout=15,
    max_pool_connections=32,
    retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
)
"""Used unless the operator's ``botocore_config`` or the connection says otherwise. Timeouts are in seconds. A call is
given up well within the five minutes after which another run may take over its preset."""

T = TypeVar("T")


class ConfiguredHook(AwsGenericHook[Any]):
    """An Amazon hook whose client uses :data:`DEFAULTS` for everything that its user has not set.

    :param beside: another such hook, for the same connection and region, whose session this one shares. Creating
        another session takes some tenths of a second.
    :param caller: the caller that the user agent names. The base class searches the stack for it, which takes as long
        as creating all clients.

    >>> hook = ConfiguredHook(aws_conn_id="aws_default", client_type="ssm")
    >>> hook.connect()
    'us-east-1'
    >>> hook.config.read_timeout, hook.config.retries["total_max_attempts"]
    (15, 8)
    """

    def __init__(
        self, *args: Any, beside: ConfiguredHook | None = None, caller: str | None = None, **kwargs: Any
    ) -> None:
        with refusing_settings():
            super().__init__(*args, **kwargs)
        self._beside = beside
        self._caller = caller
        self._sessions: dict[str | None, boto3.session.Session] = {}
        self._cancellation = Cancellation()

    @classmethod
    def get_connection(cls, conn_id: str) -> Connection:
        """Return a connection after checking that it exists and can be used."""
        return read_connection(conn_id, super().get_connection)

    @cached_property
    def conn_config(self) -> AwsConnectionWrapper:
        """The connection's settings.

        :raises ConfigurationError: if there is no such connection, or if it cannot be used.
        """
        if self._beside:
            return self._beside.conn_config
        with refusing_settings():
            return super().conn_config

    @property
    def config(self) -> Config:
        """The client's configuration: the user's, over the defaults."""
        return DEFAULTS.merge(super().config)

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> boto3.session.Session:
        """Return the session for a region, always the same one."""
        if deferrable:
            return self._new_session(region_name, deferrable=True)
        if self._beside:
            return self._beside.get_session(region_name)
        if region_name not in self._sessions:
            self._sessions[region_name] = self._new_session(region_name, deferrable=False)
        return self._sessions[region_name]

    def _new_session(self, region_name: str | None, *, deferrable: bool) -> boto3.session.Session:
        ours = "region_name of the task or of [spot_runner]"
        source = ours if self._region_name else f"region_name of the connection {self.aws_conn_id!r}"
        check_environment(self.conn_config)
        check_region(region_name, source, self.conn_config.profile_name)
        factory = SessionFactory(conn=self.conn_config, region_name=region_name, config=self.config)
        if factory.role_arn and not deferrable:
            self._cancellation.stops_clients_of(factory.basic_session)  # its STS client assumes the role
        session = factory.create_session(deferrable)
        if not deferrable:
            self._cancellation.stops_clients_of(session)
        guard(session)
        return session

    def _get_caller(self, target_function_name: str = "execute") -> str:
        if self._beside:
            return self._beside._get_caller(target_function_name)
        return self._caller or str(super()._get_caller(target_function_name))

    @property
    def call_timeout(self) -> float:
        """Seconds after which an attempt of a call ends by itself; a missing time-out counts as 0."""
        config: Any = self._client.meta.config
        return float((config.connect_timeout or 0) + (config.read_timeout or 0))

    def connect(self, cancellation: Cancellation | None = None) -> str:
        """Create the client now, in this thread, and return its region.

        :param cancellation: what stops the client's calls.
        :raises ConfigurationError: if there is no region, or if no client can be created with the settings.
        """
        with self.explained("any resource"), refusing_settings():
            if cancellation:
                self._cancellation = cancellation
                cancellation.stops(self._client)
            return str(self._client.meta.region_name)

    @contextmanager
    def explained(self, resource: str) -> Iterator[None]:
        """Turn errors that only a person can fix into a :class:`ConfigurationError`; let the others pass.

        :param resource: what the call is about, in words, such as ``parameter /spot-runner/configs/linux-x64``.
        :raises ConfigurationError: for a missing region, missing or wrong credentials, and a missing permission.
        :raises ResourceRefused: for a resource of the wrong kind or at its limit, and for an unusable KMS key.
        :raises CredentialRetrievalError: if there are no credentials at the moment.

        >>> denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "PutParameter")
        >>> with ConfiguredHook(aws_conn_id="aws_default", client_type="ssm").explained("parameter /a"):
        ...     raise denied
        Traceback (most recent call last):
            ...
        spot_runner_provider.protocol.calls.ConfigurationError: Access denied: allow ssm:PutParameter on parameter /a
        for the identity of connection aws_default. AWS says: no
        """
        try:
            with scrubbed():
                yield
        except NoRegionError:
            raise ConfigurationError(
                f"No AWS region: set region_name in {self._credentials}, or in [spot_runner] region_name"
            ) from None
        except ClientError as error:
            kind, operation = kind_of(error), error.operation_name
            if not kind.is_for_good:
                raise
            call = FailedCall(
                action=f"{CREDENTIAL_OPERATIONS.get(operation, self.service_name)}:{operation}",
                resource=resource,
                code=code_of(error),
                message=words_of(error),
                connection=self._credentials,
                region=self.region_name,
            )
            refusal = ResourceRefused if kind is ErrorKind.REFUSED else ConfigurationError
            raise refusal(call.explanation) from _reworded(error, call.words)
        except Exception as error:
            kind = kind_of(error)
            if is_about_credentials(error) and not kind.is_for_good:
                raise CredentialRetrievalError(
                    provider=self._credentials,
                    error_msg=f"{error}. Nothing was sent to {resource}. If the source of the role's credentials did "
                    f"not answer, this passes. If it persists, set credentials in {self._credentials}, or give the "
                    "worker a role",
                ) from error
            if is_about_credentials(error):
                raise ConfigurationError(
                    f"No AWS credentials for {resource}: {error}. Set them in {self._credentials}, "
                    "or give the worker a role"
                ) from error
            if kind.is_for_good:
                elsewhere = f"Correct {self._credentials}, or the worker's AWS settings"
                remedy = UNREADABLE_REMEDY if isinstance(error, UNREADABLE) else elsewhere
                raise ConfigurationError(
                    f"Nothing can be sent to {resource}: {type(error).__name__}: {error}. {remedy}"
                ) from error
            raise

    @property
    def _credentials(self) -> str:
        """Whose credentials the calls use, in words."""
        if not self.aws_conn_id:
            return "the worker's own credentials (aws_conn_id is not set)"
        try:
            found = isinstance(self.conn_config.conn_id, str)
        except Exception:
            found = True  # its content is invalid, and that may be the very error that is being explained
        return f"connection {self.aws_conn_id}" + ("" if found else " (it does not exist)")


def withheld(error: ClientError) -> ClientError:
    """Return the error without AWS's words, which may quote the request and a secret in it.

    >>> error = ClientError({"Error": {"Code": "ValidationException", "Message": "Value 's3cr3t' ..."}}, "PutParameter")
    >>> print(withheld(error))
    An error occurred (ValidationException) when calling the PutParameter operation: (AWS's words are withheld: they may
    quote a secret)
    """
    return _reworded(error, "(AWS's words are withheld: they may quote a secret)")


def _reworded(error: ClientError, message: str) -> ClientError:
    told: Any = {"Code": code_of(error), "Message": message}
    return ClientError({**error.response, "Error": told}, error.operation_name)


def repeat_what_passes(client: BaseClient, *operations: str) -> None:
    """Let ``client`` also repeat calls that AWS refuses for now with a code that botocore does not repeat.

    The waits are as long as those of botocore's own retries.

    :param operations: the operations to repeat, such as ``GetImage``; all if omitted.

    >>> from spot_runner_provider.embedded.faults import Fault
    >>> aws.add_fault(Fault("imagebuilder.ListImagePipelines", "CallRateLimitExceededException", times=2))
    >>> client = ConfiguredHook(aws_conn_id="aws_default", client_type="imagebuilder").conn
    >>> repeat_what_passes(client, "ListImagePipelines")
    >>> len(client.list_image_pipelines()["imagePipelineList"]), aws.calls()["imagebuilder.ListImagePipelines"]
    (2, 3)
    """

    def delay(response: Any, attempts: int, **_: Any) -> float | None:
        if response is None or attempts >= ATTEMPTS:
            return None
        code = str(response[1].get("Error", {}).get("Code")).rsplit("#", 1)[-1]
        return clock.backoff(attempts) if is_repeatable(code) else None

    events: Any = client.meta.events
    event = f"needs-retry.{client.meta.service_model.service_id.hyphenize()}"
    for name in [f"{event}.{operation}" for operation in operations] or [event]:
        events.register(name, delay)


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield ``items`` in pieces of at most ``size``.

    >>> list(chunks(["linux-arm64", "linux-x64", "windows-2022"], size=2))
    [['linux-arm64', 'linux-x64'], ['windows-2022']]
    """
    for start in range(0, len(items), size):
        yield items[start : start + size]
