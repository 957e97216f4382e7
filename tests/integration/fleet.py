"""Many stale presets at once, and what must have become of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from spot_runner_provider import clock
from spot_runner_provider.embedded.control import ControlClient
from spot_runner_provider.embedded.demo.seed import (
    PARAMETER_PREFIX,
    ami_state,
    create_pipeline,
    preset_config,
    put_items,
)
from spot_runner_provider.embedded.imagebuilder.models import Ami
from tests.integration.deployment import OLD, Deployment

ACCOUNT = "123456789012"


@dataclass(frozen=True)
class Standing:
    """What a preset's record and parameter say."""

    status: str
    ami: str
    parameter: dict[str, Any]
    version: int


class Fleet:
    """Presets that have been ``building`` for an hour, and how their builds ended.

    :param builds: preset -> status of its only image
    """

    def __init__(self, aws: ControlClient, builds: Mapping[str, str]) -> None:
        self._deployment = Deployment(aws)
        self._builds = builds
        then = clock.now() - timedelta(hours=1)
        put_items(self._deployment.dynamodb, [ami_state(name, "building", then, ami=OLD) for name in builds])
        for name, status in builds.items():
            self._deployment.ssm.put_parameter(
                Name=PARAMETER_PREFIX + name, Value=json.dumps(preset_config(OLD)), Type="String"
            )
            pipeline = create_pipeline(self._deployment.image_builder, name)
            aws.add_image(pipeline, status=status, amis=[Ami(aws.region, new_ami(name), ACCOUNT)])

    def intents(self) -> list[dict[str, Any]]:
        return self._deployment.intents()

    def wrong(self) -> dict[str, tuple[Standing | None, Standing]]:
        """Return what stands and what should, where they differ: one new version where ``ami`` had to change."""
        standing = self._standing()
        right = {name: _right(name, status) for name, status in self._builds.items()}
        return {name: (standing.get(name), each) for name, each in right.items() if standing.get(name) != each}

    def _standing(self) -> dict[str, Standing]:
        records = {item["presetName"]: item for item in self._deployment.items() if item["recordType"] == "AMI"}
        pages = self._deployment.ssm.get_paginator("get_parameters_by_path").paginate(Path=PARAMETER_PREFIX)
        return {
            name: Standing(
                records[name]["status"],
                records[name]["amiId"],
                json.loads(parameter["Value"]),
                parameter["Version"],
            )
            for page in pages
            for parameter in page["Parameters"]
            for name in [parameter["Name"].removeprefix(PARAMETER_PREFIX)]
        }


def _right(preset: str, build: str) -> Standing:
    match build:
        case "AVAILABLE":
            return Standing("ready", new_ami(preset), preset_config(new_ami(preset)), 2)
        case "FAILED" | "CANCELLED":
            return Standing("failed", OLD, preset_config(OLD), 1)
    return Standing("building", OLD, preset_config(OLD), 1)


def new_ami(preset: str) -> str:
    """Return the AMI of the build of ``<...>-<number>``."""
    return f"ami-0{preset.rpartition('-')[2]}"
