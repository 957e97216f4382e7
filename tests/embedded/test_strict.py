"""What AWS refuses and moto alone would accept."""

import pytest
from botocore.exceptions import ClientError

from spot_runner_provider.embedded.demo.seed import PARAMETER_PREFIX, TABLE, put_parameter


@pytest.fixture
def ssm(aws):
    return aws.client("ssm")


@pytest.fixture
def dynamodb(aws):
    return aws.client("dynamodb")


def describe(ssm, preset):
    filters = [{"Key": "Name", "Values": [PARAMETER_PREFIX + preset]}]
    [found] = ssm.describe_parameters(ParameterFilters=filters)["Parameters"]
    return found


def test_a_standard_parameter_holds_4_kb(ssm):
    put_parameter(ssm, "p", "x" * 4096)
    with pytest.raises(ClientError, match="4096"):
        put_parameter(ssm, "p", "x" * 4097)
    with pytest.raises(ClientError, match="8192"):
        put_parameter(ssm, "p", "x" * 8193, Tier="Advanced")


def test_an_advanced_parameter_stays_one(ssm):
    put_parameter(ssm, "p", "x" * 5000, Tier="Advanced")
    with pytest.raises(ClientError, match="advanced-parameter tier"):
        put_parameter(ssm, "p", "small")
    assert put_parameter(ssm, "p", "small", Tier="Advanced") == 2
    assert describe(ssm, "p")["Tier"] == "Advanced"


@pytest.mark.parametrize(("first", "second"), [("SecureString", "String"), ("String", "SecureString")])
def test_a_parameter_keeps_its_type(ssm, first, second):
    put_parameter(ssm, "p", "x", Type=first)
    with pytest.raises(ssm.exceptions.HierarchyTypeMismatchException):
        put_parameter(ssm, "p", "y", Type=second)
    put_parameter(ssm, "p", "y")
    assert describe(ssm, "p")["Type"] == first


def test_a_secure_string_without_its_key_moves_to_the_default_one(ssm):
    put_parameter(ssm, "p", "x", Type="SecureString", KeyId="alias/own")
    put_parameter(ssm, "p", "y", KeyId="alias/own")
    assert describe(ssm, "p")["KeyId"] == "alias/own"
    put_parameter(ssm, "p", "z")
    assert describe(ssm, "p")["KeyId"] == "alias/aws/ssm"
    history = ssm.get_parameter_history(Name=f"{PARAMETER_PREFIX}p", WithDecryption=True)["Parameters"]
    assert [(each["Version"], each["Value"], each["Type"], each["KeyId"], each["Tier"]) for each in history] == [
        (1, "x", "SecureString", "alias/own", "Standard"),
        (2, "y", "SecureString", "alias/own", "Standard"),
        (3, "z", "SecureString", "alias/aws/ssm", "Standard"),
    ]
    assert ssm.get_parameter(Name=f"{PARAMETER_PREFIX}p:2", WithDecryption=True)["Parameter"]["Value"] == "y"


def test_batches_are_limited(dynamodb):
    items = [{"jobId": {"S": str(number)}} for number in range(101)]
    with pytest.raises(ClientError, match="Too many items requested for the BatchWriteItem"):
        dynamodb.batch_write_item(RequestItems={TABLE: [{"PutRequest": {"Item": item}} for item in items[:26]]})
    with pytest.raises(ClientError, match="Too many items requested for the BatchGetItem"):
        dynamodb.batch_get_item(RequestItems={TABLE: {"Keys": items}})
    dynamodb.batch_write_item(RequestItems={TABLE: [{"PutRequest": {"Item": item}} for item in items[:25]]})
    assert len(dynamodb.batch_get_item(RequestItems={TABLE: {"Keys": items[:100]}})["Responses"][TABLE]) == 25


def query(dynamodb, filter_expression, **names):
    return dynamodb.query(
        TableName=TABLE,
        IndexName="recordType-index",
        KeyConditionExpression="#r = :r",
        FilterExpression=filter_expression,
        ExpressionAttributeNames={"#r": "recordType"} | {f"#{name}": value for name, value in names.items()},
        ExpressionAttributeValues={":r": {"S": "AMI"}, ":x": {"S": "x"}},
    )


def test_a_filter_may_not_use_the_keys_of_the_index(dynamodb):
    query(dynamodb, "#s = :x AND attribute_exists(jobId)", s="status")
    for bad, names in [("updatedAt < :x", {}), ("#s = :x AND #u < :x", {"s": "status", "u": "updatedAt"})]:
        with pytest.raises(ClientError, match="Primary key attribute: updatedAt"):
            query(dynamodb, bad, **names)


def test_an_index_that_the_table_does_not_have_is_refused(dynamodb):
    with pytest.raises(ClientError, match=r"ValidationException.*specified index: absent"):
        dynamodb.query(
            TableName=TABLE,
            IndexName="absent",
            KeyConditionExpression="recordType = :r",
            ExpressionAttributeValues={":r": {"S": "AMI"}},
        )


def test_an_index_key_has_the_type_of_the_index(dynamodb):
    item = {"jobId": {"S": "AMI#p"}, "updatedAt": {"N": "1"}}
    key = {"jobId": {"S": "AMI#p"}}
    with pytest.raises(ClientError, match="Type mismatch for Index Key updatedAt"):
        dynamodb.put_item(TableName=TABLE, Item=item)
    with pytest.raises(ClientError, match="Type mismatch for Index Key updatedAt"):
        dynamodb.batch_write_item(RequestItems={TABLE: [{"PutRequest": {"Item": item}}]})
    with pytest.raises(ClientError, match="Type mismatch for Index Key updatedAt"):
        dynamodb.update_item(
            TableName=TABLE,
            Key=key,
            UpdateExpression="SET #u = :u",
            ExpressionAttributeNames={"#u": "updatedAt"},
            ExpressionAttributeValues={":u": {"NULL": True}},
        )
