"""What is public in the package, and what its docstrings show."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from types import FunctionType, ModuleType
from typing import Any

from airflow.providers.amazon.version_compat import AIRFLOW_V_3_1_PLUS

import spot_runner_provider

PACKAGE = spot_runner_provider.__name__

ONLY_3_1 = {
    "cli.commands.detect",
    "cli.commands.reconcile",
    "cli.commands.status",
    "cli.deployment",
    "status.api",
    "status.plugin",
    "status.store",
}
"""What can do its work on Airflow 3.1 and newer only; it is left out on the others."""

METHODS = (FunctionType, classmethod, staticmethod)
PROPERTIES = (property, cached_property)


@dataclass(frozen=True)
class Part:
    """A module, a class, a function, or a member of the class ``owner``; ``path`` is its name within the package."""

    path: str
    value: Any
    module: ModuleType
    owner: type | None = None

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def doc(self) -> str:
        """The docstring that it was given, as against the one that a dataclass makes up."""
        text = inspect.cleandoc(self.value.__doc__ or "")
        return "" if text.startswith(f"{self.name}(") else text

    @property
    def examples(self) -> list[doctest.Example]:
        return doctest.DocTestParser().get_examples(self.doc)


def _modules() -> Iterator[Part]:
    yield Part("", spot_runner_provider, spot_runner_provider)
    for found in pkgutil.walk_packages(spot_runner_provider.__path__, f"{PACKAGE}."):
        path = found.name.removeprefix(f"{PACKAGE}.")
        if AIRFLOW_V_3_1_PLUS or path not in ONLY_3_1:
            module = importlib.import_module(found.name)
            yield Part(path, module, module)


def _public(module: Part) -> Iterator[Part]:
    """Yield what a module defines and does not hide."""
    for name, value in vars(module.value).items():
        path = f"{module.path}.{name}".lstrip(".")
        if name.startswith("_") or getattr(value, "__module__", None) != module.value.__name__:
            continue
        if inspect.isclass(value):
            yield Part(path, value, module.value)
            for member, of_class in vars(value).items():
                if not member.startswith("_") and isinstance(of_class, (*METHODS, *PROPERTIES)):
                    yield Part(f"{path}.{member}", of_class, module.value, value)
        elif inspect.isroutine(inspect.unwrap(value)) and (AIRFLOW_V_3_1_PLUS or path not in ONLY_3_1):
            yield Part(path, value, module.value)


MODULES = {module.path: module for module in _modules()}
PUBLIC = {part.path: part for module in MODULES.values() for part in _public(module)}
EXAMPLES = {path: part for path, part in (MODULES | PUBLIC).items() if part.examples}

ENDINGS = {
    example.exc_msg.partition(":")[0].strip()
    for part in EXAMPLES.values()
    for example in part.examples
    if example.exc_msg
}
"""The exceptions that examples end in, by their full names."""


def lacks(part: Part) -> str | None:
    """Return what a public part should have and has not."""
    if not part.doc:
        return "a docstring"
    return None if part.examples or is_shown(part) else "an example"


def untold(part: Part) -> set[str]:
    """Return the exceptions that a function itself makes, and lets out, without a ``:raises`` for them.

    What it only passes on from what it calls is not looked for.
    """
    value = part.value
    for wrapped in ("__func__", "fget", "func"):
        value = getattr(value, wrapped, value)
    if not inspect.isfunction(value):
        return set()
    (function,) = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(value)))).body
    made = set(_made(ast.iter_child_nodes(function), caught=frozenset()))
    return {name for name in made - {"NotImplementedError"} if f":raises {name}:" not in part.doc}


def _made(nodes: Iterable[ast.AST], caught: frozenset[str]) -> Iterator[str]:
    """Yield the names of the exceptions that are made by a ``raise`` below ``nodes``, but for those caught there."""
    for node in nodes:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Lambda():
                pass
            case ast.Try():
                types = [each for handler in node.handlers if handler.type for each in ast.walk(handler.type)]
                yield from _made(node.body, caught | {each.id for each in types if isinstance(each, ast.Name)})
                yield from _made([*node.handlers, *node.orelse, *node.finalbody], caught)
            case ast.Raise(exc=ast.Call(func=ast.Name(name)) | ast.Name(name)):
                if name[0].isupper() and not {name, "Exception"} & caught:
                    yield name
            case _:
                yield from _made(ast.iter_child_nodes(node), caught)


def is_shown(part: Part) -> bool:
    """Return whether somebody else's example shows it; the rule is told in ``test_examples``."""
    if part.owner:
        inherited = any(part.name in vars(base) for base in part.owner.__mro__[1:])
        return isinstance(part.value, PROPERTIES) or inherited or _is_called(part)
    if not inspect.isclass(part.value) or any(isinstance(each, METHODS) for each in _own(part.value)):
        return False
    bases = {f"{base.__module__}.{base.__qualname__}".removeprefix(f"{PACKAGE}.") for base in part.value.__mro__[1:]}
    return bool(bases & EXAMPLES.keys()) or f"{PACKAGE}.{part.path}" in ENDINGS


def _is_called(method: Part) -> bool:
    """Return whether an example of its class, or of another of its methods, calls it."""
    of_class = method.path.rpartition(".")[0]
    sources = [
        example.source
        for path, part in EXAMPLES.items()
        if path == of_class or path.startswith(f"{of_class}.")
        for example in part.examples
    ]
    return any(re.search(rf"\.{method.name}\b", source) for source in sources)


def _own(cls: type) -> list[Any]:
    return [value for name, value in vars(cls).items() if not name.startswith("_")]
