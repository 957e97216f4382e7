"""The report: every preset's state after the run, the overall status, and one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spot_runner_provider.ami_state import Status, shorten
from spot_runner_provider.intent import is_intent
from spot_runner_provider.outcome import Outcome

DEGRADED = "degraded"

_NEED_ATTENTION = frozenset(outcome.value for outcome in Outcome if outcome.needs_attention)
_SETTLED = frozenset({Outcome.CORRECTED_READY, Outcome.CORRECTED_FAILED, Outcome.FINISHED})


@dataclass(frozen=True, slots=True)
class Report:
    """What a run found and left, from the values that its tasks pushed.

    ``value`` is the report as XCom has it: ``{"status", "message", "checkedAt", "presets": [{"name", "status",
    "amiId", "updatedAt", "outcome", "detail"}, ...], "malformed": [...]}``; ``failures`` says, a sentence each, why
    the run must not pass for a success.

    >>> made = report(None, batches=[], results=[])
    >>> made.value["status"], made.failures
    ('degraded', ('detection failed',))
    """

    value: dict[str, Any]
    failures: tuple[str, ...]


def report(
    survey: Mapping[str, Any] | None,
    batches: Iterable[Iterable[Mapping[str, Any]]],
    results: Iterable[Mapping[str, Any]],
    fail_on: Iterable[str] = (),
) -> Report:
    """Put together what detection surveyed, what it flagged, and what reconciling came to.

    :param survey: the XCom ``states``; ``None`` if detection failed.
    :param batches: what detection returned.
    :param results: every result that reconciling pushed, in any order.
    :param fail_on: outcomes that count as failures besides ``error``.

    >>> seen = {"presetName": "linux-x64", "status": "building", "amiId": "ami-0a1d",
    ...         "updatedAt": "2026-02-11T15:00:00.000Z"}
    >>> result = {"presetName": "linux-x64", "status": "ready", "amiId": "ami-0e3f", "outcome": "corrected_ready",
    ...           "updatedAt": "2026-02-11T15:59:03.001Z", "detail": "", "dryRun": False}
    >>> survey = {"checkedAt": "2026-02-11T16:00:03.120Z", "states": [seen], "malformed": []}
    >>> made = report(survey, batches=[[seen]], results=[result])
    >>> made.value["status"], made.value["message"], made.failures
    ('ready', '1 preset ready', ())
    """
    if survey is None:
        message = "detection failed: nothing is known about any preset; see the log of the detecting task"
        empty: dict[str, Any] = {
            "status": DEGRADED,
            "message": message,
            "checkedAt": None,
            "presets": [],
            "malformed": [],
        }
        return Report(empty, ("detection failed",))

    flagged = {item["presetName"] for batch in batches for item in batch}
    by_name = {result["presetName"]: result for result in results}
    audit = survey.get("audit") or {"findings": [], "error": None}
    found = {finding["presetName"]: finding for finding in audit["findings"]}
    presets = [
        _preset(state, by_name.get(state["presetName"]), state["presetName"] in flagged)
        | _finding(found.get(state["presetName"]))
        for state in sorted(survey["states"], key=lambda state: state["presetName"])
    ]
    malformed = list(survey["malformed"])
    value = {
        "status": overall_status(presets, malformed),
        "message": message_of(presets, malformed, flagged)
        + (f"; the audit is incomplete: {audit['error']}" if audit["error"] else ""),
        "checkedAt": survey["checkedAt"],
        "presets": presets,
        "malformed": malformed,
    }
    failures = [*_failures([*by_name.values(), *found.values()], sorted(flagged - by_name.keys()), set(fail_on))]
    if survey.get("named"):
        failures += _not_looked_at(malformed)
    if audit["error"]:
        failures.append(f"the audit is incomplete, the rest of the run did its work: {audit['error']}")
    return Report(value, tuple(failures))


def overall_status(presets: Sequence[Mapping[str, Any]], malformed: Sequence[Any]) -> str:
    """Return ``ready`` if all presets are, with an AMI.

    ``building`` if some are and none failed, drifted or lacks an AMI; else ``degraded``, as with any malformed record.

    >>> ready = {"status": "ready", "amiId": "ami-0e3f", "outcome": None}
    >>> overall_status([ready, ready | {"status": "building"}], malformed=[])
    'building'
    >>> overall_status([ready, ready | {"amiId": None}], malformed=[])
    'degraded'
    """
    statuses = {preset["status"] for preset in presets}
    unsound = Status.FAILED in statuses or any(preset["outcome"] == Outcome.DRIFTED for preset in presets)
    if malformed or unsound or not all(preset["amiId"] for preset in presets):
        return DEGRADED
    return Status.BUILDING.value if Status.BUILDING in statuses else Status.READY.value


def needs_attention(preset: Mapping[str, Any]) -> bool:
    """Return whether a person should look at a preset: its build failed, it has no AMI, or its outcome asks for it.

    >>> ready = {"status": "ready", "amiId": "ami-0e3f", "outcome": "corrected_ready"}
    >>> needs_attention(ready), needs_attention(ready | {"amiId": None}), needs_attention(ready | {"outcome": "error"})
    (False, True, True)
    """
    return preset["status"] == Status.FAILED or not preset["amiId"] or preset["outcome"] in _NEED_ATTENTION


def message_of(presets: Sequence[Mapping[str, Any]], malformed: Sequence[Any], flagged: Iterable[str]) -> str:
    """Return the counts in one sentence, such as ``3 presets ready, 1 preset building, 1 preset failed``.

    :param flagged: the names of the presets that detection flagged.

    >>> ready = {"status": "ready", "amiId": "ami-0e3f", "outcome": None}
    >>> message_of([ready, ready | {"outcome": "drifted"}], malformed=[], flagged=[])
    '2 presets ready, 1 parameter drifted; none was stale'
    """
    counts = Counter(preset["status"] for preset in presets)
    parts = [
        f"{_count(counts[status], 'preset')} {status}"
        for status in (Status.READY, Status.BUILDING, Status.FAILED)
        if counts[status]
    ] or ["no presets"]
    if lacking := sum(not preset["amiId"] for preset in presets):
        parts.append(f"{_count(lacking, 'preset')} without an AMI")
    if drifted := sum(preset["outcome"] == Outcome.DRIFTED for preset in presets):
        parts.append(f"{_count(drifted, 'parameter')} drifted")
    if malformed:
        parts.append(f"{_count(len(malformed), 'record')} malformed")
    return ", ".join(parts) + ("" if any(True for _ in flagged) else "; none was stale")


def _preset(state: Mapping[str, Any], result: Mapping[str, Any] | None, flagged: bool) -> dict[str, Any]:
    """Return one preset's line: as its result has it, else as it was detected."""
    seen = result if result and result["status"] and not result["dryRun"] else state
    unfinished = state.get("unfinished") and not (result and _is_settled(result))
    line = {
        "name": state["presetName"],
        "status": Status.BUILDING.value if unfinished else seen["status"],
        "amiId": seen["amiId"],
        "updatedAt": seen["updatedAt"],
        "outcome": result["outcome"] if result else None,
        "detail": result["detail"] if result else shorten(state.get("errorMessage") or ""),
    }
    if result is None and flagged:
        line |= {"outcome": Outcome.ERROR.value, "detail": "its task pushed no result; see its log"}
    return line


def _finding(finding: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what the audit has to say of a preset, over its line. None that it looked at was flagged."""
    return {key: finding[key] for key in ("outcome", "detail")} if finding else {}


def _is_settled(result: Mapping[str, Any]) -> bool:
    """Return whether an intent that stood when the preset was detected is done with."""
    return not result["dryRun"] and result["outcome"] in _SETTLED


def _failures(results: Iterable[Mapping[str, Any]], lost: Sequence[str], fail_on: set[str]) -> Iterable[str]:
    named: dict[str, list[str]] = {}
    for result in results:
        if result["outcome"] in fail_on | {Outcome.ERROR.value}:
            named.setdefault(result["outcome"], []).append(result["presetName"])
    for outcome, presets in sorted(named.items()):
        yield f"{outcome}: {shorten(', '.join(sorted(presets)))}"
    if lost:
        yield f"no result: {shorten(', '.join(lost))}"


def _not_looked_at(malformed: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """Yield why presets that somebody named were passed over: they have no record, or none that can be read."""
    refused = [refusal for refusal in malformed if not is_intent(refusal["jobId"])]
    if refused:
        told = (f"{refusal['presetName'] or refusal['jobId']} ({refusal['reason']})" for refusal in refused)
        yield f"named, and not looked at: {shorten(', '.join(told))}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
