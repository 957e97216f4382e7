"""The protocol that our reconcilers run: the real one, or one that is changed.

It is the real source, run in a namespace of its own, so that a change reaches nothing else. In it the pure
functions that read and write JSON remember what they returned: the same few texts are merged millions of times.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import cache, wraps
from typing import Any

from spot_runner_provider.protocol import reconcile as the_protocol
from spot_runner_provider.protocol.calls import Call
from spot_runner_provider.protocol.candidate import Candidate, Run
from spot_runner_provider.records import parameter
from spot_runner_provider.records.parameter import ConfigVersion
from tests.interleavings.model import CommitRule, commit

Flow = Generator[Call, Any, Any]
Reconcile = Callable[[Candidate, Run], Flow]

Text = tuple[str, str, str]
"""A function, or class, of the protocol, a text in its source, and what to put in its place."""


def rewritten(*changes: Text, **replaced: Any) -> Reconcile:
    """Return the real :func:`reconcile`, its source changed.

    :param changes: applied in this order.
    :param replaced: names of the module that stand for something else.
    :raises LookupError: if a text is not in the source exactly once.
    """
    module = inspect.getsource(the_protocol)
    parts: dict[str, str] = {}
    for name, old, new in changes:
        part = parts.get(name) or inspect.getsource(getattr(the_protocol, name))
        if part.count(old) != 1:
            raise LookupError(f"{part.count(old)} times in {name}, not once: {old!r}")
        parts[name] = part.replace(old, new)
        module = module.replace(part, parts[name])
    return compiled(module, **replaced)


def compiled(module: str | ast.Module, **replaced: Any) -> Reconcile:
    """Return the function ``reconcile`` of a changed protocol; ``replaced`` are names that stand for something else."""
    names: dict[str, Any] = {"__name__": the_protocol.__name__}
    exec(compile(module, str(the_protocol.__file__), "exec"), names)
    names.update(_REMEMBERED | replaced)
    made: Reconcile = names["reconcile"]
    return made


def _remembering(function: Callable[..., Any]) -> Callable[..., Any]:
    remembered = cache(function)

    @wraps(function)
    def call(history: ConfigVersion | Sequence[ConfigVersion], *others: Any, **named: Any) -> Any:
        versions = history if isinstance(history, ConfigVersion) else tuple(history)
        return remembered(versions, *others, **named)

    return call


_REMEMBERED = {
    function.__name__: _remembering(function)
    for function in (
        parameter.ami_of,
        parameter.merge,
        parameter.merge_covered,
        parameter.replaced_ami,
    )
}


@dataclass(frozen=True)
class Protocol:
    """What our reconcilers run: the real thing, or a mutant of it.

    ``commit`` is what the table makes of a commit; ``repeats``, whether the client repeats a put by itself when the
    reply is lost. ``remembered`` is where its reconcilers stand after each way that one of them went.
    """

    reconcile: Reconcile
    commit: CommitRule = commit
    repeats: bool = False
    remembered: dict[Any, dict[int, Any]] = field(default_factory=dict, compare=False, repr=False)


REAL = Protocol(rewritten())
