"""Messages to people: what a callback or notifier of ``report_status`` finds in its context."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from spot_runner_provider.reporting.report import DEGRADED, Report, malformed_counts, needs_attention

REPORT_VARIABLE = "spot_runner_report"
"""Name of the report in the context, so that a template can say ``{{ spot_runner_report.status }}``."""

MESSAGE_VARIABLE = "spot_runner_message"
"""Name of the report as text in the context."""

SUBJECT_VARIABLE = "spot_runner_subject"
"""Name of the report's one-line summary in the context: it has no line break, so it can be a mail's subject."""

LINES_LIMIT = 10
"""Presets that a message lists; with the text around them they fit into a Slack message."""

Callback = Callable[[Any], Any]
"""Takes the context. A ``BaseNotifier`` is one, with templates that are rendered before."""


def calls_for_attention(report: Report) -> bool:
    """Return whether to tell people, which is what ``degraded`` means.

    >>> calls_for_attention(Report({"status": "building"}, failures=()))
    False
    >>> calls_for_attention(Report({"status": "degraded"}, failures=("error: linux-x64",)))
    True
    """
    return bool(report.value["status"] == DEGRADED)


def subject(report: Report) -> str:
    """Return the report in one line: the status and the counts.

    >>> subject(Report({"status": "degraded", "message": "1 preset failed"}, failures=()))
    'Runner images are degraded: 1 preset failed'
    """
    return f"Runner images are {report.value['status'] or 'unknown'}: {report.value['message']}"


def message(report: Report) -> str:
    """Return the report as a short text: the counts, why the run failed, and a line for each preset to look at.

    >>> failed = {"name": "linux-x64", "status": "failed", "amiId": "ami-0a1d", "outcome": "corrected_failed",
    ...           "detail": "FAILED: Build timed out"}
    >>> value = {"status": "degraded", "message": "1 preset failed", "presets": [failed], "malformed": []}
    >>> print(message(Report(value, failures=())))
    Runner images are degraded: 1 preset failed
    - linux-x64: failed, ami-0a1d, corrected_failed: FAILED: Build timed out
    """
    value = report.value
    troubles = list(_troubles(report))
    unlisted = sum(malformed_counts(value).values()) - len(value["malformed"])
    left = len(troubles[LINES_LIMIT:]) + unlisted
    more = [f"- and {left} more"] if left else []
    return "\n".join(
        [
            subject(report),
            *(f"The run failed: {failure}" for failure in report.failures),
            *troubles[:LINES_LIMIT],
            *more,
        ]
    )


def failed_callbacks(callbacks: Iterable[Callback], context: Any) -> Iterator[tuple[Callback, Exception]]:
    """Call each callback with the context; yield those that failed, with the error.

    >>> def tell(context):
    ...     raise ConnectionError("no chat today")
    >>> [str(error) for callback, error in failed_callbacks([print, tell], "a context")]
    a context
    ['no chat today']
    """
    for callback in callbacks:
        try:
            callback(context)
        except Exception as error:
            yield callback, error


def as_callbacks(given: Callback | Sequence[Callback] | None) -> list[Callback]:
    """Return the callbacks that an operator was given, one or many or none.

    >>> as_callbacks(print), as_callbacks(None)
    ([<built-in function print>], [])
    """
    if given is None:
        return []
    return list(given) if isinstance(given, Sequence) else [given]


def _troubles(report: Report) -> Iterator[str]:
    for preset in report.value["presets"]:
        if needs_attention(preset):
            known = (preset["status"], preset["amiId"] or "no AMI", preset["outcome"])
            words = ", ".join(word for word in known if word)
            detail = report.detail_of(preset)
            yield f"- {preset['name']}: {words}{': ' + detail if detail else ''}"
    for record in report.value["malformed"]:
        yield f"- {record['presetName'] or record['jobId']}: malformed: {record['reason']}"
