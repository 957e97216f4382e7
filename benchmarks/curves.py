"""Time, calls and memory against the size of the fleet, as JSON and as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.rows import PUTS, Lab

SIZES = (10, 30, 100, 300, 1000)
SMALLER_SIZES = (10, 30, 100, 300)
MEMORY_SIZES = (100, 300, 1_000, 10_000)


def curves(lab: Lab) -> dict[str, list[list[float]]]:
    """Return each curve as a list of ``[presets, value]``; values that the rows have are not measured again."""
    empty = lab.cost(0).peak
    return {
        "seconds": [[size, lab.far("one task", size).seconds] for size in SIZES],
        "seconds one by one": [[size, lab.far("one by one", size).seconds] for size in SMALLER_SIZES],
        "seconds under quotas": [[size, lab.far("one task", size, PUTS).seconds] for size in SMALLER_SIZES],
        "calls a preset": [[size, lab.far("one task", size).calls / size] for size in SIZES],
        "megabytes": [[size, (lab.cost(size).peak - empty) / 1e6] for size in MEMORY_SIZES],
    }


def draw(found: dict[str, list[list[float]]], folder: Path) -> None:
    """Draw the curves into ``time.png``, ``calls.png`` and ``memory.png``."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    def picture(name: str, title: str, unit: str, lines: dict[str, Any], *, logarithmic: bool) -> None:
        figure, axes = pyplot.subplots(figsize=(7, 4), dpi=110, layout="constrained")
        for label, (points, style) in lines.items():
            axes.plot(*zip(*points, strict=True), style, label=label)
        axes.set_xscale("log")
        if logarithmic:
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, 1.1 * max(value for points, _ in lines.values() for _, value in points))
        axes.set_title(title)
        axes.set_xlabel("stale presets")
        axes.set_ylabel(unit)
        axes.grid(visible=True, which="major", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if len(lines) > 1:
            axes.legend(frameon=False)
        figure.savefig(folder / f"{name}.png", metadata={"Software": None})
        pyplot.close(figure)

    quota: Sequence[list[float]] = found["seconds under quotas"]
    picture(
        "time",
        "One task, 30 ms a call",
        "seconds",
        {
            "one preset after the other, six calls each": (found["seconds one by one"], "s-"),
            f"under quotas ({PUTS:.0f} puts a second)": (quota, "^-"),
            "floor of that quota": ([[size, (size - 1) / PUTS] for size, _ in quota], "k:"),
            "this provider": (found["seconds"], "o-"),
        },
        logarithmic=True,
    )
    picture(
        "calls",
        "AWS calls for a preset that turns ready, detection included",
        "calls a preset",
        {"calls": (found["calls a preset"], "o-")},
        logarithmic=False,
    )
    picture(
        "memory",
        "Peak memory of one task above an empty one",
        "MB",
        {"memory": (found["megabytes"], "o-")},
        logarithmic=False,
    )
