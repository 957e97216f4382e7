from __future__ import annotations

from collections.abc import Iterator

import pytest

from spot_runner_provider.embedded.__main__ import airflow_connection
from spot_runner_provider.embedded.demo import seed_demo
from spot_runner_provider.embedded.seed import TABLE
from spot_runner_provider.embedded.server import EmbeddedAws
from tests.system.real_airflow import RealAirflow


@pytest.fixture(scope="package")
def aws() -> Iterator[EmbeddedAws]:
    """The demo deployment."""
    with EmbeddedAws() as aws:
        seed_demo(aws)
        yield aws


@pytest.fixture(scope="package")
def airflow(aws: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAirflow]:
    """A running Airflow whose AWS is ``aws``, and whose DAG runs when it is triggered only."""
    environment = {
        "AIRFLOW_CONN_AWS_DEFAULT": airflow_connection(aws),
        "AIRFLOW__SPOT_RUNNER__SCHEDULE": "",
        "AIRFLOW__SPOT_RUNNER__TABLE_NAME": TABLE,
    }
    with RealAirflow(tmp_path_factory.mktemp("airflow"), environment) as airflow:
        yield airflow
