"""Checks of the connection, the worker's environment and other settings before anything is sent to AWS.

Settings that botocore or AWS would reject fail at once, without retries, and no message quotes a secret. The same holds
for settings that would silently make other credentials be used, because these may belong to another account.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from airflow.providers.common.compat.sdk import AirflowNotFoundException, Connection
from botocore.exceptions import EndpointConnectionError

from spot_runner_provider.hooks.credentials import (
    connection_faults,
    environment_faults,
    header_fault,
    region_fault,
    secrets_of,
)
from spot_runner_provider.hooks.scrubbing import causes, remember, scrub_records, scrubbed
from spot_runner_provider.protocol.calls import ConfigurationError

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper

DEFAULT_CONNECTION = "aws_default"
"""The only connection that may be missing. It is the default, so a missing one means the worker's own credentials, as
everywhere in the Amazon provider."""

NOTHING_SENT = "Nothing was sent to AWS"

UNREADABLE = (json.JSONDecodeError, UnicodeDecodeError)
"""Errors that botocore does not wrap when a worker's program or file for credentials has unreadable output."""

UNREADABLE_REMEDY = (
    "Correct the credential_process of the worker's AWS profile, which must print JSON, or the web identity token file"
)

_OURS = re.compile(r"AWS_|\w+_proxy$", re.IGNORECASE)
"""The environment variables that AWS's libraries read."""


def read_connection(conn_id: str, look_up: Callable[[str], Connection]) -> Connection:
    """Return the connection with this id, whose credentials are complete and can be sent, or are absent.

    :param look_up: Airflow's function to look it up.
    :raises ConfigurationError: if there is none, or if something is wrong with it.
    :raises AirflowNotFoundException: if :data:`DEFAULT_CONNECTION` does not exist.

    >>> from airflow.providers.common.compat.sdk import BaseHook
    >>> read_connection("aws_prod", BaseHook.get_connection)
    Traceback (most recent call last):
        ...
    spot_runner_provider.protocol.calls.ConfigurationError: There is no connection 'aws_prod'. Add it to Airflow
    (airflow connections add aws_prod --conn-type aws), or correct aws_conn_id, of the task or of [spot_runner]. If it
    exists, check why its secrets backend does not find it. Nothing was sent to AWS
    """
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    unreadable = ConfigurationError(
        f"The environment variable {variable} cannot be read as a connection: write it as JSON, or percent-encode "
        f"what is in its URI. {NOTHING_SENT}"
    )
    text = os.environ.get(variable, "").strip()
    try:
        # If it cannot read one, Airflow 2 logs what it took for a port, which may be part of the secret.
        _ = Connection.from_json(text, conn_id) if text.startswith("{") else urlsplit(text).port
    except Exception:  # any of them may quote a secret
        raise unreadable from None
    try:
        connection = look_up(conn_id)
    except AirflowNotFoundException:
        if text:
            raise unreadable from None
        if conn_id == DEFAULT_CONNECTION:
            raise
        raise ConfigurationError(
            f"There is no connection {conn_id!r}. Add it to Airflow (airflow connections add {conn_id} "
            "--conn-type aws), or correct aws_conn_id, of the task or of [spot_runner]. If it exists, check why "
            f"its secrets backend does not find it. {NOTHING_SENT}"
        ) from None
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        # Airflow would go on without the keys, the role or the region in it.
        raise ConfigurationError(
            f"The connection {conn_id!r} has an extra that is not a JSON object: correct it. {NOTHING_SENT}"
        )
    remember(connection.password or "", *secrets_of(extra), key_id=connection.login)
    for fault in connection_faults(connection.login, connection.password, extra):
        raise ConfigurationError(f"The connection {conn_id!r} {fault}. {NOTHING_SENT}")
    return connection


def check_environment(given: AwsConnectionWrapper) -> None:
    """Check the worker's own credentials if the connection has none.

    :raises ConfigurationError: if something is wrong with the credentials in its environment.

    >>> from spot_runner_provider.hooks.image_builder import ImageBuilderHook
    >>> check_environment(ImageBuilderHook(aws_conn_id=None).conn_config)
    """
    ours = {name: value for name, value in os.environ.items() if _OURS.match(name)}
    remember(*secrets_of(ours), key_id=ours.get("AWS_ACCESS_KEY_ID"))
    if not given.aws_access_key_id and not given.profile_name:
        for fault in environment_faults(ours):
            raise ConfigurationError(f"The environment variable {fault}. {NOTHING_SENT}")


def check_region(region: str | None, source: str, profile_name: str | None) -> None:
    """Check the region.

    :param region: the task's or the connection's; the worker's own if ``None``.
    :param source: where it comes from, in words.
    :param profile_name: the profile that may name the worker's own region.
    :raises ConfigurationError: if it cannot be a region. If there is no region at all, botocore says so later.

    >>> check_region("us-east-1a", "region_name of the connection 'aws_default'", None)
    Traceback (most recent call last):
        ...
    spot_runner_provider.protocol.calls.ConfigurationError: Region 'us-east-1a' is an availability zone: write
    us-east-1. It comes from region_name of the connection 'aws_default'. Nothing was sent to AWS
    """
    if region is None:
        region = botocore.session.Session(profile=profile_name).get_config_variable("region")
        source = "the worker's AWS_DEFAULT_REGION or profile"
    if region is not None and (fault := region_fault(region)):
        raise ConfigurationError(f"Region {fault}. It comes from {source}. {NOTHING_SENT}")


def guard(session: Any) -> None:
    """Stop clients that would send malformed credentials, from any source, or wait for a host that does not exist.

    :param session: boto3's, or aiobotocore's.

    >>> session = boto3.session.Session("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI", "IQoJb3 JpZ2lu", "us-east-1")
    >>> guard(session)
    >>> session.client("sts").get_caller_identity()
    Traceback (most recent call last):
        ...
    spot_runner_provider.protocol.calls.ConfigurationError: The credentials cannot be sent: the session token has a
    blank or a control character in it: copy it again. See where they come from: the connection, its role, or the
    worker's environment, profile or process. The call was not sent
    """
    scrub_records()
    boto = isinstance(session, boto3.session.Session)
    events = session.events if boto else session.get_component("event_emitter")
    events.register("before-send", _check_signed)
    events.register("needs-retry", _check_host)


@contextmanager
def refusing_settings() -> Iterator[None]:
    """Turn the errors that botocore and the Amazon provider raise for bad settings into a :class:`ConfigurationError`.

    :raises ConfigurationError: naming what cannot be read or used.

    >>> from botocore.config import Config
    >>> with refusing_settings():
    ...     Config(proxis={})
    Traceback (most recent call last):
        ...
    spot_runner_provider.protocol.calls.ConfigurationError: No client can be created with the settings: Got unexpected
    keyword argument 'proxis'. Correct botocore_config, the connection's extra, or the worker's AWS_ENDPOINT_URL
    """
    try:
        with scrubbed():
            yield
    except UNREADABLE as error:
        raise ConfigurationError(f"The worker's credentials cannot be read: {error}. {UNREADABLE_REMEDY}") from error
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ConfigurationError(
            f"No client can be created with the settings: {error}. Correct botocore_config, the connection's extra, or "
            "the worker's AWS_ENDPOINT_URL"
        ) from error


def _check_signed(request: Any, **_: Any) -> None:
    if fault := header_fault(request.headers):
        raise ConfigurationError(
            f"The credentials cannot be sent: {fault}. See where they come from: the connection, its role, or the "
            "worker's environment, profile or process. The call was not sent"
        )


def _check_host(request_dict: Mapping[str, Any], caught_exception: Exception | None = None, **_: Any) -> None:
    """Give up at once if the host does not exist; botocore would keep trying for half a minute."""
    if not isinstance(caught_exception, EndpointConnectionError):
        return
    codes = {cause.errno for cause in causes(caught_exception) if isinstance(cause, socket.gaierror)}
    if socket.EAI_NONAME not in codes:
        return
    host = urlsplit(str(request_dict["url"])).hostname or ""
    region = str(request_dict["context"]["client_region"])
    if f".{region}." in host and region not in _known_regions():
        raise ConfigurationError(
            f"Host {host} does not exist, and botocore does not know region {region}: correct region_name, of the "
            "connection or of [spot_runner], or AWS_DEFAULT_REGION"
        )
    caught_exception.args = (f"{caught_exception}: the worker's DNS does not know this host",)
    raise caught_exception


def _known_regions() -> set[str]:
    session = botocore.session.Session()
    partitions = session.get_available_partitions()
    return {region for each in partitions for region in session.get_available_regions("ec2", partition_name=each)}
