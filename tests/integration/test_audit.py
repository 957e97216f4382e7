"""The audit: parameters that no longer name their record's AMI are found, and left alone."""

from __future__ import annotations

import json
from fnmatch import fnmatch

import pytest

from spot_runner_provider import clock
from spot_runner_provider.embedded.demo.seed import PARAMETER_PREFIX, intent
from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.records.parameter import InvalidConfig
from tests.integration.deployment import NEW, OLD, detect, run

ONCE = {"retries": {"mode": "standard", "total_max_attempts": 1}}


@pytest.fixture
def fleet(deployment):
    """Twelve ready presets, of which one drifted, and a failed one that did too."""
    for number in range(12):
        deployment.preset(f"linux-{number:02}", status="ready", ami=NEW)
    deployment.edit("linux-07", ami=OLD)
    deployment.preset("windows", status="failed", ami=OLD)
    deployment.edit("windows", ami=NEW)
    return deployment


def findings(**arguments):
    _, states = detect(**{"audit": True} | arguments)
    assert states["audit"]["error"] is None
    return {each["presetName"]: (each["outcome"], each["detail"]) for each in states["audit"]["findings"]}


def test_drift_is_found_with_both_amis_ten_parameters_a_call(fleet, aws):
    assert findings() == {
        "linux-07": ("drifted", f"the record (ready) says {NEW}, the parameter says {OLD}"),
        "windows": ("drifted", f"the record (failed) says {OLD}, the parameter says {NEW}"),
    }
    assert aws.calls() == {"dynamodb.Query": 3, "ssm.GetParameters": 2, "dynamodb.BatchGetItem": 1}


def test_nothing_is_repaired_and_nothing_flagged(fleet):
    before = fleet.version("linux-07"), fleet.record("linux-07")
    batches, _ = detect(audit=True)
    assert batches == []
    assert fleet.writes() == []
    assert (fleet.version("linux-07"), fleet.record("linux-07")) == before


def test_where_nothing_drifted_only_parameters_are_read(deployment, aws):
    deployment.preset("linux", status="ready", ami=NEW)
    assert findings() == {}
    assert aws.calls() == {"dynamodb.Query": 2, "ssm.GetParameters": 1}


def test_it_is_off_unless_asked_for(fleet, aws):
    _, states = detect()
    assert "audit" not in states
    assert aws.calls() == {"dynamodb.Query": 2}


def test_a_run_whose_correction_was_written_back_ends_as_drifted(deployment, pass_time):
    """What a person does who read the whole parameter before the correction, and saves it afterwards."""
    deployment.stale("linux")
    before = deployment.parameter("linux")
    assert run()["linux"]["outcome"] == "corrected_ready"
    deployment.edit("linux", **before | {"timeout": 60})
    pass_time(minutes=15)
    assert findings() == {"linux": ("drifted", f"the record (ready) says {NEW}, the parameter says {OLD}")}


def test_a_preset_that_was_only_just_corrected_is_left_alone(deployment):
    deployment.stale("linux")
    run()
    deployment.edit("linux", ami=OLD)
    assert findings() == {}


def test_a_record_that_changes_meanwhile_is_no_finding(deployment, aws):
    deployment.preset("linux", status="ready", ami=NEW)
    deployment.edit("linux", ami=OLD)
    aws.before("dynamodb.BatchGetItem", None, lambda: deployment.event_arrives("linux", ami=OLD))
    assert findings() == {}


def test_a_parameter_that_is_gone_or_broken_is_drift_too(deployment):
    deployment.preset("gone", status="ready", ami=NEW)
    deployment.ssm.delete_parameter(Name=f"{PARAMETER_PREFIX}gone")
    deployment.preset("broken", status="ready", ami=NEW, config="{")
    assert {name: detail.partition("parameter ")[2] for name, (_, detail) in findings().items()} == {
        "gone": f"does not exist: {PARAMETER_PREFIX}gone. {InvalidConfig.missing().remedy}",
        "broken": f"is not JSON (line 1, column 2): {PARAMETER_PREFIX}broken. {InvalidConfig('').remedy}",
    }


def test_named_presets_are_audited_alone(fleet):
    assert findings(presets=["linux-07", "linux-01"]).keys() == {"linux-07"}


@pytest.mark.parametrize("operation", ["ssm.GetParameters", "dynamodb.BatchGetItem"])
def test_an_audit_that_fails_stops_no_repair(fleet, aws, operation):
    fleet.stale("stale")
    aws.add_fault(Fault(operation, "AccessDeniedException"))
    batches, states = detect(audit=True, botocore_config=ONCE)
    assert [item["presetName"] for batch in batches for item in batch] == ["stale"]
    assert states["audit"]["findings"] == []
    assert f"allow {operation.replace('.', ':')} on" in states["audit"]["error"]
    assert aws.calls()["ssm.GetParameters"] <= 12


def test_a_parameter_that_may_not_be_read_hides_no_other_one(fleet, aws):
    aws.add_fault(Fault("ssm.GetParameters", "AccessDeniedException", key="*linux-06"))
    _, states = detect(audit=True)
    assert [finding["presetName"] for finding in states["audit"]["findings"]] == ["linux-07", "windows"]
    assert states["audit"]["error"].startswith("could not read the parameters of linux-06: Access denied: allow ssm:")


@pytest.fixture
def drifted(deployment):
    """Thirty ready presets, whose parameters three calls read; in each ten one drifted."""
    for group in ("linux-0", "linux-1", "windows-"):
        for number in range(10):
            deployment.preset(f"{group}{number}", status="ready", ami=NEW)
        deployment.edit(f"{group}7", ami=OLD)
    return {"linux-07", "linux-17", "windows-7"}


@pytest.mark.parametrize("unread", ["linux-0*", "linux-1*", "windows*"])
@pytest.mark.parametrize("kind", ["AccessDeniedException", "500"])
def test_what_was_found_stands_though_a_whole_call_fails(drifted, aws, unread, kind):
    aws.add_fault(Fault("ssm.GetParameters", kind, key=f"*{unread}"))
    _, states = detect(audit=True, botocore_config=ONCE)
    hidden = {name for name in drifted if fnmatch(name, unread)}
    assert {finding["presetName"] for finding in states["audit"]["findings"]} == drifted - hidden
    assert states["audit"]["error"].startswith(f"could not read the parameters of {unread[:-1]}")


def test_the_repair_does_not_wait_for_an_ssm_that_is_away(drifted, aws):
    aws.add_fault(Fault("ssm.GetParameters", "500"))
    _, states = detect(audit=True, botocore_config=ONCE)
    assert states["audit"]["error"].startswith("could not read the parameters of linux-00, linux-01")
    assert aws.calls()["ssm.GetParameters"] == 3


def test_what_a_run_is_just_finishing_is_no_drift(fleet, aws):
    """The index may list a correction before it lists its intent."""
    standing = intent("linux-07", "other/run/1", clock.now(), ami=NEW, build="arn", parameter_version=1)
    aws.before("dynamodb.BatchGetItem", None, lambda: fleet.item(standing))
    assert findings().keys() == {"windows"}


def test_the_value_of_a_secure_string_goes_nowhere(deployment, caplog):
    config = json.dumps({"ami": "ami-0secret", "token": "hunter2"})
    deployment.preset("linux", status="ready", ami=NEW, config="{}")
    deployment.ssm.delete_parameter(Name=f"{PARAMETER_PREFIX}linux")
    deployment.ssm.put_parameter(Name=f"{PARAMETER_PREFIX}linux", Value=config, Type="SecureString")
    assert findings() == {"linux": ("drifted", f"the record (ready) says {NEW}, the parameter says another")}
    assert "secret" not in caplog.text
    assert "hunter2" not in caplog.text
