"""Separate processes for each measurement and for the embedded AWS: forks of one that has imported everything.

So a measurement begins where a task's own work begins, and the imports, some seconds each, happen only once.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from spot_runner_provider.embedded.__main__ import airflow_connection
from spot_runner_provider.embedded.control import ControlClient

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["airflow.sdk.execution_time.supervisor", "benchmarks.aws", "benchmarks.task"])

PATIENCE = 600
"""Seconds that a call may take, so that a busy machine does not cause repetitions."""


def use_home(home: Path) -> None:
    """Give all later processes this Airflow home, and no other settings of Airflow or AWS."""
    for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "AWS_"))]:
        del os.environ[name]
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }


def measure(name: str, aws: ControlClient, **arguments: Any) -> Any:
    """Call this function of :mod:`benchmarks.task` in a new process, and return its result.

    :param aws: the AWS of the process's Airflow connection.
    :raises RuntimeError: if the function raises anything, or the process ends.
    """
    ours, its = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=_call, args=(its, name, connection(aws), arguments), daemon=True)
    process.start()
    its.close()
    try:
        answer = ours.recv()
    except EOFError:
        raise RuntimeError(f"the process of {name} ended without an answer") from None
    process.join()
    if isinstance(answer, RuntimeError):
        raise answer
    return answer


def connection(aws: ControlClient) -> str:
    """Return the Airflow connection to ``aws``. However slow that is, no call is given up and repeated."""
    leads = json.loads(airflow_connection(aws))
    leads["extra"]["config_kwargs"] = {"connect_timeout": PATIENCE, "read_timeout": PATIENCE}
    return json.dumps(leads)


def _call(answer: Connection, name: str, aws: str, arguments: dict[str, Any]) -> None:
    from benchmarks import task  # imports Airflow, which has its home by then

    os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = aws
    try:
        answer.send(getattr(task, name)(**arguments))
    except Exception as error:
        answer.send(RuntimeError(f"{name}: {type(error).__name__}: {error}"))
