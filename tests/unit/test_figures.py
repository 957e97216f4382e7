"""What the tests print has the names by which the documentation explains it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests import figures

FILES = set(Path(figures.__file__).parent.rglob("*.py")) - {Path(figures.__file__), Path(__file__)}


def told() -> set[str]:
    """Return the names of all figures that tests tell."""
    calls = (
        node
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "figure"
    )
    return {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)}


def test_the_document_names_the_figures_that_are_told() -> None:
    assert told() == figures.documented()
    assert told() >= set(figures.SUMS)


def test_nothing_is_told_past_them() -> None:
    assert [path.name for path in FILES if "record_property(" in path.read_text()] == []


def test_a_name_that_the_document_lacks_is_refused(figure: figures.Figure) -> None:
    with pytest.raises(AssertionError, match=r"reliability\.md has no figure 'speed'"):
        figure("speed", "fast")
