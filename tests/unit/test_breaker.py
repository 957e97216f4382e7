"""What is not one preset's trouble."""

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    MetadataRetrievalError,
    NoCredentialsError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from spot_runner_provider.batch.breaker import IN_A_ROW, PUTS_IN_A_ROW, Breaker, Reach, reach_of
from spot_runner_provider.protocol.calls import AmbiguousPut, Busy, ConfigurationError, PutConfig, ReadConfig, Throttled
from spot_runner_provider.records.parameter import InvalidConfig

URL = "https://ssm.us-east-1.amazonaws.com"
UNANSWERED = ReadTimeoutError(endpoint_url=URL)


def answer(code, status=400):
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetParameters")


def put(cause):
    error = AmbiguousPut("no answer")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reach"),
    [
        pytest.param(UNANSWERED, Reach.ALL, id="read timeout"),
        pytest.param(ConnectTimeoutError(endpoint_url=URL), Reach.ALL, id="connect timeout"),
        pytest.param(EndpointConnectionError(endpoint_url=URL), Reach.ALL, id="refused, unknown host"),
        pytest.param(SSLError(endpoint_url=URL, error="handshake"), Reach.ALL, id="TLS"),
        pytest.param(ProxyConnectionError(proxy_url="http://p"), Reach.ALL, id="proxy"),
        pytest.param(ConnectionClosedError(endpoint_url=URL), Reach.ALL, id="closed"),
        pytest.param(ConnectionRefusedError(), Reach.ALL, id="Python's own"),
        pytest.param(CredentialRetrievalError(provider="role", error_msg="503"), Reach.ALL, id="credentials"),
        pytest.param(MetadataRetrievalError(error_msg="503"), Reach.ALL, id="container's credentials"),
        pytest.param(answer("InternalServerError", 500), Reach.DOUBTFUL, id="500"),
        pytest.param(answer("ServiceUnavailable", 503), Reach.DOUBTFUL, id="503"),
        pytest.param(answer("Unheard", 502), Reach.DOUBTFUL, id="502"),
        pytest.param(answer("ThrottlingException"), Reach.DOUBTFUL, id="throttled"),
        pytest.param(ResponseParserError("<html>"), Reach.DOUBTFUL, id="unreadable"),
        pytest.param(TimeoutError(), Reach.DOUBTFUL, id="left unprocessed"),
        pytest.param(AmbiguousPut("no answer"), Reach.DOUBTFUL, id="put"),
        pytest.param(BotoCoreError(), Reach.DOUBTFUL, id="botocore"),
        pytest.param(answer("ValidationException"), Reach.ONE, id="refused"),
        pytest.param(answer("AccessDeniedException"), Reach.ONE, id="denied"),
        pytest.param(ConfigurationError("denied"), Reach.ONE, id="for a person"),
        pytest.param(Throttled("later"), Reach.ONE, id="waits for its turn"),
        pytest.param(Busy("later"), Reach.ONE, id="busy"),
        pytest.param(InvalidConfig("no JSON"), Reach.ONE, id="parameter"),
        pytest.param(KeyError("x"), Reach.ONE, id="bug"),
    ],
)
def test_whose_trouble_an_error_is(error, reach):
    assert reach_of(error) is reach


def test_missing_credentials_concern_all_unless_disabled(monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    assert reach_of(NoCredentialsError()) is Reach.ALL
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert reach_of(NoCredentialsError()) is Reach.ONE


def closed_by(*failures, kind=ReadConfig):
    """Return after how many of the failures, each of a preset or of several, such a call is not made any more."""
    breaker = Breaker()
    for number, (names, error) in enumerate(failures, 1):
        if error is None:
            breaker.worked(kind)
        else:
            breaker.failed(kind, names, error)
        if breaker.refusal(kind):
            return number
    return None


A, B, C = [["a"], ["b"], ["c"]]
BAD = answer("InternalServerError", 500)


@pytest.mark.parametrize(
    ("failures", "after"),
    [
        pytest.param([(["a", "b"], UNANSWERED)], 1, id="no answer to several"),
        pytest.param([(A, UNANSWERED)], 1, id="no answer to one"),
        pytest.param([(A, BAD), (B, BAD), (C, BAD)], IN_A_ROW, id="three in a row"),
        pytest.param([(A, BAD)] * 9, None, id="the same one"),
        pytest.param([(A, BAD), (B, BAD), (C, None), (C, BAD), (A, BAD)], None, id="one worked in between"),
        pytest.param([(["a", "b", "c"], BAD)] * 9, None, id="together, because of one of them"),
        pytest.param(
            [(A, answer("ValidationException")), (B, KeyError()), (C, InvalidConfig("no JSON"))], None, id="their own"
        ),
        pytest.param([(A, put(UNANSWERED))] * 9, PUTS_IN_A_ROW, id="puts without an answer"),
        pytest.param([(A, put(BAD))] * 19, None, id="a put with a bad answer"),
        pytest.param([([str(n)], put(BAD)) for n in range(9)], PUTS_IN_A_ROW, id="puts with bad answers"),
    ],
)
def test_when_such_calls_are_made_no_more(failures, after):
    assert closed_by(*failures) == after


def test_calls_of_another_kind_are_made_still():
    breaker = Breaker()
    breaker.failed(ReadConfig, ["a"], UNANSWERED)
    assert breaker.refusal(PutConfig) is None
    assert str(breaker.refusal(PutConfig, ReadConfig)).startswith("not tried, because this failed before: ReadTimeout")


def test_the_first_reason_is_told():
    breaker = Breaker()
    for error in (UNANSWERED, ConnectionRefusedError("later")):
        breaker.failed(ReadConfig, ["a"], error)
    assert "ReadTimeoutError" in str(breaker.refusal(ReadConfig))
