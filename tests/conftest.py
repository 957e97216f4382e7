"""An Airflow of its own for each test process, and nothing of the machine's AWS: both before Airflow is imported."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
HOME = Path(tempfile.mkdtemp(prefix="spot-runner-test-"))

for name in list(os.environ):
    if name.startswith(("AIRFLOW_", "AWS_", "BOTO_")) or name.lower() in {"http_proxy", "https_proxy", "all_proxy"}:
        del os.environ[name]

os.environ.update(
    {
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(HOME / "logs"),
        "AIRFLOW__METRICS__TIMER_UNIT_CONSISTENCY": "True",  # 2.11 warns without it
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AWS_CONFIG_FILE": str(HOME / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(HOME / "no-aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
    }
)


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    """Return this test process's ``AIRFLOW_HOME``; it holds no database until a test makes one."""
    return HOME


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Remove the folder, once the last fixture is torn down."""
    shutil.rmtree(HOME, ignore_errors=True)
