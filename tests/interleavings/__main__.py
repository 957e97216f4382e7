"""``python -m tests.interleavings``: try each mutation of the protocol, and write down what becomes of it."""

from __future__ import annotations

import gc
import os
from multiprocessing import get_context

from scripts.progress import Progress
from tests.interleavings import mutation_table
from tests.interleavings.explorer import Case
from tests.interleavings.mutation import Mutation, mutations
from tests.interleavings.necessity import Found, explore_all, fate, still_caught

_explored: list[Case] = []
_known: dict[str, Found] = {}


def main() -> None:
    """Try them, as many at once as there are cores; first with what caught each the last time."""
    progress, found, every = Progress(), {}, mutations()
    progress(f"{len(every)} mutations of the protocol, ten minutes on two idle cores")
    _known.update(mutation_table.read())
    _explored.extend(explore_all())
    gc.freeze()
    # What was explored is inherited, not sent.
    with get_context("fork").Pool(os.cpu_count()) as pool:
        for number, (mutation, what) in enumerate(zip(every, pool.imap(_fate, every), strict=True), 1):
            found[mutation.name] = what
            if number % 20 == 0:
                progress(f"{number} are tried")
    mutation_table.write(found)
    print(mutation_table.table(found))


def _fate(mutation: Mutation) -> Found:
    before = _known.get(mutation.name)
    return (before and still_caught(mutation.protocol(), before)) or fate(mutation.protocol(), _explored)


if __name__ == "__main__":
    main()
