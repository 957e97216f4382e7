"""The commands of the how-to pages, as a reader would type them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.system.real_airflow import REPOSITORY

PAGES = REPOSITORY / "docs" / "how-to"

_BLOCK = re.compile(r"^ *```console\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_CELL = re.compile(r"`(airflow [^`]+)`")


@dataclass(frozen=True)
class Command:
    """One command line, and what the page shows that it prints, if anything."""

    line: str
    shown: str = ""

    def __str__(self) -> str:
        return self.line


def commands(page: Path) -> list[Command]:
    """Return the commands of a page in their order: those of its consoles, and those in the cells of its tables."""
    found: list[tuple[int, Command]] = []
    text = page.read_text()
    for block in _BLOCK.finditer(text):
        found += [(block.start(), command) for command in _typed(block[1])]
    for line in re.finditer(r"^\|.*$", text, re.MULTILINE):
        found += [(line.start() + cell.start(), Command(cell[1])) for cell in _CELL.finditer(line[0])]
    return [command for _, command in sorted(found, key=lambda each: each[0])]


def _typed(block: str) -> Iterator[Command]:
    joined = re.sub(r"\\\n\s*", "", block)
    for part in re.split(r"^ *\$ ", joined, flags=re.MULTILINE)[1:]:
        line, _, shown = part.partition("\n")
        yield Command(re.sub(r"\s+#.*", "", line), "\n".join(each.strip() for each in shown.splitlines()).strip())
