"""The operating system that an image is made for, and that a preset's runners need."""

from __future__ import annotations

from enum import StrEnum


class Platform(StrEnum):
    """A platform (Image Builder API: ``Platform``).

    >>> f"{Platform.of('windows')}, {Platform.of('Linux')}, {Platform.of('BeOS')}, {Platform.of(None)}"
    'Windows, Linux, None, None'
    """

    LINUX = "Linux"
    WINDOWS = "Windows"
    MACOS = "macOS"

    @classmethod
    def of(cls, word: object) -> Platform | None:
        """Return the platform that ``word`` names, in whatever case; ``None`` if it names none."""
        return _BY_WORD.get(word.lower()) if isinstance(word, str) else None


_BY_WORD = {platform.lower(): platform for platform in Platform}
