"""Telling people: callbacks and notifiers of the reporting task, and an e-mail by Airflow's own notifier."""

from __future__ import annotations

import json
import re
import runpy
import socketserver
import threading
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, BaseNotifier
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from jinja2 import Environment

from spot_runner_provider.embedded.demo.seed import TABLE
from tests.integration.finished_run import FinishedRun, ran
from tests.integration.test_dag_edges import NOTHING, states
from tests.integration.test_dag_run import DAG_FILE, Run

pytestmark = pytest.mark.parametrize("server", ["moto"], indirect=True)  # nothing here depends on the emulator


class Teller(BaseNotifier):
    """A notifier as anybody may write one, with a template."""

    template_fields = ("text",)

    def __init__(self, text: str, told: list[str]) -> None:
        super().__init__()
        self.text = text
        self.told = told

    def notify(self, context: Any) -> None:
        self.told.append(self.text)


class Mailbox(socketserver.ThreadingTCPServer):
    """An SMTP server that takes every message and keeps it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Delivery)
        self.messages: list[EmailMessage] = []


class Delivery(socketserver.StreamRequestHandler):
    """One conversation (RFC 5321), with a client that asks for no extension."""

    server: Mailbox

    def handle(self) -> None:
        self._say("220 mailbox")
        while line := self.rfile.readline():
            command = line.split()[0].upper()
            if command == b"DATA":
                self._say("354 go on")
                text = b"".join(iter(self.rfile.readline, b".\r\n"))
                self.server.messages.append(message_from_bytes(text, policy=policy.default))
            self._say("221 bye" if command == b"QUIT" else "250 ok")
            if command == b"QUIT":
                return

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """A mailbox, to which the connection ``smtp_default`` leads."""
    with Mailbox() as mailbox:
        thread = threading.Thread(target=mailbox.serve_forever)
        thread.start()
        connection = {
            "conn_type": "smtp",
            "host": "127.0.0.1",
            "port": mailbox.server_address[1],
            "extra": {"disable_ssl": True, "disable_tls": True},
        }
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))
        yield mailbox
        mailbox.shutdown()
        thread.join()


@pytest.fixture
def run_dag(deployment: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Return a function that runs the DAG once, with attributes of the reporting task."""
    from airflow.utils.db import initdb

    initdb()

    def run(**attributes: Any) -> Run:
        monkeypatch.setenv("AIRFLOW__SPOT_RUNNER__TABLE_NAME", TABLE)
        dag = runpy.run_path(str(DAG_FILE))["detect"].dag
        for name, value in attributes.items():
            setattr(dag.get_task("report_status"), name, value)
        return Run(dag, dag.test(), [], NOTHING, NOTHING)

    return run


def test_a_degraded_report_is_mailed(deployment, mailbox, run_dag):
    deployment.preset("linux-x64")
    deployment.image("linux-x64", "FAILED", None, reason="no space in <volume>")
    run = run_dag(
        on_degraded_callback=SmtpNotifier(
            from_email="airflow@example.com",
            to="runners@example.com",
            subject="{{ spot_runner_subject }}",
            html_content="<pre>{{ spot_runner_message | e }}</pre>",
        )
    )
    assert states(run)["report_status"] == "success"
    (mail,) = mailbox.messages
    assert (mail["To"], mail["Subject"]) == ("runners@example.com", "Runner images are degraded: 1 preset failed")
    assert mail.get_body().get_content().strip() == (
        "<pre>Runner images are degraded: 1 preset failed\n"
        "- linux-x64: failed, ami-0a1d, corrected_failed: FAILED: no space in &lt;volume&gt;</pre>"
    )


def test_a_subject_cannot_break_and_slacks_markup_is_escaped(deployment):
    """The README's own examples, with a build's reason that would command a chat and forge a line."""
    readme = (DAG_FILE.parents[1] / "README.md").read_text()
    (slack,) = re.findall(r'text="(.*spot_runner_message.*)"', readme)
    (subject,) = re.findall(r'subject="(.*)"', readme)
    told: list[str] = []

    def tell_both(context: Any) -> None:
        told.extend(Environment(autoescape=False).from_string(each).render(**context) for each in (slack, subject))

    deployment.preset("linux-x64")
    deployment.image(
        "linux-x64", "FAILED", None, reason="boom\n- b: ready\n<!channel> <https://evil.example|open & see>"
    )
    tell(ran(), tell_both)
    text, line = told
    assert "boom - b: ready &lt;!channel&gt; &lt;https://evil.example|open &amp; see&gt;" in text
    assert [each[:12] for each in text.splitlines()] == ["Runner image", "- linux-x64:"]
    assert line.splitlines() == ["Runner images are degraded: 1 preset failed"]


def test_a_run_that_fails_is_told_and_stays_failed(deployment, run_dag):
    told: list[str] = []
    deployment.preset("linux-x64")
    deployment.aws.image_builder.create_pipeline("spot-runner-linux-x64")
    run = run_dag(fail_on=["no_images"], on_degraded_callback=Teller("{{ spot_runner_message }}", told))
    assert states(run)["report_status"] == "failed"
    (text,) = told
    assert text.startswith("Runner images are degraded: 1 preset building\nThe run failed: no_images: linux-x64\n- ")


@pytest.mark.parametrize(
    ("fail_on", "callback"), [([], "on_success_callback"), (["no_images"], "on_failure_callback")], ids=str
)
def test_airflows_own_callbacks_have_the_report_too(deployment, run_dag, fail_on, callback):
    told: list[Any] = []
    deployment.preset("linux-x64")
    deployment.aws.image_builder.create_pipeline("spot-runner-linux-x64")
    run = run_dag(fail_on=fail_on, **{callback: [lambda context: told.append(context["spot_runner_report"])]})
    assert told == [run.pull("report_status")]


def tell(run: FinishedRun, *callbacks: Callable[[Any], Any], **arguments: Any) -> FinishedRun:
    """Run the reporting task with these callbacks."""
    run.report(on_degraded_callback=callbacks, **arguments)
    return run


@pytest.mark.parametrize(
    ("preset", "calls"),
    [
        pytest.param({"status": "ready"}, 0, id="ready"),
        pytest.param({"status": "building", "minutes": 3}, 0, id="building"),
        pytest.param({"status": "failed"}, 1, id="degraded"),
    ],
)
def test_only_trouble_is_told(deployment, preset, calls):
    deployment.preset("linux-x64", **preset)
    told: list[Any] = []
    ti = tell(ran(), told.append)
    assert [context["spot_runner_report"] for context in told] == [ti.pushed["return_value"]] * calls


def test_the_report_is_pushed_before_anybody_is_told(deployment):
    """Whoever hangs until the task is killed takes no report along."""
    deployment.preset("linux-x64", status="failed")
    pushed: list[Any] = []
    tell(ran(), lambda context: pushed.append(dict(context["ti"].pushed)))
    assert [each["return_value"]["status"] for each in pushed] == ["degraded"]


class Stopped(AirflowException):
    """Not everything that a callback raises may decide about the task."""


@pytest.mark.parametrize("error", [ConnectionError("no route"), AirflowFailException("no route"), Stopped("no route")])
def test_a_callback_that_fails_is_logged_and_changes_nothing(deployment, caplog, capsys, error):
    def bad(_: Any) -> None:
        raise error

    deployment.preset("linux-x64", status="failed")
    told: list[Any] = []
    ti = tell(ran(), bad, told.append)
    assert (ti.pushed["return_value"]["status"], len(told)) == ("degraded", 1)
    assert "failed, so it told nobody about the report: no route" in caplog.text + capsys.readouterr().out


def test_a_callback_that_fails_does_not_hide_why_the_run_fails(deployment):
    def bad(_: Any) -> None:
        raise ConnectionError("no route")

    deployment.preset("linux-x64")
    deployment.aws.image_builder.create_pipeline("spot-runner-linux-x64")
    with pytest.raises(AirflowFailException, match="no_images: linux-x64"):
        tell(ran(), bad, fail_on=["no_images"])


def test_a_detection_that_failed_is_told(deployment):
    told: list[Any] = []
    with pytest.raises(AirflowFailException, match="detection failed"):
        tell(FinishedRun(states={("detect_stale", -1): "failed"}), told.append)
    (context,) = told
    assert context["spot_runner_message"].startswith("Runner images are degraded: detection failed")
