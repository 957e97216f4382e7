"""A connection, an environment or a region that cannot be right is refused before any call, and names no secret.

The property at the end goes over odd credentials wherever they may stand, and searches for them in all that a detecting
task, a reconciling one, a wait and a command put out.
"""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from spot_runner_provider import clock
from spot_runner_provider.embedded.__main__ import airflow_connection
from spot_runner_provider.embedded.demo.seed import create_table
from spot_runner_provider.embedded.server import EmbeddedAws
from spot_runner_provider.hooks import scrubbing
from spot_runner_provider.hooks.preset_config import PresetConfigHook
from spot_runner_provider.records.ami_state import render_timestamp
from spot_runner_provider.triggers.images import ImagesTrigger
from tests.integration.deployment import Deployment, TaskInstance, detect, reconcile
from tests.integration.test_secrets import finds
from tests.nightly import NIGHTLY

PRESET = "linux-x64"
IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image/spotrunnerstack-linux-x64/1.0.0/1"
KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
OTHERS = {"AWS_ACCESS_KEY_ID": "AKIAOFANOTHERACCOUNT", "AWS_SECRET_ACCESS_KEY": SECRET}
"""The worker's own credentials, of whatever account."""


@pytest.fixture
def aws() -> Iterator[EmbeddedAws]:
    with EmbeddedAws() as aws:
        create_table(aws.client("dynamodb", bystander=True))
        Deployment(aws).stale(PRESET)
        yield aws


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(scrubbing, "_known", frozenset())


def connection(aws: EmbeddedAws, *without: str, **given: Any) -> str:
    """Return the connection to the embedded AWS, with other fields, or another extra."""
    made = json.loads(airflow_connection(aws))
    for name, value in given.items():
        (made if name in ("login", "password", "conn_type") else made["extra"])[name] = value
    for name in without:
        made.pop(name, None), made["extra"].pop(name, None)
    return json.dumps(made)


def fire(**arguments: Any) -> dict[str, Any]:
    """Return the event of a trigger."""
    trigger = ImagesTrigger(
        image_arns=[IMAGE],
        deadline=render_timestamp(clock.now() + timedelta(milliseconds=50)),
        poll_interval=1,
        **{"aws_conn_id": "aws_default"} | arguments,
    )

    async def first() -> dict[str, Any]:
        return [event.payload async for event in trigger.run()][0]  # noqa: RUF015 - it fires once

    return asyncio.run(first())


def in_trigger(**arguments: Any) -> None:
    event = fire(**arguments)
    assert event["unseen"] == {}
    if why := event["refused"].get(IMAGE):
        raise AirflowFailException(why)


TASKS: dict[str, Callable[..., Any]] = {
    "detect": detect,
    "reconcile": lambda **aws: reconcile([PRESET], **aws),
    "trigger": in_trigger,
}


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return TASKS[request.param]


@pytest.fixture
def own(aws, monkeypatch) -> None:
    """Give the worker credentials of its own, which lead to an AWS too."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
    for name, value in OTHERS.items():
        monkeypatch.setenv(name, value)


# Whose credentials are taken.


@pytest.mark.usefixtures("own")
def test_a_connection_that_does_not_exist_is_refused(aws, task):
    with pytest.raises(AirflowFailException) as refused:
        task(aws_conn_id="aws_prod")
    assert str(refused.value).startswith(
        "There is no connection 'aws_prod'. Add it to Airflow (airflow connections add"
    )
    assert aws.call_log() == []


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("conn_id", ["aws_default", None, ""])
def test_the_workers_credentials_are_used_where_meant(aws, monkeypatch, task, conn_id):
    monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT", raising=False)
    task(aws_conn_id=conn_id)
    assert aws.call_log()


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("conn_id", ["aws_default", "aws_prod"])
def test_a_second_look_does_not_find_what_the_first_did_not(monkeypatch, conn_id):
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", "{")
    hook = PresetConfigHook(aws_conn_id=conn_id)
    for _ in range(2):
        with pytest.raises(Exception, match="cannot be read as a connection"):
            hook.connect()


UNREADABLE = {
    "URI with a slash in the secret": f"aws://{KEY_ID}:s3cret/Word@/?region_name=us-east-1",
    "URI with a hash in the secret": f"aws://{KEY_ID}:s3cret#Word@/?region_name=us-east-1",
    "JSON that is cut off": '{"conn_type": "aws", "password": "s3cretWord',
    "JSON with a field that is none": '{"conn_type": "aws", "passwrod": "s3cretWord"}',
    "JSON with a port that is none": '{"conn_type": "aws", "port": "s3cretWord"}',
}


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("conn_id", ["aws_default", "aws_prod"])
@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_a_connection_that_cannot_be_read_is_not_taken_for_none(aws, monkeypatch, capfd, caplog, task, conn_id, text):
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", text)
    with pytest.raises(AirflowFailException, match=f"AIRFLOW_CONN_{conn_id.upper()} cannot be read") as refused:
        task(aws_conn_id=conn_id)
    assert aws.call_log() == []
    printed = capfd.readouterr()
    told = ["".join(traceback.format_exception(refused.value)), caplog.text, printed.out, printed.err]
    assert "s3cret" not in "".join(told)


HALF: dict[str, tuple[dict[str, Any], str]] = {
    "login alone": ({"login": KEY_ID, "password": ""}, "has an access key id, but no secret access key"),
    "password alone": ({"login": "", "password": SECRET}, "has a secret access key, but no access key id"),
    "token alone": ({"login": "", "password": "", "aws_session_token": "IQoJ"}, "has an aws_session_token, but no"),
    "half in the extra": (
        {"login": "", "password": "", "aws_access_key_id": KEY_ID},
        "has an access key id, but no secret access key",
    ),
}


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(("given", "told"), HALF.values(), ids=HALF)
def test_half_a_pair_of_keys_is_not_made_whole_by_the_workers(aws, monkeypatch, task, given, told):
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(aws, **given))
    with pytest.raises(AirflowFailException, match=f"The connection 'aws_default' {told}"):
        task()
    assert aws.call_log() == []


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("extra", ['{"aws_access_key_id": "s3cret', '["s3cret"]', '"s3cret"'])
def test_an_unreadable_extra_is_not_taken_for_empty(aws, monkeypatch, task, extra):
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", "extra": extra}))
    with pytest.raises(AirflowFailException) as refused:
        task()
    assert aws.call_log() == []
    assert "s3cret" not in "".join(traceback.format_exception(refused.value))


# What is refused before any call.

REGIONS = ["us-east-1 ", "us-east-1\n", "[us-east-1]", "us_east_1", "us-east-1a", " ", "None."]


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_that_is_none_is_refused_before_any_call(aws, monkeypatch, task, region):
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(aws, region_name=region))
    with pytest.raises(AirflowFailException, match="It comes from region_name of the connection 'aws_default'"):
        task()
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(aws))
    with pytest.raises(AirflowFailException, match=r"It comes from region_name of the task or of \[spot_runner\]"):
        task(region_name=region)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(aws, "region_name"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    with pytest.raises(AirflowFailException, match="It comes from the worker's AWS_DEFAULT_REGION"):
        task()
    assert aws.call_log() == []


def test_a_region_that_botocore_does_not_know_is_taken(aws, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(aws, region_name="eu-north-9"))
    assert PresetConfigHook().connect() == "eu-north-9"


SETTINGS: dict[str, dict[str, Any]] = {
    "endpoint": {"endpoint_url": "me:s3cretWord@127.0.0.1"},
    "endpoint with a line break": {"endpoint_url": "http://me:s3cretWord@127.0.0.1\n"},
    "config that is none": {"config_kwargs": {"proxis": {"http": "http://me:s3cretWord@127.0.0.1"}}},
    "role that is assumed in no way": {"role_arn": "arn:aws:iam::1:role/r", "assume_role_method": "by_magic"},
    "external id that is none": {
        "role_arn": "arn:aws:iam::123456789012:role/r",
        "assume_role_kwargs": {"ExternalId": ["s3cretWord"]},
    },
}


@pytest.mark.parametrize("given", SETTINGS.values(), ids=SETTINGS)
def test_settings_of_which_no_client_can_be_made_are_refused(aws, monkeypatch, task, given):
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(aws, "service_config", **given))
    with pytest.raises(
        AirflowFailException, match=r"No client can be created with the settings|Nothing can be sent"
    ) as refused:
        task()
    assert aws.call_log() == []
    assert "s3cretWord" not in "".join(traceback.format_exception(refused.value))


def test_a_botocore_config_that_is_none_is_refused(aws):
    with pytest.raises(AirflowFailException, match=r"No client can be created with the settings: .*'proxis'"):
        detect(botocore_config={"proxis": {}})


# The property.

BLANKS = ("", " ", "\n", "\r\n", "\t", "\x85", "\u00a0")
UNSEEN = ("\x1b[31m", "\x7f", "\u202e", "\ufeff", "é", "€")
SIGNS = (*"/@:#?%{}\"'\\,=&]", "%0a", "***", "://")
LONG = ("a" * 9_000, "a" * 70_000)
PIECES = st.sampled_from((*BLANKS, *UNSEEN, *SIGNS, *LONG)) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3
)
"""What may stand before, in and after a credential. An environment variable takes no NUL."""

EXAMPLES = 100 if NIGHTLY else 4
"""Of each place; each is three tasks."""

WORDS = {"key id": "S3CRETKEYID000000", "secret": "s3cretPassword", "token": "s3cretSessionToken"}


@st.composite
def credentials(draw: st.DrawFn) -> dict[str, str]:
    """Return credentials of which one, two or all are odd: with odd pieces, or empty."""
    odd = draw(st.sets(st.sampled_from(sorted(WORDS)), min_size=1))
    return {
        kind: draw(
            st.just("")
            | st.tuples(PIECES, PIECES, PIECES).map(lambda some, word=word: f"{some[0]}{word}{some[1]}{word}{some[2]}")
        )
        if kind in odd
        else word
        for kind, word in WORDS.items()
    }


Given = Mapping[str, str]
Place = Callable[[EmbeddedAws, Given, Path], dict[str, str]]


def in_fields(aws: EmbeddedAws, given: Given, _: Path) -> dict[str, str]:
    fields = {"login": given["key id"], "password": given["secret"], "aws_session_token": given["token"]}
    return {"AIRFLOW_CONN_AWS_DEFAULT": connection(aws, **fields)}


def in_extra(aws: EmbeddedAws, given: Given, _: Path) -> dict[str, str]:
    return {"AIRFLOW_CONN_AWS_DEFAULT": connection(aws, "login", "password", **_keys(given))}


def in_session_kwargs(aws: EmbeddedAws, given: Given, _: Path) -> dict[str, str]:
    return {"AIRFLOW_CONN_AWS_DEFAULT": connection(aws, "login", "password", session_kwargs=_keys(given))}


def in_role(aws: EmbeddedAws, given: Given, _: Path) -> dict[str, str]:
    role = {"role_arn": "arn:aws:iam::123456789012:role/r", "assume_role_kwargs": {"ExternalId": given["token"]}}
    fields = {"login": given["key id"], "password": given["secret"]}
    return {"AIRFLOW_CONN_AWS_DEFAULT": connection(aws, **fields, **role)}


def in_uri(aws: EmbeddedAws, given: Given, _: Path, quoted: Callable[[str], str] = lambda text: quote(text, "")) -> Any:
    key_id, secret, token = (quoted(given[kind]) for kind in WORDS)
    endpoint = quote(aws.endpoint_url, safe="")
    place = f"region_name=us-east-1&endpoint_url={endpoint}"
    return {"AIRFLOW_CONN_AWS_DEFAULT": f"aws://{key_id}:{secret}@/?{place}&aws_session_token={token}"}


def in_raw_uri(aws: EmbeddedAws, given: Given, folder: Path) -> dict[str, str]:
    return in_uri(aws, given, folder, quoted=str)


def in_environment(aws: EmbeddedAws, given: Given, _: Path) -> dict[str, str]:
    keys = {name.upper(): value for name, value in _keys(given).items()}
    return {"AIRFLOW_CONN_AWS_DEFAULT": connection(aws, "login", "password"), **keys}


def in_process(aws: EmbeddedAws, given: Given, folder: Path) -> dict[str, str]:
    names = {"key id": "AccessKeyId", "secret": "SecretAccessKey", "token": "SessionToken"}
    told = {"Version": 1, **{name: given[kind] for kind, name in names.items()}}
    (folder / "told.json").write_text(json.dumps(told))
    return _profile(aws, folder, f"credential_process = cat {folder / 'told.json'}")


def in_failing_process(aws: EmbeddedAws, given: Given, folder: Path) -> dict[str, str]:
    (folder / "told.txt").write_text("".join(given.values()))
    return _profile(aws, folder, f"credential_process = sh -c 'cat {folder / 'told.txt'} >&2; exit 1'")


def in_profile(aws: EmbeddedAws, given: Given, folder: Path) -> dict[str, str]:
    return _profile(aws, folder, "\n".join(f"{name} = {value}" for name, value in _keys(given).items()))


def in_endpoint(aws: EmbeddedAws, given: Given, _: Path) -> dict[str, str]:
    host = aws.endpoint_url.removeprefix("http://")
    url = f"http://{given['key id']}:{given['secret']}@{host}"
    return {"AIRFLOW_CONN_AWS_DEFAULT": connection(aws, endpoint_url=url)}


def in_proxy(aws: EmbeddedAws, given: Given, _: Path) -> dict[str, str]:
    url = f"http://{quote(given['key id'])}:{quote(given['secret'])}@127.0.0.1:9"
    return {"AIRFLOW_CONN_AWS_DEFAULT": connection(aws, config_kwargs={"proxies": {"http": url}})}


def in_raw_proxy(aws: EmbeddedAws, given: Given, _: Path) -> dict[str, str]:
    url = f"http://{given['key id']}:{given['secret']}@127.0.0.1:9"
    return {"AIRFLOW_CONN_AWS_DEFAULT": connection(aws, config_kwargs={"proxies": {"http": url}})}


def in_region(aws: EmbeddedAws, given: Given, _: Path) -> dict[str, str]:
    return {"AIRFLOW_CONN_AWS_DEFAULT": connection(aws, region_name=given["secret"] * 3)}


def _keys(given: Given) -> dict[str, str]:
    names = {"key id": "aws_access_key_id", "secret": "aws_secret_access_key", "token": "aws_session_token"}
    return {name: given[kind] for kind, name in names.items()}


def _profile(aws: EmbeddedAws, folder: Path, text: str) -> dict[str, str]:
    (folder / "config").write_text(f"[profile odd]\n{text}\n")
    made = connection(aws, "login", "password", profile_name="odd")
    return {"AIRFLOW_CONN_AWS_DEFAULT": made, "AWS_CONFIG_FILE": str(folder / "config")}


PLACES: dict[str, Place] = {
    place.__name__.removeprefix("in_").replace("_", " "): place
    for place in (in_fields, in_extra, in_session_kwargs, in_role, in_uri, in_raw_uri, in_environment, in_process)
} | {
    place.__name__.removeprefix("in_").replace("_", " "): place
    for place in (in_failing_process, in_profile, in_endpoint, in_proxy, in_raw_proxy, in_region)
}


@pytest.fixture
def told(caplog, capfd) -> Callable[[], dict[str, bytes]]:
    """Detect, reconcile and wait; return all that this raises, pushes, logs and prints, by place."""
    caplog.set_level(logging.INFO)

    def run() -> dict[str, bytes]:
        caplog.clear()
        once = {"botocore_config": {"retries": {"mode": "standard", "total_max_attempts": 1}}}
        ti, pushed, errors = TaskInstance(), [], []
        for task in (lambda: detect(ti, audit=True, **once), lambda: reconcile([PRESET], ti, **once)):
            try:
                pushed.append(task())
            except Exception as error:  # whatever it is, Airflow logs it with all its causes
                errors.append("".join(traceback.format_exception(error)))
        pushed.append(fire(**once))
        printed = capfd.readouterr()
        places = {
            "errors": "\n".join(errors),
            "XCom": json.dumps([pushed, ti.pushed], ensure_ascii=False),
            "log": caplog.text,
            "stdout": printed.out,
            "stderr": printed.err,
        }
        return {place: text.encode(errors="replace") for place, text in places.items()}

    return run


@pytest.mark.parametrize("place", PLACES)
def test_no_credential_is_told_however_odd_it_is(aws, told, tmp_path, place):
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(credentials())
    @example(WORDS | {"token": f"{WORDS['token']}\n"})
    @example(WORDS | {"secret": f"{WORDS['secret']}/{WORDS['secret']}"})
    def check(odd: dict[str, str]) -> None:
        scrubbing._known = frozenset()  # what another example has made known does not help this one
        with pytest.MonkeyPatch.context() as patch:
            for name, value in PLACES[place](aws, odd, tmp_path).items():
                patch.setenv(name, value)
            before = len(aws.call_log())
            places = told()
        assert {word: found for word in WORDS.values() if (found := finds(word, places))} == {}
        if b"Nothing was sent" in places["errors"]:
            assert len(aws.call_log()) == before

    check()


def test_the_property_finds_what_is_told(aws, told, monkeypatch):
    """Without the checks and the scrubbing a token is told, and found. Airflow masks some of it, in what it logs."""
    monkeypatch.setattr("spot_runner_provider.hooks.connection.connection_faults", lambda *_: ())
    monkeypatch.setattr("spot_runner_provider.hooks.connection.header_fault", lambda _: None)
    monkeypatch.setattr("spot_runner_provider.hooks.scrubbing.scrub", lambda _: None)
    odd = WORDS | {"token": f"{WORDS['token']}\n"}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", in_fields(aws, odd, Path())["AIRFLOW_CONN_AWS_DEFAULT"])
    assert "errors" in finds(WORDS["token"], told())


def test_without_the_checks_the_scrubbing_is_enough(aws, told, monkeypatch):
    monkeypatch.setattr("spot_runner_provider.hooks.connection.connection_faults", lambda *_: ())
    monkeypatch.setattr("spot_runner_provider.hooks.connection.header_fault", lambda _: None)
    monkeypatch.setattr("spot_runner_provider.hooks.connection.remember", lambda *_, **__: None)
    for kind, word in WORDS.items():
        odd = WORDS | {kind: f"{word}\n"}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", in_fields(aws, odd, Path())["AIRFLOW_CONN_AWS_DEFAULT"])
        places = told()
        assert {word: found for word in WORDS.values() if (found := finds(word, places))} == {}
