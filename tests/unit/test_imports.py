"""The rules need neither Airflow nor an AWS library, and no module needs, by whatever way, itself."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "spot_runner_provider"


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_of(path): path.read_text() for path in (ROOT / PACKAGE).rglob("*.py")}


def imported_by(source: str) -> Iterator[str]:
    """Yield the package's modules that a source imports: at the top, in a function, or for its types alone."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names):
                yield from (each.name for each in names if each.name in SOURCES)
            case ast.ImportFrom(str(module), names) if module.partition(".")[0] == PACKAGE:
                yield from (full if (full := f"{module}.{each.name}") in SOURCES else module for each in names)


IMPORTS = {module: set(imported_by(source)) for module, source in SOURCES.items()}


def test_no_modules_import_each_other_in_a_circle():
    TopologicalSorter(IMPORTS).prepare()  # raises CycleError, which names the circle


MODULES = [
    "ami_state",
    "arguments",
    "arn",
    "audit",
    "batch",
    "breaker",
    "build",
    "cancellation",
    "clock",
    "console",
    "detection",
    "errors",
    "explanation",
    "hooks.credentials",
    "intent",
    "metrics",
    "notify",
    "pace",
    "preset_config",
    "promotion",
    "protocol.calls",
    "protocol.candidate",
    "protocol.outcome",
    "protocol.reconcile",
    "report",
    "run_conf",
    "status.view",
    "waiting",
]


@pytest.mark.parametrize("module", MODULES)
def test_a_pure_module_loads_neither_airflow_nor_an_aws_library(module):
    code = f"import sys, spot_runner_provider.{module}; sys.stdout.write(' '.join(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    roots = {name.split(".")[0] for name in answer.stdout.split()}
    assert not roots & {"airflow", "boto3", "botocore", "aiobotocore"}


def test_a_dag_file_loads_no_aiobotocore():
    """It is an extra, which only the triggerer needs, and it is slow to load."""
    code = "import runpy, sys; runpy.run_path('dags/spot_runner_reconcile.py'); sys.exit('aiobotocore' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
