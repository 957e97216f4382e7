"""What credentials and a region must look like before they are used, and which parts of a connection are secret.

No fault that is returned here quotes a credential.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_PRINTABLE = re.compile(r"[!-~]+")
"""What http.client and AWS accept in a header, without the blanks that copying may add at the ends."""

_KEY_ID = re.compile(r"[\w.-]+", re.ASCII)
"""AWS uses letters and digits. Emulators accept more, but commas, slashes and ``=`` separate fields of a signature."""

_LONGEST_REGION = 30
"""Longest text that can be a region, generously. A longer one may be a misplaced secret, so it is not quoted."""

_REGION = re.compile(rf"(?![0-9]+\Z)(?!-)[a-z0-9-]{{1,{_LONGEST_REGION}}}(?<!-)")
"""What botocore accepts as a region, known or not, except capitals, which AWS rejects in a signature."""

_ZONE = re.compile(r"([a-z]+(?:-[a-z]+)+-[0-9]+)(?:-[a-z]+-[0-9]+)?[a-z]")
"""An availability zone, or a local zone such as ``us-east-1-bos-1a``. No region ends in a letter."""

_SIGNED = re.compile(r"AWS4-\S+ Credential=([^/]*)/[0-9]{8}/.*", re.DOTALL)

_USERINFO = re.compile(r"://([^\s\"'<>]*)@")

_SEPARATORS = re.compile(r"[/?#:@]")
"""Characters that end a part of an address unless they are percent-encoded."""

_SECRET_NAMES = frozenset({"aws_secret_access_key", "aws_session_token", "aws_security_token", "externalid"})


def key_id_fault(value: object) -> str | None:
    """Return what is wrong with an access key id, ``None`` if nothing is.

    >>> key_id_fault("AKIAIOSFODNN7EXAMPLE"), key_id_fault("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    (None, 'has a character that no access key id has: is it the secret?')
    """
    fault = credential_fault(value)
    if fault is None and not _KEY_ID.fullmatch(str(value)):
        fault = "has a character that no access key id has: is it the secret?"
    return fault


def credential_fault(value: object) -> str | None:
    r"""Return what is wrong with a secret access key or a session token, ``None`` if nothing is.

    >>> credential_fault("IQoJb3JpZ2luX2VjE/+=\n")
    'begins or ends with a blank or a line break: copy it without that'
    """
    if not isinstance(value, str):
        return "is not text: write it in quotes"
    if not value.strip():
        return "is blank: fill it in"
    if value != value.strip():
        return "begins or ends with a blank or a line break: copy it without that"
    if not value.isascii():
        return "has a character that is not ASCII: copy it again"
    if not _PRINTABLE.fullmatch(value):
        return "has a blank or a control character in it: copy it again"
    return None


def region_fault(region: object) -> str | None:
    """Return what is wrong with a region, ``None`` if nothing is. It may be one that botocore does not know yet.

    >>> region_fault("us-east-1a")
    "'us-east-1a' is an availability zone: write us-east-1"
    >>> region_fault("us-east-9") is None
    True
    """
    if not isinstance(region, str) or not region.strip():
        return "is blank: write a region such as us-east-1"
    told = repr(region) if len(region) <= _LONGEST_REGION else f"of {len(region)} characters"
    if zone := _ZONE.fullmatch(region):
        return f"{told} is an availability zone: write {zone[1]}"
    if not _REGION.fullmatch(region):
        return f"{told} is not a region: write one such as us-east-1, in lower case and with nothing around it"
    return None


def connection_faults(login: object, password: object, extra: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the credentials in an Airflow connection.

    Half a pair of keys is a fault, because the Amazon provider would ignore it and use the worker's credentials.

    >>> list(connection_faults("AKIAIOSFODNN7EXAMPLE", "", {"region_name": "us-east-1"}))
    ['has an access key id, but no secret access key: fill in both, or none']
    """
    old: Any = extra.get("session_kwargs")
    old = old if isinstance(old, Mapping) else {}
    stored = ((each.get("aws_access_key_id"), each.get("aws_secret_access_key")) for each in (extra, old))
    pairs = [(login, password), *stored]
    key_id, secret_key = next((pair for pair in pairs if all(pair)), (None, None))
    token = extra.get("aws_session_token") or old.get("aws_session_token")
    if key_id and secret_key:
        if fault := key_id_fault(key_id):
            yield f"has an access key id (login) that {fault}"
        if fault := credential_fault(secret_key):
            yield f"has a secret access key (password) that {fault}"
    elif any(pair[0] for pair in pairs):
        yield "has an access key id, but no secret access key: fill in both, or none"
    elif any(pair[1] for pair in pairs):
        yield "has a secret access key, but no access key id: fill in both, or none"
    elif token:
        yield "has an aws_session_token, but no access key id and no secret access key: fill in all, or none"
    if token and (fault := credential_fault(token)):
        yield f"has an aws_session_token that {fault}"


def environment_faults(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with the credentials in environment variables.

    botocore uses them if there are both an access key id and a secret access key.

    >>> list(environment_faults({"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalr "}))
    ['AWS_SECRET_ACCESS_KEY begins or ends with a blank or a line break: copy it without that']
    """
    key_id, secret_key = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if not key_id or not secret_key:
        return
    if fault := key_id_fault(key_id):
        yield f"AWS_ACCESS_KEY_ID {fault}"
    if fault := credential_fault(secret_key):
        yield f"AWS_SECRET_ACCESS_KEY {fault}"
    for name in ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"):
        if (token := environment.get(name)) and (fault := credential_fault(token)):
            yield f"{name} {fault}"


def header_fault(headers: Mapping[str, Any]) -> str | None:
    r"""Return what is wrong with the credentials in the headers of a signed request, ``None`` if nothing is.

    >>> header_fault({"X-Amz-Security-Token": b"IQoJb3JpZ2luX2VjE\n"})
    'the session token begins or ends with a blank or a line break: copy it without that'
    """
    for name, value in headers.items():
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        if name.lower() == "x-amz-security-token" and (fault := credential_fault(text)):
            return f"the session token {fault}"
        if name.lower() == "authorization" and isinstance(text, str) and text.startswith("AWS4-"):
            signed = _SIGNED.fullmatch(text)
            if fault := key_id_fault(signed[1] if signed else ""):
                return f"the access key id {fault}"
    return None


def secrets_of(value: Any, name: str | None = None) -> Iterator[str]:
    """Yield the secrets in a connection's extra or in settings: values with a secret's name, and users in URLs.

    >>> list(secrets_of({"endpoint_url": "http://me:hidden@127.0.0.1", "assume_role_kwargs": {"ExternalId": "3f9c"}}))
    ['me:hidden', 'hidden', 'hidden', '3f9c']
    """
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from secrets_of(each, str(key))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from secrets_of(each, name)
    elif isinstance(value, str):
        if (name or "").lower() in _SECRET_NAMES:
            yield value
        for userinfo in _USERINFO.findall(value):
            yield userinfo
            password = userinfo.partition(":")[2]
            yield password
            yield from _SEPARATORS.split(password)  # an error may quote a part of it as a port or a path
