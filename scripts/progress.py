"""Progress, for somebody who waits."""

from __future__ import annotations

import time


class Progress:
    """Prints progress, with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, text: str) -> None:
        """Print one line at once."""
        print(f"[{time.monotonic() - self._start:5.1f} s] {text}", flush=True)
