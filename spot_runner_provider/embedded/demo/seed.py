"""The records of a deployment, in the formats that its other programs write.

A ``client`` is a boto3 client of the service that the function writes to.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from spot_runner_provider.embedded.imagebuilder.models import timestamp

TABLE = "spot-runner-state"
PARAMETER_PREFIX = "/spot-runner/configs/"
PIPELINE_PREFIX = "spot-runner-"
BATCH = 25


def create_table(client: Any, name: str = TABLE) -> None:
    """Create the state table: key ``jobId``, two indexes, on-demand billing, TTL attribute ``ttl``.

    >>> dynamodb = aws.client("dynamodb")
    >>> create_table(dynamodb, "other-state")
    >>> sorted(dynamodb.list_tables()["TableNames"])
    ['other-state', 'spot-runner-state']
    """
    attributes = ("jobId", "recordType", "updatedAt", "status", "createdAt")
    indexes = {"recordType-index": ("recordType", "updatedAt"), "status-index": ("status", "createdAt")}
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": each, "AttributeType": "S"} for each in attributes],
        KeySchema=[{"AttributeName": "jobId", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": index,
                "KeySchema": [
                    {"AttributeName": hash_key, "KeyType": "HASH"},
                    {"AttributeName": range_key, "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
            for index, (hash_key, range_key) in indexes.items()
        ],
    )
    client.update_time_to_live(TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"})


def ami_state(
    preset: str,
    status: str,
    updated_at: datetime,
    *,
    ami: str | None = None,
    build: str | None = None,
    error: str | None = None,
    **others: Any,
) -> dict[str, Any]:
    """Return an AMI state as the event handler writes it; ``others`` add or replace attributes.

    >>> ami_state("linux-x64", "building", datetime.fromisoformat("2026-02-11T15:35:48Z"), ami="ami-0a1d", ttl=0)
    {'jobId': 'AMI#linux-x64', 'recordType': 'AMI', 'presetName': 'linux-x64', 'amiId': 'ami-0a1d',
     'status': 'building', 'updatedAt': '2026-02-11T15:35:48.000Z', 'ttl': 0}
    """
    item = {
        "jobId": f"AMI#{preset}",
        "recordType": "AMI",
        "presetName": preset,
        "amiId": ami,
        "status": status,
        "updatedAt": timestamp(updated_at),
    }
    optional = {"buildId": build, "errorMessage": error}
    return item | {name: value for name, value in optional.items() if value is not None} | others


def intent(
    preset: str, run: str, updated_at: datetime, *, ami: str, build: str, parameter_version: int
) -> dict[str, Any]:
    """Return the intent of a reconciliation that stopped before it put the SSM parameter.

    :param run: the run that stopped, as it would sign the record

    >>> moment = datetime.fromisoformat("2026-02-11T15:35:48Z")
    >>> left = intent("linux-x64", "dag/run/1", moment, ami="ami-0e3f", build="arn:image", parameter_version=7)
    >>> left["jobId"], left["paramVersion"]
    ('AMI-INTENT#linux-x64#dag/run/1', 7)
    """
    return {
        "jobId": f"AMI-INTENT#{preset}#{run}",
        "recordType": "AMI-INTENT",
        "presetName": preset,
        "amiId": ami,
        "buildId": build,
        "updatedAt": timestamp(updated_at),
        "paramVersion": parameter_version,
        "putsUntil": None,
        "standsFor": [],
        "platform": None,
    }


def runner_job(number: int, status: str, created_at: datetime) -> dict[str, Any]:
    """Return a runner job; such items are in the same table, and nothing here may touch them.

    >>> job = runner_job(9000000001, "running", datetime.fromisoformat("2026-02-11T15:35:48Z"))
    >>> job["jobId"], "recordType" in job
    ('9000000001', False)
    """
    return {
        "jobId": str(number),
        "status": status,
        "createdAt": timestamp(created_at),
        "runnerName": f"spot-{number}",
        "ttl": int(created_at.timestamp()) + 7 * 86400,
    }


def put_items(client: Any, items: Iterable[Mapping[str, Any]], table: str = TABLE) -> None:
    """Write items whose attributes are text, whole numbers or None.

    >>> dynamodb = aws.client("dynamodb")
    >>> put_items(dynamodb, [ami_state("linux-x64", "ready", datetime.fromisoformat("2026-02-11T15:35:48Z"))])
    >>> dynamodb.scan(TableName="spot-runner-state")["Items"][0]["jobId"]
    {'S': 'AMI#linux-x64'}
    """
    requests = [{"PutRequest": {"Item": to_attributes(item)}} for item in items]
    for start in range(0, len(requests), BATCH):
        client.batch_write_item(RequestItems={table: requests[start : start + BATCH]})


def to_attributes(item: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return an item in the notation of DynamoDB's API.

    >>> to_attributes({"jobId": "AMI#linux-x64", "amiId": None, "paramVersion": 7})
    {'jobId': {'S': 'AMI#linux-x64'}, 'amiId': {'NULL': True}, 'paramVersion': {'N': '7'}}
    """
    return {name: _to_attribute(value) for name, value in item.items()}


def _to_attribute(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {"NULL": True}
        case int():
            return {"N": str(value)}
        case list():
            return {"L": [_to_attribute(each) for each in value]}
    return {"S": value}


def preset_config(ami: str = "pending", platform: str = "linux") -> dict[str, Any]:
    """Return a runner configuration; a fresh deployment's ``ami`` is ``pending``.

    >>> config = preset_config("ami-0a1d", "windows")
    >>> config["ami"], config["labels"]
    ('ami-0a1d', ['self-hosted', 'X64', 'Windows'])
    """
    return {
        "instanceTypes": ["m5.large", "m5.xlarge"],
        "ami": ami,
        "diskSizeGb": 100,
        "spotStrategy": "spotPreferred",
        "timeout": 3600,
        "platform": platform,
        "labels": ["self-hosted", "X64", platform.capitalize()],
    }


def put_parameter(client: Any, preset: str, value: Mapping[str, Any] | str, **options: Any) -> int:
    """Create or replace a preset's parameter and return its version.

    :param value: a configuration, or the bare text of a broken one
    :param options: further arguments of PutParameter, such as ``Type`` and ``KeyId``

    >>> put_parameter(aws.client("ssm"), "linux-x64", preset_config("ami-0a1d"), Type="SecureString")
    1
    """
    text = value if isinstance(value, str) else json.dumps(value)
    name = PARAMETER_PREFIX + preset
    if not client.describe_parameters(ParameterFilters=[{"Key": "Name", "Values": [name]}])["Parameters"]:
        options.setdefault("Type", "String")
    return int(client.put_parameter(Name=name, Value=text, Overwrite=True, **options)["Version"])


def edit_parameter(client: Any, preset: str, **changes: Any) -> int:
    """Read a preset's parameter, change some of its keys, and put it back; return its new version.

    >>> ssm = aws.client("ssm")
    >>> put_parameter(ssm, "linux-x64", preset_config("ami-0a1d"))
    1
    >>> edit_parameter(ssm, "linux-x64", timeout=7200)
    2
    """
    read = client.get_parameter(Name=PARAMETER_PREFIX + preset, WithDecryption=True)["Parameter"]
    return put_parameter(client, preset, json.loads(read["Value"]) | changes)


def create_pipeline(client: Any, preset: str, recipe_version: str = "1.0.0") -> str:
    """Create ``spot-runner-<preset>``, with images ``spotrunnerstack-<preset>``; return its ARN.

    >>> create_pipeline(aws.client("imagebuilder"), "linux-x64")
    'arn:aws:imagebuilder:us-east-1:123456789012:image-pipeline/spot-runner-linux-x64'
    """
    prefix = f"arn:aws:imagebuilder:{client.meta.region_name}:123456789012"
    created = client.create_image_pipeline(
        name=PIPELINE_PREFIX + preset,
        imageRecipeArn=f"{prefix}:image-recipe/spotrunnerstack-{preset.lower()}/{recipe_version}",
        infrastructureConfigurationArn=f"{prefix}:infrastructure-configuration/spotrunnerstack",
    )
    return str(created["imagePipelineArn"])
