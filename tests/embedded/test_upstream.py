"""DynamoDB and SSM of another emulator behind the same layers."""

import json

import pytest
from botocore.exceptions import ClientError
from werkzeug.wrappers import Request, Response

from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.embedded.http_server import HttpServer
from spot_runner_provider.embedded.server import EmbeddedAws

from .conftest import ONCE


@pytest.fixture
def upstream():
    """Another emulator, which knows one parameter."""
    seen = []

    def respond(environ):
        request = Request(environ)
        seen.append((request.headers["X-Amz-Target"], request.get_json(force=True)))
        if seen[-1][1].get("Name") == "known":
            return Response(
                json.dumps({"Parameter": {"Name": "known", "Value": "v"}}), headers={"x-amzn-RequestId": "1"}
            )
        return Response(json.dumps({"__type": "ParameterNotFound"}), 400)

    server = HttpServer(0, respond)
    server.seen = seen
    server.start()
    yield server
    server.stop()


@pytest.fixture
def aws(upstream):
    with EmbeddedAws(upstream=upstream.url) as aws:
        yield aws


def test_a_call_and_its_answer_pass_through(aws, upstream):
    answer = aws.client("ssm", ONCE).get_parameter(Name="known")
    assert answer["Parameter"] == {"Name": "known", "Value": "v"}
    assert answer["ResponseMetadata"]["RequestId"] == "1"
    assert upstream.seen == [("AmazonSSM.GetParameter", {"Name": "known"})]


def test_an_error_passes_through(aws):
    client = aws.client("ssm", ONCE)
    with pytest.raises(client.exceptions.ParameterNotFound):
        client.get_parameter(Name="other")
    assert [call.status for call in aws.call_log()] == [400]


def test_dynamodb_is_the_other_ones_too_and_image_builder_is_not(aws, upstream):
    with pytest.raises(ClientError, match="ParameterNotFound"):
        aws.client("dynamodb", ONCE).list_tables()
    assert aws.client("imagebuilder", ONCE).list_image_pipelines()["imagePipelineList"] == []
    assert [target for target, _ in upstream.seen] == ["DynamoDB_20120810.ListTables"]


def test_the_layers_stand_before_it(aws, upstream):
    aws.add_fault(Fault("ssm.GetParameter", "ThrottlingException", times=1))
    client = aws.client("ssm", ONCE)
    with pytest.raises(ClientError, match="ThrottlingException"):
        client.get_parameter(Name="known")
    assert upstream.seen == []
    aws.before("ssm.GetParameter", "known", lambda: aws.client("ssm", bystander=True).get_parameter(Name="known"))
    client.get_parameter(Name="known")
    assert (len(upstream.seen), aws.calls()) == (2, {"ssm.GetParameter": 2})
