"""``docs/iam-policy.json`` is enough for everything that the provider does, and for nothing else."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import AirflowException
from botocore.exceptions import ClientError
from botocore.session import get_session

from spot_runner_provider.embedded.demo.deployment import OUTCOMES, seed_demo
from spot_runner_provider.embedded.demo.seed import TABLE, create_table, preset_config, put_parameter
from spot_runner_provider.embedded.server import EmbeddedAws
from tests.demo_checks import Snapshot, check_report, check_runner_jobs, check_stores
from tests.integration.deployment import NEW, OLD, detect, reconcile
from tests.integration.finished_run import DETECT, RECONCILE, ran
from tests.integration.iam import ACCOUNT, REGION, Request, User, actions, allows, enforced, policy, requests

RECORD, INTENT, JOB = "AMI#linux-x64", "AMI-INTENT#linux-x64#dag/run", "12345"
TABLE_ARN = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{TABLE}"
PARAMETER = "/spot-runner/configs/linux-x64"
PARAMETER_ARN = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{PARAMETER}"
PIPELINE_ARN = f"arn:aws:imagebuilder:{REGION}:{ACCOUNT}:image-pipeline/spot-runner-linux-x64"
IMAGE_ARN = f"arn:aws:imagebuilder:{REGION}:{ACCOUNT}:image/linux-x64/1.0.0/1"


@pytest.fixture
def aws():
    """On moto, which has an IAM."""
    with EmbeddedAws() as aws:
        create_table(aws.client("dynamodb", bystander=True))
        yield aws


@pytest.fixture
def user(aws, monkeypatch):
    """The connection's user, who has the policy, on an AWS that enforces it."""
    user = User(aws)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", user.connection)
    with enforced():
        yield user


@pytest.fixture
def demo(monkeypatch):
    """The demo, on an AWS that enforces policies, and the connection's user."""
    with EmbeddedAws() as aws, enforced():
        seed_demo(aws)
        user = User(aws)
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", user.connection)
        yield aws, user


def asked(calls):
    """Return what calls ask IAM for."""
    return [each for call in calls for each in requests(call.service, call.operation.partition(".")[2], call.body)]


# It is enough.


def test_a_whole_run_needs_no_more(demo):
    aws, _ = demo
    before, run = Snapshot.of(aws), ran(max_mapped_tasks=2, audit=True)
    after = Snapshot.of(aws)
    check_stores(before, after)
    check_runner_jobs(aws.call_log(), before, after)
    check_report(run.report(), after)
    results = [run.xcom[RECONCILE, index, "return_value"] for index in range(2)]
    assert {result["presetName"]: result["outcome"] for some in results for result in some} == {
        preset: outcome for preset, outcome in OUTCOMES.items() if outcome
    }

    assert run.xcom[DETECT, -1, "states"]["audit"] == {"findings": [], "error": None}

    all_asked = asked(aws.call_log())
    assert {each.action for each in all_asked} == set(actions())
    assert [each for each in all_asked if not allows(policy(), each)] == []
    keyed = {each.action for each in all_asked if each.leading_keys}
    assert keyed == {"dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:UpdateItem"}


def test_named_presets_need_no_more(user, deployment):
    deployment.stale("linux-x64", minutes=5)
    deployment.preset("linux-x64-secure", minutes=5)
    deployment.image("linux-x64-secure", "AVAILABLE")
    deployment.ssm.delete_parameter(Name="/spot-runner/configs/linux-x64-secure")
    put_parameter(deployment.ssm, "linux-x64-secure", preset_config(OLD), Type="SecureString", KeyId="alias/ours")
    names = ["linux-x64", "linux-x64-secure"]
    batches, states = detect(presets=names)
    assert ([state["presetName"] for state in states["states"]], len(batches)) == (names, 2)
    results = reconcile(names)
    assert {name: result["outcome"] for name, result in results.items()} == dict.fromkeys(names, "corrected_ready")
    assert [deployment.parameter(name)["ami"] for name in names] == [NEW, NEW]
    assert deployment.aws.calls()["dynamodb.BatchGetItem"] >= 2
    assert all(allows(policy(), each) for each in asked(deployment.aws.call_log()))


# Each action is needed, and is named where it is missing.


@pytest.mark.parametrize("action", actions())
def test_without_an_action_a_task_says_so(demo, action):
    _, user = demo
    user.give(policy(without=action))
    assert f"Access denied: allow {action} on " in what_fails()


def what_fails():
    """Detect and reconcile; return the error of each task and preset."""
    try:
        batches, _ = detect(max_mapped_tasks=1)
    except AirflowException as error:
        return str(error)
    try:
        results = reconcile(batches[0])
    except AirflowException as error:
        return str(error)
    return "\n".join(each["detail"] for each in results.values() if each["outcome"] == "refused")


# It is not enough for anything else.


def key(job_id):
    return {"jobId": {"S": job_id}}


QUERY = {"KeyConditionExpression": "recordType = :type", "ExpressionAttributeValues": {":type": {"S": "AMI"}}}

DENIED = [
    # records and runner jobs by other means
    ("dynamodb", "Scan", {"TableName": TABLE}),
    ("dynamodb", "GetItem", {"TableName": TABLE, "Key": key(RECORD)}),
    ("dynamodb", "PutItem", {"TableName": TABLE, "Item": key(RECORD)}),
    ("dynamodb", "DeleteItem", {"TableName": TABLE, "Key": key(RECORD)}),
    ("dynamodb", "Query", {"TableName": TABLE, **QUERY}),
    ("dynamodb", "Query", {"TableName": TABLE, "IndexName": "status-index", **QUERY}),
    ("dynamodb", "DeleteTable", {"TableName": TABLE}),
    # another table, or another one besides
    ("dynamodb", "Query", {"TableName": "other", "IndexName": "recordType-index", **QUERY}),
    ("dynamodb", "UpdateItem", {"TableName": "other", "Key": key(RECORD)}),
    ("dynamodb", "BatchGetItem", {"RequestItems": {"other": {"Keys": [key(RECORD)]}}}),
    (
        "dynamodb",
        "BatchGetItem",
        {"RequestItems": {TABLE: {"Keys": [key(RECORD)]}, "other": {"Keys": [key(RECORD)]}}},
    ),
    ("dynamodb", "BatchWriteItem", {"RequestItems": {"other": [{"DeleteRequest": {"Key": key(INTENT)}}]}}),
    # another path, or another one besides
    ("ssm", "GetParameters", {"Names": ["/other/linux-x64"]}),
    ("ssm", "GetParameters", {"Names": [PARAMETER, "/other/linux-x64"]}),
    ("ssm", "GetParameters", {"Names": ["/spot-runner/configs-of-others/linux-x64"]}),
    ("ssm", "GetParameterHistory", {"Name": "/other/linux-x64"}),
    ("ssm", "PutParameter", {"Name": "/other/linux-x64", "Value": "{}", "Type": "String"}),
    ("ssm", "GetParametersByPath", {"Path": "/spot-runner/configs"}),
    ("ssm", "DeleteParameter", {"Name": PARAMETER}),
    # any write to Image Builder, and another account's images
    ("imagebuilder", "StartImagePipelineExecution", {"imagePipelineArn": PIPELINE_ARN}),
    ("imagebuilder", "CreateImagePipeline", {"name": "more", "infrastructureConfigurationArn": IMAGE_ARN}),
    ("imagebuilder", "DeleteImage", {"imageBuildVersionArn": IMAGE_ARN}),
    ("imagebuilder", "DeleteImagePipeline", {"imagePipelineArn": PIPELINE_ARN}),
    ("imagebuilder", "CancelImageCreation", {"imageBuildVersionArn": IMAGE_ARN}),
    ("imagebuilder", "GetImage", {"imageBuildVersionArn": IMAGE_ARN.replace(ACCOUNT, "210987654321")}),
]


@pytest.mark.parametrize(
    ("service", "operation", "arguments"), DENIED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_call_is_denied(user, deployment, service, operation, arguments):
    create_table(deployment.dynamodb, "other")
    client = user.client(service)
    method = next(name for name, real in client.meta.method_to_api_mapping.items() if real == operation)
    with pytest.raises(ClientError) as denied:
        getattr(client, method)(**arguments)
    assert denied.value.response["Error"]["Code"] == "AccessDeniedException"
    assert f"user/airflow is not authorized to perform: {service}:{operation} on" in str(denied.value)


def test_no_operation_but_these_is_allowed_on_anything():
    """The policy's actions are whole names of operations that AWS has, none with a wildcard."""
    resources = [TABLE_ARN, f"{TABLE_ARN}/index/recordType-index", PARAMETER_ARN, PIPELINE_ARN, IMAGE_ARN, "*"]
    resources.append(f"arn:aws:ssm:{REGION}:{ACCOUNT}:*")
    document = policy()
    allowed = {
        action
        for service in ("dynamodb", "ssm", "imagebuilder", "iam", "kms", "sts")
        for operation in get_session().get_service_model(service).operation_names
        for action in [f"{service}:{operation}"]
        if any(allows(document, Request(action, arn, (key,))) for arn in resources for key in (RECORD, INTENT, JOB))
    }
    assert allowed == set(actions())


@pytest.mark.parametrize(
    ("action", "keys", "allowed"),
    [
        ("UpdateItem", [RECORD], True),
        ("UpdateItem", [INTENT], False),
        ("UpdateItem", [JOB], False),
        ("UpdateItem", ["ami#linux-x64"], False),
        ("UpdateItem", ["not-AMI#linux-x64"], False),
        ("UpdateItem", [], False),
        ("BatchGetItem", [RECORD], True),
        ("BatchGetItem", [RECORD, "AMI#linux-arm64"], True),
        ("BatchGetItem", [JOB], False),
        ("BatchGetItem", [RECORD, JOB], False),
        ("BatchGetItem", [JOB, RECORD], False),
        ("BatchGetItem", [INTENT], False),
        ("BatchGetItem", [], False),
        ("BatchWriteItem", [INTENT], True),
        ("BatchWriteItem", [INTENT, "AMI-INTENT#linux-arm64#dag/run"], True),
        ("BatchWriteItem", [RECORD], False),
        ("BatchWriteItem", [INTENT, RECORD], False),
        ("BatchWriteItem", [JOB], False),
        ("BatchWriteItem", [INTENT, JOB], False),
        ("BatchWriteItem", [], False),
    ],
)
def test_whose_items_may_be_read_and_written_by_key(action, keys, allowed):
    assert allows(policy(), Request(f"dynamodb:{action}", TABLE_ARN, tuple(keys))) is allowed


# What the checks above rest on.


@pytest.mark.parametrize(
    ("service", "operation", "body", "expected"),
    [
        ("dynamodb", "UpdateItem", {"TableName": TABLE, "Key": key(RECORD)}, [(TABLE_ARN, (RECORD,))]),
        ("dynamodb", "PutItem", {"TableName": TABLE, "Item": key(RECORD)}, [(TABLE_ARN, (RECORD,))]),
        ("dynamodb", "Scan", {"TableName": TABLE}, [(TABLE_ARN, ())]),
        (
            "dynamodb",
            "Query",
            {"TableName": TABLE, "IndexName": "status-index", **QUERY},
            [(f"{TABLE_ARN}/index/status-index", ())],
        ),
        (
            "dynamodb",
            "BatchGetItem",
            {"RequestItems": {TABLE: {"Keys": [key(RECORD), key(JOB)]}, "other": {"Keys": [key("x")]}}},
            [(TABLE_ARN, (RECORD, JOB)), (TABLE_ARN.replace(TABLE, "other"), ("x",))],
        ),
        (
            "dynamodb",
            "BatchWriteItem",
            {"RequestItems": {TABLE: [{"PutRequest": {"Item": key(INTENT)}}, {"DeleteRequest": {"Key": key(JOB)}}]}},
            [(TABLE_ARN, (INTENT, JOB))],
        ),
        (
            "ssm",
            "GetParameters",
            {"Names": [f"{PARAMETER}:3", "x"]},
            [PARAMETER_ARN, PARAMETER_ARN.replace(PARAMETER, "/x")],
        ),
        ("ssm", "DescribeParameters", {}, [f"arn:aws:ssm:{REGION}:{ACCOUNT}:*"]),
        ("imagebuilder", "ListImagePipelines", {}, ["*"]),
        ("imagebuilder", "ListImagePipelineImages", {"imagePipelineArn": PIPELINE_ARN}, [PIPELINE_ARN]),
        ("imagebuilder", "GetImage", {"imageBuildVersionArn": IMAGE_ARN}, [IMAGE_ARN]),
    ],
)
def test_what_a_call_asks_for(service, operation, body, expected):
    assert requests(service, operation, body) == [
        Request(f"{service}:{operation}", *([each] if isinstance(each, str) else each)) for each in expected
    ]


STATEMENT = {"Effect": "Allow", "Action": "dynamodb:Get*", "Resource": "*"}
LEADING_KEYS = "dynamodb:LeadingKeys"


@pytest.mark.parametrize(
    ("condition", "keys", "allowed"),
    [
        ({}, [], True),
        ({"ForAllValues:StringLike": {LEADING_KEYS: ["a*", "b"]}}, ["a", "ab", "b"], True),
        ({"ForAllValues:StringLike": {LEADING_KEYS: ["a*", "b"]}}, ["a", "bc"], False),
        ({"ForAllValues:StringLike": {LEADING_KEYS: ["a?[b]"]}}, ["ax[b]"], True),
        ({"ForAllValues:StringLike": {LEADING_KEYS: ["a?[b]"]}}, ["axb"], False),
        ({"ForAllValues:StringLike": {LEADING_KEYS: ["a*"]}}, [], True),
        ({"Null": {LEADING_KEYS: "false"}}, [], False),
        ({"Null": {LEADING_KEYS: "false"}}, ["a"], True),
        ({"Null": {LEADING_KEYS: "true"}}, [], True),
        ({"Null": {LEADING_KEYS: "true"}}, ["a"], False),
        ({"Null": {LEADING_KEYS: "false"}, "ForAllValues:StringLike": {LEADING_KEYS: ["a*"]}}, ["b"], False),
    ],
)
def test_the_evaluator_reads_conditions_as_iam_does(condition, keys, allowed):
    document = {"Statement": [STATEMENT | {"Condition": condition}]}
    assert allows(document, Request("dynamodb:GetItem", TABLE_ARN, tuple(keys))) is allowed


@pytest.mark.parametrize(
    "unknown",
    [
        {"Condition": {"StringLike": {LEADING_KEYS: ["AMI#*"]}}},
        {"Condition": {"ForAnyValue:StringLike": {LEADING_KEYS: ["AMI#*"]}}},
        {"Condition": {"Null": {LEADING_KEYS: "no"}}},
        {"Condition": {"Null": {"dynamodb:Attributes": "false"}}},
        {"NotResource": "*"},
        {"Effect": "Deny"},
    ],
    ids=json.dumps,
)
def test_the_evaluator_guesses_nothing(unknown):
    with pytest.raises(NotImplementedError):
        allows({"Statement": [STATEMENT | unknown]}, Request("ssm:GetParameters", PARAMETER_ARN))
