"""What a batch came to so far, carried over a deferral."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from botocore.exceptions import ReadTimeoutError

from spot_runner_provider.batch.waiting import Progress, Watch
from spot_runner_provider.protocol.calls import ConfigurationError
from spot_runner_provider.protocol.candidate import Candidate
from spot_runner_provider.protocol.outcome import Outcome, Replacement, Result
from spot_runner_provider.records.ami_state import AmiState, Status
from spot_runner_provider.records.intent import Intent
from spot_runner_provider.reporting.promotion import Promotion

from .values import ACCOUNT, NOW, REGION

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


def test_a_running_build_is_awaited_with_its_detected_preset():
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


def test_a_build_given_up_says_why():
    progress = PROGRESS.given_up("waited 60 minutes")
    assert outcomes(progress) == outcomes(PROGRESS)
    assert [result["detail"] for result in progress.results] == [
        "",
        "waited 60 minutes for it; the build is TESTING",
        "waited 60 minutes for it; the build is BUILDING",
    ]
    assert (progress.builds, progress.promotions) == ((), PROGRESS.promotions)


def test_a_stuck_build_given_up_is_stuck_still():
    stuck = replace(A, outcome=Outcome.STUCK)
    progress = Progress.of([stuck], [Candidate("a", SEEN)])
    (result,) = progress.given_up("waited 60 minutes").results
    assert (result["outcome"], result["detail"]) == ("stuck", "waited 60 minutes for it; the build is TESTING")


def test_a_denied_build_is_given_up_alone():
    progress = PROGRESS.refused({"arn:a": "access denied", "arn:other": "-"})
    assert outcomes(progress) == [("c", "corrected_ready"), ("a", "refused"), ("b", "still_building")]
    assert [result["detail"] for result in progress.results] == [
        "",
        "access denied; the build is TESTING",
        "the build is BUILDING",
    ]
    assert [build.image_arn for build in progress.builds] == ["arn:b"]
    assert (progress.barred, progress.failed) == (("a",), [])


def test_a_build_unseen_in_the_end_is_an_error():
    missed = replace(PROGRESS, unseen={"arn:a": "TimeoutError: late", "arn:other": "-"})
    progress = Progress.from_json(missed.to_json()).given_up("waited 60 minutes")
    assert outcomes(progress) == [("c", "corrected_ready"), ("a", "error"), ("b", "still_building")]
    assert [result["detail"] for result in progress.results] == [
        "",
        "waited 60 minutes, and the last look failed: TimeoutError: late; the build is TESTING",
        "waited 60 minutes for it; the build is BUILDING",
    ]
    assert (progress.builds, progress.barred, progress.failed) == ((), (), ["a"])


def test_denied_builds_are_kept_during_the_wait():
    progress = Progress.from_json(PROGRESS.refused({"arn:a": "access denied"}).to_json())
    later = replace(B, outcome=Outcome.CORRECTED_READY)
    assert progress.then(Progress.of([later])).barred == ("a",)


class TestWatch:
    @pytest.mark.parametrize(
        ("left", "seconds", "is_last"),
        [(600, 60, False), (61, 60, False), (60, 60, True), (7.5, 7.5, True), (-5, 0, True)],
    )
    def test_the_last_look_is_at_the_deadline(self, left, seconds, is_last):
        watch = Watch(["arn:a"], NOW + timedelta(seconds=left), poll_interval=60)
        assert (watch.pause(NOW), watch.is_over) == (seconds, is_last)

    def test_it_goes_on_while_all_build(self):
        watch = Watch(["arn:a", "arn:b"], NOW, poll_interval=60)
        watch.saw("arn:a", is_building=True)
        assert (watch.is_over, watch.awaited) == (False, ["arn:a", "arn:b"])

    def test_it_is_over_once_there_is_no_image_left(self):
        watch = self.looked(Watch(["arn:a"], NOW, poll_interval=60), {"arn:a": ConfigurationError("denied\x00")})
        assert watch.is_over
        assert watch.event() == {"finished": [], "refused": {"arn:a": "denied\\x00"}, "unseen": {}}

    @pytest.mark.parametrize(
        "error", [TimeoutError("late"), KeyError("arn"), ReadTimeoutError(endpoint_url="/")], ids=repr
    )
    def test_any_other_error_is_looked_past(self, error):
        watch = self.looked(Watch(["arn:a", "arn:b"], NOW, poll_interval=60), {"arn:a": error})
        assert (watch.is_over, watch.awaited, watch.refused) == (False, ["arn:a", "arn:b"], {})
        assert watch.unseen["arn:a"].startswith(type(error).__name__)

    def test_what_the_last_look_saw_was_seen(self):
        watch = self.looked(Watch(["arn:a"], NOW, poll_interval=60), {"arn:a": TimeoutError()})
        assert self.looked(watch, {}).unseen == {}

    def test_what_answers_nobody_is_asked_once_a_look(self):
        images = [f"arn:{number}" for number in range(9)]
        watch = Watch(images, NOW, poll_interval=60)
        unanswered = ReadTimeoutError(endpoint_url="/")
        for _ in range(2):
            asked: list[str] = []
            self.looked(watch, dict.fromkeys(images, unanswered), asked)
            assert (asked, [*watch.unseen]) == (images[:1], images)

    def test_a_bad_answer_to_a_few_images_keeps_from_no_other(self):
        images = [f"arn:{number}" for number in range(9)]
        watch = self.looked(Watch(images, NOW, poll_interval=60), dict.fromkeys(images[:2], TimeoutError()))
        assert [*watch.unseen] == images[:2]

    @pytest.mark.parametrize(
        ("error", "over", "refused", "unseen"),
        [
            (ConfigurationError("no region"), True, {"arn:a": "no region", "arn:b": "no region"}, {}),
            (OSError("late"), False, {}, {"arn:a": "OSError: late", "arn:b": "OSError: late"}),
        ],
        ids=["for good", "passing"],
    )
    def test_what_keeps_from_looking_at_all_keeps_from_each(self, error, over, refused, unseen):
        watch = Watch(["arn:a", "arn:b"], NOW, poll_interval=60)
        with watch.look():
            raise error
        assert (watch.is_over, watch.refused, watch.unseen) == (over, refused, unseen)

    def looked(self, watch, errors, asked=None):
        """Look at every image once; return the watch."""
        with watch.look() as images:
            for arn in images:
                if asked is not None:
                    asked.append(arn)
                with watch.looking_at(arn):
                    if arn in errors:
                        raise errors[arn]
                    watch.saw(arn, is_building=True)
        return watch
