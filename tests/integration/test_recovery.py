"""The worker dies anywhere on the way; the retry, or the next run, finishes what it began."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from spot_runner_provider import clock
from spot_runner_provider.embedded.demo.seed import intent, preset_config
from spot_runner_provider.embedded.faults import Fault
from tests.integration.deployment import NEW, NEWER, OLD, TaskInstance, WorkerDied, detect, reconcile, run

PRESET = "linux-x64"

MOMENTS = [
    (operation, number, when)
    for operation, number in [
        ("ListImagePipelines", 1),
        ("ListImagePipelineImages", 1),
        ("GetParameters", 1),
        ("BatchWriteItem", 1),
        ("UpdateItem", 1),
        ("PutParameter", 1),
        ("BatchGetItem", 1),
        ("BatchWriteItem", 2),
    ]
    for when in ("before", "after")
]
"""Every call of the protocol, in its order; the second BatchWriteItem forgets the intent."""


@pytest.fixture(params=MOMENTS, ids=lambda moment: f"{moment[2]} {moment[0]} {moment[1]}")
def death(request):
    return request.param


def assert_right(deployment, ami=NEW, versions=2, **changes):
    """Record and parameter agree, the parameter has had exactly one new version, and no intent is left."""
    assert (deployment.record(PRESET)["status"], deployment.record(PRESET)["amiId"]) == ("ready", ami)
    assert deployment.parameter(PRESET) == preset_config(ami) | changes
    assert deployment.version(PRESET) == versions
    assert deployment.intents() == []


@pytest.mark.parametrize("retried", [True, False], ids=["retried", "not retried"])
def test_a_dead_worker_is_made_up_for(deployment, dies, pass_time, monkeypatch, death, retried):
    operation, number, when = death
    deployment.stale(PRESET)
    batches, _ = detect()
    with monkeypatch.context():
        dies(operation, when, number)
        with pytest.raises(WorkerDied):
            reconcile(batches[0], TaskInstance("scheduled__1"))
        if retried:
            result = reconcile(batches[0], TaskInstance("scheduled__1", try_number=2))[PRESET]
            assert result["outcome"] == "corrected_ready"
            assert (deployment.record(PRESET)["amiId"], deployment.parameter(PRESET)["ami"]) == (NEW, NEW)
        pass_time(minutes=15)
        run("scheduled__2")
        assert_right(deployment)
        deployment.aws.reset_calls()
        assert run("scheduled__3") == {}
        assert deployment.writes() == []


def test_the_next_run_says_that_it_finished(deployment, dies, pass_time):
    deployment.stale(PRESET)
    dies("PutParameter", "before")
    with pytest.raises(WorkerDied):
        run("scheduled__1")
    assert (deployment.record(PRESET)["amiId"], deployment.parameter(PRESET)["ami"]) == (NEW, OLD)
    pass_time(minutes=15)
    result = run("scheduled__2")[PRESET]
    assert (result["outcome"], result["status"], result["amiId"]) == ("finished", "ready", NEW)


def test_an_intent_is_left_alone_while_its_worker_may_live(deployment, dies, pass_time):
    deployment.stale(PRESET)
    dies("PutParameter", "before")
    with pytest.raises(WorkerDied):
        run("scheduled__1")
    pass_time(minutes=4.9)
    batches, states = detect()
    assert batches == []
    assert states["states"][0]["unfinished"] is True


def test_an_edit_that_the_dead_workers_put_covered_comes_back(deployment, dies, pass_time):
    deployment.stale(PRESET)
    deployment.aws.before("ssm.PutParameter", None, lambda: deployment.edit(PRESET, timeout=7200))
    dies("PutParameter", "after")
    with pytest.raises(WorkerDied):
        run("scheduled__1")
    assert deployment.parameter(PRESET)["timeout"] == 3600
    pass_time(minutes=15)
    run("scheduled__2")
    assert_right(deployment, versions=4, timeout=7200)


def test_an_edit_taken_back_after_a_death_stays_taken_back(deployment):
    """The intent is an hour old: no put of its worker covered what people did since."""
    ami_state = {"status": "ready", "ami": NEW, "minutes": 60}
    deployment.preset(PRESET, **ami_state, config=preset_config(OLD))
    left = intent(PRESET, "run", clock.now() - timedelta(minutes=60), ami=NEW, build="arn", parameter_version=1)
    deployment.item(left)
    deployment.edit(PRESET, timeout=7200)
    deployment.edit(PRESET, timeout=3600)
    assert run()[PRESET]["outcome"] == "finished"
    assert_right(deployment, versions=4)


def test_a_preset_that_changed_meanwhile_is_followed(deployment, dies, pass_time):
    deployment.stale(PRESET)
    dies("PutParameter", "before")
    with pytest.raises(WorkerDied):
        run("scheduled__1")
    deployment.event_arrives(PRESET, ami=NEWER)
    pass_time(minutes=15)
    assert run("scheduled__2")[PRESET]["outcome"] == "finished"
    assert_right(deployment, NEWER)


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("ssm.PutParameter", "lost_reply"),
        ("ssm.PutParameter", "reset"),
        ("ssm.PutParameter", "500"),
        ("ssm.PutParameter", "503"),
        ("ssm.PutParameter", "TooManyUpdates"),
        ("ssm.PutParameter", "ThrottlingException"),
        ("ssm.GetParameters", "ThrottlingException"),
        ("dynamodb.UpdateItem", "lost_reply"),
        ("dynamodb.UpdateItem", "500"),
        ("dynamodb.UpdateItem", "ProvisionedThroughputExceededException"),
        ("dynamodb.UpdateItem", "TransactionConflictException"),
        ("dynamodb.UpdateItem", "ReplicatedWriteConflictException"),
        ("dynamodb.BatchWriteItem", "lost_reply"),
        ("dynamodb.BatchWriteItem", "ThrottlingException"),
        ("dynamodb.BatchGetItem", "503"),
        ("imagebuilder.ListImagePipelines", "CallRateLimitExceededException"),
        ("imagebuilder.ListImagePipelineImages", "CallRateLimitExceededException"),
        ("imagebuilder.ListImagePipelineImages", "500"),
    ],
)
def test_a_passing_fault_is_overcome_in_the_same_try(deployment, pass_time, operation, kind):
    deployment.stale(PRESET)
    deployment.aws.add_fault(Fault(operation, kind, times=2 if kind != "lost_reply" else 1))
    assert run("scheduled__1")[PRESET]["outcome"] == "corrected_ready"
    assert (deployment.record(PRESET)["amiId"], deployment.parameter(PRESET)) == (NEW, preset_config(NEW))
    # A put whose reply was lost may still arrive: then the next run looks again.
    if deployment.intents():
        assert operation == "ssm.PutParameter"
        pass_time(minutes=15)
        assert run("scheduled__2")[PRESET]["outcome"] == "finished"
    assert_right(deployment)


def test_the_next_run_finishes_a_put_that_kept_failing(deployment, pass_time, monkeypatch):
    monkeypatch.setattr("spot_runner_provider.clock.backoff", lambda attempt: 0)
    deployment.stale(PRESET)
    deployment.aws.add_fault(Fault("ssm.PutParameter", "500"))
    batches, _ = detect(TaskInstance("scheduled__1"))
    ti = TaskInstance("scheduled__1")
    with pytest.raises(AirflowException):
        reconcile(batches[0], ti)
    (result,) = ti.pushed["return_value"]
    assert (result["outcome"], result["status"]) == ("error", "building")
    assert "what was begun is finished in the next try or run" in result["detail"]
    deployment.aws.clear_faults()
    pass_time(minutes=15)
    assert run("scheduled__2")[PRESET]["outcome"] == "finished"
    assert_right(deployment)
