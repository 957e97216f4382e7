"""The preset's configuration: the JSON object, kept in an SSM parameter, that runners start from.

People and other programs edit it too, and SSM has no compare-and-set: a put silently overwrites what was written
since its writer read. So we only ever change ``ami``, and keep the text around it character by character. If our
put overwrote somebody's edit, merging the versions restores it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NoReturn

from spot_runner_provider.records.platform import Platform

TIER_LIMITS = {"Standard": 4096, "Advanced": 8192}
"""Bytes that a parameter's value may have, by tier (AWS: "Managing parameter tiers")."""

_ABSENT = object()
_BARE_AMI = re.compile(r"\s*ami-\w+\s*")
_BLANK = re.compile(r"[ \t\n\r]*")
_BYTE_ORDER_MARKS = ("\ufeff", "\u00ef\u00bb\u00bf")  # the second: its bytes, read as Latin-1
_KINDS = {dict: "an object", list: "a list", bool: "a boolean", int: "a number", float: "a number"}


class InvalidConfig(ValueError):
    """The parameter must not be updated; the text says why. Of the value it quotes no more than a known platform.

    ``remedy`` is what a person can do about it.

    >>> ConfigVersion(7, "ami-0a1d").parse()
    Traceback (most recent call last):
        ...
    spot_runner_provider.records.parameter.InvalidConfig: is a bare AMI id, not a JSON object with a key 'ami'
    """

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy or (
            "Repair the parameter: it must hold a JSON object, with a text as 'ami'. Its history in SSM has the "
            "versions before"
        )

    @classmethod
    def missing(cls) -> InvalidConfig:
        """Return the error for a parameter that does not exist.

        >>> str(InvalidConfig.missing())
        'does not exist'
        """
        return cls(
            "does not exist",
            "Create the parameter, a JSON object as runners need it, or correct config_prefix or the region. If the "
            "preset is gone, delete its record",
        )

    @classmethod
    def of_another_platform(cls, own: Platform, what: str, platform: Platform) -> InvalidConfig:
        """Return the refusal of a parameter from which no runner could start with that AMI.

        :param own: the parameter's platform.
        :param what: which image or AMI has the other ``platform``.

        >>> str(InvalidConfig.of_another_platform(Platform.WINDOWS, "AMI ami-0e3f", Platform.LINUX))
        'is for Windows, and AMI ami-0e3f for Linux'
        """
        return cls(
            f"is for {own}, and {what} for {platform}",
            "If that image is right, correct the parameter's key 'platform'. Else correct pipeline_name or the "
            "pipeline's recipe, and start a build",
        )

    @classmethod
    def too_large(cls, tier: str | None) -> InvalidConfig:
        """Return the error for a value that does not fit into its tier; ``remedy`` names a larger tier if there is one.

        >>> error = InvalidConfig.too_large("Advanced")
        >>> str(error), error.remedy
        ('would be over the 8192 bytes of its tier', "Make the parameter's value shorter")
        """
        limit = TIER_LIMITS.get(tier or "Standard")
        larger = "" if tier == "Advanced" else ", or change it to the Advanced tier"
        return cls(
            f"would be over the {limit} bytes of its tier" if limit else "would be over the size of its tier",
            f"Make the parameter's value shorter{larger}",
        )


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """One version of a preset's parameter.

    ``key_id`` (of a SecureString) and ``tier`` are known only where they matter, ``modified`` only in a history.
    The value may be a secret, so the ``repr`` leaves it out.

    >>> config = ConfigVersion(7, '{"ami": "ami-0a1d", "timeout": 3600}')
    >>> config.parse()["timeout"], config.fits
    (3600, True)
    >>> config.with_text('{"ami": "ami-0e3f", "timeout": 3600}', version=8)
    ConfigVersion(version=8, secure=False, key_id=None, tier=None, modified=None)
    """

    version: int
    text: str = field(repr=False)
    secure: bool = False
    key_id: str | None = None
    tier: str | None = None
    modified: datetime | None = None

    def parse(self) -> dict[str, Any]:
        """Return the JSON object.

        :raises InvalidConfig: if the value is empty, not JSON, or not an object.
        """
        if not self.text.strip():
            raise InvalidConfig("is empty")
        if self.text.lstrip().startswith(_BYTE_ORDER_MARKS):
            raise InvalidConfig("begins with a byte-order mark, which is not JSON (save it as UTF-8 without one)")
        try:
            value = json.loads(self.text, parse_constant=_refuse_constant)
        except json.JSONDecodeError as error:
            if _BARE_AMI.fullmatch(self.text):
                raise InvalidConfig("is a bare AMI id, not a JSON object with a key 'ami'") from None
            raise InvalidConfig(f"is not JSON (line {error.lineno}, column {error.colno})") from None
        except (ValueError, RecursionError):
            raise InvalidConfig("is not JSON that can be read") from None
        if not isinstance(value, dict):
            raise InvalidConfig("is JSON, but not an object")
        return value

    def with_text(self, text: str, version: int) -> ConfigVersion:
        """Return the version that a put of ``text`` made."""
        return replace(self, text=text, version=version, modified=None)

    @property
    def fits(self) -> bool:
        """Whether the value fits into its tier; an unknown tier counts as Standard."""
        return len(self.text.encode("utf-8", "surrogatepass")) <= TIER_LIMITS.get(self.tier or "Standard", 8192)


def parameter_name(prefix: str, preset_name: str) -> str:
    """Return the name of a preset's parameter below the path ``prefix``.

    >>> parameter_name("/spot-runner/configs/", "linux-x64")
    '/spot-runner/configs/linux-x64'
    """
    return f"{prefix.rstrip('/')}/{preset_name}"


def ami_of(config: ConfigVersion) -> str | None:
    """Return the AMI that runners start from with this version, ``None`` if it names none.

    :raises InvalidConfig: if the ``ami`` of the value cannot be replaced.

    >>> ami_of(ConfigVersion(7, '{"ami": "ami-0a1d", "timeout": 3600}'))
    'ami-0a1d'
    """
    return _updatable(config).get("ami")


def platform_of(config: ConfigVersion) -> Platform | None:
    """Return the platform that the parameter's runners need; ``None`` if the key ``platform`` tells no known one.

    >>> platform_of(ConfigVersion(7, '{"platform": "windows"}')), platform_of(ConfigVersion(7, "torn"))
    (<Platform.WINDOWS: 'Windows'>, None)
    """
    with suppress(InvalidConfig):
        return Platform.of(config.parse().get("platform"))
    return None


def check_platform(config: ConfigVersion, what: str, platform: Platform | None) -> None:
    """Check that the parameter's runners can start from an image.

    A parameter need not tell its platform, and neither need an image.

    :param what: which image, or AMI, that is.
    :param platform: the image's.
    :raises InvalidConfig: if both are known and differ.

    >>> config = ConfigVersion(7, '{"ami": "ami-0a1d", "platform": "linux"}')
    >>> check_platform(config, "AMI ami-0e3f", Platform.LINUX)
    >>> check_platform(config, "AMI ami-0e3f", Platform.WINDOWS)
    Traceback (most recent call last):
        ...
    spot_runner_provider.records.parameter.InvalidConfig: is for Linux, and AMI ami-0e3f for Windows
    """
    own = platform_of(config)
    if own and platform and own is not platform:
        raise InvalidConfig.of_another_platform(own, what, platform)


def replaced_ami(history: Sequence[ConfigVersion]) -> str | None:
    """Return the AMI that the parameter named before its present one; ``None`` if there was none, or it is secret.

    :param history: versions, oldest first; unreadable ones are skipped.

    >>> replaced_ami([ConfigVersion(n, f'{{"ami": "{ami}"}}') for n, ami in enumerate(("ami-0a1d", "ami-0e3f"), 1)])
    'ami-0a1d'
    """
    named: list[tuple[str | None, bool]] = []
    for version in history:
        with suppress(InvalidConfig):
            named.append((ami_of(version), version.secure))
    return next((None if secure else ami for ami, secure in reversed(named) if ami != named[-1][0]), None)


def merge(
    history: Sequence[ConfigVersion], ami_id: str | None, *, base: int | None = None, until: datetime | None = None
) -> str:
    """Return what the parameter must hold so that ``ami`` is ``ami_id`` and nobody's edit of another key is lost.

    That is the newest version with that ``ami``, plus the edits that a put overwrote. A key counts as overwritten if
    a version since the base changed its value and a later version set it back to the base's value. A version that
    repeats an older one except for ``ami`` is not an edit: its writer read the older one, and overwrote what came in
    between. If ``ami`` never changed, nobody overwrote anything.

    :param history: the versions that SSM still has, oldest first; never empty.
    :param ami_id: the AMI that it names then; ``None`` makes it null.
    :param base: the version that the first put was made from; the oldest if omitted.
    :param until: the moment after which no put of ours can have overwritten anything. An edit that is taken back
        later was taken back on purpose.
    :raises InvalidConfig: if the ``ami`` of the newest version cannot be replaced. An older version that is not a
        JSON object is skipped.

    Here our put, made from version 7, overwrote somebody's longer ``timeout``, which comes back:

    >>> history = [
    ...     ConfigVersion(7, '{"ami": "ami-0a1d", "timeout": 3600}'),
    ...     ConfigVersion(8, '{"ami": "ami-0a1d", "timeout": 7200}'),
    ...     ConfigVersion(9, '{"ami": "ami-0e3f", "timeout": 3600}'),
    ... ]
    >>> merge(history, "ami-0e3f", base=7)
    '{"ami": "ami-0e3f", "timeout": 7200}'
    """
    newest = history[-1]
    present = _updatable(newest)
    changes: dict[str, str | None] = {} if present.get("ami") == ami_id else {"ami": json.dumps(ami_id)}
    documents = _readable(history, until)
    window = [
        document
        for place, document in enumerate(documents)
        if document.version >= (base or 0)
        and (document.version == base or document is documents[-1] or not _is_copy(documents, place, base or 0))
    ]
    if len(window) > 2 and any(document.ami != window[0].ami for document in window):
        first, *between, last = window
        for key in {key: None for document in window for key in document.others}:
            original = first.others.get(key, _ABSENT)
            edits = [each for each in between if not _same(each.others.get(key, _ABSENT), original)]
            covered = _same(last.others.get(key, _ABSENT), original) and _same(present.get(key, _ABSENT), original)
            if edits and covered:
                changes[key] = _value_text(edits[-1].text, key)
    return _splice(newest.text, changes)


def merge_covered(
    history: Sequence[ConfigVersion], ami_id: str | None, *, base: ConfigVersion, put: ConfigVersion
) -> str:
    """Return the same where our own put is known, so that nothing is guessed: a three-way merge.

    Our put overwrote whatever the version right before it had changed since the base. Each such key is restored if
    it still has the value that we put. So an edit wins over what an earlier put of ours had restored. Here too, a
    version that repeats an older one except for ``ami`` is not an edit.

    :param history: as for :func:`merge`.
    :param base: the version that our put was made from.
    :param put: our put. Its number is not above the base's if the parameter was deleted and created again in between.
    :raises InvalidConfig: if the ``ami`` of the newest version cannot be replaced. An overwritten version that is not
        a JSON object is skipped.

    Our put restored a ``timeout`` of 7200, and in doing so overwrote one of 9000:

    >>> base = ConfigVersion(9, '{"ami": "ami-0e3f", "timeout": 3600}')
    >>> put = ConfigVersion(11, '{"ami": "ami-0e3f", "timeout": 7200}')
    >>> covered = ConfigVersion(10, '{"ami": "ami-0e3f", "timeout": 9000}')
    >>> merge_covered([base, covered, put], "ami-0e3f", base=base, put=put)
    '{"ami": "ami-0e3f", "timeout": 9000}'
    """
    newest = history[-1]
    present = _updatable(newest)
    changes: dict[str, str | None] = {} if present.get("ami") == ami_id else {"ami": json.dumps(ami_id)}
    since = base.version if base.version < put.version else 0
    documents = _readable(history, None)
    covered = [
        document
        for place, document in enumerate(documents)
        if since < document.version < put.version and not _is_copy(documents, place, base.version)
    ]
    if covered:
        before, ours, theirs = base.parse(), put.parse(), covered[-1]
        for key in {**before, **theirs.others}:
            value = theirs.others.get(key, _ABSENT)
            was, is_ours = before.get(key, _ABSENT), _same(present.get(key, _ABSENT), ours.get(key, _ABSENT))
            if key != "ami" and is_ours and not _same(value, was) and not _same(value, ours.get(key, _ABSENT)):
                changes[key] = _value_text(theirs.text, key)
    return _splice(newest.text, changes)


def _updatable(config: ConfigVersion) -> dict[str, Any]:
    """Return the JSON object if its ``ami`` can be replaced: a value other than text or null would be lost."""
    value = config.parse()
    for member in _members(config.text):
        if member.key == "ami":  # the key may occur several times; all of them are replaced
            ami = json.loads(config.text[member.value_start : member.value_end])
            if not isinstance(ami, str | None):
                raise InvalidConfig(f"has {_KINDS[type(ami)]} as 'ami', where a text belongs")
    return value


@dataclass(frozen=True, slots=True)
class _Document:
    """A version that holds a JSON object: its ``ami`` and its other keys, each in a form that compares as JSON."""

    version: int
    text: str
    ami: str
    others: dict[str, Any]
    others_text: str


def _readable(history: Sequence[ConfigVersion], until: datetime | None) -> list[_Document]:
    documents = []
    for version in history:
        if until and version.modified and version.modified > until:
            continue
        try:
            others = version.parse()
        except InvalidConfig:
            continue
        ami = _canonical(others.pop("ami", None))
        documents.append(_Document(version.version, version.text, ami, others, _canonical(others)))
    return documents


def _is_copy(documents: Sequence[_Document], place: int, base: int) -> bool:
    """Return whether a version repeats, with another ``ami``, one that is older than the version before it.

    If that older one is from before the base, the version must also change ``ami``. A writer who keeps ``ami`` took
    something back on purpose.
    """
    if place < 2 or documents[place].others_text == documents[place - 1].others_text:
        return False
    mine, before = documents[place], documents[place - 1]
    return any(
        older.others_text == mine.others_text
        and older.ami != mine.ami
        and (older.version >= base or mine.ami != before.ami)
        for older in documents[: place - 1]
    )


def _value_text(text: str, key: str) -> str | None:
    """Return the text of a key's value in the JSON object ``text``, ``None`` if it has no such key."""
    values = [text[member.value_start : member.value_end] for member in _members(text) if member.key == key]
    return values[-1] if values else None


def _same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are the same; unlike ``==`` it tells ``1`` from ``true``."""
    if one is _ABSENT or other is _ABSENT:
        return one is other
    return _canonical(one) == _canonical(other)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _splice(text: str, changes: Mapping[str, str | None]) -> str:
    """Return the JSON object ``text`` with the values of some keys replaced, added or (``None``) removed.

    Everything else stays exactly as it is: no stored number, escape or line break is reformatted.
    """
    for key, value in changes.items():
        places = [member for member in _members(text) if member.key == key]
        if value is None:
            while places:
                text = text[: places[0].start] + text[places[0].end :]
                places = [member for member in _members(text) if member.key == key]
        elif places:
            for place in reversed(places):
                text = text[: place.value_start] + value + text[place.value_end :]
        else:
            body = text[: text.rindex("}")].rstrip()
            comma = "" if body.endswith("{") else ", " if ", " in text else ","
            colon = ": " if '": ' in text else ":"
            text = f"{body}{comma}{json.dumps(key)}{colon}{value}{text[len(body) :]}"
    return text


@dataclass(frozen=True, slots=True)
class _Member:
    """A key of a JSON object and its position; ``start`` to ``end`` includes one of its commas."""

    key: str
    start: int
    end: int
    value_start: int
    value_end: int


def _members(text: str) -> list[_Member]:
    """Return the members of the JSON object ``text``, which is known to be one, in their order."""
    decoder = json.JSONDecoder()
    members: list[_Member] = []
    place = _skip_blank(text, text.index("{") + 1)
    start = place
    while text[place] != "}":
        key, after_key = decoder.raw_decode(text, place)
        value_start = _skip_blank(text, _skip_blank(text, after_key) + 1)
        _, value_end = decoder.raw_decode(text, value_start)
        place = _skip_blank(text, value_end)
        if text[place] == ",":
            place = _skip_blank(text, place + 1)
            members.append(_Member(key, start, place, value_start, value_end))
            start = place
        else:
            if members:  # the last one includes the comma before it
                start = members[-1].value_end
            members.append(_Member(key, start, value_end, value_start, value_end))
    return members


def _skip_blank(text: str, place: int) -> int:
    found = _BLANK.match(text, place)
    return found.end() if found else place


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
