"""The reporting task: what it makes of XCom, and what it never hides."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from spot_runner_provider.embedded.faults import Fault
from tests.integration.finished_run import DETECT, RECONCILE, FinishedRun, grouped, ran


def failed_report(run, said, **arguments):
    """Return the report that was pushed before the task failed."""
    with pytest.raises(AirflowFailException, match=said):
        run.report(**arguments)
    return run.pushed["return_value"]


def test_a_preset_of_each_kind(deployment):
    deployment.stale("corrected")
    deployment.preset("young", minutes=3)
    deployment.preset("done", status="ready", minutes=900)
    made = ran().report()
    assert (made["status"], made["message"]) == ("building", "2 presets ready, 1 preset building")
    assert [(line["name"], line["status"], line["outcome"]) for line in made["presets"]] == [
        ("corrected", "ready", "corrected_ready"),
        ("done", "ready", None),
        ("young", "building", None),
    ]
    assert all(set(line) == {"name", "status", "amiId", "updatedAt", "outcome", "detail"} for line in made["presets"])


def test_it_calls_no_aws(deployment):
    deployment.stale("linux-x64")
    run = ran()
    deployment.aws.reset_calls()
    run.report()
    assert deployment.aws.calls() == {}


def test_nothing_stale_is_said(deployment):
    deployment.preset("done", status="ready")
    assert ran().report()["message"] == "1 preset ready; none was stale"


def test_an_error_fails_the_run_after_the_whole_report(deployment):
    for name in ("good", "bad"):
        deployment.stale(name)
    deployment.aws.add_fault(Fault("*", "500", key="*bad*"))
    made = failed_report(ran(), "error: bad")
    assert {line["name"]: line["outcome"] for line in made["presets"]} == {"good": "corrected_ready", "bad": "error"}


@pytest.mark.parametrize(
    ("state", "outcome", "detail"),
    [
        ("success", "error", "its task pushed no result; see its log"),
        ("failed", "error", "its task failed without a result; see its log"),
        ("upstream_failed", "error", "its task has not run to its end; see the tasks before it"),
        ("removed", "error", "its task has not run to its end; see the tasks before it"),
        (None, "error", "its task has not run to its end; see the tasks before it"),
        ("skipped", None, "its task was skipped, so nothing was done"),
    ],
)
def test_a_silent_task_fails_the_run_unless_skipped(deployment, state, outcome, detail):
    deployment.stale("linux-x64")
    run = ran()
    run.states[RECONCILE, 0] = state
    if state in ("success", "failed"):  # the others have what an earlier try pushed
        del run.xcom[RECONCILE, 0, "return_value"]
    made = failed_report(run, "no result: linux-x64") if outcome else run.report()
    (line,) = made["presets"]
    assert (line["status"], line["outcome"], line["detail"]) == ("building", outcome, detail)
    assert made["status"] == ("degraded" if outcome else "building")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("failed", "detection failed: nothing is known about any preset; see the log of the detecting task"),
        (
            "upstream_failed",
            "detection has not run to its end: a task before it failed, or the reporting task did not wait for it",
        ),
        (
            "running",
            "detection has not run to its end: a task before it failed, or the reporting task did not wait for it",
        ),
        (
            "success",
            "detection pushed nothing: leave its do_xcom_push on, and see that detect_task_id names the detecting task",
        ),
        (
            "removed",
            "detection has not run to its end: a task before it failed, or the reporting task did not wait for it",
        ),
    ],
)
def test_a_silent_detection_fails_the_run_and_says_why(deployment, state, message):
    deployment.stale("linux-x64")
    run = ran()
    run.states[DETECT, -1] = state
    if state == "success":
        del run.xcom[DETECT, -1, "return_value"]
    made = failed_report(run, message.partition(":")[0])
    assert (made["status"], made["message"], made["presets"]) == ("degraded", message, [])


def test_a_skipped_detection_is_no_failure(deployment):
    """A short circuit skips it in a run that is cleared: what it pushed before is still there."""
    deployment.stale("linux-x64")
    run = ran()
    run.states = dict.fromkeys(run.states, "skipped")
    told = []
    made = run.report(on_degraded_callback=told.append)
    assert made == {
        "status": None,
        "message": "detection was skipped: nothing was looked at in this run",
        "checkedAt": None,
        "presets": [],
        "malformed": [],
        "malformedCounts": {},
    }
    assert told == []


def test_a_task_that_the_dag_does_not_have_is_named():
    """Airflow's parser refuses such a DAG. This report is for a DAG that runs without having been parsed."""
    run = FinishedRun()
    made = failed_report(run, "detection does not exist", detect_task_id="detect_stael")
    assert made["message"] == "detection does not exist: this DAG has no task of that id; correct detect_task_id"


def test_presets_that_no_task_reconciles_are_errors(deployment):
    deployment.stale("linux-x64")
    made = failed_report(ran(), "no result: linux-x64", reconcile_task_id="repair")
    assert made["presets"][0]["detail"] == "no task reconciles it: correct reconcile_task_id"


def test_earlier_results_at_other_map_indexes_do_not_count(deployment):
    """Three presets were corrected; then the run was cleared, and nothing is stale now."""
    for name in ("a", "b", "c"):
        deployment.stale(name)
    before = ran()
    deployment.event_arrives("b", status="failed")
    deployment.preset("c", minutes=3)
    now = ran()
    assert now.xcom[DETECT, -1, "return_value"] == []
    run = FinishedRun(xcom=before.xcom | now.xcom, states={**dict.fromkeys(before.states, "removed"), **now.states})
    made = run.report()
    assert (made["status"], made["message"]) == (
        "degraded",
        "1 preset ready, 1 preset building, 1 preset failed; none was stale",
    )
    assert {line["outcome"] for line in made["presets"]} == {None}


def test_earlier_results_of_another_preset_do_not_count(deployment):
    deployment.stale("a")
    before = ran()
    deployment.preset("b")
    run = ran()
    run.xcom[RECONCILE, 0, "return_value"] = before.xcom[RECONCILE, 0, "return_value"]
    made = failed_report(run, "no result: b")
    assert [(line["name"], line["outcome"]) for line in made["presets"]] == [("a", None), ("b", "error")]
    assert made["presets"][1]["detail"] == "its task's result is of an earlier try; clear that task too"


def test_earlier_results_of_an_earlier_record_do_not_count(deployment):
    """Only detection and the report ran again, and the preset builds once more."""
    deployment.stale("linux-x64", minutes=240)
    before = ran()
    deployment.preset("linux-x64", minutes=-5)
    run = ran(presets=["linux-x64"])
    run.xcom[RECONCILE, 0, "return_value"] = before.xcom[RECONCILE, 0, "return_value"]
    made = failed_report(run, "no result: linux-x64")
    assert (made["presets"][0]["status"], made["presets"][0]["outcome"]) == ("building", "error")


@pytest.mark.parametrize(
    ("stale", "outcome", "status"),
    [(True, "corrected_ready", "ready"), (False, "still_building", "building")],
    ids=["corrected", "waiting"],
)
def test_a_task_that_failed_fails_the_run_whatever_it_had_told(deployment, stale, outcome, status):
    """It was killed, or ran out of time, while it waited."""
    if stale:
        deployment.stale("linux-x64")
    else:
        deployment.preset("linux-x64")
        deployment.image("linux-x64", "BUILDING")
    run = ran()
    run.states[RECONCILE, 0] = "failed"
    made = failed_report(run, rf"^its task failed after this result: linux-x64 \({outcome}\)$")
    (line,) = made["presets"]
    assert (made["status"], line["status"], line["outcome"]) == ("degraded", status, outcome)
    assert line["detail"].startswith("its task failed after this result, see its log")


def test_a_task_that_failed_for_something_else_fails_the_run_too(deployment):
    deployment.stale("linux-x64")
    run = ran()
    run.states[RECONCILE, 1] = "failed"
    made = failed_report(run, "^a reconciling task failed, and had no result for any flagged preset$")
    assert made["status"] == "degraded"


def moved(run, **tasks):
    """Return the run with other ids for its tasks."""
    run.xcom = {(tasks.get(task, task), *more): value for (task, *more), value in run.xcom.items()}
    run.states = {(tasks.get(task, task), index): state for (task, index), state in run.states.items()}
    return run


def test_tasks_of_a_mapped_group_are_found_from_outside(deployment):
    for name in ("a", "b"):
        deployment.stale(name)
    run = moved(ran(), reconcile_preset="repair.reconcile_preset")
    made = run.report(grouped(), reconcile_task_id="repair.reconcile_preset")
    assert {line["name"]: line["outcome"] for line in made["presets"]} == dict.fromkeys("ab", "corrected_ready")


@pytest.mark.parametrize("times", [1, 2])
def test_a_single_detection_in_a_mapped_group_is_found(deployment, times):
    deployment.preset("linux-x64", status="ready")
    run = moved(ran(), detect_stale="images.detect_stale")
    run.xcom = {(task, 0, key): value for (task, _, key), value in run.xcom.items()}
    run.states = {("images.detect_stale", index): "success" for index in range(times)}
    if times == 1:
        assert (
            run.report(grouped(), detect_task_id="images.detect_stale")["message"] == "1 preset ready; none was stale"
        )
    else:
        with pytest.raises(AirflowFailException, match="detection ran more than once"):
            run.report(grouped(), detect_task_id="images.detect_stale")


def test_a_task_that_pushes_something_else_is_no_detection(deployment):
    deployment.preset("linux-x64", status="ready")
    run = ran()
    run.xcom = {(DETECT, -1, "return_value"): "s3://bucket/key"}
    made = failed_report(run, "^detection pushed something else$")
    assert made["message"] == "detection pushed something else: see that detect_task_id names the detecting task"


def test_a_batch_left_out_moves_no_other(deployment):
    for name in ("a", "b"):
        deployment.stale(name)
    run = ran()
    run.xcom[RECONCILE, 0, "return_value"] = run.xcom.pop((RECONCILE, 1, "return_value"))
    del run.states[RECONCILE, 1]
    made = failed_report(run, "^no result: a$")
    assert [(line["name"], line["outcome"], line["detail"]) for line in made["presets"]] == [
        ("a", "error", "no task has a result for it; check what is between detection and the reconciling task"),
        ("b", "corrected_ready", made["presets"][1]["detail"]),
    ]


def test_a_mapped_task_that_was_skipped_as_a_whole_is_no_failure(deployment):
    """Airflow does not expand it then: it has the one instance of index -1."""
    for name in ("a", "b"):
        deployment.stale(name)
    run = ran()
    run.states = {(DETECT, -1): "success", (RECONCILE, -1): "skipped"}
    made = run.report()
    assert {line["detail"] for line in made["presets"]} == {"its task was skipped, so nothing was done"}


@pytest.mark.parametrize("fail_on", [["no_images"], '["no_images"]'])
def test_further_outcomes_can_fail_the_run(deployment, fail_on):
    deployment.preset("linux-x64")
    deployment.aws.image_builder.create_pipeline("spot-runner-linux-x64")
    run = ran()
    assert run.report()["status"] == "degraded"
    assert failed_report(run, "no_images: linux-x64", fail_on=fail_on)["presets"]


def test_whatever_a_person_should_look_at_can_fail_the_run(deployment):
    deployment.preset("linux-x64", status="failed")
    made = failed_report(ran(), "degraded: 1 preset failed; none was stale", fail_on=["degraded"])
    assert made["status"] == "degraded"


def test_nothing_to_look_at_fails_no_run(deployment):
    deployment.preset("linux-x64", minutes=3)
    assert ran().report(fail_on=["degraded"])["status"] == "building"


@pytest.mark.parametrize(("fail_on", "said"), [(["nonsense"], "fail_on has nonsense"), ("nonsense", "fail_on is")])
def test_a_senseless_fail_on_is_refused_by_name_after_the_report(deployment, fail_on, said):
    deployment.preset("linux-x64", status="ready")
    made = failed_report(ran(), said, fail_on=fail_on)
    assert (made["status"], made["message"]) == ("degraded", "1 preset ready; none was stale")


def test_malformed_records_degrade(deployment):
    deployment.preset("done", status="ready")
    item = deployment.record("done")
    deployment.item({**item, "jobId": "AMI#odd", "presetName": "odd", "status": "paused"})
    made = ran().report()
    assert (made["status"], len(made["malformed"])) == ("degraded", 1)
    assert "1 record malformed" in made["message"]


def test_an_unfinished_preset_counts_as_building(deployment):
    deployment.stale("linux-x64")
    deployment.aws.before(
        "ssm.PutParameter",
        None,
        lambda: deployment.ssm.delete_parameter(Name="/spot-runner/configs/linux-x64"),
    )
    deployment.aws.add_fault(Fault("ssm.PutParameter", "lost_reply", times=1))
    run = ran()
    made = failed_report(run, "error") if _errors(run) else run.report()
    assert made["presets"][0]["status"] == "building"
    assert json.dumps(made)


def _errors(run):
    return [each for each in run.xcom[RECONCILE, 0, "return_value"] if each["outcome"] == "error"]
