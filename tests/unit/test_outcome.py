"""Results, and the outcomes: one table, and the places that cannot read it say the same."""

import json
import pickle
import re
from pathlib import Path

import pytest

from spot_runner_provider.embedded.demo.deployment import OUTCOMES
from spot_runner_provider.protocol.outcome import (
    AWAITED,
    FAIL_TASKS,
    FAIL_WAITS,
    NEED_ATTENTION,
    SETTLE,
    Outcome,
    Result,
)
from spot_runner_provider.records.ami_state import AmiState, Status
from spot_runner_provider.records.text import DETAIL_LIMIT

STATE = AmiState("linux-x64", Status.BUILDING, "2026-02-11T15:00:00.000Z", "ami-1", "arn:build")


ROOT = Path(__file__).parents[2]


def readme() -> dict[str, str]:
    section = (ROOT / "README.md").read_text().partition("\n## Outcomes, and what to do\n")[2]
    return dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section.partition("\n\n`error`")[0], re.MULTILINE))


def page() -> dict[str, str]:
    script = (ROOT / "spot_runner_provider/status/page/page.js").read_text()
    words = script.partition("const OUTCOMES = {\n")[2].partition("};")[0]
    return dict(re.findall(r'^  (\w+): "(.*)",$', words, re.MULTILINE))


def schema() -> dict[str, str]:
    properties = json.loads((ROOT / "spot_runner_provider/status/schema.json").read_text())["properties"]
    return {word: word for word in properties["presets"]["items"]["properties"]["outcome"]["enum"] if word is not None}


PLACES = {
    "README.md": (readme, lambda outcome: f"{outcome.meaning.means} | {outcome.meaning.advice}"),
    "spot_runner_provider/status/page/page.js": (page, lambda outcome: outcome.meaning.label),
    "spot_runner_provider/status/schema.json": (schema, lambda outcome: outcome.value),
}
"""File -> what reads it, by the outcome's word, and what it should say of an outcome."""


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("file", PLACES)
def test_a_place_that_cannot_read_the_table_says_the_same(file, outcome):
    read, wanted = PLACES[file]
    told = read().get(outcome.value)
    assert told == wanted(outcome), f"{file} says {told!r} of {outcome.value}; it should say {wanted(outcome)!r}"


@pytest.mark.parametrize("file", PLACES)
def test_a_place_says_nothing_of_other_outcomes(file):
    assert not (other := PLACES[file][0]().keys() - set(Outcome)), f"{file} tells of {other}, which no preset comes to"


DEMO = "spot_runner_provider/embedded/demo/deployment.py"
NOT_IN_THE_DEMO = {"pipeline_ambiguous", "refused", "drifted", "error"}
"""They take a second name for pipelines, a policy, an audit and an outage."""


@pytest.mark.parametrize("outcome", Outcome)
def test_the_demo_shows_each_outcome(outcome):
    is_shown = outcome.value in OUTCOMES.values()
    assert is_shown is (outcome.value not in NOT_IN_THE_DEMO), (
        f"{DEMO}: give it a preset that comes to {outcome.value}, or say in NOT_IN_THE_DEMO why it has none"
    )


def test_the_demo_shows_no_other_outcome():
    assert not (other := {*OUTCOMES.values()} - {None, *Outcome}), f"{DEMO} tells of {other}, which no preset comes to"


FLAGS = {
    "needs_attention": (
        {
            *("pipeline_not_found", "pipeline_ambiguous", "no_images", "no_usable_ami", "config_invalid", "refused"),
            *("drifted", "error", "stuck"),
        },
        NEED_ATTENTION,
    ),
    "fails_task": ({"error"}, FAIL_TASKS),
    "fails_wait": ({"refused"}, FAIL_WAITS),
    "is_awaited": ({"still_building", "stuck"}, AWAITED),
    "settles": ({"corrected_ready", "corrected_failed", "finished", "superseded", "no_usable_ami"}, SETTLE),
}


@pytest.mark.parametrize(("flag", "words", "found"), [(flag, *each) for flag, each in FLAGS.items()], ids=FLAGS)
def test_what_follows_from_an_outcome(flag, words, found):
    assert {outcome.value for outcome in Outcome if getattr(outcome.meaning, flag)} == words == found


def test_an_outcome_is_its_word():
    assert (Outcome("drifted"), Outcome.DRIFTED, f"{Outcome.DRIFTED}") == ("drifted", "drifted", "drifted")
    assert pickle.loads(pickle.dumps(Outcome.DRIFTED)) is Outcome.DRIFTED


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
