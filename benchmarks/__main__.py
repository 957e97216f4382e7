"""``python -m benchmarks [P1 ...]``: measure, compare with the targets, and write the figures down.

Without arguments all rows and curves are measured (about a quarter of an hour), and ``docs/scaling/`` is rewritten.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.curves import curves, draw
from benchmarks.rows import REPOSITORY, ROWS, Lab, Row

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
            for row in ROWS[number](Lab(_fresh(folder, number))):
                found.append(row)
                print(line(row), flush=True)
            print(f"     ({time.monotonic() - began:.0f} s)", flush=True)
        if not chosen:
            quota = next(row.value for row in found if row.number == "P3") * 299 / 3
            drawn = curves(Lab(_fresh(folder, "curves")), quota)
            OUTPUT.mkdir(exist_ok=True)
            rows = [asdict(row) | {"reached": row.reached} for row in found]
            (OUTPUT / "results.json").write_text(json.dumps({"rows": rows, "curves": drawn}, indent=1) + "\n")
            draw(drawn, OUTPUT)
            print(f"written: {OUTPUT.relative_to(REPOSITORY)}")
    short = [row for row in found if not row.reached]
    print(f"{len(found) - len(short)} of {len(found)} rows reach their target")
    return bool(short)


def line(row: Row) -> str:
    """Return a row of the table."""
    sign = ">=" if row.at_least else "<="
    value, target = f"{row.value:.4g} {row.unit}", f"{sign} {row.target:g}"
    return f"{row.number}  {'ok   ' if row.reached else 'SHORT'} {row.measure:72} {value:>16}  {target:8} {row.detail}"


def _fresh(folder: str, name: str) -> Path:
    path = Path(folder) / name
    path.mkdir()
    return path


if __name__ == "__main__":
    sys.exit(main())
