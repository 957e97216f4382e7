"""Each kind of fault, seen by a client that does not retry."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from spot_runner_provider.embedded.demo.seed import PARAMETER_PREFIX, put_parameter
from spot_runner_provider.embedded.faults import Fault

from .conftest import ONCE

PUT = "ssm.PutParameter"


@pytest.fixture
def ssm(aws):
    client = aws.client("ssm", ONCE)
    put_parameter(client, "p", "one")
    return client


def version(aws):
    return aws.client("ssm", bystander=True).get_parameter(Name=f"{PARAMETER_PREFIX}p")["Parameter"]["Version"]


@pytest.mark.parametrize(
    ("service", "operation", "kind", "code", "status"),
    [
        ("ssm", "describe_parameters", "ThrottlingException", "ThrottlingException", 400),
        ("ssm", "describe_parameters", "TooManyUpdates", "TooManyUpdates", 400),
        ("ssm", "describe_parameters", "AccessDeniedException", "AccessDeniedException", 400),
        ("ssm", "describe_parameters", "500", "InternalServerError", 500),
        ("dynamodb", "list_tables", "ProvisionedThroughputExceededException", None, 400),
        ("dynamodb", "list_tables", "InternalServerError", None, 500),
        ("dynamodb", "list_tables", "503", "ServiceUnavailable", 503),
        ("imagebuilder", "list_image_pipelines", "CallRateLimitExceededException", None, 429),
        ("imagebuilder", "list_image_pipelines", "AccessDeniedException", None, 403),
        ("imagebuilder", "list_image_pipelines", "ForbiddenException", None, 403),
        ("imagebuilder", "list_image_pipelines", "503", "ServiceUnavailableException", 503),
        ("sts", "get_caller_identity", "AccessDenied", None, 400),
    ],
)
def test_errors_come_in_the_services_own_format(aws, service, operation, kind, code, status):
    client = aws.client(service, ONCE)
    aws.add_fault(Fault(f"{service}.*", kind, times=1))
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)()
    assert caught.value.response["Error"]["Code"] == (code or kind)
    assert caught.value.response["Error"]["Message"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    getattr(client, operation)()


def test_a_modelled_error_is_the_clients_own_exception(aws):
    client = aws.client("imagebuilder", ONCE)
    aws.add_fault(Fault("imagebuilder.*", "CallRateLimitExceededException"))
    with pytest.raises(client.exceptions.CallRateLimitExceededException):
        client.list_image_pipelines()


@pytest.mark.parametrize(("kind", "applied"), [("reset", False), ("lost_reply", True)])
def test_a_closed_connection_says_nothing_about_whether_the_call_was_applied(aws, ssm, kind, applied):
    aws.add_fault(Fault(PUT, kind, times=1))
    with pytest.raises(ConnectionClosedError):
        put_parameter(ssm, "p", "two")
    assert version(aws) == (2 if applied else 1)
    assert aws.call_log()[-1].status is None
    put_parameter(ssm, "p", "three")


def test_a_retrying_client_applies_a_call_twice_when_the_reply_was_lost(aws, ssm):
    aws.add_fault(Fault(PUT, "lost_reply", times=1))
    assert put_parameter(aws.client("ssm", Config(retries={"mode": "standard"})), "p", "two") == 3


@pytest.mark.parametrize("fault", [Fault(PUT, "timeout", seconds=0.3), Fault(PUT, "hold")], ids=["slow", "never"])
def test_a_call_that_is_not_answered_is_not_applied(aws, ssm, fault):
    impatient = aws.client("ssm", ONCE.merge(Config(read_timeout=0.1)))
    aws.add_fault(fault)
    with pytest.raises(ReadTimeoutError):
        put_parameter(impatient, "p", "two")
    assert version(aws) == 1


@pytest.mark.parametrize(
    ("kind", "while_held", "apply", "afterwards"),
    [("hold", 1, True, 2), ("hold", 1, False, 1), ("hold_reply", 2, True, 2), ("hold_reply", 2, False, 2)],
)
def test_a_held_call_waits_for_its_release(aws, ssm, kind, while_held, apply, afterwards):
    aws.add_fault(Fault(PUT, kind))
    with ThreadPoolExecutor(1) as pool:
        put = pool.submit(put_parameter, ssm, "p", "two")
        [held] = aws.wait_until_held()
        assert held.keys == (f"{PARAMETER_PREFIX}p",)
        assert version(aws) == while_held
        assert aws.release(apply=apply) == 1
        if apply:
            assert put.result() == 2
        else:
            assert isinstance(put.exception(), ConnectionClosedError)
    assert version(aws) == afterwards
    assert aws.wait_until_held(count=0) == []


def attempts(aws, fault, keys):
    """Return for each call whether the fault hit it."""
    client = aws.client("ssm", ONCE)
    aws.add_fault(fault)
    hits = []
    for key in keys:
        try:
            client.get_parameter(Name=key)
        except client.exceptions.ParameterNotFound:
            hits.append(False)
        except ClientError:
            hits.append(True)
    aws.clear_faults()
    return hits


def test_skip_times_and_key_choose_the_calls(aws):
    fault = Fault("ssm.Get*", "ThrottlingException", times=2, skip=1, key="/a*")
    assert attempts(aws, fault, ["/a", "/b", "/a1", "/b", "/a2", "/a3"]) == [
        False,
        False,
        True,
        False,
        True,
        False,
    ]


def test_a_storm_is_the_same_for_the_same_seed(aws):
    fault = Fault("ssm.*", "ThrottlingException", probability=0.5)
    first, again = attempts(aws, fault, ["/a"] * 20), attempts(aws, fault, ["/a"] * 20)
    assert first == again
    assert 3 < sum(first) < 17


@pytest.mark.parametrize(
    "senseless", [{"kind": "oops"}, {"probability": 0}, {"probability": 1.5}, {"times": 0}, {"skip": -1}]
)
def test_a_fault_that_would_never_happen_is_refused(senseless):
    with pytest.raises(ValueError, match=r"never happen|neither"):
        Fault(**{"operation": "*", "kind": "reset"} | senseless)
