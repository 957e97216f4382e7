"""The reporting task: what it makes of XCom, and what it never hides."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.operators.report_status import ReportStatusOperator
from tests.integration.deployment import TaskInstance, detect, reconcile

ONCE = {"retries": {"mode": "standard", "total_max_attempts": 1}}


class Run(TaskInstance):
    """A run's XCom, as the reporting task pulls it."""

    def __init__(self, xcom):
        super().__init__()
        self.xcom = xcom

    def xcom_pull(self, task_ids, key="return_value", default=None):
        return self.xcom.get((task_ids, key), default)


def ran(*, dry_run=False, **arguments):
    """Detect and reconcile; return the XCom that this left, failures included."""
    ti = TaskInstance()
    batches, states = detect(ti, **arguments)
    results = []
    for batch in batches:
        task = TaskInstance()
        try:
            results.append(list(reconcile(batch, task, botocore_config=ONCE, dry_run=dry_run).values()))
        except AirflowException:
            results.append(task.pushed["return_value"])
    return {
        ("detect_stale", "states"): states,
        ("detect_stale", "return_value"): batches,
        ("reconcile_preset", "return_value"): results,
    }


def report(xcom, **arguments):
    return ReportStatusOperator(task_id="report_status", **arguments).execute({"ti": Run(xcom)})


def failed_report(xcom, said, **arguments):
    """Return the report that was pushed before the task failed."""
    ti = Run(xcom)
    with pytest.raises(AirflowFailException, match=said):
        ReportStatusOperator(task_id="report_status", **arguments).execute({"ti": ti})
    return ti.pushed["return_value"]


def test_a_preset_of_each_kind(deployment):
    deployment.stale("corrected")
    deployment.preset("young", minutes=3)
    deployment.preset("done", status="ready", minutes=900)
    made = report(ran())
    assert (made["status"], made["message"]) == ("building", "2 presets ready, 1 preset building")
    assert [(line["name"], line["status"], line["outcome"]) for line in made["presets"]] == [
        ("corrected", "ready", "corrected_ready"),
        ("done", "ready", None),
        ("young", "building", None),
    ]
    assert all(set(line) == {"name", "status", "amiId", "updatedAt", "outcome", "detail"} for line in made["presets"])


def test_it_calls_no_aws(deployment):
    deployment.stale("linux-x64")
    xcom = ran()
    deployment.aws.reset_calls()
    report(xcom)
    assert deployment.aws.calls() == {}


def test_one_tasks_results_are_not_taken_for_many_tasks(deployment):
    """Airflow hands over the bare value where exactly one mapped task pushed one."""
    deployment.stale("linux-x64")
    xcom = ran()
    (only,) = xcom["reconcile_preset", "return_value"]
    assert report({**xcom, ("reconcile_preset", "return_value"): only}) == report(xcom)


def test_nothing_stale_is_said(deployment):
    deployment.preset("done", status="ready")
    xcom = ran()
    del xcom["reconcile_preset", "return_value"]
    assert report(xcom)["message"] == "1 preset ready; none was stale"


def test_an_error_fails_the_run_after_the_whole_report(deployment):
    for name in ("good", "bad"):
        deployment.stale(name)
    deployment.aws.add_fault(Fault("*", "500", key="*bad*"))
    made = failed_report(ran(), "error: bad")
    assert {line["name"]: line["outcome"] for line in made["presets"]} == {"good": "corrected_ready", "bad": "error"}


def test_a_task_that_pushed_nothing_fails_the_run(deployment):
    deployment.stale("linux-x64")
    xcom = ran()
    xcom["reconcile_preset", "return_value"] = []
    made = failed_report(xcom, "no result: linux-x64")
    assert made["presets"][0]["outcome"] == "error"


def test_a_detection_that_failed_is_said():
    made = failed_report({}, "detection failed")
    assert (made["status"], made["presets"]) == ("degraded", [])
    assert "detection failed" in made["message"]


def test_a_detection_that_died_after_it_had_pushed_the_states_is_said(deployment):
    deployment.stale("linux-x64")
    xcom = ran()
    states = ("detect_stale", "states")
    assert failed_report({states: xcom[states]}, "detection failed")["status"] == "degraded"


@pytest.mark.parametrize("fail_on", [["no_images"], '["no_images"]'])
def test_further_outcomes_can_fail_the_run(deployment, fail_on):
    deployment.preset("linux-x64")
    deployment.aws.image_builder.create_pipeline("spot-runner-linux-x64")
    xcom = ran()
    assert report(xcom)["status"] == "building"
    assert failed_report(xcom, "no_images: linux-x64", fail_on=fail_on)["presets"]


@pytest.mark.parametrize(("fail_on", "said"), [(["nonsense"], "fail_on has nonsense"), ("nonsense", "fail_on is")])
def test_a_senseless_fail_on_is_refused_by_name_after_the_report(deployment, fail_on, said):
    deployment.preset("linux-x64", status="ready")
    assert failed_report(ran(), said, fail_on=fail_on)["message"] == "1 preset ready; none was stale"


def test_malformed_records_degrade(deployment):
    deployment.preset("done", status="ready")
    item = deployment.record("done")
    deployment.item({**item, "jobId": "AMI#odd", "presetName": "odd", "status": "paused"})
    made = report(ran())
    assert (made["status"], len(made["malformed"])) == ("degraded", 1)
    assert "1 record malformed" in made["message"]


def test_a_parameter_that_broke_after_the_commit_counts_as_building(deployment):
    deployment.stale("linux-x64")
    deployment.aws.before(
        "ssm.PutParameter",
        None,
        lambda: deployment.ssm.delete_parameter(Name="/spot-runner/configs/linux-x64"),
    )
    deployment.aws.add_fault(Fault("ssm.PutParameter", "lost_reply", times=1))
    xcom = ran()
    made = report(xcom) if not _errors(xcom) else failed_report(xcom, "error")
    assert made["presets"][0]["status"] == "building"
    assert json.dumps(made)


def _errors(xcom):
    return [each for batch in xcom["reconcile_preset", "return_value"] for each in batch if each["outcome"] == "error"]
