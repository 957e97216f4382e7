"""Texts from other people and programs, made safe to store, log and show."""

from __future__ import annotations

import re
import unicodedata

TEXT_LIMIT = 200
"""Characters that a text may have in XCom, so that the values of thousands of presets stay small."""

DETAIL_LIMIT = 1000
"""Characters that a reason may have in XCom: the words of AWS, and what to do about them."""

_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_LINE_BREAK = re.compile("\r\n|[\t\n\v\f\r\x85\u2028\u2029]")


def storable(text: str) -> str:
    r"""Return ``text`` with U+FFFD for each character that XCom cannot hold.

    PostgreSQL refuses NUL in JSON, and UTF-8 cannot encode half of a surrogate pair. One of them in a single record
    would fail the task for all presets.

    >>> storable("no\x00space") == "no\N{REPLACEMENT CHARACTER}space"
    True
    """
    return _UNSTORABLE.sub("\ufffd", text)


def shown(text: str) -> str:
    r"""Return ``text`` in one line that shows control characters instead of sending them.

    A line break or a tab becomes a blank. Any other character that controls a terminal or the direction of text, or
    is invisible (Unicode's categories Cc, Cf and Cs), is written as its number. So whoever writes a record or fails a
    build cannot forge a log line, clear a screen or hide a link.

    >>> shown("step failed\n\x1b[2Jall is well \u202e")
    'step failed \\x1b[2Jall is well \\u202e'
    """
    line = _LINE_BREAK.sub(" ", text)
    if line.isprintable():
        return line
    return "".join(
        each.encode("unicode_escape").decode() if unicodedata.category(each) in ("Cc", "Cf", "Cs") else each
        for each in line
    )


def shorten(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return ``text`` as :func:`shown` gives it, in at most ``limit`` characters; an ellipsis marks a cut.

    Every text from outside passes through here on its way to XCom, a log or a person.

    >>> shorten("no space left on device", limit=12)
    'no space le…'
    """
    line = shown(text[: limit + 1])
    return line if len(line) <= limit else line[: limit - 1] + "…"
