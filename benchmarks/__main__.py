"""``python -m benchmarks [P1 ...]``: measure, compare with the targets, and say how many rows fall short.

Without arguments, all rows and curves are measured, and the figures in ``docs/`` are rewritten.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from benchmarks.curves import curves, draw
from benchmarks.figures import Row, chosen, line, rows, summary, table
from benchmarks.processes import use_home
from benchmarks.rows import EXPERIMENTS, REPOSITORY, Lab
from scripts.progress import Progress

DOCUMENT = REPOSITORY / "docs" / "scaling.md"
FOLDER = REPOSITORY / "docs" / "scaling"
TABLE = re.compile(r"^\| row \|.*?(?=\n\n)", re.MULTILINE | re.DOTALL)
"""The table of the rows in the document."""


def main() -> int:
    """Return 1 if a row falls short, 2 if there is no such row, otherwise 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", help="measure these only, and write nothing")
    given = parser.parse_args().rows
    try:
        names = chosen(given, EXPERIMENTS)
    except ValueError as error:
        parser.error(str(error))
    progress, found = Progress(), []
    with tempfile.TemporaryDirectory(prefix="spot-runner-bench-") as folder:
        use_home(Path(folder))
        lab = Lab(Path(folder), progress)
        for name in names:
            experiment = EXPERIMENTS[name]
            progress(f"{name}: {experiment.title}")
            measured = rows(name, experiment.aims, lambda experiment=experiment: experiment.measure(lab))  # type: ignore[misc]
            print(*map(line, measured), sep="\n", flush=True)
            found += measured
        if not given:
            progress("the curves")
            write(found, curves(lab))
    progress(summary(found))
    return any(row.falls_short for row in found)


def write(found: list[Row], drawn: dict[str, list[list[float]]]) -> None:
    """Write the figures into the document, and next to it as JSON and as pictures."""
    results = {"machine": machine(), "rows": [row.plain() for row in found], "curves": drawn}
    (FOLDER / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    DOCUMENT.write_text(TABLE.sub(lambda _: table(found), DOCUMENT.read_text(), count=1))
    draw(drawn, FOLDER)
    print(f"written: {DOCUMENT.relative_to(REPOSITORY)} and {FOLDER.relative_to(REPOSITORY)}/")


def machine() -> dict[str, str | int | None]:
    """Return what the figures depend on."""
    versions = {name: version(name) for name in ("apache-airflow", "boto3")}
    return {"cores": os.cpu_count(), "python": platform.python_version(), **versions}


if __name__ == "__main__":
    sys.exit(main())
