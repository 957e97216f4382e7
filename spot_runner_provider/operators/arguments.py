"""Operator arguments as people and templates give them: values, or values as text."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from jinja2 import Undefined

from spot_runner_provider.records.image import is_pipeline_name, pipeline_name_of

_TABLE_NAME = re.compile(r"[-_.A-Za-z0-9]{3,255}")
"""DynamoDB API: ``TableName``, except ARNs."""

_PATH = re.compile(r"/|(/[-_.A-Za-z0-9]+){1,14}/?")
"""SSM API: the levels above a parameter's name; a name has at most fifteen levels."""

_EXPRESSION = re.compile(r"\s*\{\{.*\}\}\s*", re.DOTALL)
"""A template that is one expression, or begins and ends with one."""

_BETWEEN_TEMPLATES = re.compile(r"\s*,\s*")

_REQUIRED_TEXTS = ("table_name", "index_name", "config_prefix", "pipeline_name")
_OPTIONAL_TEXTS = ("aws_conn_id", "region_name")

_NATIVE = (
    "Where a DAG has render_template_as_native_obj=True, text that reads like a Python value becomes one: quote it "
    "twice, as in \"'2022'\""
)

_RESERVED_PATH = re.compile(r"/(aws|ssm)(/|$)", re.IGNORECASE)
"""Levels below which nobody can put a parameter; SSM reserves them."""


class InvalidArgument(ValueError):
    """An argument has an invalid value; the text names the argument and what it takes.

    >>> count("max_mapped_tasks", "many")
    Traceback (most recent call last):
        ...
    spot_runner_provider.operators.arguments.InvalidArgument: max_mapped_tasks is 'many'; it takes a whole number from 1
    up
    """


def boolean(name: str, value: Any) -> bool:
    """Return ``value``, or the boolean that the text ``true`` or ``false`` stands for.

    :raises InvalidArgument: for anything else.

    >>> boolean("dry_run", "False")
    False
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise _invalid(name, value, "true or false")


def duration(name: str, value: Any) -> timedelta:
    """Return a ``timedelta`` of 0 or more; a number, or its text, is taken for minutes.

    :raises InvalidArgument: for anything else.

    >>> duration("stale_after", "45")
    datetime.timedelta(seconds=2700)
    """
    if isinstance(value, timedelta) and value >= timedelta(0):
        return value
    try:
        return timedelta(minutes=minutes(name, value))
    except InvalidArgument:
        raise _invalid(name, value, "a timedelta, or minutes from 0 up") from None


def minutes(name: str, value: Any) -> float:
    """Return minutes from 0 up, given as a number or its text.

    :raises InvalidArgument: for anything else.

    >>> minutes("stale_after_minutes", "45")
    45.0
    """
    number = _number(value)
    if number is None or not 0 <= number <= timedelta.max.total_seconds() / 60 - 1:
        raise _invalid(name, value, "minutes from 0 up")
    return number


def count(name: str, value: Any) -> int:
    """Return a whole number from 1 up, given as a number or its text.

    :raises InvalidArgument: for anything else.

    >>> count("max_mapped_tasks", "8")
    8
    """
    number = _number(value)
    if number is None or number < 1 or number != int(number):
        raise _invalid(name, value, "a whole number from 1 up")
    return int(number)


def items(name: str, value: Any) -> list[Any]:
    """Return a list, given as such or as JSON text; an empty list for ``None`` or an empty text.

    :raises InvalidArgument: for anything else.

    >>> items("presets", '["linux-x64"]'), items("presets", None)
    (['linux-x64'], [])
    """
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() not in ("", "None") else None
        except (ValueError, RecursionError):
            raise _invalid(name, value, "a list, or a JSON list as text") from None
    if value is None:
        return []
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return list(value)
    raise _invalid(name, value, "a list, or a JSON list as text")


def names(name: str, value: Any) -> list[str]:
    """Return a list of texts, given as such or as JSON text; an empty list for ``None`` or an empty text.

    :raises InvalidArgument: for anything else.

    >>> names("fail_on", '["config_invalid", "drifted"]')
    ['config_invalid', 'drifted']
    """
    found = items(name, value)
    for item in found:
        if not isinstance(item, str):
            raise no_name(name, item)
    return found


def no_name(name: str, item: Any) -> InvalidArgument:
    """Return the error for a list item that is not a name.

    >>> str(no_name("presets", 2022))[:46]
    'presets has 2022 (int), which is not text. Whe'
    """
    return InvalidArgument(f"{name} has {no_text(item)}, or give the list as JSON text, as in '[\"2022\"]'")


def selection(name: str, value: Any, written: str | None = None) -> list[str] | None:
    """Return the names of a list, given as such or as JSON text; ``None`` for ``None``, which means no choice.

    :param written: the text in the DAG, if it has one. Only a text that is a single expression may render to ``None``.
    :raises InvalidArgument: for anything else. An empty list, name or text may be a choice that got lost.

    >>> selection("presets", ["linux-x64"]), selection("presets", None), selection("presets", "None", "{{ params.p }}")
    (['linux-x64'], None, None)
    >>> selection("presets", [])
    Traceback (most recent call last):
        ...
    spot_runner_provider.operators.arguments.InvalidArgument: presets is empty; it takes names, or None (null in JSON)
    for all
    """
    text = value if isinstance(value, str) else None
    if value is None or (text is not None and text.strip() in ("None", "null")):
        source = text if written is None else written
        if source is not None and not _EXPRESSION.fullmatch(source):
            raise InvalidArgument(f"{name} is the text {source[:60]!r}, which renders to None; leave it out for all")
        return None
    found = names(name, value)
    if not found or not all(text.strip() for text in found):
        has = "has an empty name" if found else "is empty"
        raise InvalidArgument(f"{name} {has}; it takes names, or None (null in JSON) for all")
    return found


def text(name: str, value: Any, remedy: str) -> str:
    """Return a text that is not empty; ``remedy`` says what to do if it is.

    :raises InvalidArgument: if it is missing, empty, blank or not text.

    >>> text("table_name", None, "set [spot_runner] table_name")
    Traceback (most recent call last):
        ...
    spot_runner_provider.operators.arguments.InvalidArgument: table_name is not set: set [spot_runner] table_name
    >>> text("table_name", 2024, "set [spot_runner] table_name")
    Traceback (most recent call last):
        ...
    spot_runner_provider.operators.arguments.InvalidArgument: table_name is 2024 (int), which is not text. Where a DAG
    has render_template_as_native_obj=True, text that reads like a Python value becomes one: quote it twice, as in
    "'2022'"
    """
    if isinstance(value, str) and value.strip():
        return value
    if value is None or isinstance(value, str):
        raise InvalidArgument(f"{name} is not set: {remedy}")
    raise InvalidArgument(f"{name} is {no_text(value)}")


def no_text(value: Any) -> str:
    """Return a description of a value that should be text, and how a template may have produced it.

    >>> no_text(100000.0)[:44]
    '100000.0 (float), which is not text. Where a'
    """
    if isinstance(value, Undefined):
        return "left undefined by its template"
    return f"{_shown(value)}, which is not text. {_NATIVE}"


def written_texts(operator: Any) -> dict[str, str]:
    """Return, by argument, the texts that an operator was created with and that must not render to ``None``.

    >>> from types import SimpleNamespace
    >>> written_texts(SimpleNamespace(table_name="None", region_name=None))
    {'table_name': 'None'}
    """
    found = {name: getattr(operator, name, None) for name in (*_REQUIRED_TEXTS, *_OPTIONAL_TEXTS)}
    return {name: value for name, value in found.items() if isinstance(value, str) and value.strip()}


def check_rendered(operator: Any, written: Mapping[str, str]) -> None:
    """Check that no text was rendered to ``None``.

    ``None`` for a connection means the worker's own credentials, which may be those of another account.

    :param written: what :func:`written_texts` returned before rendering.
    :raises InvalidArgument: for the first text that rendered to ``None``. A single expression may do so if the
        argument takes ``None``.

    >>> from types import SimpleNamespace
    >>> check_rendered(SimpleNamespace(table_name=None), {"table_name": "None"})
    Traceback (most recent call last):
        ...
    spot_runner_provider.operators.arguments.InvalidArgument: table_name is 'None', which rendered to None. Where a DAG
    has render_template_as_native_obj=True, text that reads like a Python value becomes one: quote it twice, as in
    "'2022'"
    """
    for name, source in written.items():
        if getattr(operator, name) is None and not (name in _OPTIONAL_TEXTS and _EXPRESSION.fullmatch(source)):
            raise InvalidArgument(f"{name} is {source[:60]!r}, which rendered to None. {_NATIVE}")


def verbatim(text: str) -> str:
    """Return what renders to ``text`` in a DAG with ``render_template_as_native_obj=True``.

    >>> verbatim("linux-x64"), verbatim("2022")
    ('linux-x64', "'2022'")
    """
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    except (TypeError, RecursionError, MemoryError):
        pass
    return repr(text)


def verbatim_texts(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with :func:`verbatim` applied to each text.

    >>> verbatim_texts({"table_name": "2022", "max_mapped_tasks": 8, "region_name": None})
    {'table_name': "'2022'", 'max_mapped_tasks': 8, 'region_name': None}
    """
    return {name: verbatim(value) if isinstance(value, str) else value for name, value in given.items()}


def table_name(value: Any) -> str:
    """Return the name of a DynamoDB table.

    :raises InvalidArgument: if no table can have this name.

    >>> table_name("arn:aws:dynamodb:us-east-1:123456789012:table/spot-runner-state")
    Traceback (most recent call last):
        ...
    spot_runner_provider.operators.arguments.InvalidArgument: table_name is an ARN; it takes the name alone:
    spot-runner-state
    """
    name = text("table_name", value, "give it to the operator, or set [spot_runner] table_name")
    if name.startswith("arn:"):
        raise InvalidArgument(f"table_name is an ARN; it takes the name alone: {name.partition('/')[2][:255]}")
    if not _TABLE_NAME.fullmatch(name):
        raise _invalid("table_name", name, "3 to 255 of the characters a-z, A-Z, 0-9, '_', '-' and '.'")
    return name


def index_name(value: Any) -> str:
    """Return the name of the table's index.

    :raises InvalidArgument: if there is none.

    >>> index_name("")
    Traceback (most recent call last):
        ...
    spot_runner_provider.operators.arguments.InvalidArgument: index_name is not set: give the table's index on
    recordType
    """
    return text("index_name", value, "give the table's index on recordType")


def config_prefix(value: Any) -> str:
    """Return the path above the SSM parameters.

    :raises InvalidArgument: if no parameter can be put below it.

    >>> config_prefix("spot-runner/configs")
    Traceback (most recent call last):
        ...
    spot_runner_provider.operators.arguments.InvalidArgument: config_prefix is 'spot-runner/configs'; it takes a path
    such as /spot-runner/configs, with a slash in front, of the characters a-z, A-Z, 0-9, '_', '-' and '.'
    """
    path = text("config_prefix", value, "give the path above the parameters")
    if not _PATH.fullmatch(path):
        takes = "a path such as /spot-runner/configs, with a slash in front, of the characters "
        raise _invalid("config_prefix", path, takes + "a-z, A-Z, 0-9, '_', '-' and '.'")
    if _RESERVED_PATH.match(path):
        raise _invalid("config_prefix", path, "a path that does not begin with /aws or /ssm, which are reserved")
    return path


def pipeline_names(value: Any) -> tuple[str, ...]:
    """Return the templates of the pipelines' names: a list of texts, or one text with commas between them.

    :raises InvalidArgument: if there is none. Also if one gives the same name for all presets, or a name that no
        pipeline can have.

    >>> pipeline_names("spot-runner-{preset}, spot-runner-{preset}-windows")
    ('spot-runner-{preset}', 'spot-runner-{preset}-windows')
    >>> pipeline_names(["spot-runner-linux"])
    Traceback (most recent call last):
        ...
    spot_runner_provider.operators.arguments.InvalidArgument: pipeline_name is 'spot-runner-linux'; it takes the name of
    a pipeline with {preset} in it, or several with commas in between
    """
    takes = "the name of a pipeline with {preset} in it, or several with commas in between"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if not value:
            raise _invalid("pipeline_name", value, takes)
        templates = [text("pipeline_name", each, f"give {takes}") for each in value]
    else:
        templates = _BETWEEN_TEMPLATES.split(text("pipeline_name", value, f"give {takes}"))
    for template in templates:
        if "{preset}" not in template or not is_pipeline_name(pipeline_name_of(template, "any")):
            raise _invalid("pipeline_name", template, takes)
    return tuple(templates)


def connection(aws_conn_id: Any, region_name: Any, verify: Any) -> bool | str | None:
    """Check the arguments of the AWS connection; return whether, or with which bundle, to verify TLS certificates.

    :raises InvalidArgument: if the connection or the region is neither text nor ``None``, or ``verify`` is neither of
        these nor a boolean.

    >>> connection("aws_default", None, "False"), connection(None, "eu-central-1", "/etc/ssl/bundle.pem")
    (False, '/etc/ssl/bundle.pem')
    """
    for name, value in (("aws_conn_id", aws_conn_id), ("region_name", region_name)):
        if not isinstance(value, str | None):
            raise InvalidArgument(f"{name} is {no_text(value)}")
    if verify is None or (isinstance(verify, str) and verify.strip().lower() not in ("true", "false")):
        return verify
    return boolean("verify", verify)


def did_you_mean(key: str, known: Iterable[str]) -> str:
    """Return the nearest known key, and all known keys, as the end of a sentence.

    >>> did_you_mean("dryrun", ["dry_run", "audit"]), did_you_mean("colour", ["dry_run", "audit"])
    ("; did you mean 'dry_run'? There are audit, dry_run", '; there are audit, dry_run')
    """
    names = sorted(known)
    return proposal(nearest(key, names), names)


def proposal(near: str | None, known: Iterable[str]) -> str:
    """Return the same as :func:`did_you_mean` where the nearest key is already known.

    >>> proposal("dry_run", ["dry_run"])
    "; did you mean 'dry_run'? There are dry_run"
    """
    listed = f"here are {', '.join(sorted(known)) or 'none'}"
    return f"; did you mean {near!r}? T{listed}" if near else f"; t{listed}"


def nearest(key: str, known: Iterable[str], cutoff: float = 0.7) -> str | None:
    """Return the known key that somebody who typed ``key`` probably meant.

    :param cutoff: how alike they must be, from 0 to 1.

    >>> nearest("staleAfter", ["stale_after_minutes", "audit"]), nearest("edit", ["audit"])
    ('stale_after_minutes', None)
    """
    by_letters = {letters(each): each for each in known}
    found = get_close_matches(letters(key), by_letters, n=1, cutoff=cutoff)
    return by_letters[found[0]] if found else None


def letters(name: str) -> str:
    """Return the letters and digits of a name in lower case, however its words are separated.

    >>> letters("dry_run") == letters("DryRun") == letters("DRY-RUN")
    True
    """
    return re.sub(r"[\W_]", "", name).lower()


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and ("_" in value or not value.isascii()):  # ``float`` takes 1_000 and any Unicode digit
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _invalid(name: str, value: Any, takes: str) -> InvalidArgument:
    shown = "left undefined by its template" if isinstance(value, Undefined) else _shown(value)
    return InvalidArgument(f"{name} is {shown}; it takes {takes}")


def _shown(value: Any) -> str:
    """Return a text in quotes, and any other value with its type, since it may be a rendered text."""
    return repr(value[:60]) if isinstance(value, str) else f"{str(value)[:60]} ({type(value).__name__})"
