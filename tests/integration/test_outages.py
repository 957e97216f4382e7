"""A service that does not answer: its trouble is met once in a task, however many presets there are."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from spot_runner_provider.batch.breaker import PUTS_IN_A_ROW
from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.hooks.preset_config import PresetConfigHook
from tests.integration.deployment import NEW, TaskInstance, detect, reconcile

pytestmark = pytest.mark.parametrize("server", ["moto"], indirect=True)  # what is tested is the caller

TRIES = 2
QUICK = {"connect_timeout": 0.5, "read_timeout": 0.5, "retries": {"mode": "standard", "total_max_attempts": TRIES}}
PRESETS = [f"p{number:02}" for number in range(12)]

OPERATIONS = [
    "imagebuilder.ListImagePipelineImages",
    "dynamodb.UpdateItem",
    "ssm.PutParameter",
    *[
        pytest.param(operation, marks=pytest.mark.long)
        for operation in (
            "imagebuilder.ListImagePipelines",
            "ssm.GetParameters",
            "dynamodb.BatchWriteItem",
            "dynamodb.BatchGetItem",
        )
    ],
]
"""Every call of the protocol; ``make test`` has one of each service."""


@pytest.fixture
def batch(deployment) -> list[dict[str, Any]]:
    """Twelve stale presets, so two bundles, for one task."""
    for name in PRESETS:
        deployment.stale(name)
    (batch,) = detect(max_mapped_tasks=1)[0]
    return batch


def failed(batch: list[dict[str, Any]], **arguments: Any) -> dict[str, dict[str, Any]]:
    """Reconcile with one thread, see the task fail in a way that Airflow retries, and return what it pushed."""
    with pytest.raises(AirflowException, match="12 of 12 presets failed: p00, p01, ") as failure:
        reconcile(batch, ti := TaskInstance(), max_workers=1, **{"botocore_config": QUICK} | arguments)
    assert not isinstance(failure.value, AirflowFailException)
    return {result["presetName"]: result for result in ti.pushed["return_value"]}


def assert_made_up_for(deployment, batch):
    """The next try corrects every preset, each with one put."""
    results = reconcile(batch, TaskInstance(try_number=2))
    assert {result["outcome"] for result in results.values()} == {"corrected_ready"}
    assert {deployment.parameter(name)["ami"] for name in PRESETS} == {NEW}
    assert {deployment.version(name) for name in PRESETS} == {2}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_never_answers_is_asked_once(deployment, batch, operation):
    deployment.aws.add_fault(Fault(operation, "hold"))
    results = failed(batch)
    calls = deployment.aws.calls()[operation]
    # A put has no repetitions of its own, and what put the first ones looks at the record. To forget is to write.
    assert calls == {"ssm.PutParameter": PUTS_IN_A_ROW, "dynamodb.BatchWriteItem": TRIES}.get(operation, TRIES)
    untried = [
        result["detail"] for result in results.values() if "not tried, because this failed before" in result["detail"]
    ]
    assert len(untried) >= 2  # the second bundle at least
    deployment.aws.clear_faults()
    deployment.aws.release(apply=False)
    assert_made_up_for(deployment, batch)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_answers_badly_is_asked_for_three_presets_at_most(deployment, batch, operation):
    deployment.aws.add_fault(Fault(operation, "500"))
    failed(batch)
    together = operation not in ("imagebuilder.ListImagePipelineImages", "dynamodb.UpdateItem")
    bound = PUTS_IN_A_ROW if operation == "ssm.PutParameter" else TRIES * (3 + together)
    assert deployment.aws.calls()[operation] == bound
    deployment.aws.clear_faults()
    assert_made_up_for(deployment, batch)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_bad_answer_for_one_preset_is_its_own(deployment, batch, operation):
    deployment.aws.add_fault(Fault(operation, "500", key="*p01*"))
    with pytest.raises(AirflowException, match="1 of 12 presets failed: p01"):
        reconcile(batch, ti := TaskInstance(), max_workers=1, botocore_config=QUICK)
    results = {result["presetName"]: result["outcome"] for result in ti.pushed["return_value"]}
    assert {name for name, outcome in results.items() if outcome != "corrected_ready"} == {"p01"}


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def lost(deployment, monkeypatch) -> Callable[[str], list[Any]]:
    """Return a function that makes the connection ``lost``, to another SSM, and returns what is asked of that."""

    def connect(endpoint: str) -> list[Any]:
        extra = {
            "region_name": deployment.aws.region,
            "endpoint_url": deployment.aws.endpoint_url,
            "service_config": {"ssm": {"endpoint_url": endpoint}},
        }
        connection = {"conn_type": "aws", "login": "testing", "password": "testing", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_LOST", json.dumps(connection))
        read, asked = PresetConfigHook.read, []
        monkeypatch.setattr(PresetConfigHook, "read", lambda hook, names: asked.append(names) or read(hook, names))
        return asked

    return connect


@pytest.mark.parametrize(
    ("endpoint", "error"),
    [
        (lambda aws: f"http://127.0.0.1:{closed_port()}", "EndpointConnectionError"),
        (lambda aws: "http://nowhere.invalid", "EndpointConnectionError"),
    ],
    ids=["refused", "unknown host"],
)
def test_an_endpoint_that_cannot_be_reached_is_tried_once(deployment, batch, lost, endpoint, error):
    asked = lost(endpoint(deployment.aws))
    results = failed(batch, aws_conn_id="lost")
    assert asked == [PRESETS[:10]]
    assert error in results["p00"]["detail"]
    assert results["p11"]["detail"].startswith(f"not tried, because this failed before: {error}: ")
    assert results["p11"]["detail"].endswith("; nothing was changed, it is tried again in the next try or run")
    assert_made_up_for(deployment, batch)


def test_an_unusable_setting_is_refused_once_for_all(deployment, batch, lost):
    asked = lost(deployment.aws.endpoint_url.replace("http:", "https:"))
    with pytest.raises(AirflowFailException, match=r"SSLError: .*Correct connection lost"):
        reconcile(batch, max_workers=1, botocore_config=QUICK, aws_conn_id="lost")
    assert asked == [PRESETS[:10]]
    assert deployment.writes() == []
    assert_made_up_for(deployment, batch)


def test_who_does_not_need_the_service_is_done(deployment, batch):
    deployment.preset("broken")
    deployment.image("broken", "FAILED", None)
    (batch,) = detect(max_mapped_tasks=1)[0]
    deployment.aws.add_fault(Fault("ssm.GetParameters", "reset"))
    with pytest.raises(AirflowException, match="12 of 13 presets failed"):
        reconcile(batch, ti := TaskInstance(), max_workers=1, botocore_config=QUICK)
    results = {result["presetName"]: result["outcome"] for result in ti.pushed["return_value"]}
    assert results["broken"] == "corrected_failed"


def test_what_an_earlier_try_did_is_asked_for_once(deployment, batch):
    """The retry of a task with named presets looks into the history of each parameter."""
    reconcile(PRESETS, TaskInstance())
    deployment.aws.add_fault(Fault("ssm.GetParameterHistory", "reset"))
    deployment.aws.reset_calls()
    results = reconcile(PRESETS, TaskInstance(try_number=2), botocore_config=QUICK)
    assert deployment.aws.calls()["ssm.GetParameterHistory"] == TRIES
    assert {result["detail"] for result in results.values()} == {"the record is ready: nothing to reconcile"}
