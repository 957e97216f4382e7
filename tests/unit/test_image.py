from datetime import UTC, datetime, timedelta

import pytest

from spot_runner_provider.records.image import (
    Ami,
    BuildState,
    Image,
    Pipeline,
    UndatedImage,
    is_pipeline_name,
    judge,
    latest,
    pipelines_of,
)
from spot_runner_provider.records.platform import Platform

from .values import ACCOUNT, REGION

MADE = datetime(2026, 2, 11, 15, tzinfo=UTC)
OTHER = "999999999999"


def image(status="AVAILABLE", *amis, **fields):
    return Image("arn:image", status, MADE, amis=amis, **fields)


def ami(image_id="ami-1", region=REGION, account=ACCOUNT, status=None):
    return Ami(image_id, region, account, status)


class TestLatest:
    OLD = Image("arn:x/1.0.0/37", "AVAILABLE", MADE)
    NEW = Image("arn:x/1.0.1/1", "FAILED", MADE + timedelta(milliseconds=1))
    OLDEST = Image("arn:x/9.9.9/99", "AVAILABLE", MADE - timedelta(days=1))

    @pytest.mark.parametrize(
        "images",
        [
            pytest.param([OLDEST, OLD, NEW], id="oldest-first"),
            pytest.param([NEW, OLD, OLDEST], id="newest-first"),
            pytest.param([OLD, NEW, OLDEST], id="mixed"),
        ],
    )
    def test_by_date_whatever_the_order_and_the_build_number(self, images):
        assert latest(iter(images)) is self.NEW

    def test_none_of_none(self):
        assert latest([]) is None

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_an_undated_image_is_an_error_rather_than_a_guess(self, place):
        images = [self.OLD, self.NEW]
        images.insert(place, Image("arn:undated", "AVAILABLE", None))
        with pytest.raises(UndatedImage, match="arn:undated"):
            latest(images)


@pytest.mark.parametrize(
    ("found", "state", "ami_id"),
    [
        pytest.param(image("PENDING"), "building", None, id="pending"),
        pytest.param(image("CREATING"), "building", None, id="creating"),
        pytest.param(image("BUILDING"), "building", None, id="building"),
        pytest.param(image("TESTING"), "building", None, id="testing"),
        pytest.param(image("DISTRIBUTING", ami()), "building", None, id="distributing"),
        pytest.param(image("INTEGRATING", ami()), "building", None, id="integrating"),
        pytest.param(image("FAILED"), "failed", None, id="failed"),
        pytest.param(image("FAILED", ami()), "failed", None, id="failed-with-an-ami"),
        pytest.param(image("CANCELLED"), "failed", None, id="cancelled"),
        pytest.param(image("DEPRECATED", ami()), "unusable", None, id="deprecated"),
        pytest.param(image("DELETED", ami()), "unusable", None, id="deleted"),
        pytest.param(image("DISABLED", ami()), "unusable", None, id="disabled"),
        pytest.param(image("DREAMING", ami()), "unusable", None, id="invented"),
        pytest.param(image("available", ami()), "unusable", None, id="lower-case"),
        pytest.param(image(None, ami()), "unusable", None, id="without-a-state"),
        pytest.param(image("AVAILABLE", ami()), "ready", "ami-1", id="available"),
        pytest.param(image("AVAILABLE", ami("ami-2", "eu-west-1"), ami()), "ready", "ami-1", id="of-the-region"),
        pytest.param(image("AVAILABLE", ami(account=None)), "ready", "ami-1", id="only-one-without-account"),
        pytest.param(image("AVAILABLE", ami(account=OTHER)), "unusable", None, id="only-one-of-another-account"),
        pytest.param(
            image("AVAILABLE", ami(account=OTHER), ami("ami-2", account=None)),
            "unusable",
            None,
            id="another-account's-and-one-without-account",
        ),
        pytest.param(image("AVAILABLE", ami("ami-2", account=OTHER), ami()), "ready", "ami-1", id="of-the-account"),
        pytest.param(image("AVAILABLE", ami(), ami()), "ready", "ami-1", id="the-same-twice"),
        pytest.param(image("AVAILABLE", ami(status="AVAILABLE")), "ready", "ami-1", id="copy-available"),
        pytest.param(
            image("AVAILABLE", ami("ami-2", status="FAILED"), ami()),
            "ready",
            "ami-1",
            id="without-the-copy-that-failed",
        ),
        pytest.param(image("AVAILABLE", ami(status="FAILED")), "unusable", None, id="copy-failed"),
        pytest.param(image("AVAILABLE"), "unusable", None, id="no-ami"),
        pytest.param(image("AVAILABLE", ami(region="eu-west-1")), "unusable", None, id="none-in-the-region"),
        pytest.param(image("AVAILABLE", ami(region=None)), "unusable", None, id="of-no-region"),
        pytest.param(image("AVAILABLE", ami(), ami("ami-2")), "unusable", None, id="two-of-the-account"),
        pytest.param(
            image("AVAILABLE", ami(account=OTHER), ami("ami-2", account="1")), "unusable", None, id="two-of-others"
        ),
        pytest.param(image("AVAILABLE", ami("pending")), "unusable", None, id="no-ami-id"),
    ],
)
def test_what_becomes_of_a_build(found, state, ami_id):
    verdict = judge(found, region=REGION, account=ACCOUNT)
    assert (verdict.state, verdict.ami_id) == (BuildState(state), ami_id)


@pytest.mark.parametrize("account", [None, OTHER])
def test_an_unknown_account_takes_the_only_ami(account):
    assert judge(image("AVAILABLE", ami(account=account)), region=REGION, account="").ami_id == "ami-1"


def test_an_unknown_account_takes_none_of_several_amis():
    verdict = judge(image("AVAILABLE", ami(account=None), ami("ami-2", account=None)), region=REGION, account="")
    assert verdict.reason == "the latest image has 2 AMIs in us-east-1, and the account of the pipeline is not known"
    assert verdict.remedy.endswith("put exactly one AMI into us-east-1, and start a build")


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param(image("TESTING"), "the build is TESTING", id="in-progress"),
        pytest.param(image("FAILED", reason="no disk"), "FAILED: no disk", id="reason"),
        pytest.param(image("FAILED", reason="no disk", failure="step x"), "FAILED: no disk; step x", id="and-step"),
        pytest.param(image("FAILED", failure="step x"), "FAILED: step x", id="step-alone"),
        pytest.param(image("CANCELLED"), "CANCELLED: Image Builder gives no reason", id="no-reason"),
        pytest.param(image("DELETED"), "the latest image is DELETED", id="unusable"),
        pytest.param(image(None), "the latest image is without a state", id="no-state"),
        pytest.param(
            image("AVAILABLE"),
            "the latest image is AVAILABLE, but has no AMI in us-east-1, or anywhere else",
            id="no-ami",
        ),
        pytest.param(
            image("AVAILABLE", ami(region="eu-west-1"), ami(region="ap-south-1")),
            "the latest image is AVAILABLE, but has no AMI in us-east-1, only in ap-south-1, eu-west-1",
            id="elsewhere",
        ),
        pytest.param(
            image("AVAILABLE", ami(status="FAILED")),
            "the latest image is AVAILABLE, but its AMI in us-east-1 is FAILED",
            id="copy-failed",
        ),
        pytest.param(
            image("FAILED", message="exit 1", reason="Document arn:c failed!", failure="component step Install"),
            "FAILED: exit 1; component step Install; Document arn:c failed!",
            id="the-components-message-first",
        ),
        pytest.param(
            image("AVAILABLE", ami(), ami("ami-2")),
            "the latest image has 2 AMIs in us-east-1, and not exactly one of account 123456789012",
            id="ambiguous",
        ),
        pytest.param(
            image("AVAILABLE", ami(account=OTHER)),
            f"the only AMI of the latest image in us-east-1 is of account {OTHER}, "
            "and the pipeline is of account 123456789012",
            id="of-another-account",
        ),
    ],
)
def test_the_reason(found, reason):
    assert judge(found, region=REGION, account=ACCOUNT).reason == reason


class TestFromApi:
    def test_a_whole_answer(self):
        answer = {
            "arn": "arn:image",
            "dateCreated": "2026-02-11T15:00:00.511Z",
            "state": {"status": "AVAILABLE", "reason": "because"},
            "outputResources": {
                "amis": [
                    {"region": "us-east-1", "image": "ami-1", "accountId": ACCOUNT, "state": {"status": "AVAILABLE"}},
                    {"region": "eu-west-1"},
                ]
            },
        }
        assert Image.from_api(answer) == Image(
            "arn:image",
            "AVAILABLE",
            datetime(2026, 2, 11, 15, 0, 0, 511000, UTC),
            "because",
            None,
            (Ami("ami-1", "us-east-1", ACCOUNT, "AVAILABLE"),),
        )

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param({}, id="nothing"),
            pytest.param({"state": None, "outputResources": None, "dateCreated": None}, id="nulls"),
            pytest.param({"state": {}, "outputResources": {}}, id="empty-parts"),
            pytest.param({"outputResources": {"amis": None}, "dateCreated": "soon"}, id="unreadable-date"),
            pytest.param({"outputResources": {"amis": [{"region": REGION, "state": None}]}}, id="ami-without-id"),
        ],
    )
    def test_what_is_absent_stays_absent(self, answer):
        assert Image.from_api(answer) == Image("", None, None)

    @pytest.mark.parametrize(
        ("context", "message", "failure"),
        [
            pytest.param({"failedStep": "RunComponents"}, None, "step RunComponents", id="step"),
            pytest.param(
                {
                    "imageStatus": "BUILDING",
                    "failedStep": "RunComponents",
                    "componentFailure": {
                        "componentArn": "arn:c",
                        "phaseName": "build",
                        "stepName": "Install",
                        "errorMessage": "exit 1",
                    },
                },
                "exit 1",
                "component step Install, phase build, step RunComponents, while BUILDING, component arn:c",
                id="component",
            ),
            pytest.param({"distributionFailure": {"errorMessage": "no copy"}}, "no copy", None, id="distribution"),
            pytest.param(
                {
                    "imageStatus": "DISTRIBUTING",
                    "distributionFailure": {
                        "errorMessage": "Not all distribution jobs are completed",
                        "regionFailures": [
                            {"region": "eu-west-1", "status": "FAILED", "errorMessage": "no access to the KMS key"},
                            {"region": "ap-south-1", "status": "TIMED_OUT"},
                            {"errorMessage": "late"},
                            None,
                        ],
                    },
                },
                "Not all distribution jobs are completed; eu-west-1: no access to the KMS key; a region: late",
                "while DISTRIBUTING",
                id="regions",
            ),
            pytest.param({}, None, None, id="empty"),
            pytest.param({"distributionFailure": {"regionFailures": "odd"}}, None, None, id="regions-of-another-type"),
        ],
    )
    def test_why_and_where_a_build_failed(self, context, message, failure):
        read = Image.from_api({"state": {"status": "FAILED", "failureContext": context}})
        assert (read.message, read.failure) == (message, failure)

    @pytest.mark.parametrize(
        ("found", "summary"),
        [
            pytest.param(image(None), True, id="no-state"),
            pytest.param(image("AVAILABLE"), True, id="available-without-amis"),
            pytest.param(image("AVAILABLE", ami()), False, id="available-with-amis"),
            pytest.param(image("FAILED"), True, id="failed-without-reason"),
            pytest.param(image("FAILED", reason="x"), False, id="failed-with-reason"),
            pytest.param(image("FAILED", failure="x"), False, id="failed-with-step"),
            pytest.param(image("FAILED", message="x"), False, id="failed-with-message"),
            pytest.param(image("CANCELLED"), False, id="cancelled"),
            pytest.param(image("BUILDING"), False, id="building"),
            pytest.param(image("DELETED"), False, id="deleted"),
        ],
    )
    def test_a_summary_lacks_what_matters_for_its_state(self, found, summary):
        assert found.is_summary is summary


@pytest.mark.parametrize(
    ("name", "can_be"),
    [
        pytest.param("spot-runner-linux-x64", True, id="usual"),
        pytest.param("Spot Runner_1", True, id="blank-inside"),
        pytest.param("x" * 128, True, id="longest"),
        pytest.param("x" * 129, False, id="too-long"),
        pytest.param("ab", False, id="too-short"),
        pytest.param("", False, id="empty"),
        pytest.param("spot-*", False, id="wildcard"),
        pytest.param(" spot", False, id="blank-before"),
        pytest.param("spot\n", False, id="line-break"),
    ],
)
def test_pipeline_names(name, can_be):
    assert is_pipeline_name(name) is can_be


@pytest.mark.parametrize("wrong", [None, 7, "text", ["text"], [None], {"status": None}], ids=repr)
@pytest.mark.parametrize("name", ["arn", "state", "dateCreated", "outputResources", "loggingConfiguration"])
def test_a_member_of_the_wrong_type_counts_as_absent(name, wrong):
    answer = {
        "arn": "arn:image",
        "state": {"status": "FAILED", "failureContext": wrong},
        "outputResources": {"amis": [{"image": "ami-0e3f", "region": wrong, "state": wrong}, wrong]},
    }
    image = Image.from_api(answer | {name: wrong})
    assert isinstance(image.arn, str)
    assert image.created is image.failure is image.log_group is None
    assert judge(image, region=REGION, account=ACCOUNT).ami_id is None


def test_a_pipeline_without_a_name_or_an_arn_is_none():
    sound = {"name": "spot-runner-a", "arn": "arn:pipeline"}
    odd = [None, 7, {}, {"name": "spot-runner-b"}, {"name": ["spot-runner-b"], "arn": "arn:b"}, sound | {"arn": 7}]
    assert list(pipelines_of([*odd, sound])) == [Pipeline("spot-runner-a", "arn:pipeline")]


@pytest.mark.parametrize(
    ("told", "is_enabled", "failures", "is_switched_off"),
    [
        pytest.param({"status": "ENABLED", "consecutiveFailures": 3}, True, 3, False, id="enabled"),
        pytest.param({"status": "DISABLED", "consecutiveFailures": 5}, False, 5, True, id="by-image-builder"),
        pytest.param({"status": "DISABLED", "consecutiveFailures": 0}, False, 0, False, id="by-a-person"),
        pytest.param({"status": "DISABLED"}, False, 0, False, id="nobody-counts"),
        pytest.param({"status": "PAUSED", "consecutiveFailures": "5"}, True, 0, False, id="unknown"),
    ],
)
def test_whether_a_pipeline_is_disabled_and_by_whom(told, is_enabled, failures, is_switched_off):
    (pipeline,) = pipelines_of([{"name": "spot-runner-a", "arn": "arn:pipeline", **told}])
    assert (pipeline.is_enabled, pipeline.failures, pipeline.is_switched_off) == (is_enabled, failures, is_switched_off)


@pytest.mark.parametrize(
    ("word", "platform"),
    [
        pytest.param("Linux", Platform.LINUX, id="linux"),
        pytest.param("Windows", Platform.WINDOWS, id="windows"),
        pytest.param("macOS", Platform.MACOS, id="macos"),
        pytest.param("WINDOWS", Platform.WINDOWS, id="capitals"),
        pytest.param("macos", Platform.MACOS, id="small-letters"),
        pytest.param("Plan 9", None, id="unknown"),
        pytest.param(" Linux", None, id="blank"),
        pytest.param(7, None, id="number"),
        pytest.param(None, None, id="null"),
        pytest.param(["Linux"], None, id="list"),
    ],
)
def test_what_a_pipeline_and_an_image_are_for(word, platform):
    (pipeline,) = pipelines_of([{"name": "spot-runner-a", "arn": "arn:pipeline", "platform": word}])
    image = Image.from_api({"arn": "arn:image", "platform": word})
    assert (pipeline.platform, image.platform) == (platform, platform)


def test_unstorable_characters_are_replaced():
    assert (
        Image.from_api({"state": {"status": "FAILED", "reason": "no\x00space\ud800"}}).reason == "no\ufffdspace\ufffd"
    )
