from __future__ import annotations

import json
import logging

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from spot_runner_provider.embedded.demo.seed import preset_config, put_parameter
from spot_runner_provider.embedded.faults import Fault
from tests.integration.deployment import NEW, OLD, TaskInstance, detect, reconcile, run

PRESET = "linux-x64"
ONCE = {"retries": {"mode": "standard", "total_max_attempts": 1}}


# What only a person can mend fails at once and for good, with one sentence.


@pytest.mark.parametrize("table", ["", None, "   "])
@pytest.mark.parametrize(
    "task", [detect, lambda **arguments: reconcile([PRESET], **arguments)], ids=["detect", "reconcile"]
)
def test_no_table_name(aws, task, table):
    with pytest.raises(AirflowFailException, match=r"\[spot_runner\] table_name"):
        task(table_name=table)


def test_no_table(aws):
    with pytest.raises(AirflowFailException, match="No DynamoDB table 'absent' in region us-east-1"):
        detect(table_name="absent")


def test_no_index(deployment):
    with pytest.raises(AirflowFailException, match="has no index 'absent'"):
        detect(index_name="absent")


@pytest.mark.parametrize("task", [detect, lambda: reconcile([PRESET])], ids=["detect", "reconcile"])
def test_no_region(aws, monkeypatch, task):
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", "extra": {}}))
    with pytest.raises(AirflowFailException, match="No AWS region: set region_name"):
        task()


def test_no_credentials(aws, monkeypatch):
    extra = {"region_name": "us-east-1", "endpoint_url": aws.endpoint_url}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", "extra": extra}))
    with pytest.raises(AirflowFailException, match="No AWS credentials for table spot-runner-state"):
        detect()


@pytest.mark.parametrize("code", ["UnrecognizedClientException", "ExpiredTokenException"])
def test_credentials_that_aws_refuses(deployment, code):
    deployment.aws.add_fault(Fault("dynamodb.Query", code))
    with pytest.raises(AirflowFailException, match=f"does not accept the credentials .*{code}"):
        detect()


def test_access_denied_to_the_detecting_task(deployment):
    deployment.aws.add_fault(Fault("dynamodb.Query", "AccessDeniedException"))
    with pytest.raises(
        AirflowFailException, match="allow dynamodb:Query on table spot-runner-state, index recordType-index"
    ):
        detect()


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ("imagebuilder.ListImagePipelines", "allow imagebuilder:ListImagePipelines on pipelines spot-runner-linux-"),
        ("imagebuilder.ListImagePipelineImages", "allow imagebuilder:ListImagePipelineImages on pipeline arn:aws:"),
        ("ssm.GetParameters", "allow ssm:GetParameters on parameters /spot-runner/configs/linux-"),
        ("dynamodb.BatchWriteItem", "allow dynamodb:BatchWriteItem on table spot-runner-state"),
    ],
)
def test_access_denied_to_all_fails_the_batch_for_good(deployment, operation, said):
    for number in range(12):
        deployment.stale(f"linux-{number}")
    deployment.aws.add_fault(Fault(operation, "AccessDeniedException"))
    batches, _ = detect(max_mapped_tasks=1)
    with pytest.raises(AirflowFailException, match=said):
        reconcile(batches[0])
    assert [deployment.record(f"linux-{number}")["status"] for number in range(12)] == ["building"] * 12
    assert deployment.intents() == []


@pytest.mark.parametrize("operation", ["imagebuilder.ListImagePipelineImages", "ssm.GetParameters"])
def test_access_denied_to_one_preset_fails_no_task(deployment, operation):
    deployment.stale(PRESET)
    for number in range(11):
        deployment.preset(f"failed-{number}")
        deployment.image(f"failed-{number}", "FAILED")
    deployment.aws.add_fault(Fault(operation, "AccessDeniedException", key=f"*{PRESET}*"))
    batches, _ = detect(max_mapped_tasks=1)
    outcomes = {name: result["outcome"] for name, result in reconcile(batches[0]).items()}
    assert outcomes == {PRESET: "refused"} | {f"failed-{number}": "corrected_failed" for number in range(11)}


def test_a_denied_commit_fails_for_good_and_leaves_nothing(deployment):
    deployment.stale(PRESET)
    deployment.aws.add_fault(Fault("dynamodb.UpdateItem", "AccessDeniedException"))
    batches, _ = detect()
    with pytest.raises(AirflowFailException, match="allow dynamodb:UpdateItem on"):
        reconcile(batches[0])
    assert (deployment.record(PRESET)["status"], deployment.intents()) == ("building", [])


def test_a_denied_put_is_refused_and_leaves_one_intent(deployment):
    deployment.stale(PRESET)
    deployment.aws.add_fault(Fault("ssm.PutParameter", "AccessDeniedException"))
    batches, _ = detect()
    result = reconcile(batches[0])[PRESET]
    assert (result["outcome"], result["status"]) == ("refused", "building")
    assert result["detail"].startswith("Access denied: allow ssm:PutParameter on")
    assert (deployment.record(PRESET)["status"], len(deployment.intents())) == ("ready", 1)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("ParameterMaxVersionLimitExceeded", "Move the label of the parameter's oldest version"),
        ("HierarchyLevelLimitExceededException", "Shorten config_prefix"),
        ("ParameterPatternMismatchException", "Let the parameter's allowed pattern match"),
        ("PoliciesLimitExceededException", "Remove policies"),
        ("UnsupportedParameterType", "Create the parameter again"),
        ("HierarchyTypeMismatchException", "Create the parameter again"),
        ("InvalidKeyId", "Enable the parameter's KMS key"),
        ("ParameterLimitExceeded", "Delete parameters that nobody needs"),
    ],
)
def test_a_parameters_limit_is_refused_with_a_remedy(deployment, code, advice):
    deployment.stale(PRESET)
    deployment.aws.add_fault(Fault("ssm.PutParameter", code))
    batches, _ = detect()
    result = reconcile(batches[0])[PRESET]
    said = f"AWS refuses ssm:PutParameter on parameter /spot-runner/configs/{PRESET} ({code}). {advice}"
    assert (result["outcome"], result["detail"][: len(said)]) == ("refused", said)
    assert deployment.parameter(PRESET)["ami"] == OLD


# Arguments that cannot be meant are refused by name.


@pytest.mark.parametrize(
    ("task", "arguments", "said"),
    [
        (detect, {"stale_after": "soon"}, "stale_after is 'soon'"),
        (detect, {"stale_after": -1}, r"stale_after is -1 \(int\)"),
        (detect, {"presets": "linux-x64"}, "presets is 'linux-x64'"),
        (detect, {"presets": [1]}, r"presets has 1 \(int\), which is not text"),
        (detect, {"presets": []}, "presets is empty"),
        (detect, {"presets": ""}, "presets is empty"),
        (detect, {"presets": ["linux-x64", ""]}, "presets has an empty name"),
        (detect, {"index_name": 5}, r"index_name is 5 \(int\), which is not text"),
        (detect, {"config_prefix": "configs"}, "config_prefix is 'configs'; it takes a path"),
        (detect, {"table_name": "arn:aws:dynamodb:us-east-1:123456789012:table/x"}, "table_name is an ARN"),
        (detect, {"max_mapped_tasks": 0}, r"max_mapped_tasks is 0 \(int\)"),
        (run, {"dry_run": "yes"}, "dry_run is 'yes'"),
        (run, {"dry_run": 1}, r"dry_run is 1 \(int\)"),
        (run, {"dry_run": None}, r"dry_run is None \(NoneType\)"),
        (run, {"max_workers": "many"}, "max_workers is 'many'"),
        (run, {"pipeline_name": "spot-runner"}, "pipeline_name is 'spot-runner'"),
        (run, {"pipeline_name": "*{preset}"}, "pipeline_name is"),
        (run, {"config_prefix": ""}, "config_prefix is not set"),
    ],
)
def test_senseless_arguments_are_refused_by_name(deployment, task, arguments, said):
    deployment.stale(PRESET)
    with pytest.raises(AirflowFailException, match=said.replace("*", r"\*")):
        task(**arguments)
    assert deployment.writes() == []


# A record that cannot be read is listed, and stops nobody else.


def malformed(deployment, name, **changes):
    deployment.preset(name)
    item = deployment.record(name) | changes
    deployment.item({key: value for key, value in item.items() if value != "absent"})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"presetName": "absent"}, "presetName is missing"),
        ({"status": "paused"}, "status 'paused' is none of building, ready, failed"),
        ({"status": "absent"}, "status 'None' is none of building, ready, failed"),
        ({"updatedAt": "yesterday"}, "updatedAt 'yesterday' is not a timestamp"),
        ({"updatedAt": "2026-02-11T15:35:48"}, "updatedAt '2026-02-11T15:35:48' is not a timestamp"),
        ({"presetName": "another"}, "jobId does not match presetName"),
        ({"presetName": "../x", "jobId": "AMI#../x"}, "presetName '../x' cannot be the name"),
        ({"presetName": "x" * 500, "jobId": "AMI#" + "x" * 500}, "cannot be the name"),
        ({"presetName": "a b", "jobId": "AMI#a b"}, "presetName 'a b' cannot be the name"),
        ({"presetName": "*", "jobId": "AMI#*"}, "presetName '*' cannot be the name"),
    ],
)
def test_a_malformed_record_is_listed_and_the_others_go_on(deployment, changes, reason):
    deployment.stale(PRESET)
    malformed(deployment, "odd", **changes)
    if "jobId" in changes:
        deployment.dynamodb.delete_item(TableName="spot-runner-state", Key={"jobId": {"S": "AMI#odd"}})
    batches, states = detect()
    (refused,) = states["malformed"]
    assert reason in refused["reason"]
    assert refused["jobId"] == changes.get("jobId", "AMI#odd")[:199] + (
        "…" if len(changes.get("jobId", "")) > 200 else ""
    )
    assert [item["presetName"] for batch in batches for item in batch] == [PRESET]
    assert reconcile(batches[0])[PRESET]["outcome"] == "corrected_ready"
    bad = changes.get("presetName", "odd")
    assert not any(bad in key for call in deployment.aws.call_log() for key in call.keys if len(bad) > 3)


# A parameter that cannot be updated leaves the record as it is.


@pytest.mark.parametrize(
    ("config", "options", "reason"),
    [
        pytest.param(None, {}, "does not exist", id="missing"),
        pytest.param(" ", {}, "is empty", id="empty"),
        pytest.param('{"ami": ', {}, "is not JSON", id="not JSON"),
        pytest.param('{"ami": NaN}', {}, "is not JSON", id="NaN"),
        pytest.param('["ami-0a1d"]', {}, "is JSON, but not an object", id="a list"),
        pytest.param('"ami-0a1d"', {}, "is JSON, but not an object", id="a text"),
        pytest.param("ami-0a1d", {}, "is a bare AMI id", id="a bare AMI id"),
        pytest.param(
            json.dumps({"pad": "x" * 4070, "ami": ""}), {}, "would be over the 4096 bytes of its tier", id="Standard"
        ),
        pytest.param(
            json.dumps({"pad": "x" * 8166, "ami": ""}),
            {"Tier": "Advanced"},
            "would be over the 8192 bytes of its tier",
            id="Advanced",
        ),
    ],
)
def test_a_parameter_that_cannot_be_updated(deployment, config, options, reason):
    deployment.stale("other")
    deployment.preset(PRESET)
    deployment.image(PRESET, "AVAILABLE")
    name = f"/spot-runner/configs/{PRESET}"
    deployment.ssm.delete_parameter(Name=name)
    if config is not None:
        put_parameter(deployment.ssm, PRESET, config, **options)
    before = deployment.record(PRESET)
    results = run()
    assert (results[PRESET]["outcome"], results["other"]["outcome"]) == ("config_invalid", "corrected_ready")
    assert f"the parameter {reason}" in results[PRESET]["detail"]
    assert deployment.record(PRESET) == before
    assert config is None or deployment.parameter_text(PRESET) == config
    assert deployment.intents() == []


def test_a_value_that_outgrows_standard_in_an_advanced_parameter(deployment):
    deployment.preset(PRESET)
    deployment.image(PRESET, "AVAILABLE")
    deployment.ssm.delete_parameter(Name=f"/spot-runner/configs/{PRESET}")
    put_parameter(deployment.ssm, PRESET, json.dumps({"pad": "x" * 4070, "ami": ""}), Tier="Advanced")
    assert run()[PRESET]["outcome"] == "corrected_ready"
    assert deployment.parameter(PRESET) == {"pad": "x" * 4070, "ami": NEW}
    assert deployment.aws.calls()["ssm.DescribeParameters"] == 1


def test_a_small_value_in_an_advanced_parameter_keeps_its_tier(deployment):
    deployment.preset(PRESET)
    deployment.image(PRESET, "AVAILABLE")
    put_parameter(deployment.ssm, PRESET, preset_config(OLD), Tier="Advanced")
    assert run()[PRESET]["outcome"] == "corrected_ready"
    described = deployment.ssm.describe_parameters()["Parameters"][0]
    assert (described["Tier"], deployment.version(PRESET)) == ("Advanced", 3)


def test_an_ordinary_parameter_is_not_described(deployment):
    deployment.stale(PRESET)
    run()
    assert "ssm.DescribeParameters" not in deployment.aws.calls()


def test_a_secure_string_keeps_its_key_and_its_secret(deployment, caplog, capsys):
    caplog.set_level(logging.INFO)
    deployment.preset(PRESET)
    deployment.image(PRESET, "AVAILABLE")
    deployment.ssm.delete_parameter(Name=f"/spot-runner/configs/{PRESET}")
    config = preset_config(OLD) | {"token": "hunter2-hunter2"}
    put_parameter(deployment.ssm, PRESET, config, Type="SecureString", KeyId="alias/ours")
    ti = TaskInstance()
    batches, states = detect(ti)
    results = reconcile(batches[0], ti)
    assert results[PRESET]["outcome"] == "corrected_ready"
    assert deployment.parameter(PRESET) == config | {"ami": NEW}
    described = deployment.ssm.describe_parameters()["Parameters"][0]
    assert (described["Type"], described["KeyId"]) == ("SecureString", "alias/ours")
    printed = capsys.readouterr()
    for shown in (caplog.text, printed.out, printed.err, json.dumps([batches, states, results, ti.pushed])):
        assert "hunter2" not in shown


def test_a_refused_put_of_a_secure_string_does_not_quote_it(deployment, caplog, capsys):
    deployment.preset(PRESET)
    deployment.image(PRESET, "AVAILABLE")
    deployment.ssm.delete_parameter(Name=f"/spot-runner/configs/{PRESET}")
    put_parameter(deployment.ssm, PRESET, {"token": "hunter2-hunter2"}, Type="SecureString", KeyId="alias/ours")
    deployment.aws.add_fault(Fault("ssm.PutParameter", "InvalidKeyId"))
    batches, _ = detect()
    results = reconcile(batches[0])
    assert "InvalidKeyId" in results[PRESET]["detail"]
    printed = capsys.readouterr()
    assert "hunter2" not in caplog.text + printed.out + printed.err + json.dumps(results)


# Throttling is waited out, then one preset's error.


@pytest.mark.parametrize(
    ("operation", "code", "tries"),
    [
        ("ssm.PutParameter", "TooManyUpdates", 20),
        ("ssm.PutParameter", "ThrottlingException", None),
        ("imagebuilder.ListImagePipelineImages", "CallRateLimitExceededException", None),
        ("dynamodb.UpdateItem", "ThrottlingException", 8),
    ],
)
def test_endless_throttling_is_an_error_in_the_end(deployment, monkeypatch, operation, code, tries):
    monkeypatch.setattr("spot_runner_provider.clock.backoff", lambda attempt: 0.001)
    monkeypatch.setattr("spot_runner_provider.batch.pace.LONGEST", 0.001)
    monkeypatch.setattr("spot_runner_provider.batch.pace.PATIENCE", 0.5)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda self, context: 0.001)
    for name in ("another", "one"):
        deployment.stale(name)
    deployment.aws.add_fault(Fault(operation, code, key="*one*"))
    batches, _ = detect(max_mapped_tasks=1)
    ti = TaskInstance()
    with pytest.raises(AirflowException, match="1 of 2 presets failed: one"):
        reconcile(batches[0], ti)
    outcomes = {result["presetName"]: result["outcome"] for result in ti.pushed["return_value"]}
    assert outcomes == {"another": "corrected_ready", "one": "error"}
    tried = [call for call in deployment.aws.call_log() if call.matches(operation, "*one*")]
    assert len(tried) == tries if tries else len(tried) > 1


def test_nothing_stale_makes_no_batch(deployment):
    deployment.preset(PRESET, status="ready")
    batches, states = detect()
    assert batches == []
    assert len(states["states"]) == 1
