"""The metrics, as a statsd receives them from ``airflow dags test``, and a receiver that is set up wrongly."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress

import pytest
from airflow.providers.common.compat.sdk import Stats
from airflow.utils.db import initdb

from spot_runner_provider.embedded.demo.seed import TABLE
from tests.integration.finished_run import ran

pytestmark = pytest.mark.parametrize("server", ["moto"], indirect=True)  # nothing here depends on the emulator


@pytest.fixture
def statsd() -> Iterator[socket.socket]:
    """A statsd's socket; what arrives is kept there until it is read."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        yield receiver


def received(statsd: socket.socket) -> dict[str, str]:
    """Return what has arrived under the provider's names: name -> value and kind, as in the packet."""
    lines: list[str] = []
    with suppress(BlockingIOError):
        while True:
            lines += statsd.recv(65536).decode().splitlines()
    return dict(line.split(":", 1) for line in lines if "spot_runner." in line)


def dags_test(statsd: socket.socket, settings: Mapping[str, str]) -> None:
    """Run the DAG once in a process of its own, which ends well."""
    environment = {
        "AIRFLOW__SPOT_RUNNER__TABLE_NAME": TABLE,
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
        "AIRFLOW__METRICS__STATSD_PORT": str(statsd.getsockname()[1]),
        **settings,
    }
    initdb()
    command = [sys.executable, "-m", "airflow", "dags", "test", "spot_runner_reconcile"]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("settings", "tag"),
    [
        pytest.param({}, "", id="plain"),
        pytest.param(
            {"AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True", "AIRFLOW__METRICS__STATSD_PREFIX": "test"},
            ",dag_id=spot_runner_reconcile",
            id="with-tags",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_statsd_receives_them(deployment, statsd, settings, tag):
    deployment.stale("corrected", minutes=60)
    deployment.preset("abandoned", minutes=120)
    deployment.preset("young", minutes=3)
    deployment.preset("broken", status="failed", minutes=900)
    for number in range(4):
        deployment.preset(f"done-{number}", status="ready", minutes=900)
    deployment.item({**deployment.record("young"), "jobId": "AMI#odd", "presetName": "odd", "status": "paused"})
    dags_test(statsd, settings)
    prefix = "test" if settings else "airflow"
    values = received(statsd)
    stale, spent = (
        float(values.pop(f"{prefix}.spot_runner.{name}{tag}").removesuffix("|g"))
        for name in ("oldest_stale_seconds", "seconds_spent")
    )
    expected = {
        "presets.ready": "5|g",
        "presets.building": "2|g",
        "presets.failed": "1|g",
        "presets.needs_attention": "2|g",
        "records.malformed": "1|g",
        "outcomes.corrected_ready": "1|c",
        "outcomes.pipeline_not_found": "1|c",
    }
    assert values == {f"{prefix}.spot_runner.{name}{tag}": value for name, value in expected.items()}
    assert 7200 <= stale < 7200 + 240
    assert 0 < spent < 240


def test_named_and_dry_runs_send_fewer_metrics(deployment, monkeypatch):
    sent: dict[str, float] = {}
    for kind in ("gauge", "incr"):
        monkeypatch.setattr(Stats, kind, lambda name, value, tags: sent.update({name: value}), raising=False)
    deployment.stale("linux-x64")
    deployment.preset("linux-arm64", status="ready")
    ran(presets=["linux-x64", "linux-arm64"], dry_run=True).report()
    assert sent == {}
    ran(dry_run=True).report()
    assert {name.removeprefix("spot_runner.") for name in sent} == {
        "presets.ready",
        "presets.building",
        "presets.failed",
        "presets.needs_attention",
        "records.malformed",
        "oldest_stale_seconds",
        "seconds_spent",
    }
    sent.clear()
    ran(presets=["linux-x64", "linux-arm64"]).report()
    assert sent == {"spot_runner.outcomes.corrected_ready": 1}


def test_metrics_that_cannot_be_sent_change_nothing(deployment, monkeypatch, caplog, capsys):
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route to the receiver")

    deployment.preset("linux-x64", status="ready")
    run = ran()
    made = run.report()
    for kind in ("gauge", "incr"):
        monkeypatch.setattr(Stats, kind, refuse, raising=False)
    assert run.report() == made
    assert "metrics were not sent: no route to the receiver" in caplog.text + capsys.readouterr().out
