from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from spot_runner_provider.records.ami_state import MalformedRecord, render_timestamp
from spot_runner_provider.records.intent import Intent, base_of, redundant
from spot_runner_provider.records.platform import Platform

from .values import NOW, note, without

INTENT = Intent("AMI-INTENT#linux-x64#dag/run/2", "linux-x64", "2026-02-11T16:05:48.123Z", 7, "ami-0new", "arn:new")


def test_its_key_names_preset_owner_and_try():
    made = Intent.of("linux-x64", owner="dag/run/2", at=NOW, param_version=7, ami_id="ami-0new", build_id="arn:new")
    assert made == INTENT


def test_as_an_item_it_has_no_status():
    assert INTENT.to_item() == {
        "jobId": "AMI-INTENT#linux-x64#dag/run/2",
        "recordType": "AMI-INTENT",
        "presetName": "linux-x64",
        "updatedAt": "2026-02-11T16:05:48.123Z",
        "paramVersion": 7,
        "amiId": "ami-0new",
        "buildId": "arn:new",
        "putsUntil": None,
        "standsFor": [],
        "platform": None,
    }


def test_the_platform_of_its_ami_comes_back_from_an_item_and_from_xcom():
    intent = replace(INTENT, platform=Platform.WINDOWS)
    assert Intent.from_item(intent.to_item()) == intent
    told = intent.to_json()
    assert (told["amiId"], told["platform"], type(told["platform"])) == ("ami-0new", "Windows", str)
    found = Intent.from_item({"presetName": "linux-x64"} | told)
    assert (found.ami_id, found.platform) == ("ami-0new", Platform.WINDOWS)


@pytest.mark.parametrize("ami_id", [b"ami-0new", "ami-\0", "x" * 100_000, None], ids=["bytes", "nul", "long", "none"])
def test_an_ami_id_that_is_none_does_not_reach_xcom(ami_id):
    told = Intent.from_item(note(amiId=ami_id, platform="Windows")).to_json()
    assert not {"amiId", "platform"} & told.keys()


@pytest.mark.parametrize("version", [7, Decimal("7"), Decimal("7.0")], ids=["int", "decimal", "decimal-with-fraction"])
def test_read_back_from_an_item(version):
    found = Intent.from_item(INTENT.to_item() | {"paramVersion": version})
    assert (found, type(found.param_version)) == (INTENT, int)


def test_read_back_from_xcom():
    found = Intent.from_item({"presetName": "linux-x64"} | INTENT.to_json())
    assert (found.job_id, found.logged_at, found.param_version) == (INTENT.job_id, INTENT.logged_at, 7)


@pytest.mark.parametrize(
    ("item", "names"),
    [
        pytest.param(without(note(), "presetName"), "presetName", id="no-presetName"),
        pytest.param(note(presetName=["x"]), "presetName", id="list-presetName"),
        pytest.param(note(name="../x"), "presetName", id="path-presetName"),
        pytest.param(without(note(), "jobId"), "jobId", id="no-jobId"),
        pytest.param(note(jobId="AMI#linux-x64"), "jobId", id="key-of-the-record"),
        pytest.param(note(jobId="AMI-INTENT#linux-x64-2#dag/run/1"), "jobId", id="key-of-another-preset"),
        pytest.param(note(owner="r" * 1024), "jobId", id="long-jobId"),
        pytest.param(note(owner="dag/run\n/1"), "jobId", id="jobId-of-two-lines"),
        pytest.param(note(owner="dag/\u202erun/1"), "jobId", id="jobId-that-turns-its-direction"),
        pytest.param(without(note(), "updatedAt"), "updatedAt", id="no-updatedAt"),
        pytest.param(note(updatedAt="soon"), "updatedAt", id="unreadable-updatedAt"),
        pytest.param(without(note(), "paramVersion"), "paramVersion", id="no-paramVersion"),
        pytest.param(note(paramVersion="7"), "paramVersion", id="text-paramVersion"),
        pytest.param(note(paramVersion=0), "paramVersion", id="zero-paramVersion"),
        pytest.param(note(paramVersion=Decimal("7.5")), "paramVersion", id="fraction-paramVersion"),
        pytest.param(note(paramVersion=True), "paramVersion", id="bool-paramVersion"),
        pytest.param(note(paramVersion=Decimal("1E+40")), "paramVersion", id="huge-paramVersion"),
    ],
)
def test_refused_by_the_attribute_that_is_wrong(item, names):
    with pytest.raises(MalformedRecord, match=f"^{names}"):
        Intent.from_item(item)


@pytest.mark.parametrize("run", ["r" * 250, "a\tb", "\u202e", "run\u00e9"], ids=["long", "tab", "turned", "accent"])
def test_what_a_try_logs_is_never_refused_and_is_its_runs(run):
    owner = f"{'d' * 250}/{run}"
    attempt = f"{'t' * 250}/1023/10/0123abcd"
    logged = Intent.of("x" * 116, owner=f"{owner}/{attempt}", at=NOW, param_version=7, ami_id="ami-1", build_id="arn")
    assert Intent.from_item(logged.to_item()) == logged
    assert logged.is_of(owner)


@pytest.mark.parametrize("names", [None, 7, "AMI-INTENT#linux-x64#dag/run/1", {"a": 1}, [7, None, ["x"], "\0" * 9999]])
def test_names_that_are_none_leave_the_intent_as_good_as_any(names):
    """A name only allows to drop another intent, so a wrong one loses nothing: and it goes no further."""
    read = Intent.from_item(note(standsFor=names))
    other = Intent.from_item(note(owner="dag/run/2"))
    assert redundant([read, other]) == []
    assert "standsFor" not in read.to_json({read.job_id, other.job_id})


def test_an_intent_that_names_itself_is_not_redundant():
    assert redundant([replace(INTENT, stands_for=(INTENT.job_id,))]) == []


@pytest.mark.parametrize(
    ("age", "abandoned"),
    [
        pytest.param(timedelta(minutes=5, milliseconds=1), True, id="a-millisecond-over"),
        pytest.param(timedelta(minutes=5), False, id="exactly-5-minutes"),
        pytest.param(timedelta(0), False, id="just-now"),
        pytest.param(-timedelta(days=1), False, id="in-the-future"),
    ],
)
def test_abandoned_after_more_than_five_minutes(age, abandoned):
    intent = Intent("AMI-INTENT#x#y", "x", render_timestamp(NOW - age), 1)
    assert intent.is_abandoned(NOW) is abandoned


def test_the_base_is_the_oldest_version_that_any_had_read():
    assert base_of([Intent("k", "x", "t", 9), Intent("k", "x", "t", 4), Intent("k", "x", "t", 6)]) == 4
