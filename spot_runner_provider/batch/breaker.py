"""A circuit breaker for calls: an error that hits everybody is met once, and no other preset waits for it again."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection
from enum import Enum, auto

from spot_runner_provider.hooks.errors import ErrorKind, is_about_credentials, kind_of, names_of
from spot_runner_provider.protocol.calls import AmbiguousPut, Refused

IN_A_ROW = 3
"""Presets in a row, with no success in between, after which a server error counts as everybody's. A single one may
be about one preset alone, whose key or pipeline is at fault."""

PUTS_IN_A_ROW = 8
"""Puts without an answer that count as much as one other failed call: other calls are repeated first, puts are not."""

_NO_ANSWER = frozenset({"ConnectionError", "HTTPClientError"})
_BAD_ANSWER = frozenset({"AmbiguousPut", "BotoCoreError", "ClientError", "ResponseParserError", "TimeoutError"})
"""Names of exceptions of botocore, Python and the protocol."""


class Reach(Enum):
    """Whom an error concerns.

    >>> reach_of(TimeoutError("DynamoDB left part of a batch unprocessed 8 times")) is Reach.DOUBTFUL
    True
    """

    ONE = auto()
    """Only the preset that the call was about."""
    DOUBTFUL = auto()
    """One preset or all: the service answered, but with an error of its own."""
    ALL = auto()
    """All presets: no answer came, or there were no credentials to sign the call with."""


def reach_of(error: BaseException) -> Reach:
    """Return whom an error concerns in which a call ended, after all its repetitions.

    >>> from botocore.exceptions import ClientError, ReadTimeoutError
    >>> reach_of(ReadTimeoutError(endpoint_url="https://ssm.us-east-1.amazonaws.com"))
    <Reach.ALL: 3>
    >>> reach_of(ClientError({"Error": {"Code": "InternalServerError"}}, "GetParameters"))
    <Reach.DOUBTFUL: 2>
    >>> reach_of(ClientError({"Error": {"Code": "ValidationException"}}, "GetParameters"))
    <Reach.ONE: 1>
    """
    if isinstance(error, Refused) or kind_of(error) not in (ErrorKind.PASSING, ErrorKind.AMBIGUOUS):
        return Reach.ONE
    names = names_of(error)
    if not _NO_ANSWER.isdisjoint(names) or is_about_credentials(error):
        return Reach.ALL
    return Reach.ONE if _BAD_ANSWER.isdisjoint(names) else Reach.DOUBTFUL


class Unavailable(Refused):
    """The call was not made, because calls of its kind fail for everybody."""


class Breaker:
    """The kinds of calls that are not made any more, because they fail for everybody. Several threads share it.

    >>> from botocore.exceptions import ReadTimeoutError
    >>> from spot_runner_provider.protocol.calls import PutConfig, ReadConfig
    >>> breaker = Breaker()
    >>> breaker.failed(ReadConfig, ["linux-x64"], ReadTimeoutError(endpoint_url="https://..."))
    >>> breaker.refusal(ReadConfig)
    Unavailable('not tried, because this failed before: ReadTimeoutError: Read timeout on endpoint URL: "https://..."')
    >>> breaker.refusal(PutConfig)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._row: dict[type, list[str]] = defaultdict(list)
        self._open: dict[type, str] = {}

    def failed(self, kind: type, names: Collection[str], error: Exception) -> None:
        """Record that a call failed, together with all its repetitions.

        :param kind: a class that stands for all such calls.
        :param names: what the call was about. A call for several may fail because of any one of them, so a server
            error then says nothing about the others.
        """
        repeats = not isinstance(error, AmbiguousPut)  # a put is repeated by the protocol, if at all
        reach = reach_of(error if repeats else error.__cause__ or error)
        if reach is Reach.ONE or (reach is Reach.DOUBTFUL and len(names) > 1):
            return
        with self._lock:
            row = self._row[kind]
            row += [name for name in names if reach is Reach.ALL or name not in row]
            if len(row) >= (PUTS_IN_A_ROW if not repeats else 1 if reach is Reach.ALL else IN_A_ROW):
                self._open.setdefault(kind, f"{type(error).__name__}: {error}")

    def worked(self, kind: type) -> None:
        """Record that a call worked: errors before and after it are not in a row.

        >>> from spot_runner_provider.protocol.calls import Commit
        >>> breaker = Breaker()
        >>> for preset in ("linux-arm64", "linux-x64", "windows-2022"):
        ...     breaker.worked(Commit)
        ...     breaker.failed(Commit, [preset], TimeoutError())
        >>> breaker.refusal(Commit)
        """
        with self._lock:
            self._row.pop(kind, None)

    def refusal(self, *kinds: type) -> Unavailable | None:
        """Return why a call of one of ``kinds`` is not made; ``None`` if all may be made."""
        with self._lock:
            failed = next((self._open[kind] for kind in kinds if kind in self._open), None)
        return None if failed is None else Unavailable(f"not tried, because this failed before: {failed}")
