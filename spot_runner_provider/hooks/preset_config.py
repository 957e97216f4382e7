"""The presets' parameters in the SSM Parameter Store."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from airflow.providers.amazon.aws.hooks.ssm import SsmHook
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from spot_runner_provider import DEFAULTS, clock
from spot_runner_provider.hooks.calls import ConfiguredHook, chunks, repeat_what_passes, withheld
from spot_runner_provider.hooks.cancellation import Cancellation
from spot_runner_provider.hooks.errors import (
    ErrorKind,
    code_of,
    is_of_credentials,
    is_refused_for_now,
    kind_of,
    may_quote,
)
from spot_runner_provider.protocol.calls import AmbiguousPut, Busy, ResourceRefused, Throttled
from spot_runner_provider.records.parameter import ConfigVersion, parameter_name

NAMES_LIMIT = 10
"""Names that one GetParameters accepts."""

CONTENTION = "TooManyUpdates"
"""Code with which SSM refuses a call because it is updating the same parameter for somebody else."""


class PresetConfigHook(ConfiguredHook, SsmHook):
    """Read and update the parameters ``<prefix>/<preset>``.

    A put is sent exactly once: a hidden repetition would look like somebody else's version, and what is put must be
    based on a version that was read just before.

    :param prefix: the path above the parameters, such as ``/spot-runner/configs``.
    :param kwargs: ``aws_conn_id``, ``region_name``, ``verify``, ``config``, as every Amazon hook takes them.

    Every method raises :class:`~spot_runner_provider.protocol.calls.ConfigurationError` for errors that only a person
    can fix, and botocore's errors for all others.

    >>> hook = PresetConfigHook(prefix="/spot-runner/configs")
    >>> hook.name_of("linux-x64")
    '/spot-runner/configs/linux-x64'
    >>> config = hook.read(["linux-x64"])["linux-x64"]
    >>> hook.put("linux-x64", config, config.text.replace("ami-0a1d", "ami-0e3f"))
    2
    >>> [version.parse()["ami"] for version in hook.history("linux-x64")]
    ['ami-0a1d', 'ami-0e3f']
    """

    def __init__(self, *, prefix: str = DEFAULTS["config_prefix"], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.prefix = prefix

    def get_client_type(self, *args: Any, **kwargs: Any) -> Any:
        """Return a client that waits when SSM throttles."""
        client = super().get_client_type(*args, **kwargs)
        repeat_what_passes(client)
        return client

    def connect(self, cancellation: Cancellation | None = None) -> str:
        """Create both clients now, in this thread, and return their region."""
        region = super().connect(cancellation)
        put_client = self._put_client
        if cancellation:
            cancellation.stops(put_client)
        return region

    @cached_property
    def _put_client(self) -> Any:
        """A client that repeats no call."""
        once = self.config.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))
        return super().get_client_type(region_name=self.region_name, config=once)

    def name_of(self, preset_name: str) -> str:
        """Return the name of a preset's parameter."""
        return parameter_name(self.prefix, preset_name)

    def read(self, preset_names: Sequence[str]) -> dict[str, ConfigVersion | None]:
        """Return each preset's newest version, ``None`` where there is no parameter; a SecureString is described."""
        return {
            preset: self.describe(preset, config) if config and config.secure else config
            for preset, config in self.newest(preset_names).items()
        }

    def newest(self, preset_names: Sequence[str]) -> dict[str, ConfigVersion | None]:
        """Return each preset's newest version, ``None`` where there is no parameter."""
        by_name = {self.name_of(preset): preset for preset in preset_names}
        found: dict[str, ConfigVersion | None] = dict.fromkeys(preset_names)
        for names in chunks(list(by_name), NAMES_LIMIT):
            with self.explained(f"parameters {', '.join(names)}"):
                answer = self.conn.get_parameters(Names=list(names), WithDecryption=True)
            for parameter in answer["Parameters"]:
                found[by_name[parameter["Name"]]] = _version(parameter)
        return found

    def describe(self, preset_name: str, config: ConfigVersion) -> ConfigVersion:
        """Return ``config`` with the parameter's tier and key, which reading it does not return.

        :raises ResourceRefused: if DescribeParameters does not list the parameter.

        >>> hook = PresetConfigHook()
        >>> config = hook.newest(["linux-x64"])["linux-x64"]
        >>> config.tier, hook.describe("linux-x64", config).tier
        (None, 'Standard')
        """
        name = self.name_of(preset_name)
        with self.explained(f"parameter {name}"):
            for page in self.conn.get_paginator("describe_parameters").paginate(
                ParameterFilters=[{"Key": "Name", "Option": "Equals", "Values": [name]}]
            ):
                for described in page["Parameters"]:
                    return replace(config, tier=described.get("Tier"), key_id=described.get("KeyId"))
        raise ResourceRefused(
            f"DescribeParameters does not list parameter {name}, whose tier and key are needed: "
            "allow ssm:DescribeParameters on it, or create it if it was deleted"
        )

    def history(self, preset_name: str) -> list[ConfigVersion]:
        """Return the versions that SSM still has (the last 100), oldest first; none if the parameter is gone."""
        name = self.name_of(preset_name)
        versions: dict[int, ConfigVersion] = {}
        try:
            with self.explained(f"parameter {name}"):
                for page in self.conn.get_paginator("get_parameter_history").paginate(Name=name, WithDecryption=True):
                    for parameter in page["Parameters"]:
                        versions[parameter["Version"]] = _version(parameter)
        except ClientError as error:
            if code_of(error) != "ParameterNotFound":
                raise
        return [versions[number] for number in sorted(versions)]

    def put(self, preset_name: str, config: ConfigVersion, text: str) -> int:
        """Make ``text`` the newest version and return its number; type, key and tier stay those of ``config``.

        :raises Throttled: if SSM refuses it for now.
        :raises Busy: after a short wait, if SSM is updating the parameter for somebody else.
        :raises AmbiguousPut: after a short wait, if the reply was lost, so that the put may have been applied.

        >>> from spot_runner_provider.embedded.faults import Fault
        >>> aws.add_fault(Fault("ssm.PutParameter", "lost_reply"))
        >>> PresetConfigHook().put("linux-x64", ConfigVersion(1, '{"ami": "ami-0a1d"}'), '{"ami": "ami-0e3f"}')
        Traceback (most recent call last):
            ...
        spot_runner_provider.protocol.calls.AmbiguousPut: no answer to the put of parameter /spot-runner/configs/...
        """
        name = self.name_of(preset_name)
        try:
            with self.explained(f"parameter {name}"):
                try:
                    return self._put(name, config, text)
                except ClientError as error:
                    if config.tier or code_of(error) != "ValidationException" or is_of_credentials(error):
                        raise
                    described = self.describe(preset_name, config)
                    if described.tier in (None, "Standard"):
                        raise
                    return self._put(name, described, text)
        except (BotoCoreError, ClientError, ResponseParserError) as error:
            if isinstance(error, ClientError) and code_of(error) == CONTENTION:
                time.sleep(clock.backoff(0))
                raise Busy(f"SSM is updating parameter {name} for somebody else") from error
            if isinstance(error, ClientError) and is_refused_for_now(error):
                raise Throttled(f"SSM accepts no put of parameter {name} for now") from error
            if kind_of(error) is ErrorKind.AMBIGUOUS:
                time.sleep(clock.backoff(0))
                raise AmbiguousPut(f"no answer to the put of parameter {name}: {error}") from error
            raise

    def _put(self, name: str, config: ConfigVersion, text: str) -> int:
        # Without a tier, SSM uses the account's default, which may cost money and cannot be undone.
        kept = {"Tier": config.tier or "Standard"} | ({"KeyId": config.key_id} if config.secure else {})
        try:
            answer = self._put_client.put_parameter(Name=name, Value=text, Overwrite=True, **kept)
        except ClientError as error:
            if not config.secure or not may_quote(error):
                raise
            raise withheld(error) from None
        return int(answer["Version"])


def _version(parameter: Mapping[str, Any]) -> ConfigVersion:
    """Read a ``Parameter`` or a ``ParameterHistory`` of the SSM API."""
    return ConfigVersion(
        version=parameter["Version"],
        text=parameter["Value"],
        secure=parameter["Type"] == "SecureString",
        key_id=parameter.get("KeyId"),
        tier=parameter.get("Tier"),
        modified=parameter.get("LastModifiedDate"),
    )
