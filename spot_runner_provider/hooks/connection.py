"""What is refused of a connection, of the worker's environment and of other settings before anything is sent to AWS.

What botocore would choke on, or AWS would not take, fails at once and for good, and is told without the value of a
secret. So is whatever would let other credentials be taken than those that are meant: they may lead to another account.
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
"""The one connection that may be missing: it is everybody's default, and then the worker's own credentials are meant,
as everywhere in the Amazon provider."""

NOTHING_SENT = "Nothing was sent to AWS"

UNREADABLE = (json.JSONDecodeError, UnicodeDecodeError)
"""What botocore lets pass of a program or a file of the worker that should give credentials."""

UNREADABLE_REMEDY = (
    "Correct the credential_process of the worker's AWS profile, which must print JSON, or the web identity token file"
)

_OURS = re.compile(r"AWS_|\w+_proxy$", re.IGNORECASE)
"""Environment variables that AWS's libraries read."""


def read_connection(conn_id: str, look_up: Callable[[str], Connection]) -> Connection:
    """Return the connection of this id, with credentials that are whole and can be sent, or with none.

    :param look_up: how Airflow looks it up.
    :raises ConfigurationError: if there is none, or if something is wrong with it.
    :raises AirflowNotFoundException: if it is :data:`DEFAULT_CONNECTION`, and there is none.

    >>> from airflow.providers.common.compat.sdk import BaseHook
    >>> read_connection("aws_prod", BaseHook.get_connection)
    Traceback (most recent call last):
        ...
    spot_runner_provider.protocol.calls.ConfigurationError: There is no connection 'aws_prod'. Add it to Airflow
    (airflow connections add aws_prod --conn-type aws), or correct aws_conn_id, of the task or of [spot_runner]. If it
    is there, see why its secrets backend does not find it. Nothing was sent to AWS
    """
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    unreadable = ConfigurationError(
        f"The environment variable {variable} cannot be read as a connection: write it as JSON, or percent-encode "
        f"what is in its URI. {NOTHING_SENT}"
    )
    text = os.environ.get(variable, "").strip()
    try:
        # Airflow 2 logs why it cannot read one, with what it took for a port: it may be a part of the secret.
        _ = Connection.from_json(text, conn_id) if text.startswith("{") else urlsplit(text).port
    except Exception:  # whatever it is, it may quote a secret
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
            "--conn-type aws), or correct aws_conn_id, of the task or of [spot_runner]. If it is there, see why its "
            f"secrets backend does not find it. {NOTHING_SENT}"
        ) from None
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        # Airflow would go on without what stands there: keys, a role, a region.
        raise ConfigurationError(
            f"The connection {conn_id!r} has an extra that is no JSON object: correct it. {NOTHING_SENT}"
        )
    remember(connection.password or "", *secrets_of(extra), key_id=connection.login)
    for fault in connection_faults(connection.login, connection.password, extra):
        raise ConfigurationError(f"The connection {conn_id!r} {fault}. {NOTHING_SENT}")
    return connection


def check_environment(given: AwsConnectionWrapper) -> None:
    """Look at the worker's own credentials, if the connection leaves it to them.

    :raises ConfigurationError: if something is wrong with those in its environment.

    >>> from spot_runner_provider.hooks.image_builder import ImageBuilderHook
    >>> check_environment(ImageBuilderHook(aws_conn_id=None).conn_config)
    """
    ours = {name: value for name, value in os.environ.items() if _OURS.match(name)}
    remember(*secrets_of(ours), key_id=ours.get("AWS_ACCESS_KEY_ID"))
    if not given.aws_access_key_id and not given.profile_name:
        for fault in environment_faults(ours):
            raise ConfigurationError(f"The environment variable {fault}. {NOTHING_SENT}")


def check_region(region: str | None, source: str, profile_name: str | None) -> None:
    """Look at the region.

    :param region: the task's or the connection's; the worker's own if ``None``.
    :param source: where it comes from, in words.
    :param profile_name: the profile that may name the worker's own.
    :raises ConfigurationError: if it is none. That there is none at all is for botocore to say.

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
    """Let no client send credentials that cannot be sent, wherever they come from, nor wait for a host that is not.

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
    """Turn what botocore and the Amazon provider make of settings that they cannot take into a refusal.

    :raises ConfigurationError: naming what cannot be read or taken.

    >>> from botocore.config import Config
    >>> with refusing_settings():
    ...     Config(proxis={})
    Traceback (most recent call last):
        ...
    spot_runner_provider.protocol.calls.ConfigurationError: No client can be made of the settings: Got unexpected
    keyword argument 'proxis'. Correct botocore_config, the extra of the connection, or the worker's AWS_ENDPOINT_URL
    """
    try:
        with scrubbed():
            yield
    except UNREADABLE as error:
        raise ConfigurationError(f"The worker's credentials cannot be read: {error}. {UNREADABLE_REMEDY}") from error
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ConfigurationError(
            f"No client can be made of the settings: {error}. Correct botocore_config, the extra of the connection, or "
            "the worker's AWS_ENDPOINT_URL"
        ) from error


def _check_signed(request: Any, **_: Any) -> None:
    if fault := header_fault(request.headers):
        raise ConfigurationError(
            f"The credentials cannot be sent: {fault}. See where they come from: the connection, its role, or the "
            "worker's environment, profile or process. The call was not sent"
        )


def _check_host(request_dict: Mapping[str, Any], caught_exception: Exception | None = None, **_: Any) -> None:
    """Give up at once where there is no such host: botocore would try again for half a minute."""
    if not isinstance(caught_exception, EndpointConnectionError):
        return
    codes = {cause.errno for cause in causes(caught_exception) if isinstance(cause, socket.gaierror)}
    if socket.EAI_NONAME not in codes:
        return
    host = urlsplit(str(request_dict["url"])).hostname or ""
    region = str(request_dict["context"]["client_region"])
    if f".{region}." in host and region not in _known_regions():
        raise ConfigurationError(
            f"There is no host {host}, and botocore knows no region {region}: correct region_name, of the connection "
            "or of [spot_runner], or AWS_DEFAULT_REGION"
        )
    caught_exception.args = (f"{caught_exception}: the worker's DNS knows no such host",)
    raise caught_exception


def _known_regions() -> set[str]:
    session = botocore.session.Session()
    partitions = session.get_available_partitions()
    return {region for each in partitions for region in session.get_available_regions("ec2", partition_name=each)}
