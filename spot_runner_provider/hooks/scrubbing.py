"""Removes secrets from the errors of AWS's libraries before anybody logs, raises or pushes them.

Airflow masks the secrets that it knows in its logs. But it does not recognize a value in the form that an error quotes,
nor a secret from anywhere else than a connection. And it masks nothing in an XCom or on a terminal.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from airflow.providers.amazon.aws.hooks.base_aws import mask_secret  # type: ignore[attr-defined]
from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError, HTTPClientError

from spot_runner_provider.records.text import shown

WITHHELD = "(withheld: it may quote a secret)"

_MASK = "***"

_SHORTEST = 5
"""Shortest secret that is looked for, in characters, as in Airflow's own masks; shorter ones are found in any text."""

_WHOLE_KEY_ID = 16
"""Shortest access key id that is looked for, in characters. AWS's are no shorter; emulators use words like ``test``."""

_QUOTING = "Invalid endpoint:|retries may succeed:|integer value as|nonnumeric port:|Failed to parse:"
"""Words before an address, before a part of it that was taken for a port, or before an unreadable response, which may
be the one that hands out a role's credentials."""

_PATTERNS = (
    (re.compile(r"(://)[^\s\"'<>]*@"), rf"\1{_MASK}@"),
    (re.compile(r"(Credential=)[^/,\s&]+", re.IGNORECASE), rf"\1{_MASK}"),
    (re.compile(r"(Signature=)[^,\s'\"&]+", re.IGNORECASE), rf"\1{_MASK}"),
    (re.compile(r"(security-token['\"]?\s*[:=]\s*['\"]?)[^\s'\",&]+", re.IGNORECASE), rf"\1{_MASK}"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"), _MASK),
    (re.compile(rf"({_QUOTING})(?! \(withheld).*", re.DOTALL), rf"\1 {WITHHELD}"),
)
"""Places of unknown secrets: in an address, in a signature, and in a quoted request."""

_TELLABLE = (BotoCoreError, ClientError, OSError)
"""Causes that are kept. Others may quote a secret: an HTTP client quotes a header, a parser a line of a file."""

_LOGGERS = ("botocore.credentials", "botocore.tokens", "aiobotocore.credentials", "aiobotocore.tokens")
"""Loggers that log an error with all its causes before it is raised, when refreshing credentials fails."""

_known: frozenset[str] = frozenset()


def remember(*secrets: str, key_id: str | None = None) -> None:
    """From now on, look for these values, and for an access key id, in every error.

    >>> remember("wJalrXUtnFEMI/K7MDENG")
    >>> scrubbed_text("Value 'wJalrXUtnFEMI/K7MDENG' at 'value'"), scrubbed_text("wJalrXUtnFEMI%2FK7MDENG")
    ("Value '***' at 'value'", '***')
    """
    global _known
    found = [secret for secret in secrets if len(secret.strip()) >= _SHORTEST]
    if key_id and len(key_id.strip()) >= _WHOLE_KEY_ID:
        found.append(key_id)
    for form in {form for secret in found for form in _forms(secret)} - _known:
        mask_secret(form)
        _known |= {form}  # a new set, because another thread may be iterating over the old one


def _forms(secret: str) -> set[str]:
    """Return the forms of a value: as it is, and as Python, JSON and URLs quote it."""
    forms = set()
    for text in (secret, secret.strip()):
        forms |= {
            text,
            repr(text)[1:-1],
            repr(text.encode())[2:-1],
            json.dumps(text)[1:-1],
            quote(text),
            quote(text, ""),
        }
    return forms


def scrubbed_text(text: str) -> str:
    """Return the text with its secrets masked.

    >>> scrubbed_text("Could not connect to http://me:hidden@127.0.0.1:4566/")
    'Could not connect to http://***@127.0.0.1:4566/'
    """
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, _MASK)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


@contextmanager
def scrubbed() -> Iterator[None]:
    """Remove secrets from whatever is raised.

    >>> with scrubbed():
    ...     raise HTTPClientError(error=ValueError("Invalid header value b'hidden'"))
    Traceback (most recent call last):
        ...
    botocore.exceptions.HTTPClientError: An HTTP client failed with ValueError (withheld: it may quote a secret)
    """
    try:
        yield
    except Exception as error:
        scrub(error)
        raise


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the causes of an error as a traceback has them, from the last to the first.

    >>> error = ValueError("no region")
    >>> error.__cause__ = KeyError("region")
    >>> list(causes(error))
    [KeyError('region')]
    """
    seen = {id(error)}
    while (cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__)) is not None:
        if id(cause) in seen:
            return
        yield cause
        seen.add(id(cause))
        error = cause


def scrub(error: BaseException) -> None:
    """Remove secrets from an error and its causes; causes that may quote something else are dropped.

    >>> error = ValueError("no answer from http://me:hidden@127.0.0.1")
    >>> scrub(error)
    >>> str(error)
    'no answer from http://***@127.0.0.1'
    """
    links = [error, *(cause for cause in causes(error) if _is_tellable(cause))]
    for link, cause in zip(links, [*links[1:], None], strict=True):
        link.__cause__, link.__context__ = cause, None
        _scrub_one(link)


def scrub_records() -> None:
    """From now on, scrub what AWS's libraries log about errors with credentials.

    >>> scrub_records()
    >>> bool(logging.getLogger("botocore.credentials").filters)
    True
    """
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_scrub_record)


def _scrub_record(record: logging.LogRecord) -> bool:
    if record.exc_info and record.exc_info[1]:
        scrub(record.exc_info[1])
    return True


def _is_tellable(error: BaseException) -> bool:
    return isinstance(error, _TELLABLE) or type(error).__module__.startswith("spot_runner_provider.")


def _scrub_one(error: BaseException) -> None:
    if type(error) is HTTPClientError:  # botocore's wrapper for errors that it does not know
        cause: Any = error.kwargs.get("error")
        error.args = (f"An HTTP client failed with {type(cause).__name__} {WITHHELD}",)
    elif isinstance(error, CredentialRetrievalError) and error.kwargs.get("provider") == "custom-process":
        error.args = (f"Error when retrieving credentials from custom-process: {WITHHELD}",)
    else:
        error.args = tuple(_told(argument) for argument in error.args)
    if isinstance(error, OSError) and error.filename is not None:
        error.filename = _told(error.filename)
    if isinstance(error, ClientError):
        told: Any = error.response.get("Error", {})
        if isinstance(told.get("Message"), str):
            told["Message"] = _told(told["Message"])


def _told(argument: Any) -> Any:
    """Return an argument of an error without secrets: a text in one line, any other value as it is if it has none."""
    if isinstance(argument, str):
        return shown(scrubbed_text(argument))
    text = str(argument)
    told = scrubbed_text(text)
    return argument if told == text else shown(told)
