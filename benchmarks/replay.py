"""AWS's answers to a run, recorded and replayed, so that the run's own work can be measured as often as one likes."""

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
    """Records the answers to all clients that are created after :meth:`install`, in ``answers``."""

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
    """Replays answers to all clients that are created after :meth:`install`, in their original order."""

    def __init__(self) -> None:
        self._answers: Iterator[Answer] = iter(())

    def install(self) -> None:
        """Begin; from now on no call reaches AWS."""
        botocore.handlers.BUILTIN_HANDLERS.append(("before-send", self._answer))

    def give(self, answers: Sequence[Answer]) -> None:
        """Replay these answers next."""
        self._answers = iter(answers)

    def _answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        answer = next(self._answers)
        return AWSResponse(request.url, answer.status, answer.headers, MockRawResponse(answer.body))
