"""``python -m spot_runner_provider.embedded.demo.lose_event``."""

import re

import pytest

from spot_runner_provider import clock
from spot_runner_provider.embedded.demo.lose_event import main
from spot_runner_provider.embedded.demo.seed import TABLE, ami_state, create_pipeline, put_items
from spot_runner_provider.embedded.server import EmbeddedAws


@pytest.fixture
def lossy(aws: EmbeddedAws) -> EmbeddedAws:
    """One preset whose build failed, one without a pipeline."""
    dynamodb = aws.client("dynamodb", bystander=True)
    put_items(
        dynamodb,
        [
            ami_state("linux-x64", "failed", clock.now(), ami="ami-1", error="no space left"),
            ami_state("linux-riscv64", "ready", clock.now(), ami="ami-2"),
        ],
    )
    create_pipeline(aws.client("imagebuilder", bystander=True), "linux-x64")
    return aws


def record(aws: EmbeddedAws, preset: str) -> dict[str, str]:
    item = aws.client("dynamodb", bystander=True).get_item(TableName=TABLE, Key={"jobId": {"S": f"AMI#{preset}"}})
    return {name: value["S"] for name, value in item["Item"].items()}


def test_the_record_is_building_and_a_newer_image_is_available(lossy, capsys):
    main([lossy.endpoint_url, "linux-x64"])
    printed = re.fullmatch(r"linux-x64 is stale: .* Image Builder has (ami-[0-9a-f]{17})\.\n", capsys.readouterr().out)
    found = record(lossy, "linux-x64")
    assert (found["status"], found["amiId"]) == ("building", "ami-1")
    assert "errorMessage" not in found
    images = lossy.client("imagebuilder", bystander=True)
    arn = images.list_image_pipelines()["imagePipelineList"][0]["arn"]
    (image,) = images.list_image_pipeline_images(imagePipelineArn=arn)["imageSummaryList"]
    assert (image["state"]["status"], image["outputResources"]["amis"][0]["image"]) == ("AVAILABLE", printed[1])


@pytest.mark.parametrize(
    ("preset", "why"), [("linux-x46", f"Table {TABLE} has no record of linux-x46"), ("linux-riscv64", "no pipeline")]
)
def test_what_is_missing_is_named_and_nothing_changed(lossy, preset, why):
    before = record(lossy, "linux-riscv64")
    with pytest.raises(SystemExit, match=why):
        main([lossy.endpoint_url, preset])
    assert record(lossy, "linux-riscv64") == before


def test_an_aws_that_is_gone_is_named():
    with pytest.raises(SystemExit, match=r"at http://127\.0\.0\.1:9 does not answer"):
        main(["http://127.0.0.1:9", "linux-x64"])
