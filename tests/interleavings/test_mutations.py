"""Each rule of the protocol is needed: without it, the explorer finds an invariant broken."""

from __future__ import annotations

import pytest

from tests.figures import Figure
from tests.interleavings import mutation_table
from tests.interleavings.mutation import mutations
from tests.interleavings.necessity import Fate, still_caught

FOUND = mutation_table.read()
FUNCTIONS = sorted({mutation.function for mutation in mutations()})


def test_each_mutation_has_been_tried() -> None:
    assert [mutation.name for mutation in mutations()] == list(FOUND), "the protocol has changed: make mutations"


def test_the_document_counts_them() -> None:
    assert mutation_table.table(FOUND) in mutation_table.DOCUMENT.read_text()


@pytest.mark.parametrize("fate", [Fate.SURVIVES, Fate.SAME])
def test_the_document_says_why_one_is_not_caught(fate: Fate) -> None:
    document = mutation_table.DOCUMENT.read_text()
    assert [name for name, found in FOUND.items() if found.fate is fate and name not in document] == []


@pytest.mark.long
@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_explorer_catches_what_it_caught(function: str, figure: Figure) -> None:
    caught = 0
    for mutation in mutations():
        if mutation.function == function and (found := FOUND[mutation.name]).fate is Fate.CAUGHT:
            assert still_caught(mutation.protocol(), found), mutation.name
            caught += 1
    figure("mutations", f"{function:30} {caught:4} caught")
