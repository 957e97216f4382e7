"""The rules need neither Airflow nor an AWS library."""

import subprocess
import sys
from pathlib import Path

import pytest

MODULES = [
    "ami_state",
    "arguments",
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
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
