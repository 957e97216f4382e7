from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from spot_runner_provider import clock
from spot_runner_provider.embedded.demo.deployment import FAILURE_CONTEXT, OTHER_ACCOUNT
from spot_runner_provider.embedded.demo.seed import preset_config, put_items, put_parameter, runner_job
from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.embedded.imagebuilder.models import Ami
from tests.integration.deployment import NEW, NEWER, OLD, TaskInstance, detect, reconcile, run

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
PRESET = "linux-x64"


def warnings_of(capture) -> str:
    """Return the warnings that a task logged, whichever way this Airflow logs."""
    return "\n".join(
        [record.getMessage() for record in capture[0].records if record.levelname == "WARNING"]
        + [line for line in capture[1].readouterr().out.splitlines() if "warning" in line]
    )


@pytest.fixture
def logged(caplog, capsys):
    return lambda: warnings_of((caplog, capsys))


def test_an_available_image_makes_the_preset_ready(deployment):
    arn = deployment.stale(PRESET)
    before = deployment.record(PRESET)
    moment = clock.now()

    result = run("scheduled__7")[PRESET]

    record = deployment.record(PRESET)
    assert record == before | {
        "status": "ready",
        "amiId": NEW,
        "buildId": arn,
        "updatedAt": record["updatedAt"],
        "reconciledBy": "spot_runner_reconcile/scheduled__7",
    }
    assert TIMESTAMP.fullmatch(record["updatedAt"])
    written = datetime.fromisoformat(record["updatedAt"])
    assert moment - timedelta(seconds=61) <= written <= clock.now() - timedelta(seconds=60)
    assert deployment.parameter_text(PRESET) == json.dumps(preset_config(NEW))
    assert deployment.version(PRESET) == 2
    assert deployment.intents() == []
    assert result == {
        "presetName": PRESET,
        "status": "ready",
        "amiId": NEW,
        "previousAmiId": OLD,
        "updatedAt": record["updatedAt"],
        "buildId": arn,
        "outcome": "corrected_ready",
        "detail": "",
        "dryRun": False,
        "pipelineArn": "arn:aws:imagebuilder:us-east-1:123456789012:image-pipeline/spot-runner-linux-x64",
        "imageArn": arn,
        "imageState": "AVAILABLE",
    }


def test_an_old_error_message_goes_when_the_preset_becomes_ready(deployment):
    deployment.stale(PRESET, error="the build before failed")
    run()
    assert "errorMessage" not in deployment.record(PRESET)


def test_the_text_of_the_parameter_is_kept_to_the_letter(deployment):
    text = '{\n\t"timeout" : 3.60e3, "größe":"\\u00fc",\n\t"ami":"ami-0a1d" , "labels": [1,  2]\n}\n'
    deployment.stale(PRESET, config=text)
    run()
    assert deployment.parameter_text(PRESET) == text.replace("ami-0a1d", NEW)


def test_a_parameter_that_is_right_already_gets_no_new_version(deployment):
    deployment.stale(PRESET, config=preset_config(NEW))
    assert run()[PRESET]["outcome"] == "corrected_ready"
    assert deployment.version(PRESET) == 1
    assert deployment.record(PRESET)["status"] == "ready"


@pytest.mark.parametrize("template", ["spot-runner-{preset}-windows", "{preset}", "team a {preset}"])
def test_the_pipeline_is_found_by_its_exact_name(deployment, template):
    deployment.preset("windows-2022")
    name = template.replace("{preset}", "windows-2022")
    for other in (f"{name}x", f"x{name}", name[:-1]):
        deployment.image("windows-2022", "AVAILABLE", "ami-0bad", pipeline=other, minutes=1)
    deployment.image("windows-2022", "AVAILABLE", NEW, pipeline=name)
    result = run(pipeline_name=template)["windows-2022"]
    assert (result["outcome"], result["amiId"]) == ("corrected_ready", NEW)


def test_the_latest_image_of_all_pages_counts(deployment):
    deployment.preset(PRESET)
    for number in range(70):
        deployment.image(PRESET, "AVAILABLE", f"ami-0{number:03}", minutes=100 + number)
    deployment.image(PRESET, "AVAILABLE", NEW, minutes=3, version="1.0.1", build=1)
    for number in range(30):
        deployment.image(PRESET, "FAILED", None, minutes=20 + number, build=800 + number)
    assert run()[PRESET]["amiId"] == NEW
    assert deployment.aws.calls()["imagebuilder.ListImagePipelineImages"] > 4


@pytest.mark.parametrize(
    ("amis", "chosen"),
    [
        pytest.param([("eu-west-1", "ami-0bad", ""), ("us-east-1", NEW, "")], NEW, id="of the region"),
        pytest.param([("us-east-1", "ami-0bad", OTHER_ACCOUNT), ("us-east-1", NEW, "")], NEW, id="of the own account"),
        pytest.param([("us-east-1", NEW, OTHER_ACCOUNT)], None, id="the only one, of another account"),
        pytest.param([("eu-west-1", "ami-0bad", "")], None, id="none of the region"),
        pytest.param(
            [("us-east-1", "ami-0bad", OTHER_ACCOUNT), ("us-east-1", "ami-0bad2", "111111111111")],
            None,
            id="several, none of the own account",
        ),
        pytest.param([], None, id="none at all"),
    ],
)
def test_which_ami_is_taken(deployment, logged, amis, chosen):
    deployment.preset(PRESET)
    deployment.image(
        PRESET, "AVAILABLE", [Ami(region, ami, account or deployment.aws.account) for region, ami, account in amis]
    )
    result = run()[PRESET]
    if chosen:
        assert (result["outcome"], deployment.parameter(PRESET)["ami"]) == ("corrected_ready", chosen)
    else:
        assert (result["outcome"], deployment.writes()) == ("no_usable_ami", [])
        assert PRESET in logged()


def test_what_the_listing_leaves_out_the_image_itself_tells(deployment):
    deployment.preset(PRESET)
    deployment.image(PRESET, "AVAILABLE", NEW, unlisted=("state", "outputResources"))
    assert run()[PRESET]["amiId"] == NEW
    assert deployment.aws.calls()["imagebuilder.GetImage"] == 1


@pytest.mark.parametrize(
    ("status", "reason", "context", "said"),
    [
        ("FAILED", "Build timed out", None, "FAILED: Build timed out"),
        ("CANCELLED", "Cancelled by user", None, "CANCELLED: Cancelled by user"),
        ("FAILED", None, None, "FAILED: Image Builder gives no reason"),
        (
            "FAILED",
            "Workflow failed",
            FAILURE_CONTEXT,
            "FAILED: E: Unable to locate package cuda-drivers-560; component step InstallDriver, phase build, "
            "step ApplyBuildComponents, while BUILDING, component "
            "arn:aws:imagebuilder:us-east-1:123456789012:component/install-cuda/1.2.0/1; Workflow failed",
        ),
    ],
)
def test_a_failed_build_is_recorded_and_the_parameter_left_alone(deployment, status, reason, context, said):
    deployment.preset(PRESET)
    deployment.image(PRESET, "AVAILABLE", "ami-0bad", minutes=300)
    arn = deployment.image(PRESET, status, "ami-0bad2", reason=reason, failure_context=context)
    before = deployment.record(PRESET)
    result = run()[PRESET]
    record = deployment.record(PRESET)
    assert record == before | {
        "status": "failed",
        "errorMessage": said,
        "buildId": arn,
        "updatedAt": record["updatedAt"],
        "reconciledBy": "spot_runner_reconcile/scheduled__1",
    }
    assert TIMESTAMP.fullmatch(record["updatedAt"])
    assert (result["outcome"], result["status"], result["amiId"]) == ("corrected_failed", "failed", OLD)
    assert said.startswith(result["detail"].rstrip("…"))
    assert not any(call.operation.startswith("ssm.") for call in deployment.aws.call_log())
    assert deployment.writes() == ["dynamodb.UpdateItem"]


@pytest.mark.parametrize(
    ("status", "outcome", "warns"),
    [
        *((status, "still_building", False) for status in ("PENDING", "CREATING", "BUILDING", "TESTING")),
        *((status, "still_building", False) for status in ("DISTRIBUTING", "INTEGRATING")),
        *((status, "no_usable_ami", True) for status in ("DEPRECATED", "DELETED", "DISABLED", "QUARANTINED")),
        (None, "no_images", True),
        ("no pipeline", "pipeline_not_found", True),
    ],
)
def test_states_in_which_nothing_is_written(deployment, logged, status, outcome, warns):
    deployment.preset(PRESET)
    if status is None:
        deployment.aws.image_builder.create_pipeline(f"spot-runner-{PRESET}")
    elif status != "no pipeline":
        deployment.image(PRESET, "AVAILABLE", "ami-0bad", minutes=300)
        deployment.image(PRESET, status)
    before = deployment.record(PRESET)
    result = run()[PRESET]
    assert (result["outcome"], result["status"], result["amiId"]) == (outcome, "building", OLD)
    assert (deployment.record(PRESET), deployment.version(PRESET), deployment.writes()) == (before, 1, [])
    said = logged()
    assert (f"preset {PRESET}: {outcome}" in said) == warns
    if outcome == "pipeline_not_found":
        assert f"no pipeline 'spot-runner-{PRESET}'" in said


@pytest.mark.parametrize("stuck_after", [None, "90", timedelta(minutes=90), 0], ids=str)
def test_a_build_that_runs_for_hours_is_stuck(deployment, logged, stuck_after):
    deployment.preset(PRESET, minutes=300)
    deployment.image(PRESET, "TESTING", minutes=120 if stuck_after else 361)
    given = {} if stuck_after is None else {"stuck_after": stuck_after}
    result = run(**given)[PRESET]
    assert (result["outcome"], deployment.writes()) == ("still_building" if stuck_after == 0 else "stuck", [])
    assert (f"preset {PRESET}: stuck: the build is TESTING, and it began at 2" in logged()) == (stuck_after != 0)


def test_an_image_older_than_the_record_is_taken_with_a_warning(deployment, logged):
    deployment.preset(PRESET, minutes=45)
    deployment.image(PRESET, "AVAILABLE", NEW, minutes=50)
    result = run()[PRESET]
    assert (result["outcome"], deployment.parameter(PRESET)["ami"]) == ("corrected_ready", NEW)
    assert "created before the record's updatedAt" in result["detail"]
    assert PRESET in logged()


@pytest.mark.parametrize("status", ["ready", "failed"])
def test_a_newer_state_of_another_program_wins(deployment, status):
    deployment.stale(PRESET)
    deployment.aws.before(
        "dynamodb.UpdateItem", f"AMI#{PRESET}", lambda: deployment.event_arrives(PRESET, status=status)
    )
    result = run()[PRESET]
    record = deployment.record(PRESET)
    assert (result["outcome"], result["status"], result["amiId"]) == ("superseded", status, record["amiId"])
    assert record["buildId"] == "arn:of-the-event"
    assert deployment.parameter(PRESET)["ami"] == (NEWER if status == "ready" else OLD)
    assert "ssm.PutParameter" not in deployment.writes()
    assert deployment.intents() == []


def test_a_record_that_is_deleted_meanwhile_stays_deleted(deployment):
    deployment.stale(PRESET)
    key = {"jobId": {"S": f"AMI#{PRESET}"}}
    deployment.aws.before(
        "dynamodb.UpdateItem",
        None,
        lambda: deployment.dynamodb.delete_item(TableName="spot-runner-state", Key=key),
    )
    assert run()[PRESET]["outcome"] == "superseded"
    assert "Item" not in deployment.dynamodb.get_item(TableName="spot-runner-state", Key=key)


def test_an_edit_of_another_key_meanwhile_survives(deployment, pass_time):
    deployment.stale(PRESET)
    deployment.aws.before("ssm.PutParameter", None, lambda: deployment.edit(PRESET, timeout=7200, added=[1]))
    assert run("scheduled__1")[PRESET]["outcome"] == "corrected_ready"
    assert deployment.parameter(PRESET) == preset_config(NEW) | {"timeout": 7200, "added": [1]}

    # Whoever read the parameter between our put and its mending may write that back: the next run looks again.
    assert len(deployment.intents()) == 1
    deployment.edit(PRESET, timeout=3600)
    deployment.edit(PRESET, timeout=7200)
    version = deployment.version(PRESET)
    pass_time(minutes=15)
    assert run("scheduled__2")[PRESET]["outcome"] == "finished"
    assert (deployment.intents(), deployment.version(PRESET)) == ([], version)


def test_an_edit_that_the_merging_put_covers_survives(deployment):
    def edit_again():
        deployment.edit(PRESET, timeout=9000)

    def edit():
        deployment.edit(PRESET, timeout=7200)
        deployment.aws.before(
            "ssm.GetParameterHistory", None, lambda: deployment.aws.before("ssm.PutParameter", None, edit_again)
        )

    deployment.stale(PRESET)
    deployment.aws.before("ssm.PutParameter", None, edit)
    assert run()[PRESET]["outcome"] == "corrected_ready"
    assert deployment.parameter(PRESET) == preset_config(NEW) | {"timeout": 9000}


def test_waiting_for_ssm_comes_before_a_fresh_read(deployment):
    """A throttled put is not simply repeated: what was written while it waited is read first."""
    deployment.stale(PRESET)
    deployment.aws.add_fault(Fault("ssm.PutParameter", "ThrottlingException", times=1))
    deployment.aws.before("ssm.GetParameterHistory", None, lambda: deployment.edit(PRESET, timeout=7200))
    assert run()[PRESET]["outcome"] == "corrected_ready"
    assert deployment.parameter(PRESET) == preset_config(NEW) | {"timeout": 7200}
    assert (deployment.version(PRESET), deployment.intents()) == (3, [])


def test_the_parameter_follows_a_newer_events_record(deployment):
    """The event handler commits and puts between our commit and our put, so that ours covers its AMI."""
    deployment.stale(PRESET)
    deployment.aws.before("ssm.PutParameter", None, lambda: deployment.event_arrives(PRESET))
    result = run()[PRESET]
    assert (result["outcome"], result["amiId"]) == ("corrected_ready", NEWER)
    assert deployment.record(PRESET)["amiId"] == deployment.parameter(PRESET)["ami"] == NEWER


def test_runner_jobs_are_neither_read_nor_written(deployment):
    put_items(deployment.dynamodb, [runner_job(number, "running", datetime.now(UTC)) for number in range(200)])
    deployment.stale(PRESET)
    run()
    keys = {key for call in deployment.aws.call_log() if call.service == "dynamodb" for key in call.keys}
    assert all(key.startswith("AMI") for key in keys)
    assert sum(call.scanned_count or 0 for call in deployment.aws.call_log()) == 1


def test_dry_run_looks_everything_up_and_writes_nothing(deployment):
    deployment.stale("becomes-ready")
    deployment.preset("becomes-failed")
    deployment.image("becomes-failed", "FAILED", None, reason="no space left")
    deployment.stale("broken", config="{")
    put_parameter(deployment.ssm, "secret", preset_config("ami-0secret"), Type="SecureString", KeyId="alias/k")
    deployment.item({**deployment.record("broken"), "jobId": "AMI#secret", "presetName": "secret"})
    deployment.image("secret", "AVAILABLE")
    results = run(dry_run=True)
    assert deployment.writes() == []
    assert {name: result["outcome"] for name, result in results.items()} == {
        "becomes-ready": "corrected_ready",
        "becomes-failed": "corrected_failed",
        "broken": "config_invalid",
        "secret": "corrected_ready",
    }
    assert all(result["dryRun"] and result["status"] == "building" for result in results.values())
    assert results["becomes-ready"]["detail"] == f"dry run: would set ready with {NEW}, and ami from {OLD}"
    assert results["becomes-failed"]["detail"] == "dry run: would set failed (FAILED: no space left)"
    assert "secret" not in results["secret"]["detail"]


@pytest.mark.parametrize("dry_run", [True, "true", "True"])
def test_dry_run_in_each_form(deployment, dry_run):
    deployment.stale(PRESET)
    run(dry_run=dry_run)
    assert deployment.writes() == []


@pytest.mark.parametrize("dry_run", [False, "false", "False"])
def test_no_dry_run_in_each_form(deployment, dry_run):
    deployment.stale(PRESET)
    run(dry_run=dry_run)
    assert deployment.record(PRESET)["status"] == "ready"


@pytest.mark.parametrize("presets", [[PRESET], f'["{PRESET}"]', [PRESET, PRESET]], ids=repr)
def test_presets_can_be_named_whatever_their_age(deployment, presets):
    deployment.stale(PRESET, minutes=2)
    assert reconcile(presets)[PRESET]["outcome"] == "corrected_ready"
    assert deployment.version(PRESET) == 2


def test_a_named_preset_that_is_not_building_is_left_alone(deployment):
    deployment.stale(PRESET, status="ready")
    result = reconcile([PRESET])[PRESET]
    assert (result["outcome"], result["status"], result["amiId"]) == (None, "ready", OLD)
    assert deployment.writes() == []


@pytest.mark.parametrize("name", ["unknown", "../x", "", "a b", "x" * 500])
def test_a_named_preset_that_cannot_be_read_fails_alone(deployment, name):
    deployment.stale(PRESET)
    ti = TaskInstance()
    with pytest.raises(AirflowException, match="1 of 2 presets failed"):
        reconcile([name, PRESET], ti)
    outcomes = {result["presetName"]: result["outcome"] for result in ti.pushed["return_value"]}
    assert outcomes[PRESET] == "corrected_ready"
    assert sorted(outcomes.values()) == ["corrected_ready", "error"]


def test_one_presets_error_never_stops_another(deployment):
    names = [f"linux-{number}" for number in range(25)]
    for name in names:
        deployment.stale(name)
    deployment.aws.add_fault(Fault("*", "500", key="*linux-7"))
    batches, _ = detect(max_mapped_tasks=1)
    ti = TaskInstance()
    with pytest.raises(AirflowException, match=r"1 of 25 presets failed: linux-7\b"):
        reconcile(batches[0], ti, botocore_config={"retries": {"mode": "standard", "total_max_attempts": 1}})
    outcomes = {result["presetName"]: result["outcome"] for result in ti.pushed["return_value"]}
    assert outcomes == dict.fromkeys(names, "corrected_ready") | {"linux-7": "error"}
    assert [deployment.version(name) for name in names] == [1 if name == "linux-7" else 2 for name in names]


def test_a_second_run_finds_nothing_to_do(deployment):
    deployment.stale(PRESET)
    run("scheduled__1")
    deployment.aws.reset_calls()
    assert run("scheduled__2") == {}
    assert deployment.aws.calls() == {"dynamodb.Query": 2}


def test_a_malformed_intent_does_not_fail_its_named_preset(deployment):
    deployment.stale(PRESET)
    odd = {"jobId": f"AMI-INTENT#{PRESET}#odd", "recordType": "AMI-INTENT", "presetName": PRESET}
    deployment.item(odd | {"updatedAt": "2026-02-11T15:00:00.000Z", "paramVersion": "no number"})
    assert reconcile([PRESET])[PRESET]["outcome"] == "corrected_ready"
