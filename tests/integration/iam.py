"""``docs/iam-policy.json``: enforced by moto, which ignores its conditions, and evaluated, conditions included."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.core.authorization import ActionAuthenticatorMixin, enable_iam_authentication
from moto.core.exceptions import AccessDeniedError, JsonRESTError

from spot_runner_provider.embedded.__main__ import airflow_connection
from spot_runner_provider.embedded.call import BYSTANDER_HEADER
from spot_runner_provider.embedded.demo.seed import TABLE
from spot_runner_provider.embedded.server import EmbeddedAws

REGION, ACCOUNT = "us-east-1", EmbeddedAws.account
POLICY = Path(__file__).parents[2] / "docs" / "iam-policy.json"
FORBIDDEN = {"imagebuilder": 403}
"""HTTP status of a denial, where it is not 400."""

Policy = Mapping[str, Any]


def policy(*, without: str | None = None) -> Policy:
    """Return the policy for the embedded AWS, with an action taken out."""
    text = POLICY.read_text()
    for placeholder, value in {"REGION": REGION, "ACCOUNT": ACCOUNT, "TABLE": TABLE}.items():
        text = text.replace(placeholder, value)
    document: dict[str, Any] = json.loads(text)
    for statement in document["Statement"]:
        statement["Action"] = [action for action in _listed(statement["Action"]) if action != without]
    return document | {"Statement": [statement for statement in document["Statement"] if statement["Action"]]}


def actions() -> list[str]:
    """Return every action of the policy."""
    return sorted(action for statement in policy()["Statement"] for action in statement["Action"])


# What a call asks for.


@dataclass(frozen=True)
class Request:
    """One action on one resource, with the partition keys that a call names there."""

    action: str
    resource: str
    leading_keys: tuple[str, ...] = ()


def requests(service: str, operation: str, body: Mapping[str, Any]) -> list[Request]:
    """Return all that must be allowed for one call: one request for each table, parameter, pipeline or image."""
    action = f"{service}:{operation}"
    arn = f"arn:aws:{service}:{REGION}:{ACCOUNT}:"
    match service:
        case "dynamodb" if "RequestItems" in body:
            return [
                Request(action, f"{arn}table/{table}", tuple(_job_ids(asked)))
                for table, asked in body["RequestItems"].items()
            ]
        case "dynamodb":
            index = f"/index/{body['IndexName']}" if "IndexName" in body else ""
            return [Request(action, f"{arn}table/{body['TableName']}{index}", tuple(_job_ids(body)))]
        case "ssm" if operation == "DescribeParameters":
            return [Request(action, f"{arn}*")]
        case "ssm":
            names = body.get("Names") or [body.get("Name") or body["Path"]]
            return [Request(action, f"{arn}parameter/{name.partition(':')[0].lstrip('/')}") for name in names]
        case "imagebuilder":
            return [Request(action, body.get("imagePipelineArn") or body.get("imageBuildVersionArn") or "*")]
    raise NotImplementedError(action)


def _job_ids(asked: Any) -> Iterator[str]:
    """Yield the partition key of each ``Key``, of ``Keys`` and of each ``Item``."""
    if isinstance(asked, list):
        for each in asked:
            yield from _job_ids(each)
        return
    for name, value in asked.items():
        match name:
            case "Key" | "Item":
                yield value["jobId"]["S"]
            case "Keys":
                yield from (key["jobId"]["S"] for key in value)
            case "PutRequest" | "DeleteRequest":
                yield from _job_ids(value)


# What the policy says to it.


def allows(document: Policy, request: Request) -> bool:
    """Return whether a statement allows the request, as IAM evaluates statements.

    :raises NotImplementedError: at an element, an operator or a condition key that the policy did not use when this
        was written.
    """
    applying = [statement for statement in document["Statement"] if _applies(statement, request)]
    return bool(applying)


def _applies(statement: Mapping[str, Any], request: Request) -> bool:
    conditions: Mapping[str, Mapping[str, Any]] = statement.get("Condition", {})
    if statement.keys() - {"Sid", "Effect", "Action", "Resource", "Condition"} or statement["Effect"] != "Allow":
        raise NotImplementedError(f"statement {statement}")
    return all(
        [
            any(_like(pattern.lower(), request.action.lower()) for pattern in _listed(statement["Action"])),
            any(_like(pattern, request.resource) for pattern in _listed(statement["Resource"])),
            *(
                _holds(operator, _listed(expected), _values(key, request))
                for operator, keys in conditions.items()
                for key, expected in keys.items()
            ),
        ]
    )


def _values(key: str, request: Request) -> tuple[str, ...]:
    if key != "dynamodb:LeadingKeys":
        raise NotImplementedError(f"condition key {key}")
    return request.leading_keys


def _holds(operator: str, expected: list[str], values: tuple[str, ...]) -> bool:
    match operator:
        case "ForAllValues:StringLike":  # holds where there is no value
            return all(any(_like(pattern, value) for pattern in expected) for value in values)
        case "Null" if expected in (["true"], ["false"]):
            return (not values) == (expected == ["true"])
    raise NotImplementedError(f"{operator} {expected}")


def _like(pattern: str, value: str) -> bool:
    """Match as IAM does: ``*`` is any text, ``?`` any character, and everything else itself."""
    wild = {"*": ".*", "?": "."}
    return re.fullmatch("".join(wild.get(each, re.escape(each)) for each in pattern), value, re.DOTALL) is not None


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


# moto's enforcement.


class User:
    """An IAM user of the embedded AWS, with an access key and the policy."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self._aws = aws
        self._iam = aws.client("iam", bystander=True)
        self._iam.create_user(UserName="airflow")
        self._key = self._iam.create_access_key(UserName="airflow")["AccessKey"]
        self.give(policy())

    def give(self, document: Policy) -> None:
        """Give the user this policy instead of the one before; moto checks its grammar."""
        self._iam.put_user_policy(UserName="airflow", PolicyName="provider", PolicyDocument=json.dumps(document))

    @property
    def connection(self) -> str:
        """The Airflow connection of this user, as JSON."""
        key = {"login": self._key["AccessKeyId"], "password": self._key["SecretAccessKey"]}
        return json.dumps(json.loads(airflow_connection(self._aws)) | key)

    def client(self, service: str) -> Any:
        """Return a boto3 client of this user."""
        return boto3.client(
            service,
            region_name=self._aws.region,
            endpoint_url=self._aws.endpoint_url,
            aws_access_key_id=self._key["AccessKeyId"],
            aws_secret_access_key=self._key["SecretAccessKey"],
        )


@contextmanager
def enforced() -> Iterator[None]:
    """Let moto check signature, action and resources of each call but the bystanders'.

    By itself it takes every resource of these services for ``*``, and denies in XML, which they do not speak.
    """
    authorize = ActionAuthenticatorMixin._authenticate_and_authorize_normal_action

    def authorize_each(handler: Any, resource: str = "*") -> None:
        if BYSTANDER_HEADER in handler.headers:
            return
        handler.data = {}  # where there is no body, moto would take the query for it and find the signature wrong
        handler.parse_parameters(handler.normalized_request)  # which not every handler has done
        for request in requests(handler.boto3_service_name, handler._get_action(), handler.params):
            try:
                authorize(handler, request.resource)
            except AccessDeniedError as denied:
                told = JsonRESTError("AccessDeniedException", f"{denied.message} on resource: {request.resource}")
                told.code = FORBIDDEN.get(handler.boto3_service_name, 400)
                raise told from None

    with pytest.MonkeyPatch.context() as patch, enable_iam_authentication():
        patch.setattr(ActionAuthenticatorMixin, "_authenticate_and_authorize_normal_action", authorize_each)
        yield
