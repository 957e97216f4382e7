"""The examples in the docstrings: each public class and function has one, and each example is run.

Public are the classes and functions without an underscore, in the module that defines them, and the methods of such
classes. Each has a docstring, with a ``:raises`` for each exception that it makes itself. As for examples:

- A function has its own.
- A class has its own, or it adds no method to a class of this package that has one: then that one shows it too. An
  exception may have it where it is raised, by an example that ends in it.
- A method has its own, or is called in one of its class or of another method. One that a base class declares needs
  none, because it is the base class's to explain. Properties and private names need none either.

``WITHOUT`` names what has no example all the same, and why.

An example finds the names of its module, and what ``NAMESPACES`` gives it besides, nothing else.
"""

from __future__ import annotations

import doctest
import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.models import import_all_models
from airflow.models.base import Base
from airflow.models.dag import DagModel, DagTag
from airflow.providers.common.compat.sdk import DAG, BaseOperator, TaskGroup
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from spot_runner_provider import clock
from spot_runner_provider.embedded.__main__ import airflow_connection
from spot_runner_provider.embedded.demo.seed import TABLE, create_table
from spot_runner_provider.embedded.server import EmbeddedAws
from tests.integration import docstrings
from tests.integration.deployment import Deployment, TaskInstance
from tests.integration.docstrings import EXAMPLES, PUBLIC, Part, lacks, untold
from tests.integration.finished_run import ran, unreported

try:
    from structlog.testing import capture_logs
except ModuleNotFoundError:
    capture_logs = nullcontext  # Airflow 2.11 logs by ``logging`` alone

NOW = datetime(2026, 2, 11, 16, 5, 48, 123000, tzinfo=UTC)
"""The moment at which each example runs."""

OVER_HTTP = ("call_log", "wait_until_held", "empty", "set_seed", "set_latency", "set_rate", "release")
WITHOUT = {
    "operators.asset_events.UnknownAlias": "it takes an Airflow 2 that has not parsed a DAG",
    "embedded.strict.Refusal": "it never leaves Strict, whose example has the answer that becomes of it",
    "operators.reconcile_preset.ReconcilePresetOperator.execute_complete": "Airflow calls it, after a deferral",
    "protocol.calls.Committed": "it is an answer of AmiStateHook.commit, and in the example of that",
    "protocol.calls.Lost": "it is an answer of AmiStateHook.commit, and in the example of that",
    "protocol.calls.PutsInVain": "it takes twenty rounds of the protocol, or ten minutes, until it is raised",
    **{f"embedded.control.ControlClient.{name}": "EmbeddedAws has it, with an example" for name in OVER_HTTP},
}
"""What is public and has no example -> why it would be artificial."""


def test_whatever_is_public_has_a_docstring_and_an_example():
    lacking = {path: lacks(part) for path, part in PUBLIC.items() if path not in WITHOUT}
    assert not [f"{path} lacks {what}" for path, what in lacking.items() if what]


def test_what_needs_no_example_exists_and_has_none():
    assert [path for path in WITHOUT if path not in PUBLIC or lacks(PUBLIC[path]) != "an example"] == []


def test_a_function_tells_of_each_exception_that_it_makes():
    assert {path: names for path, part in PUBLIC.items() if (names := untold(part))} == {}


def test_raised_exceptions_are_found_in_the_source():
    def function(value: Any) -> None:
        """Do nothing.

        :raises LookupError: which is told.
        """
        try:
            if value:
                raise KeyError(value)
            with nullcontext():
                raise ValueError
        except KeyError as error:
            if value is None:
                raise TypeError("none") from error
            raise
        if value:
            raise LookupError
        raise value

    assert untold(Part("function", function, docstrings)) == {"ValueError", "TypeError"}


# Each example runs.


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedAws]:
    """An embedded AWS with an empty state table; the connection ``aws_default`` and the settings lead to it."""
    with EmbeddedAws() as aws:
        create_table(aws.client("dynamodb", bystander=True))
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", airflow_connection(aws))
        monkeypatch.setenv("AIRFLOW__SPOT_RUNNER__TABLE_NAME", TABLE)
        yield aws


@pytest.fixture
def deployed(aws: EmbeddedAws) -> EmbeddedAws:
    """The same with three presets: two of which the event got lost, and one that is ready."""
    deployment = Deployment(aws)
    deployment.stale("linux-x64")
    deployment.preset("linux-arm64")
    deployment.image("linux-arm64", "FAILED", None, reason="Build timed out")
    deployment.preset("windows-2022", status="ready", minutes=600)
    return aws


@pytest.fixture
def context(deployed: EmbeddedAws) -> dict[str, Any]:
    """What Airflow hands a task of that deployment."""
    return {"ti": TaskInstance()}


@pytest.fixture
def context_of_last_task(deployed: EmbeddedAws) -> dict[str, Any]:
    """The same, when the other tasks are done."""
    return ran().context


@pytest.fixture
def dag() -> Any:
    """A DAG with the tasks that ``report_status`` reports on."""
    return unreported()


@pytest.fixture
def grouped() -> Any:
    """A task in a TaskGroup with the one that detects."""
    with DAG("grouped", schedule=None), TaskGroup("images"):
        BaseOperator(task_id="detect_stale")
        return BaseOperator(task_id="report_status")


@pytest.fixture
def session() -> Iterator[Any]:
    """A session of a metadata database with one deployment of the provider, which has never run."""
    import_all_models()
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        tags = [DagTag(name="spot-runner", dag_id="spot_runner_reconcile")]
        session.add(DagModel(dag_id="spot_runner_reconcile", bundle_name="dags-folder", is_stale=False, tags=tags))
        session.flush()
        yield session


NAMESPACES = {
    "operators.asset_events": {"context": "context"},
    "operators.links": {"context": "context"},
    "batch": {"aws": "deployed"},
    "cli.commands": {"aws": "deployed"},
    **{f"cli.commands.{name}": {"database": "no_deployments"} for name in ("detect", "reconcile", "status")},
    "cli.deployment": {"aws": "deployed", "session": "session"},
    "embedded.clients": {"aws": "aws"},
    "embedded.control": {"aws": "aws"},
    "embedded.demo.lose_event": {"aws": "deployed"},
    "embedded.imagebuilder.responses": {"aws": "aws"},
    "embedded.demo.seed": {"aws": "aws"},
    "embedded.layers.Layers.": {"aws": "aws"},
    "embedded.server.EmbeddedAws.": {"aws": "aws"},
    "hooks": {"aws": "deployed"},
    "operators.detect_stale": {"context": "context"},
    "operators.reconcile_preset": {"context": "context"},
    "operators.selection": {"aws": "deployed"},
    "operators.neighbours": {"context": "context_of_last_task", "dag": "dag", "report": "grouped"},
    "operators.report_status": {"context": "context_of_last_task", "dag": "dag"},
    "settings": {"aws": "aws"},
    "status.api": {"session": "session"},
    "triggers": {"aws": "deployed"},
    "status.store": {"session": "session"},
}
"""The beginning of a path -> the names that its examples find besides, and the fixtures which these are."""


@contextmanager
def unlogged() -> Iterator[None]:
    """Keep Airflow's log out of stdout, where the output of an example is looked for."""
    logging.disable()
    try:
        with capture_logs():
            yield
    finally:
        logging.disable(logging.NOTSET)


OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.REPORT_ONLY_FIRST_FAILURE


@pytest.mark.parametrize("path", EXAMPLES)
def test_an_example_says_what_happens(path, request, monkeypatch):
    part = EXAMPLES[path]
    names = dict(vars(part.module))
    monkeypatch.setattr(clock, "now", lambda: NOW)
    monkeypatch.setattr(clock, "backoff", lambda attempt: 0.0)
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")  # which commands set for good
    names |= {
        name: request.getfixturevalue(fixture)
        for beginning, fixtures in NAMESPACES.items()
        if path.startswith(beginning)
        for name, fixture in fixtures.items()
    }
    example = doctest.DocTestParser().get_doctest(part.doc, names, path, part.module.__file__, 0)
    told: list[str] = []
    with unlogged():
        doctest.DocTestRunner(optionflags=OPTIONS).run(example, out=told.append)
    assert not told, "".join(told)
