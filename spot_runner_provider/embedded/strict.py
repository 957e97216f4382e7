"""Refuses what AWS refuses but moto accepts, so that wrong code fails here as it would on AWS."""

import io
import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from moto.dynamodb.models import dynamodb_backends
from moto.ssm.models import ssm_backends
from werkzeug.wrappers import Response

from spot_runner_provider.embedded.call import ApiCall, Handler
from spot_runner_provider.embedded.errors import error_reply

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

VALUE_LIMITS = {"Standard": 4096, "Advanced": 8192, "Intelligent-Tiering": 8192}
BATCH_LIMITS = {"dynamodb.BatchWriteItem": 25, "dynamodb.BatchGetItem": 100}
DEFAULT_KEY = "alias/aws/ssm"

ATTRIBUTE = re.compile(r"(?<![\w:.#])#?[A-Za-z_]\w*")
ASSIGNMENT = re.compile(r"(#?\w+)\s*=\s*(:\w+)")


class Refusal(Exception):
    """An error code and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


class Strict:
    """The layer that does AWS's own validation. It reads moto's state, so it belongs inside the lock.

    >>> strict = Strict(lambda call, environ: Response("written"), "123456789012")
    >>> requests = {"RequestItems": {"spot-runner-state": [{"DeleteRequest": {}}] * 26}}
    >>> strict(ApiCall("dynamodb.BatchWriteItem", requests, (), "us-east-1"), {}).status_code
    400
    """

    def __init__(self, inner: Handler, account: str) -> None:
        self._inner = inner
        self._account = account

    def __call__(self, call: ApiCall, environ: "WSGIEnvironment") -> Response:
        """Answer with AWS's error if there is one, otherwise pass the call on."""
        try:
            match call.operation:
                case "ssm.PutParameter":
                    self._put_parameter(call, environ)
                case "dynamodb.BatchWriteItem" | "dynamodb.BatchGetItem":
                    self._batch(call)
                case "dynamodb.PutItem":
                    self._index_keys(call, call.body["TableName"], call.body["Item"])
                case "dynamodb.UpdateItem":
                    self._index_keys(call, call.body["TableName"], dict(_assigned(call.body)))
                case "dynamodb.Query":
                    self._query(call)
        except Refusal as refusal:
            return error_reply(call, refusal.code, refusal.message)
        return self._inner(call, environ)

    def _put_parameter(self, call: ApiCall, environ: "WSGIEnvironment") -> None:
        body = call.body
        standing = ssm_backends[self._account][call.region].get_parameter(body["Name"])
        tier = body.get("Tier", "Standard")
        if standing is not None and standing.tier == "Advanced":
            if tier == "Standard":
                raise Refusal(
                    "ValidationException",
                    "This parameter uses the advanced-parameter tier. You can't downgrade a parameter"
                    " from the advanced-parameter tier to the standard-parameter tier.",
                )
            tier = "Advanced"
        if len(body["Value"].encode()) > VALUE_LIMITS[tier]:
            raise Refusal(
                "ValidationException",
                f"{tier} tier parameters support a maximum value of {VALUE_LIMITS[tier]} characters.",
            )
        if standing is None:
            return
        if body.get("Type", standing.parameter_type) != standing.parameter_type:
            raise Refusal(
                "HierarchyTypeMismatchException",
                "Parameter Store doesn't support changing a parameter's type"
                f" from {standing.parameter_type} to {body['Type']}.",
            )
        if standing.parameter_type == "SecureString" and "KeyId" not in body:
            # moto would keep the present key; AWS goes back to the default one.
            raw = json.dumps({**body, "KeyId": DEFAULT_KEY}).encode()
            environ["wsgi.input"] = io.BytesIO(raw)
            environ["CONTENT_LENGTH"] = str(len(raw))

    def _batch(self, call: ApiCall) -> None:
        requests = call.body["RequestItems"]
        count = sum(len(each["Keys"]) if isinstance(each, dict) else len(each) for each in requests.values())
        if count > BATCH_LIMITS[call.operation]:
            name = call.operation.partition(".")[2]
            raise Refusal("ValidationException", f"Too many items requested for the {name} call")
        for table, writes in requests.items():
            if isinstance(writes, list):
                for write in writes:
                    self._index_keys(call, table, write.get("PutRequest", {}).get("Item", {}))

    def _index_keys(self, call: ApiCall, table: str, item: Mapping[str, Mapping[str, Any]]) -> None:
        for index, attributes in self._indexes(call, table).items():
            for name, expected in attributes.items():
                actual = next(iter(item.get(name, {expected: None})))
                if actual != expected:
                    raise Refusal(
                        "ValidationException",
                        f"One or more parameter values were invalid: Type mismatch for Index Key {name}"
                        f" Expected: {expected} Actual: {actual} IndexName: {index}",
                    )

    def _query(self, call: ApiCall) -> None:
        body, index = call.body, call.body.get("IndexName")
        indexes = self._indexes(call, body["TableName"])
        if indexes and index not in indexes:
            raise Refusal("ValidationException", f"The table does not have the specified index: {index}")
        attributes = indexes.get(index, {})
        names = body.get("ExpressionAttributeNames", {})
        for word in ATTRIBUTE.findall(body.get("FilterExpression", "")):
            if (name := names.get(word, word)) in attributes:
                raise Refusal(
                    "ValidationException",
                    f"Filter Expression can only contain non-primary key attributes: Primary key attribute: {name}",
                )

    def _indexes(self, call: ApiCall, table: str) -> dict[str | None, dict[str, str]]:
        """Return the key attributes and their types, by the index's name; ``None`` stands for the table itself."""
        known = dynamodb_backends[self._account][call.region].tables.get(table)
        if known is None:
            return {}
        types = {each["AttributeName"]: each["AttributeType"] for each in known.attr}
        schemas = {None: known.schema} | {index.name: index.schema for index in known.global_indexes}
        return {
            index: {key["AttributeName"]: types[key["AttributeName"]] for key in schema}
            for index, schema in schemas.items()
        }


def _assigned(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    names, values = body.get("ExpressionAttributeNames", {}), body.get("ExpressionAttributeValues", {})
    for name, value in ASSIGNMENT.findall(body.get("UpdateExpression", "")):
        if value in values:
            yield names.get(name, name), values[value]
