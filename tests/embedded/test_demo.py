"""The demo's data."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from spot_runner_provider.embedded import demo
from spot_runner_provider.embedded.demo import deployment
from spot_runner_provider.embedded.demo.seed import PARAMETER_PREFIX, TABLE, to_attributes
from spot_runner_provider.embedded.imagebuilder.models import timestamp
from spot_runner_provider.embedded.server import EmbeddedAws


@pytest.fixture(scope="module")
def aws():
    with EmbeddedAws() as aws:
        deployment.seed_demo(aws)
        yield aws


def items(aws, **index):
    name, value = next(iter(index.items()))
    found = aws.client("dynamodb", bystander=True).query(
        TableName=TABLE,
        IndexName=f"{name}-index",
        KeyConditionExpression="#n = :v",
        ExpressionAttributeNames={"#n": name},
        ExpressionAttributeValues={":v": {"S": value}},
    )["Items"]
    return [{name: next(iter(value.values())) for name, value in item.items()} for item in found]


def parameter(aws, preset):
    client = aws.client("ssm", bystander=True)
    return client.get_parameter(Name=PARAMETER_PREFIX + preset, WithDecryption=True)["Parameter"]["Value"]


def images(aws, preset):
    pipeline = f"arn:aws:imagebuilder:us-east-1:123456789012:image-pipeline/spot-runner-{preset}"
    client, found, arguments = aws.client("imagebuilder", bystander=True), [], {}
    while True:
        page = client.list_image_pipeline_images(imagePipelineArn=pipeline, **arguments)
        found.append(page["imageSummaryList"])
        if "nextToken" not in page:
            return found
        arguments = {"nextToken": page["nextToken"]}


def test_every_preset_is_there_and_documented(aws):
    records = {item["jobId"] for item in items(aws, recordType="AMI")}
    assert records == {f"AMI#{preset}" for preset in deployment.OUTCOMES} | set(deployment.MALFORMED)
    for preset, outcome in deployment.OUTCOMES.items():
        [row] = [line.split() for line in demo.__doc__.splitlines() if line.startswith(f"{preset} ")]
        if outcome:
            assert row[-1] == outcome
    assert len([item for item in items(aws, status="running") if item["jobId"].isdigit()]) == 50
    assert len([item for item in items(aws, status="completed") if item["jobId"].isdigit()]) == 150


def test_flagged_are_the_old_ones_that_are_building(aws):
    limit = timestamp(datetime.now(UTC) - timedelta(minutes=30))
    stale = {
        item["presetName"]
        for item in items(aws, recordType="AMI")
        if item["status"] == "building" and item["updatedAt"] < limit and "presetName" in item
    }
    quiet = {preset for preset, outcome in deployment.OUTCOMES.items() if outcome in (None, "finished")}
    assert stale == deployment.OUTCOMES.keys() - quiet


def test_the_newest_image_is_where_careless_code_misses_it(aws):
    pages = images(aws, "linux-x64")
    newest = max((image for page in pages for image in page), key=lambda image: image["dateCreated"])
    assert len(pages) > 3
    assert newest not in pages[0]
    [page] = images(aws, "linux-arm64")
    assert max(page, key=lambda image: image["dateCreated"])["version"] == "1.0.1/1"


def test_the_intent_of_an_earlier_run_stands(aws):
    [intent] = items(aws, recordType="AMI-INTENT")
    [record] = [item for item in items(aws, recordType="AMI") if "reconciledBy" in item]
    assert intent["jobId"] == f"AMI-INTENT#linux-x64-resumed#{record['reconciledBy'].partition('/')[2]}"
    assert (intent["amiId"], intent["updatedAt"]) == (record["amiId"], record["updatedAt"])
    assert json.loads(parameter(aws, "linux-x64-resumed"))["ami"] != record["amiId"]
    assert "status" not in intent


def test_the_bystanders_play_their_parts(aws):
    dynamodb, ssm = aws.client("dynamodb"), aws.client("ssm")
    before = json.loads(parameter(aws, "linux-x64-edited"))
    name, value = f"{PARAMETER_PREFIX}linux-x64-edited", json.dumps(before | {"ami": "ami-1"})
    assert ssm.put_parameter(Name=name, Value=value, Overwrite=True)["Version"] == 3
    between = ssm.get_parameter(Name=f"{name}:2")["Parameter"]["Value"]
    assert json.loads(between) == before | {"timeout": 7200}

    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException) as caught:
        dynamodb.update_item(
            TableName=TABLE,
            Key=to_attributes({"jobId": "AMI#linux-x64-contested"}),
            UpdateExpression="SET #s = :ready",
            ConditionExpression="#s = :building",
            ExpressionAttributeNames={"#s": "status"},
            ExpressionAttributeValues=to_attributes({":ready": "ready", ":building": "building"}),
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    theirs = caught.value.response["Item"]
    assert theirs["status"] == {"S": "ready"}
    assert json.loads(parameter(aws, "linux-x64-contested"))["ami"] == theirs["amiId"]["S"]
