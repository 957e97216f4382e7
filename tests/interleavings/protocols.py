"""The protocol that our reconcilers run: the real one, or one that is changed.

Its functions are the real ones, in a namespace of their own, so that a change reaches nothing else. In it the pure
functions that read and write JSON remember what they returned: the same few texts are merged millions of times.
"""

from __future__ import annotations
import __future__

import inspect
import textwrap
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from types import FunctionType
from typing import Any

from spot_runner_provider import preset_config
from spot_runner_provider.preset_config import ConfigVersion
from spot_runner_provider.protocol import reconcile as the_protocol
from spot_runner_provider.protocol.calls import Call
from spot_runner_provider.protocol.candidate import Candidate, Run
from tests.interleavings.model import CommitRule, commit

Flow = Generator[Call, Any, Any]
Reconcile = Callable[[Candidate, Run], Flow]

Text = tuple[str, str, str]
"""A function of the reconciler, a text in its source, and what to put in its place."""


def rewritten(*changes: Text, **replaced: Any) -> Reconcile:
    """Return the real :func:`reconcile`, over functions whose source is changed.

    :param changes: applied in this order.
    :param replaced: names of the module that stand for something else.
    :raises LookupError: if a text is not in the source exactly once.
    """
    names = dict(vars(the_protocol))
    sources: dict[str, str] = {}
    for name, old, new in changes:
        source = sources.get(name) or inspect.getsource(names[name])
        if source.count(old) != 1:
            raise LookupError(f"{source.count(old)} times in {name}, not once: {old!r}")
        sources[name] = source.replace(old, new)
    for name, value in vars(the_protocol).items():
        if isinstance(value, FunctionType) and value.__module__ == the_protocol.__name__:
            names[name] = FunctionType(value.__code__, names, name, value.__defaults__, value.__closure__)
            names[name].__kwdefaults__ = value.__kwdefaults__
    for name, source in sources.items():
        flags = __future__.annotations.compiler_flag
        exec(compile(textwrap.dedent(source), f"mutant of {name}", "exec", flags), names)
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
        preset_config.ami_of,
        preset_config.merge,
        preset_config.merge_covered,
        preset_config.replaced_ami,
    )
}


@dataclass(frozen=True)
class Protocol:
    """What our reconcilers run: the real thing, or a mutant of it.

    ``commit`` is what the table makes of a commit; ``repeats``, whether the client repeats a put by itself when the
    reply is lost.
    """

    reconcile: Reconcile
    commit: CommitRule = commit
    repeats: bool = False


REAL = Protocol(rewritten())
