"""``airflow spot-runner`` as a person types it, in a process of its own or in this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        return dict(json.loads(self.out))

    @property
    def outcomes(self) -> dict[str, str | None]:
        return {preset["name"]: preset["outcome"] for preset in self.report["presets"]}


def cli(*arguments: str, **settings: str) -> Answer:
    """Run a command, with settings of ``[spot_runner]``."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {f"AIRFLOW__SPOT_RUNNER__{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "airflow", "spot-runner", *arguments]
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    return Answer(done.returncode, done.stdout, done.stderr)


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> Answer:
    """Run a command in this process, for what does not depend on how Airflow starts."""
    from airflow.cli.cli_parser import get_parser

    parsed = get_parser().parse_args(["spot-runner", *arguments])
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit:
        parsed.func(parsed)
    printed = capsys.readouterr()
    return Answer(exit.value.code, printed.out, printed.err)
