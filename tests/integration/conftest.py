from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.httpsession import URLLib3Session

from spot_runner_provider import clock
from spot_runner_provider.embedded.__main__ import airflow_connection
from spot_runner_provider.embedded.call import BYSTANDER_HEADER
from spot_runner_provider.embedded.seed import create_table
from spot_runner_provider.embedded.server import EmbeddedAws
from tests.integration.deployment import Deployment, WorkerDied


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedAws]:
    """An embedded AWS with an empty state table, to which the connection ``aws_default`` leads."""
    with EmbeddedAws() as aws:
        create_table(aws.client("dynamodb", bystander=True))
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", airflow_connection(aws))
        yield aws


@pytest.fixture
def deployment(aws: EmbeddedAws) -> Deployment:
    return Deployment(aws)


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the wall clock run ahead: ``pass_time(minutes=6)``."""

    def ahead(**duration: float) -> None:
        present = clock.now
        monkeypatch.setattr(clock, "now", lambda: present() + timedelta(**duration))

    return ahead


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Stop the wall clock at a moment."""
    return lambda moment: monkeypatch.setattr(clock, "now", lambda: moment)


@pytest.fixture
def dies(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the worker die once: ``dies("PutParameter", "before")``, or ``"after"`` the call was applied."""
    send = URLLib3Session.send

    def die(operation: str, when: str, number: int = 1) -> None:
        seen = 0

        def dying_send(session: URLLib3Session, request: Any) -> Any:
            nonlocal seen
            ours = BYSTANDER_HEADER not in request.headers
            target = request.headers.get("X-Amz-Target", request.url)
            target = target.decode() if isinstance(target, bytes) else target
            if ours and target.endswith(operation):
                seen += 1
                if seen == number:
                    if when == "after":
                        send(session, request)
                    raise WorkerDied
            return send(session, request)

        monkeypatch.setattr(URLLib3Session, "send", dying_send)

    return die
