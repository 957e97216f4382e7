"""What hands out the credentials of an instance's role, and fails for a while if told to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from werkzeug.wrappers import Response

from spot_runner_provider.embedded.http_server import HttpServer

ROLE = "/latest/meta-data/iam/security-credentials/"


class RoleEndpoint:
    """The instance metadata service, version 2."""

    def __init__(self) -> None:
        self._down = 0
        self.refused = 0
        self.answered = 0

    def down(self, requests: int) -> None:
        """Answer so many requests with 503."""
        self._down = requests

    def __call__(self, environ) -> Response:
        if self._down:
            self._down -= 1
            self.refused += 1
            return Response("try again", 503)
        self.answered += 1
        if environ["PATH_INFO"] == "/latest/api/token":
            return Response("token")
        if environ["PATH_INFO"] == ROLE:
            return Response("worker")
        credentials = {
            "Code": "Success",
            "AccessKeyId": "testing",
            "SecretAccessKey": "testing",
            "Token": "testing",
            "Expiration": (datetime.now(UTC) + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return Response(json.dumps(credentials))


@contextmanager
def role_of_the_worker(aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[RoleEndpoint]:
    """Give the worker a role, which the connection ``role`` takes: it leads to ``aws`` and has no credentials."""
    endpoint = RoleEndpoint()
    server = HttpServer(0, endpoint)
    server.start()
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url)
    extra = {"region_name": aws.region, "endpoint_url": aws.endpoint_url}
    monkeypatch.setenv("AIRFLOW_CONN_ROLE", json.dumps({"conn_type": "aws", "extra": extra}))
    yield endpoint
    server.stop()
