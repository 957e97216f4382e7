"""What importing a DAG file costs: ``python -m benchmarks.parse DAG_FILE``, in a new interpreter.

The imports outside functions happen before the measurement begins, so they are only Python's own modules.
"""

from __future__ import annotations

import gc
import json
import runpy
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MARK = "parsed: "


def parsed(dag_file: Path) -> dict[str, Any]:
    """Return the processor's ``seconds``, the number of created ``clients``, and the heavy modules ``imported``."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.parse", dag_file],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for line in done.stdout.splitlines():
        if line.startswith(MARK):
            found: dict[str, Any] = json.loads(line.removeprefix(MARK))
            return found
    raise RuntimeError(f"{dag_file} cannot be imported:\n{done.stdout[-3000:]}")


def main(dag_file: str) -> None:
    """Import it, including Airflow."""
    began = time.process_time()
    runpy.run_path(dag_file)
    seconds = time.process_time() - began
    clients = 0
    if "botocore.session" in sys.modules:
        from botocore.client import BaseClient

        clients = sum(isinstance(each, BaseClient) for each in gc.get_objects())
    imported = sorted(sys.modules.keys() & {"fastapi", "moto"})
    print(MARK + json.dumps({"seconds": seconds, "clients": clients, "imported": imported}))


if __name__ == "__main__":
    main(sys.argv[1])
