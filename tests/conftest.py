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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests told as the property ``told``, and what interleavings and storms came to in all."""
    reports = [report for some in terminalreporter.stats.values() for report in some if hasattr(report, "when")]
    told = [each for report in reports if report.when == "call" for each in report.user_properties]
    sums = [value for name, value in told if name == "schedules"]
    if not told:
        return
    terminalreporter.section("figures")
    for name, value in told:
        if name == "told":
            terminalreporter.write_line(str(value))
    if sums:
        schedules, states = sum(each[0] for each in sums), sum(each[1] for each in sums)
        terminalreporter.write_line(f"interleavings: {len(sums)} cases, {schedules:,} schedules by {states:,} states")
    if storms := [value for name, value in told if name == "storm"]:
        calls, failed, tries, runs = zip(*storms, strict=True)
        terminalreporter.write_line(
            f"storms: {len(storms)}, {sum(calls):,} calls, {sum(failed):,} of them failed; "
            f"{sum(tries)} tries failed; {max(runs)} runs needed at most"
        )
