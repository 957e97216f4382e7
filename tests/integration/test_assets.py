"""Asset events: one for each preset whose AMI a run replaced, in whichever try, and none for anything else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from spot_runner_provider import clock
from spot_runner_provider.embedded.demo.seed import TABLE, intent, preset_config, put_parameter
from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.reporting.promotion import uri
from tests.integration.asset_dags import declare, events_of
from tests.integration.deployment import NEW, NEWER, OLD, TaskInstance, WorkerDied, detect, reconcile
from tests.integration.test_plugin import IS_3

pytestmark = [
    pytest.mark.usefixtures("known_alias"),
    pytest.mark.parametrize("server", ["moto"], indirect=True),  # nothing here depends on the emulator
]

PRESET = "linux-x64"
ONCE = {"retries": {"mode": "standard", "total_max_attempts": 1}}


@pytest.fixture
def event(deployment):
    """Return a function that makes the event which a preset is to have."""

    def expected(preset: str = PRESET, ami: str = NEW, before: str | None = OLD) -> tuple[str, dict[str, Any]]:
        build = deployment.record(preset)["buildId"]
        extra = {"presetName": preset, "amiId": ami, "previousAmiId": before, "buildId": build}
        return uri(deployment.aws.account, deployment.aws.region, preset), extra

    return expected


def tried(number: int, run_id: str = "scheduled__1") -> TaskInstance:
    return TaskInstance(run_id, try_number=number)


def test_each_preset_of_a_batch_has_its_own(deployment, event):
    for name in ("one", "two"):
        deployment.stale(name, f"ami-0{name}")
    deployment.preset("failed")
    deployment.image("failed", "FAILED", None)
    deployment.preset("building")
    deployment.image("building", "BUILDING", None)
    deployment.stale("taken")
    deployment.aws.before("dynamodb.UpdateItem", "AMI#taken", lambda: deployment.event_arrives("taken"))
    batches, _ = detect(max_mapped_tasks=1)
    results = reconcile(batches[0], ti := TaskInstance())
    assert {name: result["outcome"] for name, result in results.items()} == {
        "one": "corrected_ready",
        "two": "corrected_ready",
        "failed": "corrected_failed",
        "building": "still_building",
        "taken": "superseded",
    }
    assert sorted(ti.events) == [event("one", "ami-0one"), event("two", "ami-0two")]


def test_a_dry_run_has_none(deployment):
    deployment.stale(PRESET)
    assert reconcile([PRESET], ti := TaskInstance(), dry_run=True)[PRESET]["outcome"] == "corrected_ready"
    assert ti.events == []


def test_the_ami_is_the_one_that_the_parameter_names_in_the_end(deployment, event):
    deployment.stale(PRESET)
    deployment.aws.before("ssm.PutParameter", None, lambda: deployment.event_arrives(PRESET))
    reconcile([PRESET], ti := TaskInstance())
    assert [(each[1]["amiId"], each[1]["previousAmiId"]) for each in ti.events] == [(NEWER, OLD)]


def test_a_build_that_changes_no_ami_has_none(deployment):
    deployment.stale(PRESET, OLD)
    assert reconcile([PRESET], ti := TaskInstance())[PRESET]["outcome"] == "corrected_ready"
    assert ti.events == []


@pytest.mark.parametrize("secure", [False, True], ids=["String", "SecureString"])
def test_a_parameter_with_a_third_ami_is_replaced_too(deployment, event, secure):
    deployment.preset(PRESET, ami=NEW)
    deployment.image(PRESET, "AVAILABLE", NEW)
    kind = {"Type": "SecureString", "KeyId": "alias/key"} if secure else {}
    deployment.ssm.delete_parameter(Name=f"/spot-runner/configs/{PRESET}")
    put_parameter(deployment.ssm, PRESET, preset_config("ami-0drifted"), **kind)
    reconcile([PRESET], ti := TaskInstance())
    assert ti.events == [event(before=None if secure else "ami-0drifted")]


@pytest.mark.parametrize("named", [False, True], ids=["batch", "names"])
@pytest.mark.parametrize(
    ("operation", "when"),
    [("UpdateItem", "after"), ("PutParameter", "before"), ("PutParameter", "after")],
)
def test_a_second_try_has_what_the_first_was_killed_before(
    deployment, event, dies, monkeypatch, named, operation, when
):
    deployment.stale(PRESET)
    given = [PRESET] if named else detect()[0][0]
    with monkeypatch.context():
        dies(operation, when)
        with pytest.raises(WorkerDied):
            reconcile(given, first := tried(1))
    assert first.events == []
    assert reconcile(given, second := tried(2))[PRESET]["outcome"] == "corrected_ready"
    assert second.events == [event()]
    assert deployment.parameter(PRESET)["ami"] == NEW


@pytest.mark.parametrize("named", [False, True], ids=["batch", "names"])
def test_a_failed_trys_promotion_has_its_event_in_the_next(deployment, event, named):
    for name in (PRESET, "unlucky"):
        deployment.stale(name)
    given = [PRESET, "unlucky"] if named else detect(max_mapped_tasks=1)[0][0]
    deployment.aws.add_fault(Fault("dynamodb.UpdateItem", "500", key="*unlucky"))
    with pytest.raises(AirflowException, match="1 of 2 presets failed: unlucky"):
        reconcile(given, first := tried(1), botocore_config=ONCE)
    assert (first.events, deployment.parameter(PRESET)["ami"]) == ([], NEW)
    deployment.aws.clear_faults()
    reconcile(given, second := tried(2))
    assert sorted(second.events) == sorted([event(PRESET), event("unlucky")])


def test_a_named_preset_that_another_run_settled_has_none(deployment):
    deployment.stale(PRESET)
    reconcile([PRESET], tried(1, "scheduled__1"))
    assert reconcile([PRESET], ti := tried(2, "scheduled__2"))[PRESET]["outcome"] is None
    assert ti.events == []


@pytest.mark.parametrize("failed_try", [False, True], ids=["at once", "in its second try"])
def test_a_later_run_that_replaces_the_ami_has_the_event(deployment, event, dies, pass_time, monkeypatch, failed_try):
    deployment.stale(PRESET)
    deployment.stale("unlucky", minutes=1)
    with monkeypatch.context():
        dies("PutParameter", "before")
        with pytest.raises(WorkerDied):
            reconcile(detect()[0][0], tried(1, "scheduled__1"))
        pass_time(minutes=30)
        (batch,) = detect(max_mapped_tasks=1)[0]
        if failed_try:
            deployment.aws.add_fault(Fault("dynamodb.UpdateItem", "500", key="*unlucky"))
            with pytest.raises(AirflowException):
                reconcile(batch, tried(1, "scheduled__2"), botocore_config=ONCE)
            deployment.aws.clear_faults()
            assert deployment.parameter(PRESET)["ami"] == NEW
        results = reconcile(batch, ti := tried(1 + failed_try, "scheduled__2"))
    assert results[PRESET]["outcome"] == "finished"
    assert event() in ti.events


def test_a_later_run_that_finds_everything_done_has_none(deployment, event, dies, pass_time, monkeypatch):
    """The intent of the first try stands, but its second try had the event."""
    deployment.stale(PRESET)
    (batch,) = detect()[0]
    with monkeypatch.context():
        dies("PutParameter", "after")
        with pytest.raises(WorkerDied):
            reconcile(batch, tried(1))
        reconcile(batch, second := tried(2))
        assert second.events == [event()]
        pass_time(minutes=15)
        (batch,) = detect(TaskInstance("scheduled__2"))[0]
        assert reconcile(batch, ti := tried(1, "scheduled__2"))[PRESET]["outcome"] == "finished"
    assert ti.events == []


def test_an_ami_of_a_failed_record_has_its_event(deployment, event):
    """A dead try had committed it; the next build failed, its event got lost, and the parameter follows only now."""
    deployment.preset(PRESET, ami=NEW, config=preset_config(OLD))
    long_ago = clock.now() - timedelta(hours=1)
    deployment.item(intent(PRESET, "run", long_ago, ami=NEW, build="arn", parameter_version=1))
    deployment.image(PRESET, "FAILED", None)
    (batch,) = detect()[0]
    assert reconcile(batch, ti := tried(1))[PRESET]["outcome"] == "corrected_failed"
    uri, extra = event()
    assert (deployment.parameter(PRESET)["ami"], ti.events) == (NEW, [(uri, {**extra, "buildId": None})])


def test_a_second_try_leaves_an_ami_that_a_person_took_back(deployment):
    """What the first try settled is told, if it still stands, and never put again."""
    deployment.stale(PRESET)
    reconcile([PRESET], tried(1))
    put_parameter(deployment.ssm, PRESET, preset_config(OLD))
    assert reconcile([PRESET], ti := tried(2))[PRESET]["outcome"] is None
    assert (deployment.parameter(PRESET)["ami"], ti.events) == (OLD, [])


def test_an_unknown_account_has_a_warning_instead_of_an_event(deployment, caplog, capsys):
    deployment.preset(PRESET, status="ready", ami=NEW, config=preset_config(OLD))
    long_ago = clock.now() - timedelta(hours=1)
    deployment.item(intent(PRESET, "run", long_ago, ami=NEW, build="arn", parameter_version=1))
    (batch,) = detect()[0]
    assert reconcile(batch, ti := tried(1))[PRESET]["outcome"] == "finished"
    assert (deployment.parameter(PRESET)["ami"], ti.events) == (NEW, [])
    assert "no asset event for its new AMI: neither a pipeline" in caplog.text + capsys.readouterr().out


def test_an_event_that_cannot_be_sent_stops_nothing(deployment, caplog, capsys):
    class Eventless(TaskInstance):
        @property
        def context(self) -> dict[str, Any]:
            return {"ti": self}

    deployment.stale(PRESET)
    assert reconcile([PRESET], Eventless())[PRESET]["outcome"] == "corrected_ready"
    assert f"preset {PRESET}: no asset event for its new AMI" in caplog.text + capsys.readouterr().out


@pytest.mark.parametrize("alias", [None, "team"], ids=["by default", "by an alias of one's own"])
def test_airflow_has_them_of_mapped_tasks_and_of_others(deployment, event, make_dag, alias):
    for name in ("a", "b", "c", "d"):
        deployment.stale(name)
    outlets = f"'outlets': [AssetAlias({alias!r})]" if alias else ""
    dag = make_dag(f"promotes_{alias}", f"{{'table_name': {TABLE!r}, {outlets}}}")
    declare(dag)
    for before, ami in ((OLD, NEW), (NEW, NEWER)):  # the second time the assets exist
        dag_run = dag.test()
        assert dag_run.state == "success"
        assert events_of(dag_run) == [
            (*event(name, ami, before), index) for name, index in (("a", 0), ("b", 0), ("c", 1), ("d", -1))
        ]
        for name in ("a", "b", "c", "d"):
            deployment.preset(name, ami=NEW)
            deployment.image(name, "AVAILABLE", NEWER, minutes=1)


def test_a_dag_that_was_never_parsed_is_run_all_the_same(deployment, make_dag):
    """Airflow 2 does not know its alias, and would fail the tasks for it after they have succeeded."""
    for name in ("a", "b", "c", "d"):
        deployment.stale(name)
    dag_run = make_dag("unparsed", f"{{'table_name': {TABLE!r}, 'outlets': [AssetAlias('unparsed')]}}").test()
    assert dag_run.state == "success"
    assert len(events_of(dag_run)) == (4 if IS_3 else 0)
    assert deployment.record("d")["status"] == "ready"
