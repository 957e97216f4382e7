from __future__ import annotations

import pytest

from spot_runner_provider.hooks.credentials import (
    connection_faults,
    credential_fault,
    environment_faults,
    header_fault,
    key_id_fault,
    region_fault,
    secrets_of,
)

KEY_ID, SECRET, TOKEN = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2lu/+=="
PAIR = {"aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET}

ODD = {
    "newline": (f"{TOKEN}\n", "begins or ends with a blank"),
    "return": (f"{TOKEN}\r\n", "begins or ends with a blank"),
    "blank before": (f" {TOKEN}", "begins or ends with a blank"),
    "no-break space": (f"{TOKEN}\u00a0", "begins or ends with a blank"),
    "blank inside": ("IQoJ b3Jp", "blank or a control character"),
    "line break inside": ("IQoJ\nb3Jp", "blank or a control character"),
    "NUL": ("IQoJ\0b3Jp", "blank or a control character"),
    "escape": ("IQoJ\x1b[31m", "blank or a control character"),
    "DEL": ("IQoJ\x7f", "blank or a control character"),
    "letter with an accent": ("IQoJé", "not ASCII"),
    "zero-width space": ("IQoJ\u200b", "not ASCII"),
    "byte-order mark": (f"\ufeff{TOKEN}", "not ASCII"),
    "empty": ("", "is blank"),
    "blanks": (" \t\n", "is blank"),
    "number": (123456789012, "is not text"),
    "list": ([TOKEN], "is not text"),
    "nothing": (None, "is not text"),
}


@pytest.mark.parametrize(("value", "fault"), ODD.values(), ids=ODD)
def test_what_no_header_takes_is_no_credential(value, fault):
    assert fault in credential_fault(value)
    assert fault in key_id_fault(value)


@pytest.mark.parametrize("value", [SECRET, TOKEN, "test", "x" * 100_000], ids=["secret", "token", "short", "very long"])
def test_a_sound_credential_has_no_fault(value):
    assert credential_fault(value) is None


@pytest.mark.parametrize("value", [KEY_ID, "testing", "minio-admin", "000000000000", "a.b_c"])
def test_a_sound_key_id_has_no_fault(value):
    assert key_id_fault(value) is None


@pytest.mark.parametrize("value", [SECRET, "AKIA,Signature=1", "AKIA;x", "key=value"])
def test_what_would_break_the_signature_is_no_key_id(value):
    assert "no access key id has" in key_id_fault(value)


@pytest.mark.parametrize(
    "region",
    [
        "us-east-1",
        "ap-southeast-7",
        "us-gov-west-1",
        "cn-northwest-1",
        "us-isob-east-1",
        "eu-isoe-west-1",
        "eusc-de-east-1",
        "mx-central-1",
        "us-east-9",
        "xx-nowhere-12",
        "local",
        "aws-global",
    ],
)
def test_a_region_need_not_be_known(region):
    assert region_fault(region) is None


REGIONS = {
    "blank after": ("us-east-1 ", "'us-east-1 ' is not a region"),
    "newline": ("us-east-1\n", r"'us-east-1\n' is not a region"),
    "brackets": ("[us-east-1]", "'[us-east-1]' is not a region"),
    "underscores": ("us_east_1", "'us_east_1' is not a region"),
    "capitals": ("US-EAST-1", "'US-EAST-1' is not a region"),
    "not ASCII": ("us-east-\uff11", "'us-east-\uff11' is not a region"),
    "host": ("us-east-1.amazonaws.com", "'us-east-1.amazonaws.com' is not a region"),
    "dash after": ("us-east-", "'us-east-' is not a region"),
    "number": ("1", "'1' is not a region"),
    "zone": ("us-east-1a", "'us-east-1a' is an availability zone: write us-east-1"),
    "zone, GovCloud": ("us-gov-west-1b", "write us-gov-west-1"),
    "local zone": ("us-west-2-lax-1a", "write us-west-2"),
    "empty": ("", "is blank"),
    "blanks": (" ", "is blank"),
    "no text": (None, "is blank"),
    "a secret": (SECRET, f"of {len(SECRET)} characters is not a region"),
    "a secret that is a host label": ("a" * 40, "of 40 characters is not a region"),
}


@pytest.mark.parametrize(("region", "fault"), REGIONS.values(), ids=REGIONS)
def test_what_is_no_region_is_told(region, fault):
    assert region_fault(region).startswith(fault) or fault in region_fault(region)


CONNECTIONS = {
    "none": ((None, None, {}), []),
    "role alone": ((None, None, {"role_arn": "arn:aws:iam::123456789012:role/runner"}), []),
    "login and password": ((KEY_ID, SECRET, {}), []),
    "extra": ((None, None, PAIR), []),
    "session_kwargs": ((None, None, {"session_kwargs": PAIR}), []),
    "all of it": ((KEY_ID, SECRET, {"aws_session_token": TOKEN}), []),
    "login alone": ((KEY_ID, None, {}), ["has an access key id, but no secret access key: fill in both, or none"]),
    "empty password": ((KEY_ID, "", {}), ["has an access key id, but no secret access key: fill in both, or none"]),
    "password alone": (("", SECRET, {}), ["has a secret access key, but no access key id: fill in both, or none"]),
    "half an extra": (
        (None, None, {"aws_access_key_id": KEY_ID}),
        ["has an access key id, but no secret access key: fill in both, or none"],
    ),
    "half in two places": (
        (KEY_ID, None, {"aws_secret_access_key": SECRET}),
        ["has an access key id, but no secret access key: fill in both, or none"],
    ),
    "token alone": (
        (None, None, {"aws_session_token": TOKEN}),
        ["has an aws_session_token, but no access key id and no secret access key: fill in all, or none"],
    ),
    "bad login": (
        (f"{KEY_ID}\n", SECRET, {}),
        ["has an access key id (login) that begins or ends with a blank or a line break: copy it without that"],
    ),
    "bad password": (
        (KEY_ID, f"{SECRET} ", {}),
        ["has a secret access key (password) that begins or ends with a blank or a line break: copy it without that"],
    ),
    "swapped": (
        (SECRET, KEY_ID, {}),
        ["has an access key id (login) that has a character that no access key id has: is it the secret?"],
    ),
    "bad token in session_kwargs": (
        (None, None, {"session_kwargs": PAIR | {"aws_session_token": f"{TOKEN}\n"}}),
        ["has an aws_session_token that begins or ends with a blank or a line break: copy it without that"],
    ),
    "number for a token": (
        (KEY_ID, SECRET, {"aws_session_token": 1}),
        ["has an aws_session_token that is not text: write it in quotes"],
    ),
    "nonsense for session_kwargs": ((KEY_ID, SECRET, {"session_kwargs": "none"}), []),
}


@pytest.mark.parametrize(("given", "faults"), CONNECTIONS.values(), ids=CONNECTIONS)
def test_the_faults_of_a_connection(given, faults):
    assert list(connection_faults(*given)) == faults


ENVIRONMENTS = {
    "none": ({}, []),
    "sound": ({"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN}, []),
    "not taken": ({"AWS_ACCESS_KEY_ID": f"{KEY_ID}\n"}, []),
    "key id": ({"AWS_ACCESS_KEY_ID": f"{KEY_ID}\n", "AWS_SECRET_ACCESS_KEY": SECRET}, ["AWS_ACCESS_KEY_ID"]),
    "secret": ({"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": f"{SECRET}\n"}, ["AWS_SECRET_ACCESS_KEY"]),
    "token": (
        {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": f"{TOKEN}é"},
        ["AWS_SESSION_TOKEN"],
    ),
    "old token": (
        {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SECURITY_TOKEN": f"{TOKEN}é"},
        ["AWS_SECURITY_TOKEN"],
    ),
}


@pytest.mark.parametrize(("environment", "at_fault"), ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_the_faults_of_an_environment(environment, at_fault):
    assert [fault.split()[0] for fault in environment_faults(environment)] == at_fault


def authorization(key_id: str) -> str:
    return f"AWS4-HMAC-SHA256 Credential={key_id}/20260211/us-east-1/ssm/aws4_request, SignedHeaders=host, Signature=f0"


HEADERS = {
    "sound": ({"Authorization": authorization(KEY_ID), "X-Amz-Security-Token": TOKEN}, None),
    "sound, in bytes": ({"authorization": authorization(KEY_ID).encode(), "x-amz-security-token": b"IQoJ"}, None),
    "unsigned": ({"User-Agent": "Boto3"}, None),
    "bearer": ({"Authorization": "Bearer IQoJ"}, None),
    "token": ({"X-Amz-Security-Token": f"{TOKEN}\n"}, "the session token begins or ends"),
    "token in bytes": ({"X-Amz-Security-Token": "IQoJé".encode()}, "the session token has a character"),
    "token that is no UTF-8": ({"X-Amz-Security-Token": b"IQoJ\xff"}, "the session token has a character"),
    "key id": ({"Authorization": authorization(f"{KEY_ID}\n")}, "the access key id begins or ends"),
    "secret as key id": ({"Authorization": authorization(SECRET)}, "the access key id"),
}


@pytest.mark.parametrize(("headers", "fault"), HEADERS.values(), ids=HEADERS)
def test_the_faults_of_signed_headers(headers, fault):
    found = header_fault(headers)
    assert found is None if fault is None else found.startswith(fault)


def test_what_is_secret_is_found_wherever_it_stands():
    extra = {
        "aws_session_token": "a",
        "session_kwargs": {"aws_secret_access_key": "b"},
        "assume_role_kwargs": {"ExternalId": "c"},
        "config_kwargs": {"proxies": {"https": "http://me:d/@e@proxy:8080"}},
        "service_config": {"ssm": {"endpoint_url": "https://f@host"}},
        "role_arn": "arn:aws:iam::123456789012:role/runner",
        "region_name": "us-east-1",
    }
    assert set(secrets_of(extra)) - {""} == {"a", "b", "c", "me:d/@e", "d/@e", "d", "e", "f"}
    assert list(secrets_of({"AWS_SECRET_ACCESS_KEY": "a", "AWS_PROFILE": "b"})) == ["a"]
