"""Whatever Image Builder answers: a verdict, or a refusal that is one preset's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spot_runner_provider.build import GIVEN_UP, IN_PROGRESS, Image, Meaning, UndatedImage, judge, latest
from tests.properties.values import mostly, texts, timestamps

states = st.one_of(st.sampled_from([*sorted(IN_PROGRESS), *sorted(GIVEN_UP), "AVAILABLE", "DELETED"]), texts)
optional_text = st.one_of(st.none(), texts)


def structure(**members: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """A structure of the API of which any member may be absent."""
    return st.fixed_dictionaries({}, optional=members)


amis = structure(
    region=st.one_of(st.just("us-east-1"), texts),
    image=st.one_of(st.just("ami-0e3f"), st.just("ami-0a1d"), texts),
    accountId=st.one_of(st.just("123456789012"), texts),
    state=structure(status=states),
)
failures = structure(
    imageStatus=states,
    failedStep=texts,
    componentFailure=structure(componentArn=texts, phaseName=texts, stepName=texts, errorMessage=texts),
    distributionFailure=structure(errorMessage=texts),
)
answers = structure(
    arn=texts,
    dateCreated=mostly(timestamps),
    state=structure(status=states, reason=texts, failureContext=failures),
    outputResources=structure(amis=st.lists(amis, max_size=4)),
)


@given(answers)
def test_any_image_gets_a_verdict(answer):
    verdict = judge(Image.from_api(answer), region="us-east-1", account="123456789012")
    status = (answer.get("state") or {}).get("status")
    assert (verdict.meaning is Meaning.READY) == (verdict.ami_id is not None)
    assert verdict.meaning is Meaning.READY or verdict.reason
    assert (verdict.meaning is Meaning.BUILDING) == (status in IN_PROGRESS)
    assert (verdict.meaning is Meaning.FAILED) == (status in GIVEN_UP)
    if verdict.meaning is Meaning.READY:
        assert status == "AVAILABLE"
        assert any(
            ami.get("image") == verdict.ami_id and ami.get("region") == "us-east-1"
            for ami in answer["outputResources"]["amis"]
        )


@given(st.lists(answers, max_size=6), st.randoms())
def test_the_latest_image_does_not_depend_on_the_order(found, random):
    images = [Image.from_api(answer) for answer in found]
    try:
        newest = latest(images)
    except UndatedImage:
        assert any(image.created is None for image in images)
        return
    random.shuffle(images)
    assert (newest and newest.created) == max((image.created for image in images), default=None)
    shuffled = latest(images)
    assert (shuffled and (shuffled.created, shuffled.arn)) == (newest and (newest.created, newest.arn))
