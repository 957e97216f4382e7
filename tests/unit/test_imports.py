"""The rules import no Airflow and no AWS library. Imports between folders go in one direction."""

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


MAY_IMPORT = {
    "clock": set(),
    "records": set(),
    "protocol": {"", "records"},
    "detection": {"protocol", "records"},
    "reporting": {"protocol", "records"},
    "hooks": {"", "clock", "protocol", "records"},
    "batch": {"hooks", "protocol", "records", "reporting"},
    "triggers": {"batch", "clock", "hooks", "protocol", "records"},
    "operators": {"", "batch", "clock", "detection", "hooks", "protocol", "records", "reporting", "triggers"},
    "settings": {"", "hooks", "operators"},
    "status": {"clock", "records", "reporting"},
    "cli": {"clock", "detection", "hooks", "operators", "protocol", "records", "reporting", "settings", "status"},
    "embedded": set(),
    "": set(),
}
"""A folder, or a module of the package's root ("" is the root itself) -> what it may import besides itself."""


def place_of(module: str) -> str:
    """Return the folder of a module, or its name if it has none."""
    return f"{module}.".split(".")[1]


def test_folders_import_each_other_in_one_direction():
    wrong = {
        f"{module} imports {other}"
        for module, others in IMPORTS.items()
        for other in others
        if place_of(other) not in MAY_IMPORT[place_of(module)] | {place_of(module)}
    }
    assert wrong == set()


def test_the_allowed_imports_are_needed_and_have_no_cycle():
    needed = {place: set() for place in MAY_IMPORT}
    for module, others in IMPORTS.items():
        needed[place_of(module)] |= {place_of(other) for other in others} - {place_of(module)}
    assert needed == MAY_IMPORT
    TopologicalSorter(MAY_IMPORT).prepare()


PURE = [
    *(
        module
        for module in SOURCES
        if place_of(module) in {"batch", "clock", "detection", "protocol", "records", "reporting"}
    ),
    *(f"{PACKAGE}.hooks.{name}" for name in ("cancellation", "credentials", "errors", "explanation")),
    *(f"{PACKAGE}.operators.{name}" for name in ("arguments", "labels", "run_conf", "selection")),
    f"{PACKAGE}.status.view",
]


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_loads_neither_airflow_nor_an_aws_library(module):
    code = f"import sys, {module}; sys.stdout.write(' '.join(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    roots = {name.split(".")[0] for name in answer.stdout.split()}
    assert not roots & {"airflow", "boto3", "botocore", "aiobotocore"}


def test_a_dag_file_loads_no_aiobotocore():
    """It is an extra, which only the triggerer needs, and it is slow to load."""
    code = "import runpy, sys; runpy.run_path('dags/spot_runner_reconcile.py'); sys.exit('aiobotocore' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
