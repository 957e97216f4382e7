"""Amazon Resource Names: the parts of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Arn:
    """The parts of ``arn:<partition>:<service>:<region>:<account>:<resource>``, any of which may be empty.

    >>> Arn.parse("arn:aws:imagebuilder:us-east-1:123456789012:image/spotrunnerstack-linux-x64/1.0.0/7")
    Arn(partition='aws', service='imagebuilder', region='us-east-1', account='123456789012',
        resource='image/spotrunnerstack-linux-x64/1.0.0/7')
    >>> Arn.parse("job 7") is None
    True
    """

    partition: str
    service: str
    region: str
    account: str
    resource: str

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Return the parts of an ARN, ``None`` of what is none."""
        match (text or "").split(":", 5):
            case ["arn", *parts] if len(parts) == 5:
                return cls(*parts)
        return None
