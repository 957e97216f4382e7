"""The links of a reconciling task: pushed before anything can go wrong, and what Airflow's pages make of them."""

from __future__ import annotations

import runpy
from typing import Any
from urllib.parse import quote

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from spot_runner_provider.embedded.demo.seed import TABLE
from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.reporting.console import Console
from tests.integration.deployment import TaskInstance, WorkerDied, reconcile
from tests.integration.test_dag_run import DAG_FILE

pytestmark = pytest.mark.parametrize("server", ["moto"], indirect=True)  # nothing here depends on the emulator

PIPELINE, PARAMETER, RECORD = "_link_PipelineLink", "_link_ParameterLink", "_link_RecordLink"
LOG_GROUP = "_link_LogGroupLink"

NAMES = ("Image Builder pipeline", "SSM parameter", "DynamoDB record", "Failed build's log group")

DOMAINS = {
    "us-east-1": "console.aws.amazon.com",
    "cn-north-1": "console.amazonaws.cn",
    "us-gov-west-1": "console.amazonaws-us-gov.com",
}


def links(ti: TaskInstance) -> dict[str, str]:
    """Return the addresses that a task pushed; an empty one is none."""
    return {key: value for key, value in ti.pushed.items() if key.startswith("_link_") and value}


def expected(region: str, preset: str, account: str) -> dict[str, str]:
    domain = DOMAINS[region]
    return {
        PIPELINE: f"https://{domain}/imagebuilder/home?region={region}#/pipelines/"
        f"arn:aws:imagebuilder:{region}:{account}:image-pipeline/spot-runner-{preset}",
        PARAMETER: f"https://{domain}/systems-manager/parameters/%252Fspot-runner%252Fconfigs%252F{preset}/description"
        f"?region={region}&tab=Table",
        RECORD: f"https://{domain}/dynamodbv2/home?region={region}#edit-item?itemMode=2&pk=AMI%23{preset}"
        f"&route=ROUTE_ITEM_EXPLORER&sk=&table={TABLE}",
    }


def test_they_lead_to_the_first_preset_of_the_batch(deployment):
    for name in ("second", "first"):
        deployment.stale(name)
    ti = TaskInstance()
    reconcile(["first", "second"], ti)
    assert links(ti) == expected(deployment.aws.region, "first", deployment.aws.account)


@pytest.mark.parametrize("first", [{}, {"presetName": None}])
def test_an_item_that_names_no_preset_has_none(deployment, first):
    deployment.stale("linux-x64")
    ti = TaskInstance()
    with pytest.raises(AirflowException, match="1 of 2 presets failed"):
        reconcile([first, {"presetName": "linux-x64", **deployment.record("linux-x64")}], ti)
    assert links(ti) == expected(deployment.aws.region, "linux-x64", deployment.aws.account)


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1"])
def test_they_lead_to_the_console_of_the_partition(deployment, region):
    ti = TaskInstance()
    with pytest.raises(AirflowException):  # there is no table in that region
        reconcile(["linux-x64"], ti, region_name=region)
    wanted = expected(region, "linux-x64", deployment.aws.account)
    assert links(ti) == {key: wanted[key] for key in (PARAMETER, RECORD)}


def test_a_partition_without_a_public_console_has_none(deployment):
    ti = TaskInstance()
    with pytest.raises(AirflowException):
        reconcile(["linux-x64"], ti, region_name="us-iso-east-1")
    assert links(ti) == {}


def test_what_is_known_is_there_before_the_first_call(deployment, dies):
    """A worker that is killed leaves the links to the record and the parameter."""
    deployment.stale("linux-x64")
    ti = TaskInstance()
    dies("Query", "before")
    with pytest.raises(WorkerDied):
        reconcile(["linux-x64"], ti)
    assert links(ti).keys() == {PARAMETER, RECORD}


def test_a_preset_that_ends_in_error_has_them_all(deployment):
    deployment.stale("linux-x64")
    deployment.aws.add_fault(Fault("dynamodb.UpdateItem", "500"))
    ti = TaskInstance()
    with pytest.raises(AirflowException, match="1 of 1 presets failed"):
        reconcile(["linux-x64"], ti, botocore_config={"retries": {"mode": "standard", "total_max_attempts": 1}})
    assert links(ti) == expected(deployment.aws.region, "linux-x64", deployment.aws.account)


@pytest.mark.parametrize("unlisted", [(), ("state", "outputResources", "loggingConfiguration")], ids=["listed", "not"])
def test_the_log_group_is_that_of_the_first_build_that_failed(deployment, unlisted):
    deployment.stale("well")
    for name, group in (("bare", None), ("logged", "/aws/imagebuilder/logged"), ("other", "/team/other")):
        deployment.preset(name)
        deployment.image(name, "FAILED", None, reason="out of space", log_group=group, unlisted=unlisted)
    ti = TaskInstance()
    reconcile(["well", "bare", "logged", "other"], ti)
    assert ti.pushed[LOG_GROUP] == (
        "https://console.aws.amazon.com/cloudwatch/home?region=us-east-1"
        "#logsV2:log-groups/log-group/$252Faws$252Fimagebuilder$252Flogged"
    )


def test_a_successful_build_has_no_log_group(deployment):
    deployment.preset("linux-x64")
    deployment.image("linux-x64", "AVAILABLE", log_group="/aws/imagebuilder/linux-x64")
    ti = TaskInstance()
    reconcile(["linux-x64"], ti)
    assert ti.pushed[LOG_GROUP] == ""


def test_a_task_that_pushes_no_xcom_pushes_no_link(deployment):
    deployment.stale("linux-x64")
    ti = TaskInstance()
    reconcile(["linux-x64"], ti, do_xcom_push=False)
    assert ti.pushed == {}


def test_a_link_that_cannot_be_pushed_stops_nothing(deployment):
    class Unlinked(TaskInstance):
        def xcom_push(self, key: str, value: Any) -> None:
            if key.startswith("_link_"):
                raise ConnectionError("the API server is away")
            super().xcom_push(key, value)

    deployment.stale("linux-x64")
    results = reconcile(["linux-x64"], Unlinked())
    assert results["linux-x64"]["outcome"] == "corrected_ready"


def test_an_address_that_cannot_be_made_stops_nothing(deployment):
    """Half of a surrogate pair, here in the first preset's name, can stand in none."""
    deployment.stale("linux-x64")
    ti = TaskInstance()
    with pytest.raises(AirflowException, match="1 of 2 presets failed"):
        reconcile(["linux-\ud800", "linux-x64"], ti)
    assert {result["presetName"]: result["outcome"] for result in ti.pushed["return_value"]} == {
        r"linux-\ud800": "error",
        "linux-x64": "corrected_ready",
    }
    assert links(ti) == {}


def test_a_log_group_of_the_wrong_type_stops_nothing(deployment, monkeypatch):
    monkeypatch.setattr(Console, "log_group", lambda console, name: quote(7))
    deployment.preset("broken")
    deployment.image("broken", "FAILED", None, reason="out of space", log_group="/aws/imagebuilder/broken")
    ti = TaskInstance()
    assert reconcile(["broken"], ti)["broken"]["outcome"] == "corrected_failed"
    assert links(ti).keys() == {PIPELINE, PARAMETER, RECORD}


def test_without_a_preset_the_links_are_empty(deployment):
    ti = TaskInstance()
    reconcile([], ti)
    assert {key: ti.pushed[key] for key in (PIPELINE, PARAMETER, RECORD, LOG_GROUP)} == dict.fromkeys(
        (PIPELINE, PARAMETER, RECORD, LOG_GROUP), ""
    )


def test_a_missing_permission_leaves_those_that_are_known(deployment):
    deployment.stale("linux-x64")
    deployment.aws.add_fault(Fault("imagebuilder.ListImagePipelines", "AccessDeniedException"))
    ti = TaskInstance()
    with pytest.raises(AirflowFailException):
        reconcile(["linux-x64"], ti)
    assert links(ti).keys() == {PARAMETER, RECORD}


@pytest.fixture
def pages(deployment: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs the DAG and returns each mapped task's links, by name, as Airflow's pages ask."""
    from airflow.serialization import serialized_objects
    from airflow.utils.db import initdb

    serialization: Any = getattr(serialized_objects, "DagSerialization", serialized_objects.SerializedDAG)

    initdb()

    def run() -> list[dict[str, str]]:
        monkeypatch.setenv("AIRFLOW__SPOT_RUNNER__TABLE_NAME", TABLE)
        dag = runpy.run_path(str(DAG_FILE))["detect"].dag
        tasks = [ti for ti in dag.test().get_task_instances() if ti.task_id == "reconcile_preset"]
        task = serialization.from_dict(serialization.to_dict(dag)).get_task("reconcile_preset")
        return [
            {name: task.get_extra_links(ti, name) for name in task.extra_links}
            for ti in sorted(tasks, key=lambda ti: ti.map_index)
        ]

    return run


def test_airflows_pages_show_each_mapped_task_its_own(deployment, pages):
    for name in ("linux-arm64", "linux-x64"):
        deployment.stale(name)
    shown = pages()
    wanted = [
        expected(deployment.aws.region, name, deployment.aws.account).values() for name in ("linux-arm64", "linux-x64")
    ]
    assert sorted(sorted(filter(None, links.values())) for links in shown) == sorted(sorted(each) for each in wanted)
    assert all(set(links) == {*NAMES} for links in shown)


def test_airflows_pages_show_no_pipeline_that_does_not_exist(deployment, pages):
    deployment.preset("linux-x64")
    (shown,) = pages()
    assert not shown["Image Builder pipeline"]
    assert shown["DynamoDB record"]
