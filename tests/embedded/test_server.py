"""The embedded AWS as a whole: what its clients see, and what is seen of them."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from botocore.exceptions import ClientError

from spot_runner_provider.embedded.control import ControlClient
from spot_runner_provider.embedded.demo.seed import TABLE, create_pipeline, put_items, put_parameter
from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.embedded.imagebuilder.models import Ami
from spot_runner_provider.embedded.server import EmbeddedAws

from .conftest import ONCE


def update(client, job_id, value, condition=None, **values):
    arguments = {"ConditionExpression": condition} if condition else {}
    return client.update_item(
        TableName=TABLE,
        Key={"jobId": {"S": job_id}},
        UpdateExpression="SET v = :v",
        ExpressionAttributeValues={":v": {"S": value}} | {f":{k}": {"S": v} for k, v in values.items()},
        **arguments,
    )


def test_each_service_answers(aws):
    assert aws.client("dynamodb").list_tables()["TableNames"] == [TABLE]
    assert aws.client("ssm").describe_parameters()["Parameters"] == []
    assert aws.client("imagebuilder").list_image_pipelines()["imagePipelineList"] == []
    assert aws.client("sts").get_caller_identity()["Account"] == aws.account


def test_what_was_to_happen_before_a_call_is_forgotten_by_a_reset(aws):
    happened = []
    aws.before("dynamodb.*", None, lambda: happened.append("it"))
    aws.reset()
    aws.client("dynamodb").list_tables()
    assert happened == []


def test_it_starts_empty_and_stops_for_good():
    with EmbeddedAws() as first:
        client = first.client("ssm", ONCE)
        put_parameter(client, "p", "x")
        with pytest.raises(RuntimeError), EmbeddedAws():
            pass
    with pytest.raises(Exception, match="Could not connect"):
        client.describe_parameters()
    with EmbeddedAws() as second:
        assert second.client("ssm").describe_parameters()["Parameters"] == []


def test_a_taken_port_is_an_error(aws):
    port = int(aws.endpoint_url.rpartition(":")[2])
    aws.__exit__(None, None, None)
    try:
        with EmbeddedAws(port) as again:
            assert again.endpoint_url.endswith(f":{port}")
            with pytest.raises(OSError, match="in use"):
                _start_another_on(port)
    finally:
        aws.__enter__()


def _start_another_on(port):
    from spot_runner_provider.embedded.http_server import HttpServer

    HttpServer(port, lambda environ: None)


def test_connections_are_kept_alive(aws):
    client = aws.client("ssm")
    before = threading.active_count()
    for _ in range(5):
        client.describe_parameters()
    assert threading.active_count() <= before + 1


@pytest.fixture
def eager_threads():
    """Let threads interleave at almost every step."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("eager_threads")
def test_of_two_writers_exactly_one_wins(aws):
    client = aws.client("dynamodb", ONCE)
    rounds = 40
    for number in range(rounds):
        update(client, f"AMI#{number}", "old")

    def wins(attempt):
        try:
            update(client, f"AMI#{attempt // 2}", f"new {attempt}", "v = :seen", seen="old")
        except client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(wins, range(2 * rounds)))
    assert [sum(pair) for pair in zip(won[::2], won[1::2], strict=True)] == [1] * rounds


def test_calls_are_counted_and_logged_with_their_keys(aws):
    dynamodb, ssm, image_builder = map(aws.client, ("dynamodb", "ssm", "imagebuilder"))
    update(dynamodb, "AMI#p", "x")
    dynamodb.get_item(TableName=TABLE, Key={"jobId": {"S": "AMI#p"}})
    dynamodb.batch_get_item(RequestItems={TABLE: {"Keys": [{"jobId": {"S": "a"}}, {"jobId": {"S": "b"}}]}})
    ssm.get_parameters(Names=["/one", "/two:3"])
    pipeline = create_pipeline(image_builder, "P")
    arn = image_builder.start_image_pipeline_execution(imagePipelineArn=pipeline)["imageBuildVersionArn"]
    image_builder.get_image(imageBuildVersionArn=arn)
    aws.client("sts").get_caller_identity()
    aws.client("ssm", bystander=True).describe_parameters()
    assert [(call.operation, call.keys, call.status) for call in aws.call_log()] == [
        ("dynamodb.UpdateItem", ("AMI#p",), 200),
        ("dynamodb.GetItem", ("AMI#p",), 200),
        ("dynamodb.BatchGetItem", ("a", "b"), 200),
        ("ssm.GetParameters", ("/one", "/two"), 200),
        ("imagebuilder.CreateImagePipeline", ("spot-runner-P",), 200),
        ("imagebuilder.StartImagePipelineExecution", ("spot-runner-p",), 200),
        ("imagebuilder.GetImage", ("spotrunnerstack-p/1.0.0/1",), 200),
        ("sts.GetCallerIdentity", (), 200),
    ]
    assert aws.calls()["imagebuilder.GetImage"] == 1
    aws.reset_calls()
    assert aws.calls() == {}


def test_a_query_tells_how_many_items_it_read(aws):
    put_items(
        aws.client("dynamodb", bystander=True),
        [{"jobId": str(n), "recordType": "AMI", "updatedAt": "1"} for n in range(3)],
    )
    aws.client("dynamodb").query(
        TableName=TABLE,
        IndexName="recordType-index",
        KeyConditionExpression="recordType = :r",
        ExpressionAttributeValues={":r": {"S": "AMI"}},
    )
    [call] = aws.call_log()
    assert (call.keys, call.scanned_count) == (("AMI",), 3)


def test_latency_is_waited_in_parallel(aws):
    client = aws.client("ssm", ONCE)
    client.describe_parameters()
    aws.set_latency(0.3, "ssm.*")
    with ThreadPoolExecutor(8) as pool:
        started = time.monotonic()
        list(pool.map(lambda _: client.describe_parameters(), range(8)))
    assert 0.3 <= time.monotonic() - started < 1.5


@pytest.mark.parametrize(
    ("service", "operation", "code", "status"),
    [
        ("dynamodb", "list_tables", "ThrottlingException", 400),
        ("ssm", "describe_parameters", "ThrottlingException", 400),
        ("imagebuilder", "list_image_pipelines", "CallRateLimitExceededException", 429),
    ],
)
def test_calls_beyond_the_rate_are_throttled_as_the_service_does(aws, service, operation, code, status):
    aws.set_rate(f"{service}.*", per_second=0.001, burst=2)
    call = getattr(aws.client(service, ONCE), operation)
    call(), call()
    with pytest.raises(ClientError) as caught:
        call()
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert list(aws.calls().values()) == [3]


def test_a_bystander_acts_once_right_before_the_call_is_applied(aws):
    client, other = aws.client("dynamodb", ONCE), aws.client("dynamodb", bystander=True)
    update(client, "AMI#p", "old")
    aws.before("dynamodb.UpdateItem", "AMI#p", lambda: update(other, "AMI#p", "theirs"))
    update(client, "AMI#q", "not that one")
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        update(client, "AMI#p", "ours", "v = :seen", seen="old")
    update(client, "AMI#p", "ours", "v = :seen", seen="theirs")
    assert aws.calls() == {"dynamodb.UpdateItem": 4}


def test_the_controls_work_over_http(aws):
    control, client = ControlClient(aws.endpoint_url), aws.client("ssm", ONCE)
    client.describe_parameters()
    assert control.calls() == {"ssm.DescribeParameters": 1}
    assert control.call_log() == aws.call_log()
    control.set_latency(0.01)
    control.set_rate("ssm.PutParameter", 0.001, burst=1)
    put_parameter(client, "p", "x")
    with pytest.raises(ClientError, match="Throttling"):
        put_parameter(client, "p", "y")
    control.reset()
    assert control.calls() == {}
    control.add_fault(Fault("ssm.PutParameter", "hold"))
    with ThreadPoolExecutor(1) as pool:
        version = pool.submit(put_parameter, client, "p", "y")
        assert [call.operation for call in control.wait_until_held()] == ["ssm.PutParameter"]
        assert control.release() == 1
        assert version.result() == 2


def test_faults_are_told_and_their_seed_is_set_over_http(aws):
    control, client = ControlClient(aws.endpoint_url), aws.client("ssm", ONCE)

    def statuses(seed):
        control.reset()
        control.set_seed(seed)
        control.add_fault(Fault("ssm.*", "500", probability=0.5))
        for _ in range(12):
            with suppress(ClientError):
                client.describe_parameters()
        seen = [call.status for call in control.call_log()]
        assert control.faults_hit() == {"500": seen.count(500)}
        return seen

    assert statuses(1) == statuses(1) != statuses(2)


def test_images_are_added_over_http(aws):
    control, client = ControlClient(aws.endpoint_url), aws.client("imagebuilder", ONCE)
    pipeline = create_pipeline(client, "linux-x64")
    ami = Ami(aws.region, "ami-1", aws.account)
    arn = control.add_image(pipeline, status="AVAILABLE", amis=[ami], date_created="2026-02-11T15:35:48.123Z")
    (image,) = client.list_image_pipeline_images(imagePipelineArn=pipeline)["imageSummaryList"]
    assert (image["arn"], image["state"]) == (arn, {"status": "AVAILABLE"})
    assert image["dateCreated"] == "2026-02-11T15:35:48.123Z"
    assert image["outputResources"]["amis"] == [ami.to_json()]
    with pytest.raises(OSError, match="400"):
        control.add_image("unknown", status="AVAILABLE")


def test_it_is_emptied_over_http(aws):
    control = ControlClient(aws.endpoint_url)
    create_pipeline(control.client("imagebuilder"), "linux-x64")
    put_parameter(control.client("ssm"), "p", "x")
    control.empty()
    assert control.calls() == {}
    assert control.client("dynamodb").list_tables()["TableNames"] == []
    assert control.client("ssm").describe_parameters()["Parameters"] == []
    assert control.client("imagebuilder").list_image_pipelines()["imagePipelineList"] == []


def test_a_wrong_control_request_is_refused(aws):
    control = ControlClient(aws.endpoint_url)
    with pytest.raises(OSError, match="400"):
        control._request("faults", {"operation": "*", "kind": "no kind"})
    with pytest.raises(OSError, match="404"):
        control._request("nothing")
