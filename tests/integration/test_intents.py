"""However often a preset's reconciliation fails, and for whatever reason, two intents of it stand at most."""

from __future__ import annotations

import contextlib

import pytest
from airflow.providers.common.compat.sdk import AirflowException
from botocore.httpsession import URLLib3Session

from spot_runner_provider.embedded.call import BYSTANDER_HEADER
from spot_runner_provider.embedded.demo.seed import preset_config
from spot_runner_provider.embedded.faults import Fault
from tests.integration.deployment import NEW, TaskInstance, WorkerDied, detect, reconcile, run

PRESET = "linux-x64"
RUNS, TRIES = 12, 4
ONCE = {"retries": {"mode": "standard", "total_max_attempts": 1}}

KILLED = "the worker is killed"
REASONS = [
    ("ssm.PutParameter", "ParameterMaxVersionLimitExceeded"),
    ("ssm.PutParameter", "500"),
    ("dynamodb.UpdateItem", "500"),
    ("PutParameter", KILLED),
]
"""The model has many more: ``tests/interleavings/test_many_tries.py``."""


@pytest.fixture
def goes_wrong(deployment, monkeypatch):
    """Let something go wrong, again and again, until the function that is returned is called."""
    monkeypatch.setattr("spot_runner_provider.clock.backoff", lambda attempt: 0)
    monkeypatch.setattr("spot_runner_provider.protocol.reconcile.MAX_ROUNDS", 2)
    send = URLLib3Session.send

    def begin(operation, kind):
        def dying_send(session, request):
            target = request.headers.get("X-Amz-Target", request.url)
            target = target.decode() if isinstance(target, bytes) else target
            if BYSTANDER_HEADER not in request.headers and target.endswith(operation):
                raise WorkerDied
            return send(session, request)

        if kind != KILLED:
            deployment.aws.add_fault(Fault(operation, kind))
            return deployment.aws.clear_faults
        monkeypatch.setattr(URLLib3Session, "send", dying_send)
        return lambda: monkeypatch.setattr(URLLib3Session, "send", send)

    return begin


def a_failing_run(number, pass_time):
    """Detect and reconcile as a run with retries does, and stop at a try that succeeds."""
    batches, _ = detect()
    for batch in batches:
        for tries in range(1, TRIES + 1):
            with contextlib.suppress(AirflowException, WorkerDied):
                return reconcile(batch, TaskInstance(f"scheduled__{number}", try_number=tries), botocore_config=ONCE)
            pass_time(seconds=30)
    return {}


@pytest.mark.parametrize(
    ("operation", "kind", "minutes"),
    [
        pytest.param(
            *(operation, kind, minutes),
            id=f"{operation} {kind}, {minutes} minutes between runs",
            marks=[] if kind == "ParameterMaxVersionLimitExceeded" else pytest.mark.long,
        )
        for operation, kind in REASONS
        # a commit without an answer may be applied yet, so the next run within five minutes needs intents of its own
        for minutes in ([15] if operation == "dynamodb.UpdateItem" else [15, 0])
    ],
)
def test_two_intents_stand_at_most_and_in_the_end_none(deployment, pass_time, goes_wrong, operation, kind, minutes):
    deployment.stale(PRESET)
    well = goes_wrong(operation, kind)
    standing = []
    for number in range(RUNS):
        a_failing_run(number, pass_time)
        standing.append(len(deployment.intents()))
        pass_time(minutes=minutes)
    assert max(standing) <= 2, standing
    well()
    for number in range(RUNS, RUNS + 2):
        pass_time(minutes=15)
        run(f"scheduled__{number}")
    assert (deployment.record(PRESET)["amiId"], deployment.parameter(PRESET)) == (NEW, preset_config(NEW))
    assert deployment.intents() == []


@pytest.mark.parametrize("code", ["ParameterMaxVersionLimitExceeded", "AccessDeniedException"])
def test_repeated_refusals_are_reported_and_fail_no_run(deployment, pass_time, goes_wrong, code):
    deployment.stale(PRESET)
    goes_wrong("ssm.PutParameter", code)
    for number in range(3):
        batches, _ = detect()
        result = reconcile(batches[0], TaskInstance(f"scheduled__{number}"))[PRESET]
        assert (result["outcome"], len(deployment.intents())) == ("refused", 1)
        pass_time(minutes=15)


def test_an_edit_taken_back_before_our_put_stays_taken_back(deployment, pass_time, goes_wrong):
    """None of our puts was applied, so none can have covered the edit in between."""
    deployment.stale(PRESET)
    well = goes_wrong("ssm.PutParameter", "AccessDeniedException")
    for number in range(2):
        a_failing_run(number, pass_time)
        pass_time(minutes=15)
    for timeout in (7200, 3600):
        deployment.edit(PRESET, timeout=timeout)
    a_failing_run(2, pass_time)
    well()
    pass_time(minutes=15)
    run("scheduled__3")
    assert deployment.parameter(PRESET) == preset_config(NEW)


def test_a_recreated_run_keeps_the_old_ones_intents(deployment, pass_time, goes_wrong):
    again = TaskInstance("again")
    deployment.stale(PRESET)
    for operation, kind in [("PutParameter", KILLED), ("ssm.PutParameter", "ParameterMaxVersionLimitExceeded")]:
        well = goes_wrong(operation, kind)
        (batch,), _ = detect()
        with contextlib.suppress(WorkerDied):
            reconcile(batch, again)
        well()
        assert deployment.intents() != []
        pass_time(minutes=6)
    run("later")
    assert (deployment.record(PRESET)["amiId"], deployment.parameter(PRESET)) == (NEW, preset_config(NEW))
    assert deployment.intents() == []
