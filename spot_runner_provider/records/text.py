"""Texts that others wrote, made fit to be stored, logged and shown."""

from __future__ import annotations

import re
import unicodedata

TEXT_LIMIT = 200
"""Characters that a text may have in XCom, so that thousands of presets stay small."""

DETAIL_LIMIT = 1000
"""Characters that a reason may have in XCom: AWS's words, with what to do about them."""

_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_LINE_BREAK = re.compile("\r\n|[\t\n\v\f\r\x85\u2028\u2029]")


def storable(text: str) -> str:
    r"""Return ``text`` with U+FFFD for each character that XCom cannot hold.

    Those are NUL, which PostgreSQL refuses in JSON, and half of a surrogate pair, which UTF-8 has no form for. One of
    them in a single record would fail the task of all.

    >>> storable("no\x00space") == "no\N{REPLACEMENT CHARACTER}space"
    True
    """
    return _UNSTORABLE.sub("\ufffd", text)


def shown(text: str) -> str:
    r"""Return ``text`` in one line that shows control characters instead of sending them.

    A line break or a tab is a blank. Any other character that steers a terminal, a text's direction or nothing
    visible (Unicode's categories Cc, Cf and Cs) is told by its number. So nobody who writes a record or fails a build
    can forge a line of a log, clear a screen or hide a link.

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
    """Return ``text``, :func:`shown`, in at most ``limit`` characters, an ellipsis in place of what was cut.

    Every text that others wrote passes through here on its way to XCom, to a log and to a person.

    >>> shorten("no space left on device", limit=12)
    'no space le…'
    """
    line = shown(text[: limit + 1])
    return line if len(line) <= limit else line[: limit - 1] + "…"
