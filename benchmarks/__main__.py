"""``python -m benchmarks [P1 ...]``: measure, compare with the targets, and write the figures down.

Without arguments all rows and curves are measured (about twenty minutes), and ``docs/scaling/`` is rewritten.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from benchmarks.curves import curves, draw
from benchmarks.rows import PUTS, REPOSITORY, ROWS, Lab, Row

OUTPUT = REPOSITORY / "docs" / "scaling"


def main() -> int:
    """Return 1 if a row falls short, else 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], help="measure these only, and write nothing")
    chosen = parser.parse_args().rows
    found: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="spot-runner-bench-") as folder:
        for number in chosen or ROWS:
            began = time.monotonic()
            for row in _measured(number, Lab(_fresh(folder, number))):
                found.append(row)
                print(line(row), flush=True)
            print(f"     ({time.monotonic() - began:.0f} s)", flush=True)
        if not chosen:
            quota = next((row.value * 299 / PUTS for row in found if row.number == "P3" and row.value), None)
            memory = next((row.value for row in found if row.number == "P6" and row.unit == "MB"), None)
            drawn = curves(Lab(_fresh(folder, "curves")), quota_at_300=quota, memory_at_10_000=memory)
            OUTPUT.mkdir(exist_ok=True)
            rows = [asdict(row) | {"reached": row.reached} for row in found]
            results = {"machine": machine(), "rows": rows, "curves": drawn}
            (OUTPUT / "results.json").write_text(json.dumps(results, indent=1) + "\n")
            draw(drawn, OUTPUT)
            print(f"written: {OUTPUT.relative_to(REPOSITORY)}")
    short = [row for row in found if not row.reached]
    aimed = [row for row in found if row.target is not None or row.value is None]
    print(f"{len(aimed) - len(short)} of {len(aimed)} rows reach their target")
    return bool(short)


def line(row: Row) -> str:
    """Return a row of the table."""
    sign = ">=" if row.at_least else "<="
    value = "-" if row.value is None else f"{row.value:.4g} {row.unit}"
    target = "-" if row.target is None else f"{sign} {row.target:g}"
    return f"{row.number}  {'ok   ' if row.reached else 'SHORT'} {row.measure:72} {value:>16}  {target:8} {row.detail}"


def machine() -> dict[str, str | int | None]:
    """Return what the figures depend on."""
    versions = {name: version(name) for name in ("apache-airflow", "boto3")}
    return {"cores": os.cpu_count(), "python": platform.python_version(), **versions}


def _measured(number: str, lab: Lab) -> list[Row]:
    """Return the rows, or one that says why there are none: the others are measured all the same."""
    try:
        return ROWS[number](lab)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return [Row(number, "not measured", None, None, "", reason[-1000:])]


def _fresh(folder: str, name: str) -> Path:
    path = Path(folder) / name
    path.mkdir()
    return path


if __name__ == "__main__":
    sys.exit(main())
