"""What a run pushes stays small: MySQL and most XCom backends are slow, or refuse, beyond a megabyte or so."""

from dataclasses import replace
from functools import cache

import pytest

from spot_runner_provider.detection.audit import Audit, Finding
from spot_runner_provider.detection.survey import divide, survey
from spot_runner_provider.protocol.outcome import Outcome, Result
from spot_runner_provider.records.xcom_size import fitted, size
from spot_runner_provider.reporting.messages import message
from spot_runner_provider.reporting.report import report

from .values import ACCOUNT, NOW, ago, note, record

LIMITS = [
    pytest.param(2_000, 1_000_000, id="2000-presets"),
    pytest.param(5_000, 3_000_000, id="5000-presets", marks=pytest.mark.long),
]
AMI_ID = "ami-0123456789abcdef0"


@cache
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


# Each preset has failed, and has a long reason.

TEXTS = {"plain": "e", "escaped": '"', "of another script": "\u65e5", "beyond the BMP": "\U0001f525"}


@cache
def failed(count, text="e"):
    """A survey of records that failed, none of which needs reconciling."""
    names = [f"windows-2022-x64-{number:05d}" for number in range(count)]
    arn = f"arn:aws:imagebuilder:us-east-1:{ACCOUNT}:image/spotrunnerstack-{{}}/1.0.0/7"
    items = [
        record(name, status="failed", amiId=AMI_ID, buildId=arn.format(name), errorMessage=text * 5000)
        for name in names
    ]
    return survey(items, [], now=NOW, stale_after=NOW - NOW)


@cache
def reported(count, text="e"):
    return report(failed(count, text).to_json(), [], [])


@cache
def reconciled(count):
    """A report of presets each of which ended in an error."""
    flagged = found(count)
    batches = divide([candidate.to_json() for candidate in flagged.candidates], 8)
    told = [result for batch in divide(results(flagged.states), 8) for result in fitted(batch, "detail")]
    return report(flagged.to_json(), batches, told)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize(("count", "limit"), LIMITS)
def test_survey_and_report_of_failed_presets(count, limit, text):
    assert size(failed(count, text).to_json()) < limit
    assert size(reported(count, text).value) < limit


def drifted(found):
    """An audit with a wrong config_prefix: each preset has a finding."""
    says = f"the record (failed) says {AMI_ID}, the parameter does not exist: /wrong/"
    remedy = ". Create it with the next stack deployment, or correct [spot_runner] config_prefix"
    return Audit(tuple(Finding(state.preset_name, f"{says}{state.preset_name}{remedy}") for state in found.states))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize(("count", "limit"), LIMITS)
def test_survey_and_report_of_drifted_failed_presets(count, limit, text):
    survey_ = failed(count, text)
    pushed = survey_.to_json(drifted(survey_))
    assert size(pushed) < limit
    assert size(report(pushed, [], []).value) < limit


def test_a_finding_beside_few_others_is_whole():
    survey_ = failed(100)
    audit = drifted(survey_)
    assert survey_.to_json(audit)["audit"] == audit.to_json()


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("audited", [False, True], ids=["alone", "audited"])
def test_malformed_records_beside_failed_presets(text, audited):
    name = text * 2_000
    odd = survey([record(name, jobId=name)] * 200, [], now=NOW, stale_after=NOW - NOW)
    survey_ = replace(failed(1_900, text), malformed=odd.malformed)
    pushed = survey_.to_json(drifted(survey_) if audited else None)
    assert len(pushed["malformed"]) == 100
    assert size(pushed["malformed"]) < 100_000
    assert size(pushed) < 1_000_000
    assert size(report(pushed, [], []).value) < 1_000_000


@pytest.mark.parametrize("count", [1, 100, 1_200])
def test_at_least_five_hundred_characters_of_each_reason(count):
    made = reported(count)
    assert min(len(state["errorMessage"]) for state in failed(count).to_json()["states"]) >= 500
    assert min(len(preset["detail"]) for preset in made.value["presets"]) >= 500
    one_of_eight = results(failed(count).states)[: count // 8 + 1]
    assert min(len(result["detail"]) for result in fitted(one_of_eight, "detail")) >= 500


@pytest.mark.parametrize("count", [2_000, pytest.param(5_000, marks=pytest.mark.long)])
def test_what_each_reason_has_where_there_is_no_room_for_so_much(count):
    made = reconciled(count)
    assert min(len(preset["detail"]) for preset in made.value["presets"]) >= 300
    assert min(len(preset["detail"]) for preset in reported(count).value["presets"]) >= 170


def test_short_reasons_are_whole_beside_long_ones():
    reasons = ["e" * 5000] * 2_000 + ["no space left"] * 2_000
    items = fitted([{"presetName": "linux-x64", "detail": reason} for reason in reasons], "detail")
    assert {item["detail"] for item in items[2_000:]} == {"no space left"}


def test_a_message_has_the_reasons_as_they_were_told():
    lines = message(reconciled(2_000)).splitlines()[-11:-1]
    assert min(line.count("d") for line in lines) >= 500


def test_an_item_without_a_reason_stays_as_it_is():
    assert fitted([{"presetName": "linux-x64"}], "errorMessage") == [{"presetName": "linux-x64"}]
