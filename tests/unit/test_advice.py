"""The advice for each reason for which a preset waits for a person: followed, it helps."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from spot_runner_provider.protocol.candidate import Candidate, Run
from spot_runner_provider.protocol.reconcile import reconcile
from spot_runner_provider.records.ami_state import AmiState, Status
from spot_runner_provider.records.image import Ami, Image, Pipeline, UndatedImage
from spot_runner_provider.records.parameter import ConfigVersion
from spot_runner_provider.records.platform import Platform

from .values import ACCOUNT, NOW, REGION

RUN = Run("dag/run", "task/0/1", REGION, clock=lambda: NOW)
SEEN = AmiState("linux-x64", Status.BUILDING, "2026-02-11T15:00:00.000Z", "ami-0old")
PIPELINE = f"arn:aws:imagebuilder:{REGION}:{ACCOUNT}:image-pipeline/spot-runner-linux-x64"
FOUND = [Pipeline("spot-runner-linux-x64", PIPELINE)]
HERE, ELSEWHERE = Ami("ami-1", REGION, ACCOUNT), Ami("ami-2", "eu-west-1", ACCOUNT)
OF_OTHERS = Ami("ami-3", REGION, "999999999999"), Ami("ami-4", REGION, "888888888888")


def image(status, *amis):
    return Image("arn:image", status, datetime(2026, 2, 11, 15, tzinfo=UTC), amis=amis)


def told(*answers):
    """What is told of a stale preset if its calls are answered like this."""
    flow = reconcile(Candidate("linux-x64", SEEN), RUN)
    next(flow)
    try:
        for answer in answers:
            flow.throw(answer) if isinstance(answer, Exception) else flow.send(answer)
    except StopIteration as stop:
        return stop.value.outcome, stop.value.detail
    raise AssertionError("it goes on")


RETIRED = "Start a build: its image becomes the latest. If a lifecycle policy did this, let it keep the latest image"
DISTRIBUTE = (
    f"Let the pipeline's distribution configuration put exactly one AMI into {REGION} for account {ACCOUNT}, "
    "and start a build"
)
CASES = {
    "no-pipeline": (
        [[]],
        "pipeline_not_found",
        "Create it, correct pipeline_name or the region. If the preset is gone",
    ),
    "several-pipelines": (
        [[*FOUND, Pipeline("spot-runner-linux-x64-windows", "arn:other")]],
        "pipeline_ambiguous",
        "Delete the pipeline that nobody needs. If another preset needs it, replace it by one with a name that "
        "pipeline_name gives for that preset only",
    ),
    "no-images": ([FOUND, None], "no_images", "Start a build"),
    "deprecated": ([FOUND, image("DEPRECATED", HERE)], "no_usable_ami", RETIRED),
    "disabled": ([FOUND, image("DISABLED", HERE)], "no_usable_ami", RETIRED),
    "deleted": ([FOUND, image("DELETED")], "no_usable_ami", RETIRED),
    "of-an-unknown-state": (
        [FOUND, image("DREAMING")],
        "no_usable_ami",
        "Look at the image in the Image Builder console; the next run asks again",
    ),
    "elsewhere": (
        [FOUND, image("AVAILABLE", ELSEWHERE)],
        "no_usable_ami",
        f"Add {REGION} to the pipeline's distribution configuration and start a build, or correct region_name",
    ),
    "nowhere": (
        [FOUND, image("AVAILABLE")],
        "no_usable_ami",
        f"Check that the pipeline makes AMIs and distributes them to {REGION}; then start a build",
    ),
    "copy-failed": (
        [FOUND, image("AVAILABLE", Ami("ami-1", REGION, ACCOUNT, "FAILED"))],
        "no_usable_ami",
        "Look up the reason in the Image Builder console, fix it, and start a build",
    ),
    "no-ami-id": (
        [FOUND, image("AVAILABLE", Ami("pending", REGION, ACCOUNT))],
        "no_usable_ami",
        "Look at the image in the Image Builder console; if it shows no AMI either, start a build",
    ),
    "of-another-account": ([FOUND, image("AVAILABLE", OF_OTHERS[0])], "no_usable_ami", DISTRIBUTE),
    "of-other-accounts": ([FOUND, image("AVAILABLE", *OF_OTHERS)], "no_usable_ami", DISTRIBUTE),
    "two-of-the-account": (
        [FOUND, image("AVAILABLE", HERE, Ami("ami-5", REGION, ACCOUNT))],
        "no_usable_ami",
        DISTRIBUTE,
    ),
    "undated": (
        [FOUND, UndatedImage("image arn:image has no readable dateCreated")],
        "no_usable_ami",
        "Delete that image in Image Builder: a new build does not help",
    ),
    "no-parameter": (
        [FOUND, image("AVAILABLE", HERE), None],
        "config_invalid",
        "Create the parameter, a JSON object as runners need it, or correct config_prefix or the region. If the preset "
        "is gone, delete its record",
    ),
    "torn-parameter": (
        [FOUND, image("AVAILABLE", HERE), ConfigVersion(7, "{")],
        "config_invalid",
        "Repair the parameter: it must hold a JSON object, with a text as 'ami'. Its history in SSM has the versions "
        "before",
    ),
    "of-another-platform": (
        [
            FOUND,
            replace(image("AVAILABLE", HERE), platform=Platform.WINDOWS),
            ConfigVersion(7, '{"platform": "linux"}'),
        ],
        "config_invalid",
        "If that image is right, correct the parameter's key 'platform'. Else correct pipeline_name or the "
        "pipeline's recipe, and start a build",
    ),
    "large-parameter": (
        [FOUND, image("AVAILABLE", HERE), ConfigVersion(7, '{"x": "' + "x" * 4100 + '"}', tier="Standard")],
        "config_invalid",
        "Make the parameter's value shorter, or change it to the Advanced tier",
    ),
    "larger-parameter": (
        [FOUND, image("AVAILABLE", HERE), ConfigVersion(7, '{"x": "' + "x" * 8200 + '"}', tier="Advanced")],
        "config_invalid",
        "Make the parameter's value shorter",
    ),
}


@pytest.mark.parametrize(("answers", "outcome", "advice"), CASES.values(), ids=CASES)
def test_the_advice(answers, outcome, advice):
    assert (told(*answers)[0], told(*answers)[1].partition("unchanged. ")[2][: len(advice)]) == (outcome, advice)
