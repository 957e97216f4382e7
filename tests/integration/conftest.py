from __future__ import annotations

import json
import logging
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import botocore.hooks
import botocore.session
import pytest
from airflow.providers.amazon.aws.hooks.base_aws import mask_secret
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS
from airflow.providers.common.compat.sdk import DAG
from airflow.utils.db import initdb
from botocore.httpsession import URLLib3Session
from sqlalchemy import update

from spot_runner_provider import clock
from spot_runner_provider.embedded.__main__ import airflow_connection
from spot_runner_provider.embedded.call import BYSTANDER_HEADER
from spot_runner_provider.embedded.control import ControlClient
from spot_runner_provider.embedded.demo.seed import TABLE, create_table
from spot_runner_provider.embedded.server import EmbeddedAws
from spot_runner_provider.operators.reconcile_preset import ReconcilePresetOperator
from tests.integration import asset_dags
from tests.integration.command_line import Answer, call
from tests.integration.deployment import Deployment, WorkerDied
from tests.integration.ministack import EMULATORS, Ministack

REPOSITORY = Path(__file__).parents[2]

MOTO_ONLY = {
    "test_an_index_of_many_pages_is_read_to_the_end": "ministack's pages hold 1 MB, always",
    "test_a_small_value_in_an_advanced_parameter_keeps_its_tier": (
        "ministack lets a put take an Advanced parameter back to Standard; AWS refuses it"
    ),
}
"""Test -> what ministack does otherwise than AWS, or cannot be told to do."""


ON_BOTH = {"test_index.py", "test_reconcile.py"}
"""Files whose tests ``make test`` runs on both emulators: they make each call, and each condition, at least once."""


@pytest.hookimpl(tryfirst=True)  # before what is not asked for is left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the others on ministack to the long profile: they test what does not depend on the emulator."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec and "ministack" in callspec.params.values() and item.path.name not in ON_BOTH:
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session", autouse=True)
def remembering_botocore() -> Iterator[None]:
    """Let botocore's sessions share what they read and inspect: each task makes one, which takes tenths of a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))
        patch.setattr(botocore.hooks, "accepts_kwargs", cache(botocore.hooks.accepts_kwargs))
        yield


@pytest.fixture(autouse=True)
def forgotten_masks() -> None:
    """Let Airflow forget what it masked for other tests: each secret makes one pattern longer and slower to compile."""
    masker = mask_secret.__globals__["_secrets_masker"]()
    masker.patterns, masker.replacer = set(), None


@pytest.fixture(scope="session")
def ministack() -> Iterator[Ministack]:
    with Ministack() as ministack:
        yield ministack


@pytest.fixture(scope="module", params=EMULATORS)
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedAws]:
    """An embedded AWS for a module's tests. Each runs twice: on moto, and with ministack's DynamoDB and SSM."""
    upstream = request.getfixturevalue("ministack").url if request.param == "ministack" else None
    with EmbeddedAws(upstream=upstream) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "client", cache(server.client))  # making a client takes longer than most calls
        yield server


@pytest.fixture
def aws(request: pytest.FixtureRequest, server: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> EmbeddedAws:
    """The same with an empty state table and nothing else, to which the connection ``aws_default`` leads."""
    if request.node.callspec.params["server"] == "ministack":
        if reason := MOTO_ONLY.get(request.function.__name__):
            pytest.skip(reason)
        request.getfixturevalue("ministack").empty()
    server.empty()
    server.set_seed(0)
    create_table(server.client("dynamodb", bystander=True))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", airflow_connection(server))
    return server


@contextmanager
def aws_process(*options: str) -> Iterator[ControlClient]:
    command = [sys.executable, "-m", "spot_runner_provider.embedded", "--port", "0", "--seed", "empty", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        try:
            assert process.stdout is not None
            ready = re.match(r"Embedded AWS ready at (\S+),", process.stdout.readline())
            assert ready is not None
            yield ControlClient(ready[1])
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def far_moto() -> Iterator[ControlClient]:
    with aws_process() as aws:
        yield aws


@pytest.fixture(scope="session")
def far_ministack(ministack: Ministack) -> Iterator[ControlClient]:
    ministack.empty()
    with aws_process("--upstream", ministack.url) as aws:
        yield aws


@pytest.fixture(params=EMULATORS)
def far_aws(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ControlClient:
    """The same in a process of its own: what a test does to its own process does not touch it."""
    aws: ControlClient = request.getfixturevalue(f"far_{request.param}")
    if request.param == "ministack":
        request.getfixturevalue("ministack").empty()
    aws.empty()
    create_table(aws.client("dynamodb", bystander=True))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", airflow_connection(aws))
    return aws


@pytest.fixture(scope="module")
def no_deployments() -> None:
    """A metadata database in which no DAG is a deployment: what other modules left there is stale."""
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    initdb()
    with create_session() as session:
        session.execute(update(DagModel).values(is_stale=True))


@pytest.fixture
def deployment(aws: EmbeddedAws) -> Deployment:
    return Deployment(aws)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Return a function that tells what was logged, each message once.

    Tasks of Airflow 3 print what they log. Those of Airflow 2 have loggers, which print it as well until the metadata
    database is made: this takes their handlers away.
    """
    caplog.set_level(logging.INFO)

    def told() -> str:
        printed = capsys.readouterr().out if AIRFLOW_V_3_0_PLUS else ""
        return printed + "".join(f"{record.getMessage()}\n" for record in caplog.records)

    return told


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    """Run a command in this process, with settings of ``[spot_runner]``."""

    def run(*arguments: str, **settings: str) -> Answer:
        monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
        for name, value in settings.items():
            monkeypatch.setenv(f"AIRFLOW__SPOT_RUNNER__{name.upper()}", value)
        return call(capsys, *arguments)

    return run


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


@pytest.fixture(scope="module")
def known_alias() -> None:
    """Make Airflow's database, with the default alias in it."""
    initdb()
    with DAG("knows_the_alias", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        ReconcilePresetOperator(task_id="reconcile_preset", presets=[], table_name=TABLE)
    asset_dags.declare(dag)


@pytest.fixture
def make_dag(tmp_path, monkeypatch):
    """Return a function that makes a DAG with a mapped task and another one, in a folder where Airflow finds it."""
    bundle = {
        "name": "made",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(tmp_path)},
    }
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps([bundle]))

    def make(dag_id: str, arguments: str) -> Any:
        file = tmp_path / f"{dag_id}.py"
        file.write_text(asset_dags.TEXT.format(dag_id=dag_id, arguments=arguments))
        return runpy.run_path(str(file))["dag"]

    return make
