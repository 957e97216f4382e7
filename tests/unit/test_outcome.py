import pytest

from spot_runner_provider.protocol.outcome import Outcome, Result
from spot_runner_provider.records.ami_state import AmiState, Status
from spot_runner_provider.records.text import DETAIL_LIMIT

STATE = AmiState("linux-x64", Status.BUILDING, "2026-02-11T15:00:00.000Z", "ami-1", "arn:build")


@pytest.mark.parametrize("outcome", Outcome)
def test_a_person_should_look_only_at_what_no_run_can_mend(outcome):
    attention = {"pipeline_not_found", "no_images", "no_usable_ami", "config_invalid", "refused", "drifted", "error"}
    assert outcome.needs_attention is (outcome.value in attention)


def test_a_result_describes_the_record_in_its_own_words():
    assert Result.of(STATE, "linux-x64", Outcome.STILL_BUILDING, detail="wait").to_json() == {
        "presetName": "linux-x64",
        "status": "building",
        "amiId": "ami-1",
        "previousAmiId": "ami-1",
        "updatedAt": "2026-02-11T15:00:00.000Z",
        "buildId": "arn:build",
        "outcome": "still_building",
        "detail": "wait",
        "dryRun": False,
        "pipelineArn": None,
        "imageArn": None,
        "imageState": None,
    }


def test_without_a_record_nothing_is_known_of_it():
    result = Result.of(None, "linux-x64", None).to_json()
    assert {result[name] for name in ("status", "amiId", "previousAmiId", "updatedAt", "buildId", "outcome")} == {None}


def test_long_texts_are_cut():
    assert len(Result("x", None, "d" * 5000).to_json()["detail"]) == DETAIL_LIMIT
