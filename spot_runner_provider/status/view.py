"""What the page and the endpoint say about a deployment, from the XComs of its runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeGuard
from urllib.parse import quote

from spot_runner_provider.records.ami_state import render_timestamp
from spot_runner_provider.records.arn import Arn
from spot_runner_provider.records.parameter import parameter_name
from spot_runner_provider.reporting.console import Console
from spot_runner_provider.reporting.report import DEGRADED, about_presets, malformed_counts, needs_attention

LATENESS = timedelta(minutes=5)
"""How late a run may be before what is shown counts as stale."""

_REPORT = {"status": str, "message": str, "checkedAt": str, "presets": list, "malformed": list}
_LINE = {"name": str, "status": str, "amiId": str | None, "updatedAt": str, "outcome": str | None, "detail": str}
_MALFORMED = {"jobId": str | None, "presetName": str | None, "reason": str}


class State(StrEnum):
    """How far what is shown can be trusted.

    >>> state_of(DeploymentHistory("spot_runner_reconcile"), now=datetime.fromisoformat("2026-02-11T16:00:00Z"))
    <State.EMPTY: 'empty'>
    """

    EMPTY = "empty"
    """There was no run yet, or there is no deployment at all."""
    RUNNING = "running"
    """A run is in progress; what is shown is older."""
    STALE = "stale"
    """No run began when the schedule wanted one."""
    QUEUED = "queued"
    """A run is waiting to begin; what is shown is older."""
    FAILED = "failed"
    """The last run failed."""
    CURRENT = "current"
    """The last run succeeded."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run of a deployment's DAG.

    :param began: when it started or was queued, for the last time if it was cleared.
    :param unknown: the message of its report, if the report knows no preset because detection has no result.

    >>> began = datetime.fromisoformat("2026-02-11T16:00:00Z")
    >>> RunSummary("manual__1", "running", began).ended is None
    True
    """

    run_id: str
    state: str
    began: datetime
    ended: datetime | None = None
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """A task instance, for its log; ``map_index`` is -1 if it is not mapped.

    >>> Task("reconcile_preset", map_index=3), Task("detect_stale")
    (Task(task_id='reconcile_preset', map_index=3), Task(task_id='detect_stale', map_index=-1))
    """

    task_id: str
    map_index: int = -1


@dataclass(frozen=True, slots=True)
class Told:
    """One run's report, and the values behind it.

    The report must be valid (:func:`is_report`). The other values are taken as they are. One that is not what the
    operators push shows nothing: it may have been too large for the metadata database.

    :param report: the ``value`` of a :class:`~spot_runner_provider.reporting.report.Report`.
    :param survey: the XCom ``states``.
    :param batches: what detection returned.
    :param results: what each task that reconciled returned.
    :param detect: the task that detected.
    :param reconcile: the task that reconciled, the last one if it is mapped.
    :param fields: the detecting task's rendered fields.

    >>> report = {"status": "ready", "message": "no presets", "checkedAt": "2026-02-11T16:00:00.000Z", "presets": []}
    >>> Told("manual__1", report, detect=Task("detect_stale")).report["message"]
    'no presets'
    """

    run_id: str
    report: Mapping[str, Any]
    survey: Any = None
    batches: Any = None
    results: Sequence[tuple[Task, Any]] = ()
    detect: Task | None = None
    reconcile: Task | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_partial(self) -> bool:
        """Whether somebody asked for only a few presets, as the survey says.

        If the survey is stored elsewhere, the rendered fields decide. Airflow drops these for older runs.
        """
        if isinstance(self.survey, Mapping):
            return bool(self.survey.get("named"))
        return self.fields.get("presets") not in (None, "", "None", "null", "[]", [])


@dataclass(frozen=True, slots=True)
class DeploymentHistory:
    """One DAG: its latest runs, newest first, when the next run should have begun, and the newest full report.

    If no run made a full report, one about a few presets is used: detection may be told to look at these only.

    >>> began, ended = map(datetime.fromisoformat, ["2026-02-11T16:00:00Z", "2026-02-11T16:00:09Z"])
    >>> failed = DeploymentHistory("spot_runner_reconcile", [RunSummary("manual__1", "failed", began, ended)])
    >>> state_of(failed, now=ended)
    <State.FAILED: 'failed'>
    """

    dag_id: str
    runs: Sequence[RunSummary] = ()
    due: datetime | None = None
    paused: bool = False
    told: Told | None = None


def status(deployment: DeploymentHistory | None, dag_ids: Sequence[str], now: datetime) -> dict[str, Any]:
    """Return the answer of the endpoint.

    ``status``, ``message`` and each preset's ``name``, ``status``, ``amiId`` and ``updatedAt`` are those of the
    deployed status API. If the last run failed, or a due run did not report, ``status`` is ``degraded`` at best.

    :param deployment: the deployment to show; ``None`` if there is none.
    :param dag_ids: all deployments that the user may choose from.

    >>> ready = {"name": "linux-x64", "status": "ready", "amiId": "ami-0e3f", "updatedAt": "2026-02-11T15:59:03.001Z",
    ...          "outcome": "corrected_ready", "detail": ""}
    >>> report = {"status": "ready", "message": "1 preset ready", "checkedAt": "2026-02-11T16:00:03.120Z",
    ...           "presets": [ready], "malformed": []}
    >>> began, now = map(datetime.fromisoformat, ["2026-02-11T16:00:00Z", "2026-02-11T16:05:00Z"])
    >>> run = RunSummary("manual__1", "success", began, ended=now)
    >>> deployment = DeploymentHistory("spot_runner_reconcile", [run], told=Told("manual__1", report))
    >>> answer = status(deployment, ["spot_runner_reconcile"], now)
    >>> answer["status"], answer["message"], answer["state"], answer["presets"][0]["needsAttention"]
    ('ready', '1 preset ready', 'current', False)
    """
    if deployment is None:
        deployment = DeploymentHistory("")
        state, trusted, message = State.EMPTY, False, "no DAG has the tag spot-runner"
    else:
        state = state_of(deployment, now)
        trusted, message = _verdict(deployment, now)
    told = deployment.told
    return {
        "status": told.report["status"] if told and trusted else DEGRADED,
        "message": message,
        "checkedAt": told.report["checkedAt"] if told else None,
        "state": state.value,
        "dagId": deployment.dag_id or None,
        "dagIds": list(dag_ids),
        "paused": deployment.paused,
        "due": deployment.due and render_timestamp(deployment.due),
        "reportedBy": told.run_id if told else None,
        "runs": [_run(deployment.dag_id, run) for run in deployment.runs],
        "presets": list(_presets(deployment.dag_id, told)) if told else [],
        "malformed": told.report["malformed"] if told else [],
        "malformedCounts": malformed_counts(told.report) if told else {},
    }


def is_report(value: Any) -> TypeGuard[Mapping[str, Any]]:
    """Return whether a pushed value is a report that can be shown.

    It is not a report if detection failed, or if an XCom backend stores the value outside the metadata database.

    >>> report = {"status": "ready", "message": "no presets", "checkedAt": "2026-02-11T16:00:03.120Z",
    ...           "presets": [], "malformed": []}
    >>> is_report(report), is_report(report | {"presets": [{"name": "linux-x64"}]}), is_report("s3://xcom/report")
    (True, False, False)
    """
    return (
        _has(value, _REPORT)
        and all(_has(line, _LINE) for line in value["presets"])
        and all(_has(record, _MALFORMED) for record in value["malformed"])
    )


def unknown(value: Any) -> str:
    """Return the message of a pushed report that knows no preset because detection has no result, otherwise ``""``.

    >>> unknown({"message": "detection was skipped", "checkedAt": None}), unknown("s3://xcom/report")
    ('detection was skipped', '')
    """
    return value["message"] if _has(value, {"message": str, "checkedAt": type(None)}) else ""


def state_of(deployment: DeploymentHistory, now: datetime) -> State:
    """Return how far what is shown can be trusted; of several states, the one that matters most to the reader.

    While a run is in progress the state is never stale, however long it takes, because this is the run that was due.

    >>> began = datetime.fromisoformat("2026-02-11T16:00:00Z")
    >>> runs = [RunSummary("r1", "success", began, began)]
    >>> deployment = DeploymentHistory("dag", runs, due=began + timedelta(hours=1))
    >>> state_of(deployment, now=began + timedelta(minutes=64)), state_of(deployment, now=began + timedelta(minutes=66))
    (<State.CURRENT: 'current'>, <State.STALE: 'stale'>)
    """
    if not deployment.runs:
        return State.EMPTY
    newest = deployment.runs[0]
    if newest.state == "running":
        return State.RUNNING
    if _overdue(deployment, now):
        return State.STALE
    if newest.ended is None:
        return State.QUEUED
    return State.FAILED if newest.state == "failed" else State.CURRENT


def _overdue(deployment: DeploymentHistory, now: datetime) -> datetime | None:
    """Return when a run was due, if that is too long ago; otherwise ``None``."""
    return deployment.due if deployment.due and now > deployment.due + LATENESS else None


def _verdict(deployment: DeploymentHistory, now: datetime) -> tuple[bool, str]:
    """Return whether the report's status can be trusted, and the message."""
    told = deployment.told
    paused = ", the DAG is paused" if deployment.paused else ""
    report = told.report["message"] if told else "no report can be read"
    if told and told.is_partial:
        report += "; no run looked at other presets"
    if not deployment.runs:
        return False, f"no run yet{paused}"
    newest = deployment.runs[0]
    if overdue := _overdue(deployment, now):
        since, due = _clock(newest.began), _clock(overdue)
        if newest.ended:
            return False, f"no run since {since}, one was due at {due}{paused}; then: {report}"
        doing = "under way" if newest.state == "running" else "queued"
        return False, f"a run has been {doing} since {since}, the next was due at {due}{paused}; before it: {report}"
    if told is None and newest.ended is None and len(deployment.runs) == 1:
        return False, "the first run is under way" if newest.state == "running" else f"the first run is queued{paused}"
    ended = next((run for run in deployment.runs if run.ended), None)
    if ended and ended.state == "failed":
        return False, f"the last run failed; {'before it: ' if told and told.run_id != ended.run_id else ''}{report}"
    if ended and ended.unknown:
        return told is not None, f"in the last run {ended.unknown}; before it: {report}"
    return True, report


def _run(dag_id: str, run: RunSummary) -> dict[str, Any]:
    return {
        "runId": run.run_id,
        "state": run.state,
        "beganAt": render_timestamp(run.began),
        "endedAt": run.ended and render_timestamp(run.ended),
        "path": _path(dag_id, run.run_id),
    }


def _presets(dag_id: str, told: Told) -> Iterator[dict[str, Any]]:
    """Yield each preset of the report, with its log and where to find it in the AWS console."""
    states = told.survey.get("states") if isinstance(told.survey, Mapping) else None
    tasks = dict(_flagged(told))
    results = dict(_results(told, tasks))
    records = {record["presetName"]: record for record in about_presets(states)}
    tasks |= {name: task for name, (task, _) in results.items()}
    paths = {task: _path(dag_id, told.run_id, task) for task in {told.detect, *tasks.values()} if task}
    arns = {
        line["name"]: _arns(results.get(line["name"], (None, {}))[1], records.get(line["name"], {}))
        for line in told.report["presets"]
    }
    for line in told.report["presets"]:
        name = line["name"]
        task = tasks.get(name, told.detect)
        console = _console(results.get(name, (None, {}))[1], records.get(name, {}), told.fields)
        yield {
            **{key: line[key] for key in ("name", "status", "amiId", "updatedAt", "outcome")},
            "detail": _detail(line, results.get(name, (None, {}))[1]),
            "dryRun": name in results and bool(results[name][1].get("dryRun")),
            "needsAttention": needs_attention(line),
            "logPath": paths[task] if task else None,
            "console": _links(console, name, *arns[name], told.fields) if console else {},
        }


def _detail(line: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Return a preset's reason: the full text from its result if the report had to cut it."""
    told, whole = line["detail"], result.get("detail")
    is_cut = isinstance(whole, str) and told.endswith("…") and whole.startswith(told[:-1])
    return str(whole if is_cut else told)


def _flagged(told: Told) -> Iterator[tuple[str, Task]]:
    """Yield each flagged preset, and the task that should reconcile it."""
    last = told.reconcile
    if last and isinstance(told.batches, list):
        for number, batch in enumerate(told.batches):
            task = last if last.map_index < 0 else replace(last, map_index=number)
            yield from ((item["presetName"], task) for item in about_presets(batch))


def _results(told: Told, tasks: Mapping[str, Task]) -> Iterator[tuple[str, tuple[Task, Mapping[str, Any]]]]:
    """Yield, by preset, the result behind its line, and the task that pushed it.

    XCom may have other results: of an earlier try of a cleared run, or of a try in progress. The batches may also have
    been reordered, or some left out. So another preset's task counts only if it left exactly the record that the line
    shows. The result of the preset's own task comes last, and wins.

    :param tasks: by preset, the task that should reconcile it.
    """
    lines = {line["name"]: line for line in told.report["presets"]}
    elsewhere, own = [], []
    for task, value in told.results:
        for result in about_presets(value):
            name = result["presetName"]
            if name not in lines or result.get("outcome") != lines[name]["outcome"]:
                continue
            if not isinstance(told.batches, list) or tasks.get(name) == task:
                own.append((name, (task, result)))
            elif name in tasks and result.get("updatedAt") == lines[name]["updatedAt"]:
                elsewhere.append((name, (task, result)))
    yield from elsewhere
    yield from own


def _has(value: Any, fields: Mapping[str, Any]) -> bool:
    """Return whether a value is an object with these fields."""
    return isinstance(value, Mapping) and all(
        name in value and isinstance(value[name], kind) for name, kind in fields.items()
    )


def _links(
    console: Console, name: str, pipeline: str | None, image: str | None, fields: Mapping[str, Any]
) -> dict[str, str]:
    """Return the addresses of a preset's known resources."""
    table, prefix = fields.get("table_name"), fields.get("config_prefix")
    links = {
        "pipeline": pipeline and console.pipeline(pipeline),
        "image": image and Console.of_arn(image) == console and console.image(image),
        "parameter": prefix and console.parameter(parameter_name(prefix, name)),
        "record": table and console.record(table, name),
    }
    return {what: link for what, link in links.items() if link}


def _arns(result: Mapping[str, Any], record: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the ARNs of a preset's pipeline and image. A record's ``buildId`` counts if it is an image's ARN."""
    image = result.get("imageArn") or result.get("buildId") or record.get("buildId")
    return result.get("pipelineArn"), image if (arn := Arn.parse(image)) and arn.resource.startswith("image/") else None


def _console(result: Mapping[str, Any], record: Mapping[str, Any], fields: Mapping[str, Any]) -> Console | None:
    """Return the console that shows a preset, by Image Builder's ARNs, the setting, or its own record.

    A record's ``buildId`` comes from outside, so it decides only for its own preset.
    """
    for arn in (result.get("pipelineArn"), result.get("imageArn")):
        if found := Console.of_arn(arn):
            return found
    return Console.of_region(fields.get("region_name")) or Console.of_arn(_arns({}, record)[1])


def _path(dag_id: str, run_id: str, task: Task | None = None) -> str:
    """Return the path, below Airflow's address, of a run's page or of a task's page with its log."""
    path = f"dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"
    if task is None:
        return path
    mapped = f"/mapped/{task.map_index}" if task.map_index >= 0 else ""
    return f"{path}/tasks/{quote(task.task_id, safe='')}{mapped}"


def _clock(moment: datetime) -> str:
    return f"{render_timestamp(moment)[:16].replace('T', ' ')} UTC"
