"""An embedded AWS in its own process, with a fleet of any size."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection

from moto.dynamodb.models import dynamodb_backends
from moto.ssm.models import ssm_backends

from benchmarks.processes import FORKS
from spot_runner_provider.embedded.control import ControlClient
from spot_runner_provider.embedded.demo.seed import (
    PARAMETER_PREFIX,
    PIPELINE_PREFIX,
    TABLE,
    ami_state,
    create_table,
    preset_config,
    runner_job,
    to_attributes,
)
from spot_runner_provider.embedded.imagebuilder.models import Ami
from spot_runner_provider.embedded.server import EmbeddedAws

OLD, NEW = "ami-0old", "ami-0new"
BUILDS = ("AVAILABLE", "FAILED", "BUILDING")


def seed(aws: EmbeddedAws, fleet: dict[str, int]) -> None:
    """Put presets directly into the stores, because HTTP would take minutes.

    :param fleet: the number of stale presets by the state of their build, of ``ready`` ones, and of runner ``jobs``
    """
    now = datetime.now(UTC)
    create_table(aws.client("dynamodb"))
    table = dynamodb_backends[aws.account][aws.region].get_table(TABLE)
    for number in range(fleet.get("jobs", 0)):
        table.put_item(to_attributes(runner_job(number, "running", now)))
    for kind, count in fleet.items():
        if kind == "jobs":
            continue
        for number in range(count):
            name = f"linux-{kind.lower()}-{number:05}"
            status = "building" if kind in BUILDS else kind
            table.put_item(to_attributes(ami_state(name, status, now - timedelta(hours=1), ami=OLD)))
            if kind in BUILDS:
                _add_preset(aws, name, kind)


def _add_preset(aws: EmbeddedAws, name: str, build: str) -> None:
    ssm_backends[aws.account][aws.region].put_parameter(
        name=PARAMETER_PREFIX + name,
        description="",
        value=json.dumps(preset_config(OLD)),
        parameter_type="String",
        allowed_pattern="",
        keyid="",
        overwrite=False,
        tags=[],
        data_type="text",
        tier="Standard",
        policies=None,
    )
    pipeline = aws.image_builder.create_pipeline(PIPELINE_PREFIX + name)
    amis = [Ami(aws.region, NEW, aws.account)] if build == "AVAILABLE" else []
    reason = "Build timed out" if build == "FAILED" else None
    aws.image_builder.add_image(pipeline.arn, status=build, amis=amis, reason=reason)


@contextmanager
def running(**fleet: int) -> Iterator[ControlClient]:
    """Start one with this fleet, and stop it."""
    ours, its = FORKS.Pipe()
    process = FORKS.Process(target=_serve, args=(its, fleet), daemon=True)
    process.start()
    its.close()
    try:
        yield ControlClient(ours.recv())
    finally:
        ours.close()
        process.join()


def _serve(connection: Connection, fleet: dict[str, int]) -> None:
    """Send the address, and serve until the other end is closed."""
    gc.disable()  # it would look through the fleet again and again, and find nothing
    with EmbeddedAws() as aws:
        seed(aws, fleet)
        aws.reset_calls()
        gc.freeze()
        gc.enable()
        with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
            connection.send(aws.endpoint_url)
            connection.recv()
