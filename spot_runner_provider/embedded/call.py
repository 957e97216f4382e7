"""One AWS call as the layers see it: which operation, with what body, about which records."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

BYSTANDER_HEADER = "X-Embedded-Bystander"


@dataclass(frozen=True)
class ApiCall:
    """An AWS call and, once it was answered, the HTTP status of the answer.

    :param operation: such as ``dynamodb.Query``
    :param keys: what it is about: ``jobId`` values and the values of a query (dynamodb), parameter names
        without a version (ssm), names and the last part of ARNs (imagebuilder: a pipeline's lower-cased name)
    :param region: as in the signature
    :param bystander: made by somebody else than the code under test: neither counted nor disturbed
    :param status: None until there is an answer; it stays None if the connection was closed instead
    :param scanned_count: the items that a dynamodb Query or Scan read
    :param size: bytes of the answer

    >>> put = ApiCall("ssm.PutParameter", {}, ("/spot-runner/configs/linux-x64",), "us-east-1")
    >>> put.service, put.matches("ssm.*"), put.matches("*.PutParameter", "*/windows-*")
    ('ssm', True, False)
    """

    operation: str
    body: dict[str, Any]
    keys: tuple[str, ...]
    region: str
    bystander: bool = False
    status: int | None = None
    scanned_count: int | None = None
    size: int | None = None

    @property
    def service(self) -> str:
        """The service's name, such as ``ssm``."""
        return self.operation.partition(".")[0]

    def matches(self, operation: str, key: str | None = None) -> bool:
        """Return whether the call fits two :mod:`fnmatch` patterns; without ``key`` all keys fit."""
        return fnmatchcase(self.operation, operation) and (
            key is None or any(fnmatchcase(mine, key) for mine in self.keys)
        )


class ConnectionDropped(Exception):
    """The connection is to be closed without an answer."""


Handler = Callable[[ApiCall, "WSGIEnvironment"], Response]
"""The type of a layer, and of what it wraps. Raises :class:`ConnectionDropped` to give no answer."""


def read_call(environ: "WSGIEnvironment") -> ApiCall:
    """Read the AWS call from a request whose ``wsgi.input`` can be rewound.

    >>> from werkzeug.test import EnvironBuilder
    >>> signature = "AWS4-HMAC-SHA256 Credential=testing/20260211/us-east-1/ssm/aws4_request, ..."
    >>> headers = {"X-Amz-Target": "AmazonSSM.GetParameter", "Authorization": signature}
    >>> request = EnvironBuilder(headers=headers, data=b'{"Name": "/spot-runner/configs/linux-x64:3"}')
    >>> call = read_call(request.get_environ())
    >>> call.operation, call.keys, call.region
    ('ssm.GetParameter', ('/spot-runner/configs/linux-x64',), 'us-east-1')
    """
    request = Request(environ)
    raw = environ["wsgi.input"].read()
    environ["wsgi.input"].seek(0)
    scope = request.headers.get("Authorization", "").partition("Credential=")[2].partition(",")[0].split("/")
    region, service = scope[2:4] if len(scope) == 5 else ("", "unsigned")
    if target := request.headers.get("X-Amz-Target"):
        operation, body = target.rpartition(".")[2], _json_object(raw)
    elif request.mimetype == "application/x-www-form-urlencoded":
        body = dict(parse_qsl(raw.decode()))
        operation = body.get("Action", "")
    else:
        operation, body = request.path.strip("/"), _json_object(raw) or request.args.to_dict()
    return ApiCall(
        operation=f"{service}.{operation}",
        body=body,
        keys=tuple(dict.fromkeys(_keys(service, body))),
        region=region,
        bystander=BYSTANDER_HEADER in request.headers,
    )


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _keys(service: str, body: dict[str, Any]) -> Iterator[str]:
    match service:
        case "dynamodb":
            yield from _job_ids(body)
            if "KeyConditionExpression" in body:
                yield from (v["S"] for v in body.get("ExpressionAttributeValues", {}).values() if "S" in v)
        case "ssm":
            yield from (name.partition(":")[0] for name in [body.get("Name"), *body.get("Names", [])] if name)
            yield from (value for one in body.get("ParameterFilters", []) for value in one.get("Values", []))
        case "imagebuilder":
            yield from (value for one in body.get("filters", []) for value in one.get("values", []))
            given = (body[name] for name in ("name", "imagePipelineArn", "imageBuildVersionArn") if name in body)
            yield from (name.rpartition(":")[2].partition("/")[2] or name for name in given)


def _job_ids(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        job_id = value.get("jobId")
        if isinstance(job_id, dict) and isinstance(job_id.get("S"), str):
            yield job_id["S"]
        for member in value.values():
            yield from _job_ids(member)
    elif isinstance(value, list):
        for member in value:
            yield from _job_ids(member)
