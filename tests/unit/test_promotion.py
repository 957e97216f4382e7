"""Which result is a promotion, and what others are told of it."""

from dataclasses import replace

import pytest

from spot_runner_provider.protocol.outcome import Outcome, Replacement, Result
from spot_runner_provider.records.text import TEXT_LIMIT
from spot_runner_provider.reporting.promotion import Promotion, UnknownPlace, uri

from .values import ACCOUNT, REGION

PIPELINE = f"arn:aws:imagebuilder:{REGION}:{ACCOUNT}:image-pipeline/spot-runner-linux-x64"
BUILD = f"arn:aws-cn:imagebuilder:cn-north-1:{ACCOUNT}:image/spot-runner-linux-x64/1.0.0/7"
READY = Result(
    "linux-x64",
    Outcome.CORRECTED_READY,
    status="ready",
    ami_id="ami-0new",
    previous_ami_id="ami-0old",
    build_id=BUILD,
    pipeline_arn=PIPELINE,
    replacement=Replacement("ami-0new", "ami-0old", BUILD),
)


def test_it_tells_which_ami_took_the_place_of_which():
    assert Promotion.of(READY) == Promotion(
        f"spot-runner://{ACCOUNT}/{REGION}/linux-x64",
        {"presetName": "linux-x64", "amiId": "ami-0new", "previousAmiId": "ami-0old", "buildId": BUILD},
    )


def test_a_preset_may_have_had_no_ami_before():
    promotion = Promotion.of(replace(READY, replacement=Replacement("ami-0new", None)))
    assert promotion is not None
    assert promotion.extra["previousAmiId"] is None


def test_an_odd_previous_ami_is_told_as_airflow_can_store_it():
    promotion = Promotion.of(replace(READY, replacement=Replacement("ami-0new", "ami-\x00\ud800" + "0" * 5000)))
    assert promotion is not None
    assert promotion.extra["previousAmiId"].startswith(r"ami-\x00\ud80000")
    assert len(promotion.extra["previousAmiId"]) == TEXT_LIMIT


def test_without_a_pipeline_the_build_tells_account_and_region():
    promotion = Promotion.of(replace(READY, outcome=Outcome.FINISHED, pipeline_arn=None))
    assert promotion is not None
    assert promotion.uri == uri(ACCOUNT, "cn-north-1", "linux-x64")


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(replace(READY, replacement=None), id="the-ami-is-the-same"),
        pytest.param(replace(READY, dry_run=True), id="dry-run"),
        *(pytest.param(Result("linux-x64", outcome, pipeline_arn=PIPELINE), id=outcome) for outcome in Outcome),
    ],
)
def test_anything_else_is_none(result):
    assert Promotion.of(result) is None


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(replace(READY, pipeline_arn=None, build_id=None), id="no-account"),
        pytest.param(replace(READY, pipeline_arn=None, build_id="arn:of-the-event"), id="no-arn"),
        pytest.param(replace(READY, pipeline_arn="arn:aws:imagebuilder:eu-west-1::x"), id="arn-without-account"),
        pytest.param(replace(READY, pipeline_arn=f"arn:aws:imagebuilder:eu\x1b[2J:{ACCOUNT}:x"), id="no-region"),
        pytest.param(replace(READY, pipeline_arn="arn:aws:imagebuilder:eu-west-1:../9:x"), id="no-account-number"),
        pytest.param(replace(READY, pipeline_arn=f"arn:aws:ec2:eu-west-1:{ACCOUNT}:x"), id="arn-of-another-service"),
    ],
)
def test_where_nothing_tells_account_and_region_that_is_said(result):
    with pytest.raises(UnknownPlace, match="account and region"):
        Promotion.of(result)
