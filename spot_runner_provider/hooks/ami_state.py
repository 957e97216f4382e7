"""AMI states and intents in DynamoDB."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from airflow.providers.amazon.aws.hooks.dynamodb import DynamoDBHook
from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError

from spot_runner_provider import clock
from spot_runner_provider.hooks.calls import ATTEMPTS, ConfiguredHook, chunks, repeat_what_passes
from spot_runner_provider.hooks.errors import code_of, is_of_credentials, words_of
from spot_runner_provider.protocol.calls import Committed, ConfigurationError, Lost
from spot_runner_provider.records import ami_state, intent, projection
from spot_runner_provider.records.ami_state import AmiState, MalformedRecord, is_ami_state, job_id
from spot_runner_provider.records.intent import Intent

INDEX_NAME = "recordType-index"
"""The usual name of the table's index on ``recordType`` and ``updatedAt``."""

READ_LIMIT = 100
"""Keys that one BatchGetItem accepts."""

WRITE_LIMIT = 25
"""Items that one BatchWriteItem accepts."""


class AmiStateHook(ConfiguredHook, DynamoDBHook):
    """Read and write the AMI states of one table, and the intents beside them.

    Runner jobs are in the same table. So nothing here scans it, and only the keys ``AMI#...`` and ``AMI-INTENT#...``
    are ever read or written.

    :param table_name: the table.
    :param index_name: the index on ``recordType`` and ``updatedAt``, which projects ``ALL``; only needed for listing.
    :param kwargs: ``aws_conn_id``, ``region_name``, ``verify``, ``config``, as every Amazon hook takes them.

    Every method raises :class:`~spot_runner_provider.protocol.calls.ConfigurationError` for errors that only a person
    can fix, and botocore's errors for all others.

    >>> hook = AmiStateHook(table_name="spot-runner-state")
    >>> sorted(item["presetName"] for item in hook.list_states())
    ['linux-arm64', 'linux-x64', 'windows-2022']
    >>> hook.read_items(["linux-riscv64"]), hook.read_states(["windows-2022"])["windows-2022"].usable_ami
    ({'linux-riscv64': None}, 'ami-0a1d')
    >>> list(AmiStateHook(table_name="nowhere").list_states())
    Traceback (most recent call last):
        ...
    spot_runner_provider.protocol.calls.ConfigurationError: No DynamoDB table 'nowhere' in region us-east-1: correct
    [spot_runner] table_name, or the region, or the account that the connection leads to
    """

    def __init__(self, *, table_name: str, index_name: str = INDEX_NAME, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table_name: str = table_name
        self.index_name = index_name

    def get_resource_type(self, *args: Any, **kwargs: Any) -> Any:
        """Return a resource whose client waits while others write the same items, or while DynamoDB throttles."""
        resource: Any = super().get_resource_type(*args, **kwargs)
        repeat_what_passes(resource.meta.client)
        return resource

    @property
    def _api(self) -> Any:
        """The client, typed so that mypy allows its methods; it takes and returns plain values."""
        return self.client

    def list_states(self) -> Iterator[dict[str, Any]]:
        """Yield the item of every AMI state that the index lists. The index may lag behind, so these are only hints.

        :raises ConfigurationError: also, after the last item, if the index leaves out needed attributes.
        """
        return self._list(ami_state.RECORD_TYPE)

    def list_intents(self) -> Iterator[dict[str, Any]]:
        """Yield the item of every intent that the index lists.

        :raises ConfigurationError: also, after the last item, if the index leaves out needed attributes.
        """
        return self._list(intent.RECORD_TYPE)

    def read_items(self, preset_names: Sequence[str]) -> dict[str, dict[str, Any] | None]:
        """Return each preset's item as it is now (a consistent read), ``None`` where there is none.

        :raises TimeoutError: if DynamoDB repeatedly leaves part of the keys unread.
        """
        found = self._read([job_id(name) for name in preset_names])
        return {name: found.get(job_id(name)) for name in preset_names}

    def read_states(self, preset_names: Sequence[str]) -> dict[str, AmiState | MalformedRecord | None]:
        """Return each preset's record as it is now; ``None`` if there is none, the error if it is malformed."""
        items = self.read_items(preset_names)
        return {name: None if item is None else _state(item) for name, item in items.items()}

    def commit(self, seen: AmiState, corrected: AmiState) -> Committed | Lost:
        """Write ``corrected`` in one conditional update, if the record is still building since the same moment.

        :return: whether the condition held; if not, with the present record, which takes no further read.
        :raises ClientError: also for an error that only a person can fix, if an earlier attempt may have been applied.
            Such an error must not count as a refusal.

        >>> hook = AmiStateHook(table_name="spot-runner-state")
        >>> seen = hook.read_states(["linux-x64"])["linux-x64"]
        >>> image = "arn:aws:imagebuilder:us-east-1:123456789012:image/spotrunnerstack-linux-x64/1.0.0/1"
        >>> ready = seen.now_ready("ami-0e3f", build_id=image, at=seen.updated, by="spot_runner_reconcile/manual__1")
        >>> hook.commit(seen, ready)
        Committed()
        >>> hook.commit(seen, ready)  # the record has changed since it was seen
        Lost(present=AmiState(preset_name='linux-x64', status=<Status.READY: 'ready'>, ...))
        """
        values = {
            "status": corrected.status.value,
            "updatedAt": corrected.updated_at,
            "buildId": corrected.build_id,
            "reconciledBy": corrected.reconciled_by,
        }
        if corrected.ami_id != seen.ami_id:
            values["amiId"] = corrected.ami_id
        if corrected.error_message:
            values["errorMessage"] = corrected.error_message
        sets = ", ".join(f"#{name} = :{name}" for name in values)
        remove = "" if corrected.error_message else " REMOVE #errorMessage"
        try:
            with self._explained():
                self._api.update_item(
                    TableName=self.table_name,
                    Key={"jobId": job_id(seen.preset_name)},
                    UpdateExpression=f"SET {sets}{remove}",
                    ConditionExpression="#status = :building AND #updatedAt = :seen",
                    ExpressionAttributeNames={f"#{name}": name for name in (*values, "errorMessage")},
                    ExpressionAttributeValues={f":{name}": value for name, value in values.items()}
                    | {":building": ami_state.Status.BUILDING.value, ":seen": seen.updated_at},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ConfigurationError as error:
            cause = error.__cause__
            if isinstance(cause, ClientError) and not cause.response["ResponseMetadata"].get("RetryAttempts"):
                raise
            raise cause or error from None  # no refusal, because an earlier attempt may have been applied
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise
            item: Any = error.response.get("Item") or {}
            present = _state(_plain(item))
            return Lost(present if isinstance(present, AmiState) else None)
        return Committed()

    def log_intents(self, intents: Sequence[Intent]) -> None:
        """Put each intent. When this returns, all of them are written.

        :raises TimeoutError: if DynamoDB repeatedly leaves part of them unwritten.

        >>> hook = AmiStateHook(table_name="spot-runner-state")
        >>> intent = Intent("AMI-INTENT#linux-x64#dag/run/1", "linux-x64", "2026-02-11T16:00:00.000Z", param_version=1)
        >>> hook.log_intents([intent])
        >>> [item["jobId"] for item in hook.list_intents()]
        ['AMI-INTENT#linux-x64#dag/run/1']
        >>> hook.forget_intents([intent.job_id])
        """
        self._write([{"PutRequest": {"Item": intent.to_item()}} for intent in intents])

    def forget_intents(self, job_ids: Sequence[str]) -> None:
        """Delete the intents with these keys. When this returns, all of them are gone.

        :raises TimeoutError: if DynamoDB repeatedly leaves part of them undeleted.
        """
        self._write([{"DeleteRequest": {"Key": {"jobId": key}}} for key in job_ids])

    def _list(self, record_type: str) -> Iterator[dict[str, Any]]:
        """Yield each item of a type; then raise an error if the index leaves out needed attributes."""
        names: set[str] = set()
        newest: deque[dict[str, Any]] = deque(maxlen=READ_LIMIT)
        for item in self._query(record_type):
            names |= item.keys()
            newest.append(item)
            yield item
        if newest and projection.is_suspicious(record_type, names):
            self._check_projection(record_type, newest)

    def _check_projection(self, record_type: str, listed: Iterable[dict[str, Any]]) -> None:
        """Compare items of the index with the table's.

        The usual permissions allow reading records by key, but not intents. So records are compared where intents
        cannot be.
        """
        try:
            left_out = self._left_out(listed)
        except ConfigurationError:
            if record_type == ami_state.RECORD_TYPE:
                raise
            left_out = set()
        if record_type != ami_state.RECORD_TYPE and not left_out:
            left_out = self._left_out(deque(self._query(ami_state.RECORD_TYPE), maxlen=READ_LIMIT))
        if left_out:
            raise ConfigurationError(
                f"Index {self.index_name!r} of table {self.table_name!r} leaves out {', '.join(sorted(left_out))}: "
                "it must project ALL. A projection cannot be changed, so recreate the index, keyed by recordType "
                "and updatedAt. The records may well be sound; nothing was done"
            )

    def _left_out(self, listed: Iterable[dict[str, Any]]) -> set[str]:
        ours = [item for item in listed if is_ami_state(item["jobId"]) or intent.is_intent(item["jobId"])]
        return projection.left_out(ours, self._read([item["jobId"] for item in ours]))

    def _read(self, job_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the items with these keys as they are now (a consistent read), by key."""
        found: dict[str, dict[str, Any]] = {}
        for keys in chunks([{"jobId": key} for key in dict.fromkeys(job_ids)], READ_LIMIT):
            request = {self.table_name: {"Keys": list(keys), "ConsistentRead": True}}
            for answer in self._until_processed(
                lambda request: self._api.batch_get_item(RequestItems=request), request, "UnprocessedKeys"
            ):
                found |= {item["jobId"]: item for item in answer["Responses"].get(self.table_name, ())}
        return found

    def _query(self, record_type: str) -> Iterator[dict[str, Any]]:
        with self._explained(f", index {self.index_name}"):
            for page in self._api.get_paginator("query").paginate(
                TableName=self.table_name,
                IndexName=self.index_name,
                KeyConditionExpression="recordType = :type",
                ExpressionAttributeValues={":type": record_type},
            ):
                yield from page["Items"]

    def _write(self, requests: Sequence[dict[str, Any]]) -> None:
        for some in chunks(requests, WRITE_LIMIT):
            for _ in self._until_processed(
                lambda request: self._api.batch_write_item(RequestItems=request),
                {self.table_name: list(some)},
                "UnprocessedItems",
            ):
                pass

    def _until_processed(
        self, call: Callable[[dict[str, Any]], dict[str, Any]], request: dict[str, Any], left: str
    ) -> Iterator[dict[str, Any]]:
        """Repeat a batch call for the part that DynamoDB left unprocessed, and yield each response."""
        for attempt in range(1, ATTEMPTS + 1):
            with self._explained():
                answer = call(request)
            yield answer
            request = answer.get(left) or {}
            if not request:
                return
            time.sleep(clock.backoff(attempt))
        raise TimeoutError(f"DynamoDB left part of a batch on table {self.table_name} unprocessed {ATTEMPTS} times")

    @contextmanager
    def _explained(self, part: str = "") -> Iterator[None]:
        """Name the table in errors, and ``part``, such as the index, where it matters."""
        with self.explained(f"table {self.table_name}{part}"):
            try:
                yield
            except ClientError as error:
                if is_of_credentials(error):
                    raise
                code, message = code_of(error), words_of(error)
                if code == "ResourceNotFoundException":
                    raise ConfigurationError(
                        f"No DynamoDB table {self.table_name!r} in region {self.client.meta.region_name}: "
                        "correct [spot_runner] table_name, or the region, or the account that the connection leads to"
                    ) from error
                if code == "ValidationException" and "specified index" in message:
                    raise ConfigurationError(
                        f"Table {self.table_name!r} has no index {self.index_name!r}: correct index_name, "
                        "or create the index, keyed by recordType and updatedAt, which projects ALL"
                    ) from error
                if code == "ValidationException" and "key schema" in message:
                    raise ConfigurationError(
                        f"Index {self.index_name!r} of table {self.table_name!r} is not keyed by recordType: correct "
                        "index_name, or create the index, keyed by recordType and updatedAt, which projects ALL"
                    ) from error
                if code == "ValidationException" and "does not match the schema" in message:
                    raise ConfigurationError(
                        f"The key of table {self.table_name!r} is not jobId alone: correct table_name, or the region"
                    ) from error
                raise


def _state(item: Mapping[str, Any]) -> AmiState | MalformedRecord:
    try:
        return AmiState.from_item(item)
    except MalformedRecord as error:
        return error


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item from an error as plain values; boto3 leaves it in DynamoDB's own notation."""
    deserialize = TypeDeserializer().deserialize
    return {name: deserialize(value) for name, value in item.items()}
