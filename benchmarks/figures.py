"""The rows: their aims, results and verdicts. Nothing here measures anything."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Aim:
    """What a row measures, its unit, and the target, which is a maximum, or a minimum with ``at_least``.

    A row without a target is for information.
    """

    measure: str
    target: float | None
    unit: str
    at_least: bool = False

    @property
    def words(self) -> str:
        """The target as the table shows it.

        >>> Aim("times faster than one by one", 8, "times", at_least=True).words
        '>= 8'
        """
        return "-" if self.target is None else f"{'>=' if self.at_least else '<='} {self.target:g}"


@dataclass(frozen=True)
class Figure:
    """The measured value and its origin. Without a value, it could not be measured, and the detail says why."""

    value: float | None
    detail: str = ""


@dataclass(frozen=True)
class Row:
    """A named aim, and its figure."""

    name: str
    aim: Aim
    figure: Figure

    @property
    def falls_short(self) -> bool:
        """Whether the target is missed. A row that could not be measured falls short even without a target."""
        value, target = self.figure.value, self.aim.target
        if value is None:
            return True
        if target is None:
            return False
        return value < target if self.aim.at_least else value > target

    @property
    def result(self) -> str:
        """The value with its unit."""
        return "-" if self.figure.value is None else f"{self.figure.value:.4g} {self.aim.unit}"

    def plain(self) -> dict[str, Any]:
        """Return the row as plain JSON values."""
        return {"row": self.name, **asdict(self.aim), **asdict(self.figure), "falls_short": self.falls_short}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Row:
        """Return the row from what :meth:`plain` returned."""
        aim = Aim(*(plain[key] for key in ("measure", "target", "unit", "at_least")))
        return cls(plain["row"], aim, Figure(plain["value"], plain["detail"]))


def chosen(names: Sequence[str], known: Collection[str]) -> list[str]:
    """Return the rows to measure, each once, in their own order: the named ones, or all.

    :raises ValueError: if there is none of that name.
    """
    unknown = [name for name in dict.fromkeys(names) if name not in known]
    if unknown:
        raise ValueError(f"no row {', '.join(unknown)}: the rows are {' '.join(known)}")
    return [name for name in known if name in names or not names]


def rows(name: str, aims: Sequence[Aim], measure: Callable[[], Iterable[Figure]]) -> list[Row]:
    """Return the rows of one experiment; if it fails, none has a value, and each says why."""
    try:
        figures = list(measure())
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        figures = [Figure(None, reason[:1000])] * len(aims)
    return [Row(name, aim, figure) for aim, figure in zip(aims, figures, strict=True)]


def in_turn(rounds: int, *measurements: Callable[[], float]) -> list[tuple[float, ...]]:
    """Take measurements in turn, round after round, so that other load on the machine affects them alike."""
    return [tuple(measure() for measure in measurements) for _ in range(rounds)]


def median_ratio(pairs: Iterable[Sequence[float]]) -> float:
    """Return the median of the ratios of the first to the second of each pair.

    >>> median_ratio([(2.0, 1.0), (4.2, 2.0), (9.0, 1.0)])
    2.1
    """
    return statistics.median(first / second for first, second in pairs)


def line(row: Row) -> str:
    """Return a row for the terminal."""
    verdict = "SHORT" if row.falls_short else "ok" if row.aim.target is not None else ""
    return f"{row.name:4} {verdict:5} {row.aim.measure:75} {row.result:>14}  {row.aim.words:7} {row.figure.detail}"


def summary(found: Sequence[Row]) -> str:
    """Return how many rows fall short, and which."""
    aimed = [row for row in found if row.aim.target is not None or row.falls_short]
    short = [row for row in aimed if row.falls_short]
    which = f": {', '.join(dict.fromkeys(row.name for row in short))}" if short else ""
    return f"{len(short)} of {len(aimed)} rows with a target fall short{which}"


def table(found: Iterable[Row]) -> str:
    """Return the rows as Markdown."""
    lines = ["| row | measure | result | target |", "|---|---|---|---|"]
    for row in found:
        detail = f" ({row.figure.detail})" if row.figure.detail else ""
        lines.append(f"| {row.name} | {row.aim.measure}{detail} | {row.result} | {row.aim.words} |")
    return "\n".join(lines)
