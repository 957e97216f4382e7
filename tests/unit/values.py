"""Values that the tests of this folder share."""

from datetime import UTC, datetime, timedelta
from typing import Any

from spot_runner_provider.records.ami_state import render_timestamp

NOW = datetime(2026, 2, 11, 16, 5, 48, 123000, tzinfo=UTC)
ACCOUNT = "123456789012"
REGION = "us-east-1"


def ago(**age: float) -> str:
    """The timestamp of a moment that long before ``NOW``."""
    return render_timestamp(NOW - timedelta(**age))


def record(name: str = "linux-x64", **attributes: Any) -> dict[str, Any]:
    """The DynamoDB item of an AMI state: building for a minute unless told otherwise."""
    return {
        "jobId": f"AMI#{name}",
        "recordType": "AMI",
        "presetName": name,
        "amiId": None,
        "status": "building",
        "updatedAt": ago(minutes=1),
    } | attributes


def note(name: str = "linux-x64", owner: str = "dag/run/1", **attributes: Any) -> dict[str, Any]:
    """The DynamoDB item of an intent: a minute old unless told otherwise."""
    return {
        "jobId": f"AMI-INTENT#{name}#{owner}",
        "recordType": "AMI-INTENT",
        "presetName": name,
        "updatedAt": ago(minutes=1),
        "paramVersion": 7,
        "amiId": "ami-0new",
        "buildId": "arn:new",
        "putsUntil": None,
        "standsFor": [],
        "platform": None,
    } | attributes


def without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    """``values`` less some attributes."""
    return {name: value for name, value in values.items() if name not in names}
