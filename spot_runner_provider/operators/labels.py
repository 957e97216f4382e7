"""The label of a mapped task in the UI: the presets of its batch."""

from __future__ import annotations

from collections.abc import Sequence

from spot_runner_provider.operators.arguments import verbatim
from spot_runner_provider.records.text import shorten

LABEL_VARIABLE = "preset_names"
"""Template variable that names the presets of a mapped task, for its ``map_index_template``."""

LABEL_LIMIT = 200
"""Characters of a mapped task's label; Airflow's column holds 250 and nothing shortens it."""


def label(names: Sequence[str]) -> str:
    """Return the names of a batch's presets for the UI: the first three, and the number of the others.

    With native template rendering, Airflow would read a label such as ``2022`` as a number and refuse it. So a label
    that reads as a Python literal is quoted.

    >>> label(["linux-arm64", "linux-x64", "windows-2019", "windows-2022", "windows-2025"])
    'linux-arm64, linux-x64, windows-2019 +2'
    >>> label(["2022"])
    "'2022'"
    """
    more = f" +{len(names) - 3}" if len(names) > 3 else ""
    text = shorten(", ".join(names[:3]), LABEL_LIMIT - len(more)) + more
    return shorten(verbatim(text), LABEL_LIMIT)
