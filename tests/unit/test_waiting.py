"""What a batch came to so far, carried over a deferral."""

import json
from dataclasses import replace

import pytest

from spot_runner_provider.ami_state import AmiState, Status
from spot_runner_provider.intent import Intent
from spot_runner_provider.outcome import Outcome, Replacement, Result
from spot_runner_provider.promotion import Promotion
from spot_runner_provider.reconciler import Candidate
from spot_runner_provider.waiting import Progress

from .values import ACCOUNT, REGION

PIPELINE = f"arn:aws:imagebuilder:{REGION}:{ACCOUNT}:image-pipeline/spot-runner"
SEEN = AmiState("a", Status.BUILDING, "2026-02-11T15:00:00.000Z", "ami-0old", "arn:old")
LEFT = Intent("AMI-INTENT#a#dag/before/1", "a", "2026-02-11T15:50:00.000Z", 5)
CANDIDATES = [Candidate("a", SEEN, (LEFT,)), Candidate("b", replace(SEEN, preset_name="b")), Candidate("c")]
A = Result("a", Outcome.STILL_BUILDING, "the build is TESTING", pipeline_arn=PIPELINE, image_arn="arn:a")
B = Result("b", Outcome.STILL_BUILDING, "the build is BUILDING", pipeline_arn=PIPELINE, image_arn="arn:b")
C = Result("c", Outcome.CORRECTED_READY, pipeline_arn=PIPELINE, replacement=Replacement("ami-0new", None))
PROGRESS = Progress.of([C, A, B], CANDIDATES, [Promotion.of(C)])


def outcomes(progress):
    return [(result["presetName"], result["outcome"]) for result in progress.results]


def test_what_builds_is_waited_for_with_its_preset_as_it_was_detected():
    assert [(build.image_arn, build.preset_name) for build in PROGRESS.builds] == [("arn:a", "a"), ("arn:b", "b")]
    assert [Candidate.from_json(each) for each in PROGRESS.those_of(["arn:a", "arn:other"])] == [CANDIDATES[0]]


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(replace(A, dry_run=True), id="dry-run"),
        pytest.param(replace(A, image_arn=None), id="an-unfinished-try-of-an-earlier-run"),
        pytest.param(replace(A, outcome=Outcome.NO_IMAGES), id="no-images"),
    ],
)
def test_nothing_else_is(result):
    assert Progress.of([result], CANDIDATES).builds == ()


def test_it_survives_json():
    assert Progress.from_json(json.loads(json.dumps(PROGRESS.to_json()))) == PROGRESS


def test_a_build_that_ended_takes_its_place_among_the_results():
    later = replace(A, outcome=Outcome.CORRECTED_READY, replacement=Replacement("ami-0a", "ami-0old"))
    progress = PROGRESS.then(Progress.of([later], CANDIDATES, [Promotion.of(later)]))
    assert outcomes(progress) == [("c", "corrected_ready"), ("a", "corrected_ready"), ("b", "still_building")]
    assert [each.extra["presetName"] for each in progress.promotions] == ["c", "a"]
    assert [build.preset_name for build in progress.builds] == ["b"]


def test_a_newer_build_of_the_same_preset_is_waited_for_instead():
    progress = PROGRESS.then(Progress.of([replace(A, image_arn="arn:newer")], CANDIDATES))
    assert [build.image_arn for build in progress.builds] == ["arn:b", "arn:newer"]
    assert outcomes(progress) == outcomes(PROGRESS)


def test_what_is_given_up_says_why_and_the_others_stay_as_they_are():
    progress = PROGRESS.given_up("waited 60 minutes for it")
    assert outcomes(progress) == outcomes(PROGRESS)
    assert [result["detail"] for result in progress.results] == [
        "",
        "the build is TESTING; waited 60 minutes for it",
        "the build is BUILDING; waited 60 minutes for it",
    ]
    assert (progress.builds, progress.promotions) == ((), PROGRESS.promotions)
