"""The Image Builder backend, through boto3."""

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID

from spot_runner_provider.embedded.demo.seed import create_pipeline
from spot_runner_provider.embedded.imagebuilder import imagebuilder_backends, register
from spot_runner_provider.embedded.imagebuilder.models import Ami

REGION = "eu-central-1"
SESSION = boto3.Session()


@pytest.fixture
def client():
    register()
    register()
    with mock_aws():
        yield SESSION.client("imagebuilder", region_name=REGION)


@pytest.fixture
def backend(client):
    return imagebuilder_backends[DEFAULT_ACCOUNT_ID][REGION]


def pages(method, result, **arguments):
    """Return the pages' items, and assert that only the last page has no token."""
    found = []
    while True:
        page = method(**arguments)
        found.append(page[result])
        if "nextToken" not in page:
            return found
        arguments["nextToken"] = page["nextToken"]


def image_pages(client, pipeline, **arguments):
    return pages(client.list_image_pipeline_images, "imageSummaryList", imagePipelineArn=pipeline, **arguments)


def refusal(method, **arguments):
    with pytest.raises(ClientError) as caught:
        method(**arguments)
    return caught.value.response["Error"]["Code"]


def test_the_arn_of_a_pipeline_ends_in_its_lower_cased_name(client):
    arn = create_pipeline(client, "Linux-X64")
    assert arn == f"arn:aws:imagebuilder:{REGION}:123456789012:image-pipeline/spot-runner-linux-x64"
    assert client.list_image_pipelines()["imagePipelineList"][0]["name"] == "spot-runner-Linux-X64"


def test_pages_are_short_or_empty_and_complete(client, backend):
    pipeline = create_pipeline(client, "p")
    made = {backend.add_image(pipeline, status="AVAILABLE").arn for _ in range(60)}
    found = image_pages(client, pipeline, maxResults=10)
    assert [len(page) for page in found[:3]] == [5, 0, 10]
    assert {image["arn"] for page in found for image in page} == made
    assert sum(map(len, found)) == 60


def test_a_page_has_25_at_most(client, backend):
    pipeline = create_pipeline(client, "p")
    for _ in range(80):
        backend.add_image(pipeline, status="AVAILABLE")
    assert {len(page) for page in image_pages(client, pipeline)} == {13, 0, 25, 17}


def test_an_image_added_while_paging_loses_no_other(client, backend):
    pipeline = create_pipeline(client, "p")
    made = {backend.add_image(pipeline, status="AVAILABLE").arn for _ in range(30)}
    first = client.list_image_pipeline_images(imagePipelineArn=pipeline)
    for _ in range(30):
        backend.add_image(pipeline, status="AVAILABLE")
    rest = image_pages(client, pipeline, nextToken=first["nextToken"])
    arns = [image["arn"] for page in [first["imageSummaryList"], *rest] for image in page]
    assert made <= set(arns)
    assert len(arns) == len(set(arns))


def test_the_order_of_images_is_not_by_date(client, backend):
    pipeline = create_pipeline(client, "p")
    for day in range(1, 11):
        backend.add_image(pipeline, status="AVAILABLE", date_created=f"2026-01-{day:02}T00:00:00.000Z")
    [page] = image_pages(client, pipeline)
    dates = [image["dateCreated"] for image in page]
    assert sorted(dates) not in (dates, dates[::-1])


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["spot-runner-linux"], ["spot-runner-linux"]),
        (["spot-runner-LINUX"], []),
        (["spot-runner-linux*"], ["spot-runner-linux", "spot-runner-linux-arm"]),
        (["*-arm", "spot-runner-Win"], ["spot-runner-Win", "spot-runner-linux-arm"]),
        (["spot-runner-l.nux"], []),
        (["linux"], []),
    ],
)
def test_the_name_filter_is_exact_but_for_the_wildcard(client, values, found):
    for preset in ("linux", "linux-arm", "Win"):
        create_pipeline(client, preset)
    listed = pages(client.list_image_pipelines, "imagePipelineList", filters=[{"name": "name", "values": values}])
    assert sorted(pipeline["name"] for page in listed for pipeline in page) == found


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"filters": [{"name": "name", "values": ["x"] * 11}]}, "InvalidRequestException"),
        ({"filters": [{"name": "colour", "values": ["red"]}]}, "InvalidRequestException"),
        ({"nextToken": "no such token"}, "InvalidPaginationTokenException"),
    ],
)
def test_bad_requests_are_refused(client, arguments, code):
    assert refusal(client.list_image_pipelines, **arguments) == code


def test_a_token_is_good_for_its_own_listing_only(client, backend):
    pipeline, other = create_pipeline(client, "p"), create_pipeline(client, "q")
    for _ in range(30):
        backend.add_image(pipeline, status="AVAILABLE")
    token = client.list_image_pipeline_images(imagePipelineArn=pipeline)["nextToken"]
    arguments = {"imagePipelineArn": other, "nextToken": token}
    assert refusal(client.list_image_pipeline_images, **arguments) == "InvalidPaginationTokenException"


def test_the_images_of_an_unknown_pipeline_are_none(client):
    assert image_pages(client, f"arn:aws:imagebuilder:{REGION}:123456789012:image-pipeline/nobody") == [[]]


def test_an_image_has_what_it_was_given(client, backend):
    pipeline = create_pipeline(client, "p", recipe_version="1.0.1")
    image = backend.add_image(
        pipeline,
        status="FAILED",
        build=7,
        date_created="2020-02-19T18:56:11.511Z",
        reason="It broke.",
        failure_context={"failedStep": "Build", "componentFailure": {"stepName": "Install"}},
        amis=[Ami(REGION, "ami-1", DEFAULT_ACCOUNT_ID)],
    )
    shown = client.get_image(imageBuildVersionArn=image.arn)["image"]
    assert shown["arn"].endswith(":image/spotrunnerstack-p/1.0.1/7")
    assert shown["version"] == "1.0.1/7"
    assert shown["dateCreated"] == "2020-02-19T18:56:11.511Z"
    assert shown["state"] == {
        "status": "FAILED",
        "reason": "It broke.",
        "failureContext": {"failedStep": "Build", "componentFailure": {"stepName": "Install"}},
    }
    assert shown["outputResources"] == {"amis": [{"region": REGION, "image": "ami-1", "accountId": DEFAULT_ACCOUNT_ID}]}
    assert image_pages(client, pipeline) == [[shown]]


def test_a_listing_can_lack_what_only_get_image_has(client, backend):
    pipeline = create_pipeline(client, "p")
    image = backend.add_image(pipeline, status="AVAILABLE", unlisted=("state", "outputResources"))
    [[summary]] = image_pages(client, pipeline)
    shown = client.get_image(imageBuildVersionArn=image.arn)["image"]
    assert shown.keys() - summary.keys() == {"state", "outputResources"}


def test_executions_number_their_images_and_later_states_are_seen(client, backend):
    pipeline = create_pipeline(client, "p")
    backend.add_image(pipeline, status="AVAILABLE", build=37)
    arn = client.start_image_pipeline_execution(imagePipelineArn=pipeline)["imageBuildVersionArn"]
    assert arn.endswith("/1.0.0/38")
    assert client.get_image(imageBuildVersionArn=arn)["image"]["state"] == {"status": "PENDING"}
    backend.set_image_state(arn, "QUARANTINED", reason="A state of the future.")
    assert client.get_image(imageBuildVersionArn=arn)["image"]["state"]["status"] == "QUARANTINED"


def test_a_repeated_execution_with_the_same_token_is_the_same(client):
    pipeline = create_pipeline(client, "p")
    arguments = {"imagePipelineArn": pipeline, "clientToken": "t"}
    answers = [client.start_image_pipeline_execution(**arguments) for _ in range(2)]
    assert answers[0]["imageBuildVersionArn"] == answers[1]["imageBuildVersionArn"]


def test_unknown_and_duplicate_things_are_errors(client):
    pipeline = create_pipeline(client, "p")
    assert refusal(create_pipeline, client=client, preset="P") == "ResourceAlreadyExistsException"
    assert (
        refusal(
            client.get_image,
            imageBuildVersionArn=f"arn:aws:imagebuilder:{REGION}:123456789012:image/x/1.0.0/1",
        )
        == "ResourceNotFoundException"
    )
    assert (
        refusal(client.start_image_pipeline_execution, imagePipelineArn=pipeline + "x") == "ResourceNotFoundException"
    )


def test_regions_are_separate(client):
    create_pipeline(client, "p")
    assert SESSION.client("imagebuilder", region_name="us-west-2").list_image_pipelines()["imagePipelineList"] == []
