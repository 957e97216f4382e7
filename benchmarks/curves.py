"""Time, calls and memory against the size of the fleet, as JSON and as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.aws import running
from benchmarks.rows import PUTS, Lab

SIZES = (10, 30, 100, 300, 1000)
SEQUENTIAL_SIZES = (10, 30, 100, 300)
QUOTA_SIZES = (10, 30, 100)
MEMORY_SIZES = (0, 100, 1000, 3000)


def curves(
    lab: Lab, *, quota_at_300: float | None = None, memory_at_10_000: float | None = None
) -> dict[str, list[list[float]]]:
    """Return each curve as a list of ``[presets, value]``.

    :param quota_at_300: seconds for 300 presets under quotas, where a row measured that already.
    :param memory_at_10_000: megabytes for 10,000 presets, likewise.
    """
    found: dict[str, list[list[float]]] = {
        "seconds": [[size, lab.seconds(size)] for size in SIZES],
        "seconds one by one": [[size, lab.seconds(size, sequential=True)] for size in SEQUENTIAL_SIZES],
        "seconds under quotas": [[size, lab.seconds(size, puts=PUTS)] for size in QUOTA_SIZES],
        "calls a preset": [[size, lab.calls(AVAILABLE=size) / size] for size in SIZES],
    }
    if quota_at_300:
        found["seconds under quotas"].append([300, quota_at_300])
    peaks = []
    for size in MEMORY_SIZES:
        with running(AVAILABLE=size) as aws:
            lab.detect(aws)
            peaks.append([size, lab.reconcile(aws)["peak"] / 1e6])
    found["megabytes"] = [[size, peak - peaks[0][1]] for size, peak in peaks[1:]]
    if memory_at_10_000:
        found["megabytes"].append([10_000, memory_at_10_000])
    return found


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
