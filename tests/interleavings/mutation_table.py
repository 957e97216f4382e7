"""What is known of the mutations: a file with the fate of each, and a table in the documents that counts them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.interleavings.necessity import Fate, Found

FILE = Path(__file__).with_name("mutations.json")
DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"

COLUMNS = (Fate.CAUGHT, Fate.OTHER_RESULTS, Fate.SAME, Fate.SURVIVES)
_TABLE = re.compile(r"^\| function \|.*?(?=\n\n)", re.MULTILINE | re.DOTALL)


def read() -> dict[str, Found]:
    """Return what became of each mutation when all were last tried, by name."""
    return {name: Found(Fate(fate), *rest) for name, (fate, *rest) in json.loads(FILE.read_text()).items()}


def write(found: Mapping[str, Found]) -> None:
    """Write down what became of each, and count it in the document."""
    lines = (f"{json.dumps(name)}: {json.dumps([each.fate.value, *each[1:]])}" for name, each in found.items())
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    DOCUMENT.write_text(_TABLE.sub(lambda _: table(found), DOCUMENT.read_text(), count=1))


def table(found: Mapping[str, Found]) -> str:
    """Return the table: what became of the mutations of each function."""
    counts: dict[str, Counter[Fate]] = {}
    for name, each in found.items():
        counts.setdefault(name.partition(":")[0], Counter())[each.fate] += 1
    rows = [(f"`{function}`", count) for function, count in counts.items()]
    rows.append(("**all**", sum(counts.values(), Counter())))
    lines = [
        "| function | mutations | caught | another result | no difference | survive |",
        "|---|---|---|---|---|---|",
        *(f"| {name} | {count.total()} | {' | '.join(str(count[fate]) for fate in COLUMNS)} |" for name, count in rows),
    ]
    return "\n".join(lines)
