"""``python -m spot_runner_provider.embedded``."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from spot_runner_provider.embedded import __main__ as command
from spot_runner_provider.embedded.control import ControlClient

ROOT = Path(command.__file__).parents[2]


def run_cli(*arguments):
    line = [sys.executable, "-m", "spot_runner_provider.embedded", *arguments]
    return subprocess.Popen(line, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True, stdout=-1, stderr=-1)


def test_the_command_serves_until_it_is_told_to_stop():
    with run_cli("--port", "0", "--seed", "empty", "--table", "other") as process:
        ready, connection, table = (process.stdout.readline().rstrip() for _ in range(3))
        url = ready.partition(" at ")[2].partition(",")[0]
        assert table == "export AIRFLOW__SPOT_RUNNER__TABLE_NAME=other"
        airflow = json.loads(connection.partition("=")[2].strip("'"))
        assert airflow["extra"]["endpoint_url"] == url
        client = boto3.client(
            "dynamodb",
            endpoint_url=url,
            region_name=airflow["extra"]["region_name"],
            aws_access_key_id=airflow["login"],
            aws_secret_access_key=airflow["password"],
        )
        assert client.list_tables()["TableNames"] == ["other"]
        assert ControlClient(url).calls() == {"dynamodb.ListTables": 1}
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


def test_a_taken_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        with pytest.raises(SystemExit, match=f"Port {port} is taken"):
            command.main(["--port", port])


def test_a_missing_moto_is_named():
    code = "import sys; sys.modules['moto'] = None; import spot_runner_provider.embedded.__main__"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True)
    assert "pip install airflow-provider-spot-runner[embedded]" in done.stderr
