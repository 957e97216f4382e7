"""Almost a third of all calls fails, in every way that calls fail, and yet everything ends right."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain

import pytest

from spot_runner_provider.batch import pace
from spot_runner_provider.embedded.faults import Fault
from tests.integration.deployment import run_at_once
from tests.integration.fleet import Fleet
from tests.integration.ministack import NEEDED

PRESETS = 200
SEEDS, FEW = 20, 3
"""Seeds in all, and those for which ministack is tried too; the normal run has the first one."""

RUNS = 3
RETRIES = 3
"""As the DAG has them. A retry follows at once: the time that Airflow waits in between is no help here."""

FAILING = 0.3
THROTTLES = {
    "dynamodb": ("ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"),
    "ssm": ("ThrottlingException", "TooManyUpdates"),
    "imagebuilder": ("CallRateLimitExceededException",),
}
FAILURES = {"500": 1.0, "503": 1.0, "reset": 1.0, "lost_reply": 1.0, "timeout": 0.25}
"""Kind -> how often it comes, compared with one kind of throttle; time-outs are few because each is waited for."""

READ_TIMEOUT = 2.0
"""Far above what a call takes on a busy machine: a put that comes late would rightly make a version of its own."""

BUILDS = [*["AVAILABLE"] * 7, "FAILED", "CANCELLED", "BUILDING"]
"""What became of the builds, in turn."""


def storm(service: str) -> Iterator[Fault]:
    """Let :data:`FAILING` of a service's calls fail.

    Faults are drawn one after the other, so a later one has fewer calls left and takes a larger part of them.
    """
    shares = dict.fromkeys(THROTTLES[service], 1.0) | FAILURES
    left = 1.0
    for kind, share in shares.items():
        part = FAILING * share / sum(shares.values())
        yield Fault(f"{service}.*", kind, probability=part / left, seconds=2 * READ_TIMEOUT)
        left -= part


@pytest.fixture
def short_waits(monkeypatch):
    """Shorten botocore's waits between attempts and our own: the outcome is tested, not the waiting.

    The embedded AWS is another process, so that its time-outs, and botocore's, are as long as they say.
    """
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(seconds / 50))
    monkeypatch.setattr(pace, "HIGHEST", 1.0)


@pytest.mark.usefixtures("short_waits")
@pytest.mark.parametrize(
    ("far_aws", "seed"),
    [
        ("moto", 0),
        *[pytest.param("moto", seed, marks=pytest.mark.long) for seed in range(1, SEEDS)],
        *[pytest.param("ministack", seed, marks=NEEDED) for seed in range(FEW)],
    ],
    indirect=["far_aws"],
)
def test_everything_ends_right_though_calls_fail(seed, far_aws, pass_time, figure):
    far_aws.set_seed(seed)
    fleet = Fleet(far_aws, {f"linux-x64-{number:03}": BUILDS[number % len(BUILDS)] for number in range(PRESETS)})
    for fault in chain.from_iterable(map(storm, THROTTLES)):
        far_aws.add_fault(fault)

    failures = []
    for runs in range(1, RUNS + 1):
        config = {"read_timeout": READ_TIMEOUT}
        failures += run_at_once(f"scheduled__{runs}", retries=RETRIES, botocore_config=config)[1]
        if not (left := fleet.intents() or fleet.wrong()):
            break
        pass_time(minutes=15)
    assert not left

    calls, hits = sum(far_aws.calls().values()), far_aws.faults_hit()
    assert hits.keys() == {*FAILURES, *chain(*THROTTLES.values())}
    assert sum(hits.values()) / calls == pytest.approx(FAILING, abs=0.05)
    figure("storms", (calls, sum(hits.values()), len(failures), runs))
