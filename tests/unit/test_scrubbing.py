"""What AWS's libraries really raise, with secrets in it, and what is left once it is scrubbed."""

from __future__ import annotations

import configparser
import http.client
import logging
import socket
import traceback
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigParseError,
    CredentialRetrievalError,
    EndpointConnectionError,
)
from botocore.parsers import QueryParser, ResponseParserError

from spot_runner_provider.hooks import scrubbing
from spot_runner_provider.hooks.connection import guard
from spot_runner_provider.hooks.scrubbing import remember, scrub_records, scrubbed, scrubbed_text
from spot_runner_provider.protocol.calls import ConfigurationError

HIDDEN = "s3cretWord"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(scrubbing, "_known", frozenset())


def call(token: str = "IQoJ", key_id: str = "AKIAIOSFODNN7EXAMPLE", url: str | None = None, **config: Any) -> None:
    """Call AWS with botocore as it comes."""
    once = Config(retries={"mode": "standard", "total_max_attempts": 1}, connect_timeout=1, **config)
    session = boto3.session.Session(key_id, "wJalrXUtnFEMI", token, "us-east-1")
    session.client("sts", endpoint_url=url or "http://127.0.0.1:9", config=once).get_caller_identity()


def raised(error: Exception, cause: Exception | None = None) -> Callable[[], None]:
    def fail() -> None:
        raise error from cause

    return fail


def test_what_aws_says_forges_no_line_and_steers_no_terminal():
    answer = {"Error": {"Code": "InternalServerError", "Message": "boom\n2026-01-01 [info] ok \x1b[2J\u202e"}}
    with pytest.raises(ClientError) as caught, scrubbed():
        raise ClientError(answer, "Query")
    assert "boom 2026-01-01 [info] ok \\x1b[2J\\u202e" in str(caught.value)
    assert caught.value.response["Error"]["Message"] in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        OSError(ConnectionError(f"refused {HIDDEN}")),
        KeyError((HIDDEN,)),
        ValueError(HIDDEN.encode()),
        FileNotFoundError(2, "No such file", f"/run/{HIDDEN}"),
    ],
    ids=["an-error", "a-tuple", "bytes", "a-file-name"],
)
def test_what_is_no_text_in_an_error_is_scrubbed_too(error):
    remember(HIDDEN)
    with pytest.raises(type(error)) as caught, scrubbed():
        raise error
    assert HIDDEN not in str(caught.value) + repr(caught.value)


def parse_broken_answer() -> None:
    body = f"<AssumeRoleResponse><SecretAccessKey>{HIDDEN}</AssumeRoleResponse>".encode()
    QueryParser().parse({"status_code": 200, "headers": {}, "body": body}, None)


def parse_profile() -> None:
    try:
        configparser.RawConfigParser().read_string(f"[default]\naws_secret_access_key\n {HIDDEN}\n{HIDDEN}")
    except configparser.Error as error:
        raise ConfigParseError(path="credentials", error=error)  # noqa: B904 - as botocore does


def told_by_aws(message: str) -> Callable[[], None]:
    return raised(ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "PutParameter"))


CASES: dict[str, tuple[Callable[[], None], str]] = {
    "token with a newline": (lambda: call(token=f"{HIDDEN}\n"), "An HTTP client failed with ValueError"),
    "key id with a newline": (lambda: call(key_id=f"{HIDDEN}\n"), "An HTTP client failed with ValueError"),
    "user in an endpoint": (
        lambda: call(url=f"http://me:{HIDDEN}@127.0.0.1:9"),
        'Could not connect to the endpoint URL: "http://***@127.0.0.1:9/"',
    ),
    "endpoint that is none": (lambda: call(url=f"me:{HIDDEN}@127.0.0.1"), "Invalid endpoint: (withheld"),
    "proxy": (
        lambda: call(proxies={"http": f"http://me:{HIDDEN}@127.0.0.1:9"}),
        "Failed to connect to proxy URL",
    ),
    "proxy that is none": (
        lambda: call(proxies={"http": f"http://me:{HIDDEN}/x@127.0.0.1:9"}),
        "",
    ),
    "port of an endpoint": (lambda: call(url=f"http://me:{HIDDEN}/x@127.0.0.1"), "integer value as (withheld"),
    "port of an address": (
        raised(http.client.InvalidURL(f"nonnumeric port: '{HIDDEN}'")),
        "nonnumeric port: (withheld",
    ),
    "word of a setting": (raised(ValueError(f"{HIDDEN!r} is no mode")), "'***' is no mode"),
    "answer that is no XML": (parse_broken_answer, "retries may succeed: (withheld"),
    "profile": (parse_profile, "Unable to parse config file"),
    "process": (
        raised(CredentialRetrievalError(provider="custom-process", error_msg=f"no such user {HIDDEN}")),
        "Error when retrieving credentials from custom-process: (withheld",
    ),
    "AWS quotes a signature": (
        told_by_aws(f"'Credential={HIDDEN}/20260211/us-east-1, SignedHeaders=host, Signature={HIDDEN}'"),
        "SignedHeaders=host, Signature=***",
    ),
    "AWS quotes a request": (
        told_by_aws(f"The Canonical String should have been 'POST\n/\n\nx-amz-security-token:{HIDDEN}\n\nhost'"),
        "x-amz-security-token:***  host",
    ),
    "AWS quotes headers": (
        told_by_aws(f'{{"X-Amz-Security-Token": "{HIDDEN}", "Host": "ssm"}}'),
        '"X-Amz-Security-Token": "***", "Host": "ssm"',
    ),
    "presigned URL": (
        told_by_aws(f"https://sts/?X-Amz-Credential={HIDDEN}%2F20260211&X-Amz-Signature={HIDDEN}&x=1"),
        "&x=1",
    ),
    "a cause that is not ours to tell": (
        raised(EndpointConnectionError(endpoint_url="https://ssm"), KeyError(HIDDEN)),
        "Could not connect",
    ),
}
KNOWN = {"word of a setting"}
"""Where nothing but the value tells that it is secret."""


@pytest.mark.parametrize("case", CASES)
def test_no_secret_is_left_in_an_error_or_its_causes(case):
    fail, told = CASES[case]
    if case in KNOWN:
        remember(HIDDEN)
    with pytest.raises(Exception) as before:  # noqa: PT011 - whatever it is
        fail()
    assert HIDDEN in "".join(traceback.format_exception(before.value)) or "proxy" in case
    with pytest.raises(type(before.value)) as after, scrubbed(), scrubbed():
        fail()
    assert HIDDEN not in "".join(traceback.format_exception(after.value))
    assert told in str(after.value)
    if isinstance(after.value, ClientError):
        assert HIDDEN not in str(after.value.response)


VALUES = {
    "as it is": "s3cretWord",
    "with a line break": "s3cret\nWord",
    "with quotes": "s3cret'\"Word",
    "with what a URL quotes": "s3cret/+=Word",
    "not ASCII": "s3cret€Word",
}
QUOTED: dict[str, Callable[[str], str]] = {
    "plain": str,
    "repr": repr,
    "bytes": lambda text: repr(text.encode()),
    "in a dict": lambda text: str({"value": [text]}),
}


@pytest.mark.parametrize("quoted", QUOTED.values(), ids=QUOTED)
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_that_is_known_is_found_however_it_is_quoted(value, quoted):
    remember(value)
    told = scrubbed_text(f"Value {quoted(value)} at 'value' is wrong")
    assert "s3cret" not in told
    assert "Word" not in told
    assert told.endswith(" at 'value' is wrong")


def test_no_short_word_is_looked_for():
    remember("", "    ", "test", key_id="testing")
    assert scrubbed_text("a test of testing") == "a test of testing"


def test_what_is_told_of_a_cause_stays():
    """Who must know why, or whether a write may have been applied, looks at the cause."""
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}, "ResponseMetadata": {"a": 1}}, "PutItem")
    with pytest.raises(ConfigurationError) as refused, scrubbed():
        raise ConfigurationError("Access denied") from denied
    assert refused.value.__cause__ is denied
    assert denied.response["ResponseMetadata"] == {"a": 1}
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    with pytest.raises(BotoCoreError) as unresolved, scrubbed():
        raise EndpointConnectionError(endpoint_url="https://ssm", error=unknown) from unknown
    assert "Name or service not known" in "".join(traceback.format_exception(unresolved.value))


def test_a_cause_that_was_suppressed_does_not_come_back():
    refusal = ConfigurationError("Access denied")
    refusal.__context__, refusal.__suppress_context__ = OSError("why"), True
    with pytest.raises(ConfigurationError) as refused, scrubbed():
        raise refusal
    assert "why" not in "".join(traceback.format_exception(refused.value))


def test_botocores_log_of_refreshing_has_no_secret(caplog):
    scrub_records()

    def refresh() -> dict[str, str]:
        call(token=f"{HIDDEN}\n")
        raise AssertionError

    metadata = {"access_key": "AKIA", "secret_key": "x", "token": "y", "expiry_time": "2026-02-11T16:00:00Z"}
    credentials = RefreshableCredentials.create_from_metadata(metadata, refresh, "sts-assume-role")
    with caplog.at_level(logging.WARNING), pytest.raises(BotoCoreError):
        credentials.get_frozen_credentials()
    assert "Refreshing temporary credentials failed" in caplog.text
    assert HIDDEN not in caplog.text


def test_a_guarded_session_sends_nothing_that_cannot_be_sent():
    session = boto3.session.Session("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI", f"{HIDDEN}\n", "us-east-1")
    guard(session)
    with pytest.raises(ConfigurationError, match="the session token begins or ends") as refused:
        session.client("sts", endpoint_url="http://127.0.0.1:9").get_caller_identity()
    assert HIDDEN not in "".join(traceback.format_exception(refused.value))


HOSTS = {
    "unknown region": (
        "us-east-9",
        None,
        ConfigurationError,
        "Host ssm.us-east-9.amazonaws.com does not exist, and",
    ),
    "known region": ("us-east-1", None, EndpointConnectionError, "the worker's DNS does not know this host"),
    "endpoint of one's own": (
        "us-east-9",
        "http://nowhere:4566",
        EndpointConnectionError,
        '"http://nowhere:4566/": the worker\'s DNS does not know this host',
    ),
}


@pytest.mark.parametrize(("region", "url", "kind", "told"), HOSTS.values(), ids=HOSTS)
def test_a_host_that_does_not_exist_is_looked_for_once(monkeypatch, region, url, kind, told):
    asked = []

    def getaddrinfo(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    session = boto3.session.Session("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI", None, region)
    guard(session)
    with pytest.raises(kind, match=r"[Hh]ost") as failed:
        session.client("ssm", endpoint_url=url).get_parameter(Name="/x")
    assert told in str(failed.value)
    assert len(asked) == 1


def test_a_resolver_that_is_down_is_asked_again(monkeypatch):
    asked = []

    def getaddrinfo(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    session = boto3.session.Session("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI", None, "us-east-9")
    guard(session)
    with pytest.raises(EndpointConnectionError):
        session.client("ssm", config=Config(retries={"mode": "standard"})).get_parameter(Name="/x")
    assert len(asked) == 3


def test_an_answer_that_cannot_be_read_is_still_that():
    with pytest.raises(ResponseParserError), scrubbed():
        parse_broken_answer()
