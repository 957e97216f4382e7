"""Whatever Image Builder answers: a verdict, or a refusal that is one preset's own."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from spot_runner_provider.records.image import GIVEN_UP, IN_PROGRESS, BuildState, Image, UndatedImage, judge, latest
from tests.properties.values import anything, images, mostly


def member(answer: Any, *path: str) -> Any:
    """Return what stands at the end of ``path``, ``None`` where there is no such place."""
    for name in path:
        answer = answer.get(name) if isinstance(answer, dict) else None
    return answer


@given(mostly(images))
def test_any_image_gets_a_verdict(answer):
    image = Image.from_api(answer)
    verdict = judge(image, region="us-east-1", account="123456789012")
    status = member(answer, "state", "status")
    status = status if isinstance(status, str) else None
    assert (verdict.state is BuildState.READY) == (verdict.ami_id is not None)
    assert verdict.state is BuildState.READY or verdict.reason
    assert (verdict.state is BuildState.BUILDING) == (status in IN_PROGRESS)
    assert (verdict.state is BuildState.FAILED) == (status in GIVEN_UP)
    if verdict.state is BuildState.READY:
        assert status == "AVAILABLE"
        assert any(
            member(ami, "image") == verdict.ami_id and member(ami, "region") == "us-east-1"
            for ami in member(answer, "outputResources", "amis")
        )


@given(mostly(images))
def test_whatever_is_read_is_of_the_type_that_it_says(answer):
    image = Image.from_api(answer)
    ours = [image.arn, image.status, image.reason, image.failure, image.log_group]
    ours += [value for ami in image.amis for value in (ami.image_id, ami.region, ami.account, ami.status)]
    assert {type(value) for value in ours} <= {str, type(None)}
    assert all(ami.image_id for ami in image.amis)


@given(st.lists(st.one_of(images, anything), max_size=6), st.randoms())
def test_the_latest_image_does_not_depend_on_the_order(found, random):
    read = [Image.from_api(answer) for answer in found]
    try:
        newest = latest(read)
    except UndatedImage:
        assert any(image.created is None for image in read)
        return
    random.shuffle(read)
    assert (newest and newest.created) == max((image.created for image in read), default=None)
    shuffled = latest(read)
    assert (shuffled and (shuffled.created, shuffled.arn)) == (newest and (newest.created, newest.arn))
