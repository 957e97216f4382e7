"""What a run pushes stays small: MySQL and most XCom backends are slow, or refuse, beyond a megabyte or so."""

import json

import pytest

from spot_runner_provider.detection import divide, survey
from spot_runner_provider.outcome import Outcome, Result
from spot_runner_provider.report import report

from .values import ACCOUNT, NOW, ago, note, record

LIMITS = [pytest.param(2_000, 1_000_000, id="2000-presets"), pytest.param(5_000, 3_000_000, id="5000-presets")]
AMI_ID = "ami-0123456789abcdef0"


def found(count):
    """A survey of stale, failed-before records with every text, each with an intent."""
    names = [f"windows-2022-x64-{number:05d}" for number in range(count)]
    return survey(
        [
            record(
                name,
                updatedAt=ago(days=1),
                amiId=AMI_ID,
                buildId=f"arn:aws:imagebuilder:us-east-1:{ACCOUNT}:image/spotrunnerstack-{name}/1.0.0/7",
                errorMessage="e" * 5000,
            )
            for name in names
        ],
        [
            note(name, "spot_runner_reconcile/scheduled__2026-02-11T16:00:00+00:00/1", updatedAt=ago(days=1))
            for name in names
        ],
        now=NOW,
        stale_after=NOW - NOW,
    )


def results(states):
    arn = "arn:aws:imagebuilder:us-east-1:{}:{}/spot-runner-{}"
    return [
        Result.of(
            state,
            state.preset_name,
            Outcome.ERROR,
            detail="d" * 5000,
            pipeline_arn=arn.format(ACCOUNT, "image-pipeline", state.preset_name),
            image_arn=arn.format(ACCOUNT, "image", state.preset_name) + "/1.0.0/7",
            image_state="AVAILABLE",
        ).to_json()
        for state in states
    ]


def size(value):
    return len(json.dumps(value))


@pytest.mark.parametrize(("count", "limit"), LIMITS)
def test_states(count, limit):
    assert size(found(count).to_json()) < limit


@pytest.mark.parametrize(("count", "limit"), LIMITS)
def test_batches(count, limit):
    assert size(divide([candidate.to_json() for candidate in found(count).candidates], 8)) < limit


@pytest.mark.parametrize(("count", "limit"), LIMITS)
def test_results_of_one_of_eight_tasks(count, limit):
    assert size(divide(results(found(count).states), 8)[0]) < limit


@pytest.mark.parametrize(("count", "limit"), LIMITS)
def test_report(count, limit):
    survey_ = found(count)
    batches = divide([candidate.to_json() for candidate in survey_.candidates], 8)
    assert size(report(survey_.to_json(), batches, results(survey_.states)).value) < limit
