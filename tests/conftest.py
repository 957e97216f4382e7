"""An Airflow of its own for each test process, and nothing of the machine's AWS: both before Airflow is imported.

Where a new test belongs:

- In a folder by what it takes: ``unit`` nothing, ``integration`` the embedded AWS, ``system`` a real Airflow.
- A test marked ``long`` is left to ``make test-long``, the others to ``make test``, which is to take eight minutes and
  has every kind of test. It is a longer profile of a test that ``make test`` has as well: more seeds, more faults, a
  larger fleet, the other emulator, one more way for a real Airflow to be used or to break. Mark it where it is
  parametrized: ``pytest.param(seed, marks=pytest.mark.long)``. Nothing else has to be told.
- A test that needs a program says which (``tests/needs.py``); one that shows a figure tells it (``tests/figures.py``).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.progress import Progress

pytest_plugins = ["tests.figures", "tests.needs"]

REPOSITORY = Path(__file__).parents[1]
HOME = Path(tempfile.mkdtemp(prefix="spot-runner-test-"))

LONGEST_FIRST = ("test_storms.py", "system", "packaging", "interleavings", "integration")
"""Files, and folders of files, that take minutes: begun last they would leave the other test processes without work."""

for name in list(os.environ):
    if name.startswith(("AIRFLOW_", "AWS_", "BOTO_")):
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
        "no_proxy": "127.0.0.1,localhost",
    }
)


@pytest.hookimpl(trylast=True)  # pytest's reporter is there then
def pytest_configure(config: pytest.Config) -> None:
    """Watch over the run, in the process that prints."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Progress(terminal))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files."""

    def place(item: pytest.Item) -> int:
        names = item.path.name, item.path.parent.name
        return min((LONGEST_FIRST.index(name) for name in names if name in LONGEST_FIRST), default=len(LONGEST_FIRST))

    items.sort(key=place)


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    """Return this test process's ``AIRFLOW_HOME``; it holds no database until a test makes one."""
    return HOME


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Remove the folder, once the last fixture is torn down."""
    shutil.rmtree(HOME, ignore_errors=True)
