"""The protocol, changed in one place at a time, at every place: by walking its syntax tree.

A statement is left out, a condition turned round, a part of it left out, a comparison made less strict, a number, a
truth value or a state exchanged for another one, two arguments swapped, a named argument left out.
"""

from __future__ import annotations

import ast
import inspect
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from spot_runner_provider.protocol import reconcile as the_protocol
from spot_runner_provider.records.ami_state import Status
from spot_runner_provider.records.image import BuildState
from tests.interleavings.protocols import Protocol, compiled

NO_PART_OF_A_TRY = ("untouched", "retold")
"""Functions that say what was found, once no try is needed."""

Change = Callable[[], None]

_STATES: dict[str, type[Enum]] = {
    "Status": Status,
    "BuildState": BuildState,
    "_Put": the_protocol._Put,
}
_LESS_STRICT = {ast.Lt: ast.LtE, ast.Gt: ast.GtE, ast.LtE: ast.Lt, ast.GtE: ast.Gt}


@dataclass(frozen=True)
class Mutation:
    """One change of the protocol, told so that a reader finds the place."""

    number: int
    name: str

    @property
    def function(self) -> str:
        """The function that is changed, or the method, with its class."""
        return self.name.partition(":")[0]

    def protocol(self) -> Protocol:
        """Return the protocol with this change."""
        tree = ast.parse(inspect.getsource(the_protocol))
        _, change = next(itertools.islice(_changes(tree), self.number, None))
        change()
        return Protocol(compiled(ast.fix_missing_locations(tree)))


def mutations() -> list[Mutation]:
    """Return all of them, in the order of the source."""
    tree, seen = ast.parse(inspect.getsource(the_protocol)), Counter[str]()
    found = []
    for number, (name, _) in enumerate(_changes(tree)):
        seen[name] += 1
        found.append(Mutation(number, name if seen[name] == 1 else f"{name} ({seen[name]})"))
    return found


def _changes(tree: ast.Module) -> Iterator[tuple[str, Change]]:
    for name, function in _functions(tree):
        for node in ast.walk(function):
            for told, change in itertools.chain(
                _statements(node), _conditions(node), _comparisons(node), _constants(node), _arguments(node)
            ):
                yield f"{name}: {told}", change


def _functions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef) and child.name not in NO_PART_OF_A_TRY:
            yield prefix + child.name, child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{child.name}.")


def _statements(node: ast.AST) -> Iterator[tuple[str, Change]]:
    for field in ("body", "orelse"):
        block = getattr(node, field, None)
        for place, statement in enumerate(block if isinstance(block, list) else []):
            is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            if not is_text and not isinstance(statement, ast.Pass | ast.Assert):
                yield f"without {_text(statement)}", _setter(block, place, ast.Pass())


def _conditions(node: ast.AST) -> Iterator[tuple[str, Change]]:
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        yield f"unless {_text(node.test)}", _attribute_setter(node, "test", ast.UnaryOp(ast.Not(), node.test))
    if isinstance(node, ast.BoolOp):
        neutral = isinstance(node.op, ast.And)
        for place, operand in enumerate(node.values):
            told = f"without {_text(operand)} in {_text(node)}"
            yield told, _setter(node.values, place, ast.Constant(neutral))


def _comparisons(node: ast.AST) -> Iterator[tuple[str, Change]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _LESS_STRICT:
        other = _LESS_STRICT[type(node.ops[0])]()
        yield f"the other limit in {_text(node)}", _setter(node.ops, 0, other)


def _constants(node: ast.AST) -> Iterator[tuple[str, Change]]:
    match node:
        case ast.Constant(bool(value)):
            yield f"{not value} for {value}", _attribute_setter(node, "value", not value)
        case ast.Constant(int(value)):
            yield f"{value + 1} for {value}", _attribute_setter(node, "value", value + 1)
        case ast.Attribute(ast.Name(kind), name) if kind in _STATES:
            names = [state.name for state in _STATES[kind]]
            other = names[(names.index(name) + 1) % len(names)]
            yield f"{kind}.{other} for {kind}.{name}", _attribute_setter(node, "attr", other)


def _arguments(node: ast.AST) -> Iterator[tuple[str, Change]]:
    if not isinstance(node, ast.Call):
        return
    for place in range(len(node.args) - 1):
        told = f"arguments {place + 1} and {place + 2} swapped in {_text(node)}"
        yield told, _setter(node.args, slice(place, place + 2), [node.args[place + 1], node.args[place]])
    for place, keyword in enumerate(node.keywords):
        yield f"without {keyword.arg}= in {_text(node)}", _setter(node.keywords, slice(place, place + 1), [])


def _setter(values: list, place: int | slice, value: object) -> Change:  # type: ignore[type-arg]
    return lambda: values.__setitem__(place, value)


def _attribute_setter(node: ast.AST, name: str, value: object) -> Change:
    return lambda: setattr(node, name, value)


def _text(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return f"`{text if len(text) <= 80 else text[:77] + '...'}`"
