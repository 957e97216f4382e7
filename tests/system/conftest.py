from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from spot_runner_provider.embedded.__main__ import airflow_connection
from spot_runner_provider.embedded.demo.seed import TABLE, create_table
from spot_runner_provider.embedded.server import EmbeddedAws
from tests.system.real_airflow import BUNDLES, RealAirflow


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    """An AWS with an empty state table."""
    with EmbeddedAws() as aws:
        create_table(aws.client("dynamodb", bystander=True))
        yield aws


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """More variables for the module's Airflow."""
    return {}


@pytest.fixture(scope="module")
def bundles() -> dict[str, Path]:
    """The folders with the module's DAGs, by name: the project's own and the tests'."""
    return BUNDLES


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of Airflow 3, migrated once for all modules."""
    home = tmp_path_factory.mktemp("migrated")
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(command, env=os.environ | {"AIRFLOW_HOME": str(home)}, capture_output=True, check=True)
    return home / "airflow.db"


@pytest.fixture(scope="module")
def airflow(
    request: pytest.FixtureRequest, aws: EmbeddedAws, settings: dict[str, str], bundles: dict[str, Path]
) -> Iterator[Any]:
    """A running Airflow whose AWS is ``aws``, and whose DAG runs when it is triggered only."""
    environment = {
        "AIRFLOW_CONN_AWS_DEFAULT": patient_connection(aws),
        "AIRFLOW__CORE__MAX_TASK_RETRY_DELAY": "1",
        "AIRFLOW__SPOT_RUNNER__SCHEDULE": "",
        "AIRFLOW__SPOT_RUNNER__TABLE_NAME": TABLE,
        **settings,
    }
    home = request.getfixturevalue("tmp_path_factory").mktemp("airflow")
    if AIRFLOW_V_3_0_PLUS:
        with RealAirflow(home, environment, request.getfixturevalue("database"), bundles) as airflow:
            yield airflow
    else:
        from tests.system.airflow2 import Airflow2

        with Airflow2(home, environment, bundles) as airflow2:
            yield airflow2


def patient_connection(aws: EmbeddedAws) -> str:
    """Return the connection to ``aws`` with time-outs that no call which a test holds can reach."""
    connection: dict[str, Any] = json.loads(airflow_connection(aws))
    connection["extra"]["config_kwargs"] = {"read_timeout": 600}
    return json.dumps(connection)
