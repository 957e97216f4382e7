"""What an Airflow with CeleryExecutor has besides: a Redis, and workers, each as if on a machine of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.system.real_airflow import RealAirflow, free_port

AT_A_TIME = 2
"""How many tasks a worker runs at a time."""


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Run Debian's Redis, which keeps nothing on disk, and give its URL."""
    port = free_port()
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            output = ""
            while "Ready to accept connections" not in output:
                line = process.stdout.readline()
                assert line, f"redis-server ended:\n{output}"
                output += line
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.kill()


def celery_settings(redis: str) -> dict[str, str]:
    """Return the variables of an Airflow whose tasks are queued in Redis, all eight of a run at once."""
    return {
        "AIRFLOW__CELERY__BROKER_URL": f"{redis}/0",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"{redis}/1",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(AT_A_TIME),
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__PARALLELISM": "8",
    }


def start_worker(airflow: RealAirflow, name: str) -> None:
    """Start a worker, which ``airflow`` stops.

    It has what a machine of its own would have: its own home, and no way to Airflow's database.

    :param name: the worker's for Celery, and its host's for Airflow
    """
    home = airflow.home / name
    home.mkdir()
    airflow.start(
        name,
        *("celery", "worker", "--celery-hostname", name, "--skip-serve-logs"),
        AIRFLOW_HOME=str(home),
        AIRFLOW__CORE__HOSTNAME_CALLABLE="getpass.getuser",  # takes no argument, and returns $LOGNAME
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="sqlite://",  # in memory, and empty
        AIRFLOW__LOGGING__BASE_LOG_FOLDER=str(home / "logs"),
        LOGNAME=name,
    )
