"""Where the worker's credentials come from, and what becomes of a try when they do not come."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from tests.integration.deployment import TaskInstance, detect, reconcile

PRESET = "linux-x64"
ROLE = "arn:aws:iam::123456789012:role/airflow"


class Endpoint(ThreadingHTTPServer):
    """The instance's metadata endpoint, or a container's: it hands out a role's credentials, or ``status``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.failures, self.status = 0, 503

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Endpoint

    def do_PUT(self) -> None:
        self._answer(200, "token")

    def do_GET(self) -> None:
        if self.server.failures:
            self.server.failures -= 1
            self._answer(self.server.status, "not now")
        elif self.path.endswith("/security-credentials/"):
            self._answer(200, "airflow")
        else:
            keys = {"AccessKeyId": "AKIAROLE", "SecretAccessKey": "secret", "Token": "token", "Code": "Success"}
            until = datetime.now(UTC) + timedelta(hours=6)
            self._answer(200, json.dumps(keys | {"Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ")}))

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


@contextmanager
def serving() -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        thread = threading.Thread(target=endpoint.serve_forever)
        thread.start()
        yield endpoint
        endpoint.shutdown()
        thread.join()


@pytest.fixture
def connection(aws, monkeypatch):
    """A connection without credentials: the worker's own count. Called with more extras, it has them."""

    def set_connection(**more):
        extra = {"region_name": "us-east-1", "endpoint_url": aws.endpoint_url} | more
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", "extra": extra}))

    set_connection()
    return set_connection


@pytest.fixture(params=[pytest.param("instance", id="of-an-instance"), pytest.param("container", id="of-a-container")])
def endpoint(request, connection, monkeypatch):
    """What hands out a role's credentials. It fails as often as makes botocore give up."""
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    with serving() as endpoint:
        if request.param == "instance":
            monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
            monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint.url)
        else:
            monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{endpoint.url}/v1/credentials")
        endpoint.failures = {"instance": 1, "container": 3}[request.param]
        yield endpoint


@pytest.mark.parametrize("status", [503, 429, 500, 404])
def test_a_retry_makes_up_for_a_failed_endpoint(deployment, endpoint, status):
    deployment.stale(PRESET)
    endpoint.status = status
    with pytest.raises(Exception, match=r"Nothing was sent to .*If the source of the role") as failure:
        detect()
    assert not isinstance(failure.value, AirflowFailException)
    batches, _ = detect()
    assert [item["presetName"] for batch in batches for item in batch] == [PRESET]


def test_a_retry_makes_up_for_an_endpoint_failing_midway(deployment, endpoint):
    deployment.stale(PRESET)
    endpoint.failures = 0
    batches, _ = detect()
    endpoint.failures = 100
    with pytest.raises(Exception, match=rf"1 of 1 presets failed: {PRESET}|If the source of the role") as failure:
        reconcile(batches[0])
    assert not isinstance(failure.value, AirflowFailException)
    endpoint.failures = 0
    assert reconcile(batches[0], TaskInstance(try_number=2))[PRESET]["outcome"] == "corrected_ready"


def test_both_causes_are_named_where_nobody_can_tell_them_apart(connection, aws, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
    said = "this passes. If it persists, set credentials in connection aws_default"
    with pytest.raises(Exception, match=said) as failure:
        detect()
    assert not isinstance(failure.value, AirflowFailException)


def test_a_retry_makes_up_for_a_failed_credential_process(deployment, connection, monkeypatch, tmp_path):
    keys = json.dumps({"Version": 1, "AccessKeyId": "AKIAPROCESS", "SecretAccessKey": "secret"})
    script = tmp_path / "process.py"
    script.write_text(
        "import pathlib, sys\n"
        "mark = pathlib.Path(sys.argv[0] + '.failed')\n"
        f"print({keys!r}) if mark.exists() else (mark.touch(), sys.exit('the vault is sealed'))\n"
    )
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {sys.executable} {script}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    with pytest.raises(Exception, match="custom-process") as failure:
        detect()
    assert not isinstance(failure.value, AirflowFailException)
    assert detect()[1]["states"] == []


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        pytest.param({"role_arn": ROLE, "assume_role_method": "by_magic"}, "by_magic", id="method"),
        pytest.param(
            {"role_arn": ROLE, "assume_role_method": "assume_role_with_web_identity"},
            "Unsupported federation",
            id="federation",
        ),
        pytest.param({"profile_name": "nobody"}, "nobody", id="profile"),
    ],
)
def test_a_connection_that_makes_no_sense_fails_at_once(connection, aws, extra, said):
    connection(**extra)
    with pytest.raises(AirflowFailException, match=said):
        detect()


def test_a_token_file_that_is_missing_fails_at_once_and_is_named(connection, aws, monkeypatch):
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token")
    with pytest.raises(AirflowFailException, match=r"FileNotFoundError.*/nowhere/token"):
        detect()
