from __future__ import annotations

import botocore.session
import pytest

from spot_runner_provider.reporting.console import Console

ARN = "arn:{}:imagebuilder:{}:123456789012:image-pipeline/spot-runner-linux-x64"


@pytest.mark.parametrize(
    ("partition", "region", "domain"),
    [
        ("aws", "eu-central-1", "console.aws.amazon.com"),
        ("aws-cn", "cn-north-1", "console.amazonaws.cn"),
        ("aws-us-gov", "us-gov-west-1", "console.amazonaws-us-gov.com"),
    ],
)
def test_each_partition_and_resource_has_its_address(partition, region, domain):
    arn = ARN.format(partition, region)
    console = Console.of_region(region)
    assert console == Console.of_arn(arn) == Console(domain, region)
    image = arn.replace("image-pipeline", "image") + "/1.0.0/7"
    builder = f"https://{domain}/imagebuilder/home?region={region}"
    assert console.pipeline(arn) == f"{builder}#/pipelines/{arn}"
    assert console.image(image) == f"{builder}#/images/{image}"
    assert console.parameter("/spot-runner/configs/linux-x64") == (
        f"https://{domain}/systems-manager/parameters/%252Fspot-runner%252Fconfigs%252Flinux-x64/description"
        f"?region={region}&tab=Table"
    )
    assert console.record("spot-runner-state", "linux-x64") == (
        f"https://{domain}/dynamodbv2/home?region={region}#edit-item?itemMode=2&pk=AMI%23linux-x64"
        "&route=ROUTE_ITEM_EXPLORER&sk=&table=spot-runner-state"
    )


def test_region_and_arn_agree_in_every_known_partition():
    partitions = botocore.session.get_session().get_component("data_loader").load_data("endpoints")["partitions"]
    places = [(partition["partition"], region) for partition in partitions for region in partition["regions"]]
    assert len(places) > 30
    for partition, region in places:
        assert Console.of_region(region) == Console.of_arn(ARN.format(partition, region)), region


@pytest.mark.parametrize(
    "region", [None, "", "us-iso-east-1", "us-isob-east-1", "us-isof-south-1", "eu-isoe-west-1", "eusc-de-east-1"]
)
def test_unknown_and_private_regions_have_no_console(region):
    assert Console.of_region(region) is None


@pytest.mark.parametrize(
    "arn",
    [None, "", "build-7", "arn:aws:iam::123456789012:role/r", "urn:a:b:c:d:e", ARN.format("aws-iso", "us-iso-east-1")],
)
def test_there_is_no_console_for_what_names_no_region(arn):
    assert Console.of_arn(arn) is None


def test_nothing_in_a_name_leaves_its_place_in_the_address():
    console = Console.of_region("us-east-1")
    hostile = '"><script>&x=1#/?'
    for address in (console.parameter(hostile), console.record(hostile, hostile), console.pipeline(hostile)):
        assert address.startswith("https://console.aws.amazon.com/")
        assert not set('"<>') & set(address)
    assert console.record("t&table=u", "p").count("table=") == 1
