"""A deployment on the embedded AWS, and Airflow tasks that run against it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, Asset, AssetAlias, BaseOperator
from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import BotoCoreError, ClientError

from spot_runner_provider import clock
from spot_runner_provider.embedded.control import ControlClient
from spot_runner_provider.embedded.demo.seed import (
    PARAMETER_PREFIX,
    TABLE,
    ami_state,
    create_pipeline,
    edit_parameter,
    preset_config,
    put_items,
    put_parameter,
    to_attributes,
)
from spot_runner_provider.embedded.imagebuilder.models import Ami, timestamp
from spot_runner_provider.embedded.server import EmbeddedAws
from spot_runner_provider.operators.detect_stale import DetectStaleOperator
from spot_runner_provider.operators.reconcile_preset import ReconcilePresetOperator

OLD, NEW, NEWER = "ami-0a1d", "ami-0e3f", "ami-0e4e3"
WRITES = (
    "dynamodb.UpdateItem",
    "dynamodb.PutItem",
    "dynamodb.DeleteItem",
    "dynamodb.BatchWriteItem",
    "ssm.PutParameter",
)

T = TypeVar("T")


class Deployment:
    """The state table, the parameters and the pipelines, as other programs and people see and change them."""

    def __init__(self, aws: EmbeddedAws | ControlClient) -> None:
        self.aws = aws
        self.dynamodb = aws.client("dynamodb", bystander=True)
        self.ssm = aws.client("ssm", bystander=True)
        self.image_builder = aws.client("imagebuilder", bystander=True)

    def preset(
        self,
        name: str,
        *,
        status: str = "building",
        minutes: float = 45,
        ami: str | None = OLD,
        config: Mapping[str, Any] | str | None = None,
        **item: Any,
    ) -> None:
        """Put a record that was last written so many minutes ago, and its parameter."""
        self.item(ami_state(name, status, clock.now() - timedelta(minutes=minutes), ami=ami, **item))
        put_parameter(self.ssm, name, preset_config(ami or "pending") if config is None else config)

    def item(self, item: Mapping[str, Any]) -> None:
        put_items(self.dynamodb, [item])

    def items_at_once(self, items: Iterable[Mapping[str, Any]]) -> None:
        put_items(self.dynamodb, items)

    def image(
        self,
        preset: str,
        status: str,
        ami: str | Sequence[Ami] | None = NEW,
        *,
        minutes: float = 20,
        pipeline: str | None = None,
        platform: str = "Linux",
        **image: Any,
    ) -> str:
        """Add an image, created so many minutes ago, to the preset's pipeline, which is created if need be.

        :param platform: of a ``pipeline`` that is named and created.
        """
        name = pipeline or f"spot-runner-{preset}"
        backend = self.aws.image_builder
        if name not in {each.name for each in backend.list_pipelines([], 100, None)[0]}:
            if pipeline:
                backend.create_pipeline(pipeline, platform=platform)
            else:
                create_pipeline(self.image_builder, preset)
        amis = [Ami(self.aws.region, ami, self.aws.account)] if isinstance(ami, str) else ami or []
        created = timestamp(clock.now() - timedelta(minutes=minutes))
        return backend.add_image(
            f"arn:aws:imagebuilder:{self.aws.region}:{self.aws.account}:image-pipeline/{name.lower()}",
            status=status,
            date_created=created,
            amis=amis,
            **image,
        ).arn

    def stale(self, name: str, ami: str = NEW, **preset: Any) -> str:
        """Put a preset whose build ended well and whose event got lost; return the image's ARN."""
        self.preset(name, **preset)
        return self.image(name, "AVAILABLE", ami)

    def record(self, name: str) -> dict[str, Any]:
        item = self.dynamodb.get_item(TableName=TABLE, Key=to_attributes({"jobId": f"AMI#{name}"}))["Item"]
        return _plain(item)

    def items(self) -> list[dict[str, Any]]:
        """Return every item of the table."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=TABLE)
        return [_plain(item) for page in pages for item in page["Items"]]

    def intents(self) -> list[dict[str, Any]]:
        return [item for item in self.items() if item.get("recordType") == "AMI-INTENT"]

    def parameter(self, name: str) -> dict[str, Any]:
        return json.loads(self.parameter_text(name))

    def parameter_text(self, name: str) -> str:
        return self._parameter(name)["Value"]

    def version(self, name: str) -> int:
        return self._parameter(name)["Version"]

    def edit(self, name: str, **changes: Any) -> None:
        """Read the parameter, change some keys, put it back, as a person does."""
        edit_parameter(self.ssm, name, **changes)

    def event_arrives(self, name: str, *, ami: str | None = NEWER, status: str = "ready") -> None:
        """Do what the deployed event handler does when a build has finished."""
        now = datetime.now(UTC)
        kept = self.record(name).get("amiId") if status == "failed" else ami
        self.dynamodb.put_item(
            TableName=TABLE,
            Item=to_attributes(ami_state(name, status, now, ami=kept, build="arn:of-the-event")),
            ConditionExpression="updatedAt < :now",
            ExpressionAttributeValues=to_attributes({":now": timestamp(now)}),
        )
        if status == "ready":
            edit_parameter(self.ssm, name, ami=ami)

    def writes(self) -> list[str]:
        """Return the operations of the provider's writes so far."""
        return [call.operation for call in self.aws.call_log() if call.operation in WRITES]

    def _parameter(self, name: str) -> dict[str, Any]:
        return self.ssm.get_parameter(Name=PARAMETER_PREFIX + name, WithDecryption=True)["Parameter"]


class WorkerDied(BaseException):
    """The process is gone: nothing of it handles this."""


@dataclass
class Outlets:
    """Stands in for Airflow's accessors: whatever the alias, an event is its asset's URI and its extra."""

    events: list[tuple[str, dict[str, Any]]]

    def __getitem__(self, alias: AssetAlias) -> Outlets:
        assert isinstance(alias, AssetAlias)
        return self

    def add(self, asset: Asset, extra: dict[str, Any]) -> None:
        self.events.append((asset.uri, extra))


@dataclass
class TaskInstance:
    """What an operator sees of its task instance."""

    run_id: str = "manual__1"
    try_number: int = 1
    dag_id: str = "spot_runner_reconcile"
    task_id: str = "reconcile_preset"
    map_index: int = 0
    pushed: dict[str, Any] = field(default_factory=dict)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def context(self) -> dict[str, Any]:
        return {"ti": self, "outlet_events": Outlets(self.events)}

    def xcom_push(self, key: str, value: Any) -> None:
        # What is pushed must survive JSON: XCom takes nothing else.
        self.pushed[key] = json.loads(json.dumps(value))

    def xcom_pull(self, *, key: str) -> Any:
        return self.pushed.get(key)


def detect(ti: TaskInstance | None = None, **arguments: Any) -> tuple[list[list[dict[str, Any]]], dict[str, Any]]:
    """Run the detecting task; return its batches and the XCom ``states``."""
    ti = ti or TaskInstance()
    operator = DetectStaleOperator(task_id="detect_stale", **{"table_name": TABLE} | arguments)
    batches = _execute(operator, ti)
    return json.loads(json.dumps(batches)), ti.pushed["states"]


def reconcile(presets: Any, ti: TaskInstance | None = None, **arguments: Any) -> dict[str, dict[str, Any]]:
    """Run a reconciling task; return its results by preset."""
    operator = ReconcilePresetOperator(task_id="reconcile_preset", presets=presets, **{"table_name": TABLE} | arguments)
    results = _execute(operator, ti or TaskInstance())
    return {result["presetName"]: result for result in json.loads(json.dumps(results))}


def _execute(operator: BaseOperator, ti: TaskInstance) -> Any:
    """Call ``execute`` itself: Airflow 2.11 wraps it in a check that works in one thread only."""
    return inspect.unwrap(type(operator).execute)(operator, ti.context)


def run(run_id: str = "scheduled__1", **arguments: Any) -> dict[str, dict[str, Any]]:
    """Detect and reconcile, as one run of the DAG does; return the results by preset."""
    batches, _ = detect(TaskInstance(run_id))
    results: dict[str, dict[str, Any]] = {}
    for batch in batches:
        results |= reconcile(batch, TaskInstance(run_id), **arguments)
    return results


def run_at_once(
    run_id: str = "scheduled__1", *, retries: int = 0, **aws: Any
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Detect, then reconcile all batches at the same time, as the DAG does.

    :param retries: how often a task is tried again; what it raises for good is not raised here
    :param aws: arguments that both operators take
    :return: the results by preset, and why tries failed
    """
    failures: list[str] = []

    def tried(task: Callable[[TaskInstance], T], map_index: int) -> T | None:
        for number in range(1, retries + 2):
            try:
                return task(TaskInstance(run_id, number, map_index=map_index))
            except AirflowFailException:
                raise
            except (AirflowException, BotoCoreError, ClientError) as error:
                failures.append(str(error))
        return None

    found = tried(lambda ti: detect(ti, **aws), -1)
    batches, _ = found or ([], {})
    with ThreadPoolExecutor(len(batches) or 1) as pool:
        done = pool.map(
            lambda index: tried(lambda ti: reconcile(batches[index], ti, **aws), index), range(len(batches))
        )
        return {name: result for results in done for name, result in (results or {}).items()}, failures


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    deserialize = TypeDeserializer().deserialize
    return {name: deserialize(value) for name, value in item.items()}
