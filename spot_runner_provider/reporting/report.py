"""The report: every preset's state after the run, the overall status, and one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from spot_runner_provider.protocol.outcome import FAIL_TASKS, FAIL_WAITS, NEED_ATTENTION, SETTLE, Outcome
from spot_runner_provider.records.ami_state import MalformedRecord, Status, is_ami_id, parse_timestamp
from spot_runner_provider.records.intent import is_intent
from spot_runner_provider.records.text import shorten
from spot_runner_provider.records.xcom_size import fitted

DEGRADED = "degraded"
"""The overall status that asks a person to look."""


class Silence(StrEnum):
    """Why a task has no result that counts in the present state of this run.

    ``EARLIER_TRY`` and ``LEFT_OUT`` are about a flagged preset, ``SEVERAL`` is about detection.

    >>> f"detection {Silence.SKIPPED}"
    'detection was skipped'
    """

    SKIPPED = "was skipped"
    NOT_RUN = "has not run to its end"
    NO_SUCH_TASK = "does not exist"
    PUSHED_NOTHING = "pushed nothing"
    SOMETHING_ELSE = "pushed something else"
    FAILED = "failed"
    SEVERAL = "ran more than once"
    EARLIER_TRY = "told of an earlier try"
    LEFT_OUT = "was left out"

    @classmethod
    def of(cls, state: str | None) -> Self:
        """Return why a task instance without a result has none, judging by its state.

        :param state: the value of Airflow's ``TaskInstanceState``; ``None`` if the instance has none, or does not
            exist.

        >>> Silence.of("success"), Silence.of("upstream_failed").value
        (<Silence.PUSHED_NOTHING: 'pushed nothing'>, 'has not run to its end')
        """
        return cls(_SILENCES.get(state or "", Silence.NOT_RUN))


_SILENCES = {"skipped": Silence.SKIPPED, "success": Silence.PUSHED_NOTHING, "failed": Silence.FAILED}

_WITHOUT_DETECTION = {
    Silence.SKIPPED: "nothing was looked at in this run",
    Silence.NOT_RUN: "a task before it failed, or the reporting task did not wait for it",
    Silence.NO_SUCH_TASK: "this DAG has no task of that id; correct detect_task_id",
    Silence.PUSHED_NOTHING: "leave its do_xcom_push on, and see that detect_task_id names the detecting task",
    Silence.SOMETHING_ELSE: "see that detect_task_id names the detecting task",
    Silence.FAILED: "nothing is known about any preset; see the log of the detecting task",
    Silence.SEVERAL: "a report takes one detection; put both tasks into the same mapped TaskGroup",
}

_WITHOUT_RESULT = {
    Silence.SKIPPED: "its task was skipped, so nothing was done",
    Silence.NOT_RUN: "its task has not run to its end; see the tasks before it",
    Silence.NO_SUCH_TASK: "no task reconciles it: correct reconcile_task_id",
    Silence.PUSHED_NOTHING: "its task pushed no result; see its log",
    Silence.SOMETHING_ELSE: "its task pushed no list of results; check that reconcile_task_id names the right task",
    Silence.FAILED: "its task failed without a result; see its log",
    Silence.EARLIER_TRY: "its task's result is of an earlier try; clear that task too",
    Silence.LEFT_OUT: "no task has a result for it; check what is between detection and the reconciling task",
}

_FAILED_AFTER = "its task failed after this result"


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance of the reconciling task in this run.

    :param state: the value of Airflow's ``TaskInstanceState``.
    :param value: what it pushed; ``None`` if it pushed nothing or has not ended.

    >>> Instance("success", "s3://bucket/key").silence.value, Instance("skipped").silence.value
    ('pushed something else', 'was skipped')
    """

    state: str | None
    value: Any = None

    @property
    def silence(self) -> Silence:
        """Why it has no result that counts, if it has none."""
        silence = Silence.of(self.state)
        if silence is not Silence.PUSHED_NOTHING or self.value in (None, []):
            return silence
        return Silence.EARLIER_TRY if about_presets(self.value) else Silence.SOMETHING_ELSE


@dataclass(frozen=True, slots=True)
class Answers:
    """The reconciling tasks' results for the presets that this try of detection flagged, and why some have none.

    A run that is cleared keeps the XComs of tasks that do not run again. So a result counts only if its preset was
    flagged, and if its record is not older than the flagged one. Results are found by the preset's name, because a DAG
    may reorder the batches or leave some out before they are reconciled.

    ``silent`` has the presets without a result. ``failed`` has those whose task failed although none of its results
    is an error: it was ended from outside, or by an error that is not about a preset. ``complaints`` says if a task
    failed although no preset lacks a result.

    >>> stale = {"presetName": "linux-x64", "updatedAt": "2026-02-11T15:00:00.000Z"}
    >>> old = {"presetName": "windows-2022", "outcome": "corrected_ready", "updatedAt": "2026-02-11T14:00:00.000Z"}
    >>> Answers.of([[stale]], [Instance("success", [old])]).silent
    {'linux-x64': <Silence.EARLIER_TRY: 'told of an earlier try'>}
    """

    results: tuple[Mapping[str, Any], ...]
    silent: Mapping[str, Silence] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()
    complaints: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        batches: Sequence[Iterable[Mapping[str, Any]]],
        instances: Sequence[Instance],
        absence: Silence = Silence.NOT_RUN,
    ) -> Self:
        """Return the results that count among those that ``instances`` pushed.

        :param instances: in the order of their map indexes; a value other than a list of results is ignored.
        :param absence: why there are no instances, if there are none.
        """
        offers = _by_preset(instances)
        answers: dict[int, list[Mapping[str, Any]]] = {}
        unanswered: dict[str, int] = {}
        for place, batch in enumerate(batches):
            for item in batch:
                offered = offers.get(item["presetName"], {})
                # A task that was not cleared may have a result for the preset, too: the batch's own instance wins.
                found = [number for number in offered if _is_answer(offered[number], item)]
                if found:
                    number = place if place in found else found[0]
                    answers.setdefault(number, []).append(offered[number])
                else:
                    unanswered[item["presetName"]] = place
        rest = [instance for number, instance in enumerate(instances) if number not in answers]

        def silence(name: str, place: int) -> Silence:
            if not instances:
                return absence
            if name in offers:
                return Silence.EARLIER_TRY
            if len(instances) == len(batches) and place not in answers:
                return instances[place].silence
            return _common_silence(instances, rest)

        silent = {name: silence(name, place) for name, place in unanswered.items()}
        is_hidden = any(instance.state == "failed" for instance in rest) and {*silent.values()} <= {Silence.SKIPPED}
        return cls(
            results=tuple(result for number in sorted(answers) for result in answers[number]),
            silent=silent,
            failed=frozenset(
                result["presetName"]
                for number, results in answers.items()
                if instances[number].state == "failed" and all(each["outcome"] not in FAIL_TASKS for each in results)
                for result in results
            ),
            complaints=("a reconciling task failed, and had no result for any flagged preset",) if is_hidden else (),
        )


def _by_preset(instances: Sequence[Instance]) -> dict[str, dict[int, Mapping[str, Any]]]:
    """Return the results of each preset, by the number of the instance that pushed them."""
    offers: dict[str, dict[int, Mapping[str, Any]]] = {}
    for number, instance in enumerate(instances):
        for result in about_presets(instance.value):
            offers.setdefault(result["presetName"], {})[number] = result
    return offers


def _common_silence(instances: Sequence[Instance], rest: Sequence[Instance]) -> Silence:
    """Return why a preset has no result if it is not known which task should have pushed it.

    :param rest: the instances without a result that counts.
    """
    if all(instance.state == "skipped" for instance in instances):
        return Silence.SKIPPED
    whys = (instance.silence for instance in rest)
    return next((why for why in whys if why is not Silence.SKIPPED), Silence.LEFT_OUT)


def about_presets(value: Any) -> Sequence[Mapping[str, Any]]:
    """Return a pushed list of values about presets; an empty list for any other value.

    >>> about_presets([{"presetName": "linux-x64"}]), about_presets("s3://bucket/key")
    ([{'presetName': 'linux-x64'}], [])
    """
    is_one = isinstance(value, Sequence) and all(
        isinstance(item, Mapping) and isinstance(item.get("presetName"), str) for item in value
    )
    return value if is_one else []


def _is_answer(result: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    """Return whether a result can be about the record in a batch: reconciling never leaves an older record."""
    seen, left = item.get("updatedAt"), result.get("updatedAt")
    try:
        return not (seen and left) or parse_timestamp(left) >= parse_timestamp(seen)
    except MalformedRecord:
        return False


@dataclass(frozen=True, slots=True)
class Report:
    """The state that a run found and left, from the values that its tasks pushed.

    ``value`` is the report as XCom has it: ``{"status", "message", "checkedAt", "presets": [{"name", "status",
    "amiId", "updatedAt", "outcome", "detail"}, ...], "malformed": [...], "malformedCounts": {kind: number}}``.
    ``status`` and ``checkedAt`` are ``None`` if detection was skipped.
    ``failures`` has a sentence for each reason why the run must not count as a success.
    ``details`` has each preset's full text, for which ``value`` may have no room.

    >>> made = report(None, batches=[], results=[])
    >>> made.value["status"], made.failures
    ('degraded', ('detection failed',))
    """

    value: dict[str, Any]
    failures: tuple[str, ...]
    details: Mapping[str, str] = field(default_factory=dict)

    def detail_of(self, preset: Mapping[str, Any]) -> str:
        """Return the detail of a preset, as long as the tasks pushed it.

        >>> Report({}, (), {"linux-x64": "FAILED: no space left"}).detail_of({"name": "linux-x64", "detail": "FAIL…"})
        'FAILED: no space left'
        """
        return self.details.get(preset["name"], preset["detail"])


def report(
    survey: Mapping[str, Any] | None,
    batches: Iterable[Iterable[Mapping[str, Any]]],
    results: Iterable[Mapping[str, Any]],
    fail_on: Iterable[str] = (),
    *,
    silence: Silence = Silence.FAILED,
    silent: Mapping[str, Silence] | None = None,
    failed: Collection[str] = (),
    complaints: Iterable[str] = (),
) -> Report:
    """Combine what detection surveyed and flagged with the results of reconciling.

    :param survey: the XCom ``states``; ``None`` if detection has no result, and ``silence`` then says why.
    :param batches: what detection returned.
    :param results: the results of reconciling, in any order; those of presets that were not flagged do not count.
    :param fail_on: outcomes that count as failures besides ``error``; ``degraded`` stands for the overall status.
    :param silent: why flagged presets have no result. For a preset that is missing here, the task pushed none.
    :param failed: presets that have a result although their task failed.
    :param complaints: further reasons why the run must not count as a success.

    >>> seen = {"presetName": "linux-x64", "status": "building", "amiId": "ami-0a1d",
    ...         "updatedAt": "2026-02-11T15:00:00.000Z"}
    >>> result = {"presetName": "linux-x64", "status": "ready", "amiId": "ami-0e3f", "outcome": "corrected_ready",
    ...           "updatedAt": "2026-02-11T15:59:03.001Z", "detail": "", "dryRun": False}
    >>> survey = {"checkedAt": "2026-02-11T16:00:03.120Z", "states": [seen], "malformed": [], "malformedCounts": {}}
    >>> made = report(survey, batches=[[seen]], results=[result])
    >>> made.value["status"], made.value["message"], made.failures
    ('ready', '1 preset ready', ())
    """
    if survey is None:
        return _unknown(silence, complaints)
    fail_on = set(fail_on)
    flagged = {item["presetName"] for batch in batches for item in batch}
    by_name = {result["presetName"]: result for result in results if result["presetName"] in flagged}
    lost = {name: (silent or {}).get(name, Silence.PUSHED_NOTHING) for name in sorted(flagged - by_name.keys())}
    audit = survey.get("audit") or {"findings": [], "error": None}
    found = {finding["presetName"]: finding for finding in audit["findings"]}
    presets = [
        _preset(state, by_name.get(state["presetName"]), lost.get(state["presetName"]), state["presetName"] in failed)
        | _finding(found.get(state["presetName"]))
        for state in sorted(survey["states"], key=lambda state: state["presetName"])
    ]
    malformed = malformed_counts(survey)
    message = message_of(presets, malformed, flagged)
    failures = [
        *_failures([*by_name.values(), *found.values()], fail_on),
        *_failed_after([by_name[name] for name in sorted(failed) if name in by_name], fail_on),
        *_lost(name for name, why in lost.items() if why is not Silence.SKIPPED),
        *(_not_looked_at(survey["malformed"]) if survey.get("named") else ()),
        *complaints,
    ]
    if audit["error"]:
        message += f"; the audit is incomplete: {audit['error']}"
        failures.append(f"the audit is incomplete, the rest of the run did its work: {audit['error']}")
    status = overall_status(presets, malformed, failures)
    if status == DEGRADED and DEGRADED in fail_on:
        failures.append(f"{DEGRADED}: {message}")
    listed = list(survey["malformed"])
    value = {
        "status": status,
        "message": message,
        "checkedAt": survey["checkedAt"],
        "presets": fitted(presets, "detail", beside=listed),
        "malformed": listed,
        "malformedCounts": malformed,
    }
    return Report(value, tuple(failures), {preset["name"]: preset["detail"] for preset in presets})


def _unknown(silence: Silence, complaints: Iterable[str]) -> Report:
    """Return the report of a run whose detection has no result. It is a failure unless detection was skipped."""
    failures = (*(() if silence is Silence.SKIPPED else (f"detection {silence}",)), *complaints)
    value: dict[str, Any] = {
        "status": DEGRADED if failures else None,
        "message": f"detection {silence}: {_WITHOUT_DETECTION[silence]}",
        "checkedAt": None,
        "presets": [],
        "malformed": [],
        "malformedCounts": {},
    }
    return Report(value, failures)


def malformed_counts(value: Mapping[str, Any]) -> dict[str, int]:
    """Return how many records a survey or a report counts as malformed, by the kind of reason.

    A value from a version without counts has its whole list instead.

    >>> malformed_counts({"malformed": [{"reason": "presetName is missing"}]})
    {'presetName is missing': 1}
    """
    counts: dict[str, int] | None = value.get("malformedCounts")
    return dict(Counter(record["reason"] for record in value["malformed"])) if counts is None else counts


def overall_status(
    presets: Iterable[Mapping[str, Any]], malformed: Mapping[str, int], failures: Sequence[str] = ()
) -> str:
    """Return ``degraded`` if a person should look, otherwise ``building`` if some preset is, otherwise ``ready``.

    A person should look if a preset needs it, if a record is malformed, or if the run fails.

    :param presets: the report's lines.

    >>> ready = {"status": "ready", "amiId": "ami-0e3f", "outcome": None}
    >>> overall_status([ready, ready | {"status": "building"}], malformed={})
    'building'
    >>> overall_status([ready, ready | {"status": "building", "outcome": "pipeline_not_found"}], malformed={})
    'degraded'
    """
    lines = list(presets)
    if malformed or failures or any(needs_attention(preset) for preset in lines):
        return DEGRADED
    is_building = any(preset["status"] == Status.BUILDING for preset in lines)
    return Status.BUILDING.value if is_building else Status.READY.value


def needs_attention(preset: Mapping[str, Any]) -> bool:
    """Return whether a person should look at a preset: its build failed, it has no AMI, or its outcome asks for it.

    >>> ready = {"status": "ready", "amiId": "ami-0e3f", "outcome": "corrected_ready"}
    >>> needs_attention(ready), needs_attention(ready | {"amiId": None}), needs_attention(ready | {"outcome": "error"})
    (False, True, True)
    """
    return preset["status"] == Status.FAILED or not is_ami_id(preset["amiId"]) or preset["outcome"] in NEED_ATTENTION


def message_of(presets: Sequence[Mapping[str, Any]], malformed: Mapping[str, int], flagged: Iterable[str]) -> str:
    """Return the counts in one sentence, such as ``3 presets ready, 1 preset building, 1 preset failed``.

    :param malformed: the number of malformed records, by the kind of reason.
    :param flagged: the names of the presets that detection flagged.

    >>> ready = {"status": "ready", "amiId": "ami-0e3f", "outcome": None}
    >>> message_of([ready, ready | {"outcome": "drifted"}], malformed={}, flagged=[])
    '2 presets ready, 1 parameter drifted; none was stale'
    """
    counts = Counter(preset["status"] for preset in presets)
    parts = [
        f"{_count(counts[status], 'preset')} {status}"
        for status in (Status.READY, Status.BUILDING, Status.FAILED)
        if counts[status]
    ] or ["no presets"]
    if lacking := sum(not is_ami_id(preset["amiId"]) for preset in presets):
        parts.append(f"{_count(lacking, 'preset')} without an AMI")
    if drifted := sum(preset["outcome"] == Outcome.DRIFTED for preset in presets):
        parts.append(f"{_count(drifted, 'parameter')} drifted")
    if malformed:
        parts.append(f"{_count(sum(malformed.values()), 'record')} malformed")
    return ", ".join(parts) + ("" if any(True for _ in flagged) else "; none was stale")


def _preset(
    state: Mapping[str, Any], result: Mapping[str, Any] | None, lost: Silence | None, has_failed: bool
) -> dict[str, Any]:
    """Return one preset's line: from its result if it has one, otherwise as it was detected.

    :param has_failed: whether its task failed after that result. A ``refused`` result itself says why.
    """
    seen = result if result and result["status"] and not result["dryRun"] else state
    unfinished = state.get("unfinished") and not (result and _is_settled(result))
    line = {
        "name": state["presetName"],
        "status": Status.BUILDING.value if unfinished else seen["status"],
        "amiId": seen["amiId"],
        "updatedAt": seen["updatedAt"],
        "outcome": result["outcome"] if result else None,
        "detail": result["detail"] if result else state.get("errorMessage") or "",
    }
    if lost:
        line["outcome"] = None if lost is Silence.SKIPPED else Outcome.ERROR.value
        line["detail"] = _WITHOUT_RESULT[lost]
    elif has_failed and line["outcome"] not in FAIL_WAITS:
        line["detail"] = f"{_FAILED_AFTER}, see its log{': ' if line['detail'] else ''}{line['detail']}"
    return line


def _finding(finding: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what the audit says about a preset, to replace parts of its line; audited presets are never flagged."""
    return {key: finding[key] for key in ("outcome", "detail")} if finding else {}


def _is_settled(result: Mapping[str, Any]) -> bool:
    """Return whether the result finished an intent that the preset had when it was detected."""
    return not result["dryRun"] and result["outcome"] in SETTLE


def _failures(results: Iterable[Mapping[str, Any]], fail_on: set[str]) -> Iterator[str]:
    named: dict[str, list[str]] = {}
    for result in results:
        if result["outcome"] in fail_on | FAIL_TASKS:
            named.setdefault(result["outcome"], []).append(result["presetName"])
    for outcome, presets in sorted(named.items()):
        yield f"{outcome}: {shorten(', '.join(sorted(presets)))}"


def _failed_after(results: Iterable[Mapping[str, Any]], fail_on: set[str]) -> Iterator[str]:
    """Yield a sentence on the tasks that failed after these results, except results that are failures themselves."""
    told = [f"{result['presetName']} ({result['outcome']})" for result in results if result["outcome"] not in fail_on]
    if told:
        yield f"{_FAILED_AFTER}: {shorten(', '.join(told))}"


def _lost(names: Iterable[str]) -> Iterator[str]:
    if told := ", ".join(names):
        yield f"no result: {shorten(told)}"


def _not_looked_at(malformed: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield why named presets were not looked at: they have no record, or none that can be read."""
    refused = [refusal for refusal in malformed if not is_intent(refusal["jobId"])]
    if refused:
        told = (f"{refusal['presetName'] or refusal['jobId']} ({refusal['reason']})" for refusal in refused)
        yield f"named, but not looked at: {shorten(', '.join(told))}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
