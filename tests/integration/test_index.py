"""An index that leaves out what is needed is at fault, and not the records that it lists."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from spot_runner_provider.embedded.demo.seed import TABLE, intent
from spot_runner_provider.embedded.faults import Fault
from tests.integration.deployment import NEW, OLD, Deployment, TaskInstance, detect, reconcile
from tests.integration.test_iam_policy import allows, asked, policy

PRESET = "linux-x64"
KEYS_ONLY = {"ProjectionType": "KEYS_ONLY"}


def include(*names: str) -> dict[str, Any]:
    return {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(names)}


def create(deployment: Deployment, projection: dict[str, Any], *keys: str) -> None:
    """Recreate the table, with an index of another kind."""
    hash_key, range_key = keys or ("recordType", "updatedAt")
    deployment.dynamodb.delete_table(TableName=TABLE)
    deployment.dynamodb.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("jobId", hash_key, range_key)],
        KeySchema=[{"AttributeName": "jobId", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "recordType-index",
                "KeySchema": [
                    {"AttributeName": hash_key, "KeyType": "HASH"},
                    {"AttributeName": range_key, "KeyType": "RANGE"},
                ],
                "Projection": projection,
            }
        ],
    )
    deployment.aws.reset_calls()


def abandoned(deployment: Deployment) -> None:
    ago = datetime.now(UTC) - timedelta(hours=1)
    deployment.item(intent(PRESET, "dag/run/1", ago, ami=NEW, build="arn:image", parameter_version=1))


@pytest.mark.parametrize(
    ("projection", "left_out"),
    [
        pytest.param(KEYS_ONLY, "amiId, presetName, status", id="keys-only"),
        pytest.param(include("presetName", "status"), "amiId", id="include-without-the-ami"),
        pytest.param(include("presetName", "amiId"), "status", id="include-without-the-status"),
    ],
)
def test_an_index_without_a_records_attributes_is_refused(deployment, projection, left_out):
    create(deployment, projection)
    for name in (PRESET, "linux-arm64"):
        deployment.preset(name, status="ready")
    ti = TaskInstance()
    with pytest.raises(AirflowFailException) as failure:
        detect(ti)
    assert f"Index 'recordType-index' of table '{TABLE}' leaves out {left_out}: it must project ALL" in str(
        failure.value
    )
    assert ti.pushed == {}
    assert all(allows(policy(), each) for each in asked(deployment.aws.call_log()))


def test_a_malformed_record_beside_the_others_does_not_hide_it(deployment):
    create(deployment, KEYS_ONLY)
    deployment.item({"jobId": "AMI#odd", "recordType": "AMI", "updatedAt": "2026-02-11T15:00:00.000Z"})
    deployment.item({"jobId": "odd", "recordType": "AMI", "updatedAt": "2026-02-11T15:00:00.000Z"})
    deployment.preset(PRESET, status="ready")
    with pytest.raises(AirflowFailException, match="must project ALL"):
        detect()


@pytest.mark.parametrize("readable", [True, False], ids=["readable", "by-key-denied"])
@pytest.mark.parametrize("task", [detect, lambda: reconcile([PRESET])], ids=["detect", "reconcile"])
def test_an_index_without_an_intents_attributes_is_refused(deployment, task, readable):
    create(deployment, include("presetName", "status", "amiId"))
    deployment.preset(PRESET, status="ready", ami=NEW, build="arn:image")
    abandoned(deployment)
    if not readable:
        deployment.aws.add_fault(Fault("dynamodb.BatchGetItem", "AccessDeniedException", key="AMI-INTENT*"))
    with pytest.raises(AirflowFailException, match="must project ALL"):
        task()


def test_an_include_with_all_that_is_needed_will_do(deployment):
    create(deployment, include("presetName", "status", "amiId", "paramVersion", "putsUntil", "standsFor", "platform"))
    deployment.preset(PRESET, status="ready", ami=OLD)
    abandoned(deployment)
    batches, states = detect()
    assert [state["presetName"] for state in states["states"]] == [PRESET]
    assert [item["presetName"] for [item] in batches] == [PRESET]


@pytest.mark.parametrize("name", ["putsUntil", "standsFor", "platform"])
def test_an_index_without_an_intents_extras_is_refused(deployment, name):
    needed = {"presetName", "status", "amiId", "paramVersion", "putsUntil", "standsFor", "platform"}
    create(deployment, include(*sorted(needed - {name})))
    deployment.preset(PRESET, status="ready", ami=OLD)
    abandoned(deployment)
    with pytest.raises(AirflowFailException, match=rf"{name}.*must project ALL"):
        detect()


@pytest.mark.parametrize("changes", [{"presetName": None}, {"status": None}, {}], ids=["name", "status", "nothing"])
def test_a_complete_index_lists_malformed_records_as_such(deployment, changes):
    sound = {"presetName": "odd", "status": "ready"}
    item = {name: value for name, value in (sound | changes).items() if value}
    deployment.item({"jobId": "AMI#odd", "recordType": "AMI", "updatedAt": "2026-02-11T15:00:00.000Z"} | item)
    _, states = detect()
    assert [refusal["jobId"] for refusal in states["malformed"]] == ["AMI#odd"][: len(changes)]


def test_a_sound_table_costs_no_call_more(deployment):
    deployment.preset(PRESET, status="ready")
    detect()
    assert deployment.aws.calls() == {"dynamodb.Query": 2}


def test_an_index_with_another_key_is_named(deployment):
    create(deployment, {"ProjectionType": "ALL"}, "status", "updatedAt")
    with pytest.raises(AirflowFailException, match="is not keyed by recordType"):
        detect()


def test_a_table_with_another_key_is_named(deployment, request):
    if "moto" in request.node.callspec.id:
        pytest.skip("moto says no more than 'Validation Exception'")
    deployment.dynamodb.create_table(
        TableName="jobs",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("id", "recordType")],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "recordType-index",
                "KeySchema": [{"AttributeName": "recordType", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    with pytest.raises(AirflowFailException, match="The key of table 'jobs' is not jobId alone"):
        detect(table_name="jobs", presets=[PRESET])
