"""Airflow ends a task before its work is done: no call begins after that, in no thread."""

from __future__ import annotations

import inspect
import json
import signal
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from spot_runner_provider.embedded.demo.seed import TABLE
from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.hooks.cancellation import Cancellation, Cancelled
from spot_runner_provider.hooks.image_builder import ImageBuilderHook
from spot_runner_provider.operators.reconcile_preset import ReconcilePresetOperator
from tests.integration.deployment import NEW, TaskInstance, reconcile

try:
    from airflow.sdk.execution_time.timeout import timeout
except ImportError:
    from airflow.utils.timeout import timeout

pytestmark = pytest.mark.parametrize("server", ["moto"], indirect=True)  # what is tested is the caller

CALL_TIMEOUT = 1.0
"""Seconds after which an attempt of a call ends by itself, connecting included."""
SOON = {"connect_timeout": CALL_TIMEOUT / 2, "read_timeout": CALL_TIMEOUT / 2}
MARGIN = 6.0
"""Seconds that a busy machine may take besides; botocore's repetitions take some forty."""

PRESETS = [f"p{number:02}" for number in range(12)]


@pytest.fixture
def timed_out(deployment):
    """Return a function that reconciles until Airflow's time-out, and returns the seconds for which it outlived it.

    The time-out's signal comes a second after so many calls of an operation have arrived.
    """

    def run(operation: str, number: int) -> float:
        due: list[float] = []

        def set_alarm() -> None:
            while deployment.aws.calls().get(operation, 0) < number:
                time.sleep(0.01)
            due.append(time.monotonic() + 1)
            signal.setitimer(signal.ITIMER_REAL, 1)

        threading.Thread(target=set_alarm, daemon=True).start()
        with pytest.raises(AirflowTaskTimeout), timeout(120):
            reconcile(PRESETS, max_workers=4, botocore_config=SOON)
        return time.monotonic() - due[0]

    return run


def abandoned() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("reconcile")]


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("imagebuilder.ListImagePipelines", "hold"),
        ("imagebuilder.ListImagePipelineImages", "hold"),
        ("ssm.GetParameters", "hold"),
        ("dynamodb.BatchWriteItem", "hold"),
        ("dynamodb.UpdateItem", "hold"),
        ("dynamodb.UpdateItem", "503"),
        ("ssm.PutParameter", "hold"),
        ("dynamodb.BatchGetItem", "hold"),
    ],
)
def test_no_call_begins_after_the_time_out(deployment, timed_out, operation, kind):
    for name in PRESETS:
        deployment.stale(name)
    # The first BatchGetItem reads the records of named presets, in the task's own thread.
    well = operation.endswith("BatchGetItem")
    deployment.aws.add_fault(Fault(operation, kind, skip=well))
    outlived = timed_out(operation, 1 + well)
    calls = deployment.aws.calls()
    assert outlived < CALL_TIMEOUT + MARGIN
    for thread in abandoned():  # some are asleep between two attempts
        thread.join(60)
    assert deployment.aws.calls() == calls
    deployment.aws.clear_faults()
    deployment.aws.release(apply=False)
    results = reconcile(PRESETS, TaskInstance(try_number=2))
    assert {deployment.parameter(name)["ami"] for name in PRESETS} == {NEW}
    assert {result["outcome"] for result in results.values()} == {"corrected_ready"}


def test_after_a_kill_that_the_process_outlives_no_call_begins(deployment):
    """On Airflow 3 SIGTERM does no more than to call ``on_kill``."""
    for name in PRESETS:
        deployment.stale(name)
    operator = ReconcilePresetOperator(task_id="r", presets=PRESETS, table_name=TABLE, max_workers=1)
    deployment.aws.before("dynamodb.UpdateItem", None, operator.on_kill)
    with pytest.raises(Cancelled):
        inspect.unwrap(type(operator).execute)(operator, TaskInstance().context)
    assert deployment.aws.calls()["dynamodb.UpdateItem"] == 1
    assert "ssm.PutParameter" not in deployment.aws.calls()


def test_a_killed_wait_looks_no_more(deployment):
    deployment.preset("slow")
    deployment.image("slow", "BUILDING")
    operator = ReconcilePresetOperator(
        task_id="r",
        presets=["slow"],
        table_name=TABLE,
        wait_for_completion=True,
        deferrable=False,
        poll_interval=1,
        wait_timeout=timedelta(seconds=30),
    )
    deployment.aws.before("imagebuilder.GetImage", None, operator.on_kill)
    with pytest.raises(Cancelled):
        inspect.unwrap(type(operator).execute)(operator, TaskInstance().context)
    assert deployment.aws.calls()["imagebuilder.GetImage"] == 1


def test_no_role_is_assumed_after_the_task_is_to_end(deployment, monkeypatch):
    extra = {"region_name": deployment.aws.region, "endpoint_url": deployment.aws.endpoint_url}
    role = {"conn_type": "aws", "login": "testing", "password": "testing"}
    extra["service_config"] = {"sts": {"endpoint_url": deployment.aws.endpoint_url}}
    role["extra"] = {**extra, "role_arn": "arn:aws:iam::123456789012:role/runner"}
    monkeypatch.setenv("AIRFLOW_CONN_ROLE", json.dumps(role))
    hook = ImageBuilderHook(aws_conn_id="role")
    hook.connect(cancellation := Cancellation())
    credentials = hook.get_session(deployment.aws.region).get_credentials()
    credentials._expiry_time = datetime.now(UTC)
    before = deployment.aws.calls()
    cancellation.request()
    with pytest.raises(Cancelled):
        credentials.get_frozen_credentials()
    assert deployment.aws.calls() == before
    assert before["sts.AssumeRole"] >= 1
