from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import pytest

from spot_runner_provider.status.view import (
    LATENESS,
    DeploymentHistory,
    RunSummary,
    State,
    Task,
    Told,
    is_report,
    state_of,
    status,
)

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
DUE = NOON + timedelta(minutes=15)
NOW = NOON + timedelta(minutes=3)
ARN = "arn:aws-us-gov:imagebuilder:us-gov-west-1:123456789012"
SUCCESS = RunSummary("r2", "success", NOON, NOON + timedelta(minutes=1))
FAILED = replace(SUCCESS, run_id="r3", state="failed")
RUNNING = RunSummary("r4", "running", NOON)
QUEUED = RunSummary("r5", "queued", NOON)


def line(name, status="ready", outcome=None, detail=""):
    return {
        "name": name,
        "status": status,
        "amiId": "ami-1",
        "updatedAt": "2026-05-01T11:00:00.000Z",
        "outcome": outcome,
        "detail": detail,
    }


def report(*lines, status="ready", message="1 preset ready"):
    checked_at = "2026-05-01T12:00:01.000Z"
    return {"status": status, "message": message, "checkedAt": checked_at, "presets": list(lines), "malformed": []}


TOLD = Told("r2", report(line("a")), detect=Task("detect"))


def show(deployment, now=NOW):
    return status(deployment, [deployment.dag_id], now)


def only_preset(told):
    (preset,) = show(DeploymentHistory("d", [SUCCESS], DUE, told=told))["presets"]
    return preset


@pytest.mark.parametrize(
    ("runs", "now", "state"),
    [
        ([], NOW, State.EMPTY),
        ([SUCCESS], NOW, State.CURRENT),
        ([FAILED, SUCCESS], NOW, State.FAILED),
        ([SUCCESS, FAILED], NOW, State.CURRENT),
        ([RUNNING, FAILED], NOW, State.RUNNING),
        ([QUEUED, SUCCESS], NOW, State.QUEUED),
        ([SUCCESS], DUE + LATENESS, State.CURRENT),
        ([SUCCESS], DUE + LATENESS + timedelta(seconds=1), State.STALE),
        ([FAILED], DUE + timedelta(hours=1), State.STALE),
        ([RUNNING], DUE + timedelta(hours=1), State.RUNNING),
        ([QUEUED], DUE + timedelta(hours=1), State.STALE),
    ],
)
def test_state(runs, now, state):
    assert state_of(DeploymentHistory("d", runs, DUE), now) is state


def test_without_a_schedule_nothing_is_ever_stale():
    assert state_of(DeploymentHistory("d", [SUCCESS], None), NOW + timedelta(days=400)) is State.CURRENT


@pytest.mark.parametrize(
    ("runs", "told", "now", "expected"),
    [
        ([SUCCESS], TOLD, NOW, ("ready", "1 preset ready")),
        ([RUNNING, SUCCESS], TOLD, NOW, ("ready", "1 preset ready")),
        ([QUEUED, SUCCESS], TOLD, NOW, ("ready", "1 preset ready")),
        ([RUNNING], None, NOW, ("degraded", "the first run is under way")),
        ([QUEUED], None, NOW, ("degraded", "the first run is queued")),
        ([RUNNING, SUCCESS], None, NOW, ("degraded", "no report can be read")),
        ([], None, NOW, ("degraded", "no run yet")),
        ([SUCCESS], None, NOW, ("degraded", "no report can be read")),
        ([FAILED], replace(TOLD, run_id="r3"), NOW, ("degraded", "the last run failed; 1 preset ready")),
        ([FAILED, SUCCESS], TOLD, NOW, ("degraded", "the last run failed; before it: 1 preset ready")),
        ([RUNNING, FAILED, SUCCESS], TOLD, NOW, ("degraded", "the last run failed; before it: 1 preset ready")),
        ([FAILED], None, NOW, ("degraded", "the last run failed; no report can be read")),
        (
            [replace(FAILED, unknown="detection failed: see its log"), SUCCESS],
            TOLD,
            NOW,
            ("degraded", "the last run failed; before it: 1 preset ready"),
        ),
        (
            [replace(SUCCESS, run_id="r3", unknown="detection was skipped"), SUCCESS],
            TOLD,
            NOW,
            ("ready", "in the last run detection was skipped; before it: 1 preset ready"),
        ),
        (
            [replace(SUCCESS, unknown="detection was skipped")],
            None,
            NOW,
            ("degraded", "in the last run detection was skipped; before it: no report can be read"),
        ),
        (
            [SUCCESS],
            TOLD,
            DUE + timedelta(hours=1),
            (
                "degraded",
                "no run since 2026-05-01 12:00 UTC, one was due at 2026-05-01 12:15 UTC; then: 1 preset ready",
            ),
        ),
        (
            [RUNNING, SUCCESS],
            TOLD,
            DUE + timedelta(hours=1),
            (
                "degraded",
                "a run has been under way since 2026-05-01 12:00 UTC, the next was due at 2026-05-01 12:15 UTC; "
                "before it: 1 preset ready",
            ),
        ),
        (
            [QUEUED, SUCCESS],
            TOLD,
            DUE + timedelta(hours=1),
            (
                "degraded",
                "a run has been queued since 2026-05-01 12:00 UTC, the next was due at 2026-05-01 12:15 UTC; "
                "before it: 1 preset ready",
            ),
        ),
    ],
)
def test_what_is_old_or_failed_never_passes_for_sound(runs, told, now, expected):
    answer = show(DeploymentHistory("d", runs, DUE, told=told), now)
    assert (answer["status"], answer["message"]) == expected


def test_a_report_of_a_few_presets_says_so():
    told = replace(TOLD, fields={"presets": ["a"]})
    answer = show(DeploymentHistory("d", [SUCCESS], DUE, told=told))
    assert (answer["status"], answer["message"]) == ("ready", "1 preset ready; no run looked at other presets")


def test_a_paused_dag_is_named_where_it_explains():
    late = DUE + timedelta(hours=1)
    assert show(DeploymentHistory("d", paused=True))["message"] == "no run yet, the DAG is paused"
    assert (
        show(DeploymentHistory("d", [QUEUED], DUE, paused=True))["message"]
        == "the first run is queued, the DAG is paused"
    )
    assert (
        ", the DAG is paused; then:"
        in show(DeploymentHistory("d", [SUCCESS], DUE, paused=True, told=TOLD), late)["message"]
    )


def test_without_a_deployment():
    answer = status(None, [], NOW)
    assert (answer["status"], answer["state"], answer["dagId"], answer["presets"]) == ("degraded", "empty", None, [])
    assert answer["message"] == "no DAG has the tag spot-runner"


@pytest.mark.parametrize(
    ("told", "path"),
    [
        pytest.param(TOLD, "dags/d/runs/r2/tasks/detect", id="not flagged"),
        pytest.param(
            replace(TOLD, results=[(Task("fix", 3), [{"presetName": "a"}])]),
            "dags/d/runs/r2/tasks/fix/mapped/3",
            id="mapped",
        ),
        pytest.param(
            replace(TOLD, results=[(Task("fix"), [{"presetName": "a"}])]), "dags/d/runs/r2/tasks/fix", id="not mapped"
        ),
        pytest.param(
            replace(TOLD, batches=[[{"presetName": "b"}], [{"presetName": "a"}]], reconcile=Task("fix", 7)),
            "dags/d/runs/r2/tasks/fix/mapped/1",
            id="no result",
        ),
        pytest.param(
            replace(TOLD, batches=[[{"presetName": "a"}]], reconcile=Task("fix")),
            "dags/d/runs/r2/tasks/fix",
            id="no result, not mapped",
        ),
        pytest.param(replace(TOLD, detect=None), None, id="no task"),
        pytest.param(replace(TOLD, run_id="a/b c"), "dags/d/runs/a%2Fb%20c/tasks/detect", id="quoted"),
    ],
)
def test_the_log_is_that_of_the_task_that_looked_at_the_preset(told, path):
    assert only_preset(told)["logPath"] == path


RESULT = {"presetName": "a", "pipelineArn": f"{ARN}:image-pipeline/p", "imageArn": f"{ARN}:image/i/1.0.0/1"}
FIELDS = {"table_name": "t", "config_prefix": "/c/"}


@pytest.mark.parametrize(
    ("told", "known"),
    [
        (replace(TOLD, results=[(Task("fix"), [RESULT])], fields=FIELDS), {"pipeline", "image", "parameter", "record"}),
        (replace(TOLD, results=[(Task("fix"), [RESULT])]), {"pipeline", "image"}),
        (replace(TOLD, survey={"states": [{"presetName": "a", "buildId": RESULT["imageArn"]}]}), {"image"}),
        (replace(TOLD, survey={"states": [{"presetName": "a", "buildId": "7"}]}, fields=FIELDS), set()),
        (
            replace(
                TOLD,
                survey={"states": [{"presetName": "a", "buildId": "arn:aws-cn:imagebuilder:cn-north-1:1:image/i/1/1"}]},
                fields=FIELDS | {"region_name": "us-gov-west-1"},
            ),
            {"parameter", "record"},
        ),
        (replace(TOLD, fields=FIELDS | {"region_name": "us-gov-west-1"}), {"parameter", "record"}),
        (replace(TOLD, fields=FIELDS), set()),
    ],
)
def test_there_is_a_link_to_what_is_known_and_to_nothing_else(told, known):
    links = only_preset(told)["console"]
    assert set(links) == known
    assert all(link.startswith("https://console.amazonaws-us-gov.com/") for link in links.values())
    assert all("%252Fc%252Fa/" in link for name, link in links.items() if name == "parameter")


@pytest.mark.parametrize(
    ("batches", "result", "counts"),
    [
        pytest.param([[{"presetName": "a"}]], RESULT, True, id="of-the-batch-at-its-index"),
        pytest.param([[{"presetName": "b"}], [{"presetName": "a"}]], RESULT, False, id="of-another-index"),
        pytest.param(
            [[{"presetName": "b"}], [{"presetName": "a"}]],
            RESULT | {"updatedAt": line("a")["updatedAt"]},
            True,
            id="of-another-index-and-of-the-lines-record",
        ),
        pytest.param([], RESULT | {"updatedAt": line("a")["updatedAt"]}, False, id="not-flagged-in-this-try"),
        pytest.param([[{"presetName": "a"}]], RESULT | {"outcome": "error"}, False, id="of-another-outcome"),
        pytest.param(None, RESULT, True, id="batches-kept-elsewhere"),
        pytest.param(None, RESULT | {"outcome": "error"}, False, id="of-another-outcome-batches-kept-elsewhere"),
    ],
)
def test_only_the_result_that_the_line_was_made_of_is_shown(batches, result, counts):
    result = result | {"dryRun": True}
    told = replace(TOLD, batches=batches, results=[(Task("fix", 0), [result])], reconcile=Task("fix", 3))
    shown = only_preset(told)
    assert (shown["dryRun"], set(shown["console"])) == (counts, {"pipeline", "image"} if counts else set())


@pytest.mark.parametrize("own", [0, 1])
def test_of_two_results_the_one_of_the_presets_own_task_is_shown(own):
    result = RESULT | {"updatedAt": line("a")["updatedAt"]}
    batches = [[{"presetName": "b"}], [{"presetName": "b"}]]
    batches[own] = [{"presetName": "a"}]
    results = [(Task("fix", number), [result | {"dryRun": number == own}]) for number in (0, 1)]
    shown = only_preset(replace(TOLD, batches=batches, results=results, reconcile=Task("fix", 1)))
    assert (shown["dryRun"], shown["logPath"]) == (True, f"dags/d/runs/r2/tasks/fix/mapped/{own}")


def test_a_record_decides_only_for_its_own_links():
    told = replace(TOLD, report=report(line("a"), line("b")), results=[(Task("fix"), [RESULT])], fields=FIELDS)
    presets = show(DeploymentHistory("d", [SUCCESS], DUE, told=told))["presets"]
    assert [set(preset["console"]) for preset in presets] == [
        {"pipeline", "image", "parameter", "record"},
        set(),
    ]


@pytest.mark.parametrize(
    ("preset", "needed"),
    [
        (line("a"), False),
        (line("a", "building", "still_building"), False),
        (line("a", "ready", "corrected_ready"), False),
        (line("a", "failed"), True),
        (line("a", "failed", "corrected_failed"), True),
        (line("a", "building", "no_images"), True),
        (line("a", "ready", "drifted"), True),
        (line("a") | {"amiId": None}, True),
        (line("a", "ready", "an outcome of a later version"), False),
    ],
)
def test_attention(preset, needed):
    assert only_preset(replace(TOLD, report=report(preset)))["needsAttention"] is needed


def without(value, name):
    return {key: each for key, each in value.items() if key != name}


PATH = "s3://bucket/xcom/1"
MALFORMED = {"jobId": "AMI#x", "presetName": None, "reason": "status"}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (report(), True),
        (report(line("a"), line("b") | {"amiId": None}), True),
        (report() | {"malformed": [MALFORMED]}, True),
        (report() | {"checkedAt": None}, False),
        (PATH, False),
        (None, False),
        ({"presets": "many"}, False),
        (report("a"), False),
        (report(line(["a"])), False),
        (report() | {"malformed": [PATH]}, False),
        *((without(report(), name), False) for name in report()),
        *((report(line("a"), without(line("b"), name)), False) for name in line("b")),
        *((report() | {"malformed": [without(MALFORMED, name)]}, False) for name in MALFORMED),
    ],
)
def test_only_what_has_every_field_of_a_report_is_shown(value, shown):
    assert is_report(value) is shown


@pytest.mark.parametrize("value", [PATH, None, 7, {"states": PATH}, [PATH], [[PATH]], [{"presetName": ["a"]}]])
def test_an_unreadable_value_beside_the_report_shows_nothing(value):
    told = replace(TOLD, survey=value, batches=value, results=[(Task("fix", 0), value)], reconcile=Task("fix"))
    assert only_preset(told) == only_preset(TOLD)


@pytest.mark.parametrize(
    ("survey", "fields", "partial"),
    [
        pytest.param({"states": [], "named": True}, {}, True, id="the-survey-after-the-fields-were-dropped"),
        pytest.param({"states": []}, {"presets": "['a']"}, False, id="the-survey-before-the-fields"),
        *(
            pytest.param(survey, fields, partial, id=f"fields-{number}-{survey}")
            for survey in (None, PATH)
            for number, (fields, partial) in enumerate(
                [
                    ({}, False),
                    ({"presets": None}, False),
                    ({"presets": "None"}, False),
                    ({"presets": []}, False),
                    ({"presets": ["a"]}, True),
                    ({"presets": "['a']"}, True),
                ]
            )
        ),
    ],
)
def test_a_run_for_a_few_presets_is_known_by_its_survey(survey, fields, partial):
    assert replace(TOLD, survey=survey, fields=fields).is_partial is partial


def test_the_schema_names_every_field_and_no_other():
    schema = json.loads(files("spot_runner_provider.status").joinpath("schema.json").read_text())
    answer = show(DeploymentHistory("d", [SUCCESS], DUE, told=TOLD))
    properties = schema["properties"]
    assert set(properties) == set(schema["required"]) == set(answer)
    for name in ("presets", "runs"):
        items = properties[name]["items"]
        assert set(items["properties"]) == set(items["required"]) == set(answer[name][0])
