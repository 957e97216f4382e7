"""What was explored, told at the end of the run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.figures import Figure
from tests.interleavings.explorer import Exploration


@pytest.fixture
def tell(figure: Figure) -> Callable[[Exploration], None]:
    """Return a function that tells what exploring a case came to, and adds it to the sum."""

    def record(what: Exploration) -> None:
        figure("interleavings", str(what))
        figure("interleavings", (what.schedules, what.states))

    return record
