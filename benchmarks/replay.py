"""AWS's answers to a run, kept, and given again: what is measured then is the run's own work, as often as one likes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import botocore.handlers
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from moto.core.botocore_stubber import MockRawResponse


class Answer(NamedTuple):
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Recorder:
    """Keeps the answers to all clients that are made after :meth:`install`, in ``answers``."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def install(self) -> None:
        """Begin."""
        botocore.handlers.BUILTIN_HANDLERS.append(("response-received", self._keep))

    def _keep(self, response_dict: dict[str, Any], **_: Any) -> None:
        self.answers.append(
            Answer(response_dict["status_code"], dict(response_dict["headers"]), bytes(response_dict["body"]))
        )


class Replay:
    """Gives answers to all clients that are made after :meth:`install`, in the order in which they came."""

    def __init__(self) -> None:
        self._answers: Iterator[Answer] = iter(())

    def install(self) -> None:
        """Begin: no call gets through any more."""
        botocore.handlers.BUILTIN_HANDLERS.append(("before-send", self._answer))

    def give(self, answers: Sequence[Answer]) -> None:
        """Let these be the next ones."""
        self._answers = iter(answers)

    def _answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        answer = next(self._answers)
        return AWSResponse(request.url, answer.status, answer.headers, MockRawResponse(answer.body))
