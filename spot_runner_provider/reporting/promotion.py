"""The promotion: a preset's parameter names a new AMI, announced to others as an event of the preset's asset."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from spot_runner_provider.protocol.outcome import Result
from spot_runner_provider.records.arn import Arn
from spot_runner_provider.records.text import shorten, shown

ALIAS = "spot-runner"
"""Name of the asset alias that promotions go through, unless the task has its own alias."""

_REGION, _ACCOUNT = re.compile(r"[a-z]{2}[a-z0-9-]{3,30}"), re.compile(r"\d{12}", re.ASCII)

log = logging.getLogger(__name__)


class UnknownPlace(LookupError):
    """The account and region of a preset are not known.

    >>> from spot_runner_provider.protocol.outcome import Replacement
    >>> Promotion.of(Result("linux-x64", None, replacement=Replacement("ami-0e3f", "ami-0a1d")))
    Traceback (most recent call last):
        ...
    spot_runner_provider.reporting.promotion.UnknownPlace: neither a pipeline nor the record's buildId shows the
    account and region
    """


@dataclass(frozen=True, slots=True)
class Promotion:
    """An event of the asset ``uri``. The values of ``extra`` are texts or ``None``: Airflow 2 hashes them.

    >>> from spot_runner_provider.protocol.outcome import Outcome, Replacement
    >>> replaced = Replacement("ami-0e3f", "ami-0a1d")
    >>> arn = "arn:aws:imagebuilder:us-east-1:123456789012:image-pipeline/spot-runner-linux-x64"
    >>> result = Result("linux-x64", Outcome.CORRECTED_READY, replacement=replaced, pipeline_arn=arn)
    >>> promotion = Promotion.of(result)
    >>> promotion.uri, promotion.extra["amiId"], promotion.extra["previousAmiId"]
    ('spot-runner://123456789012/us-east-1/linux-x64', 'ami-0e3f', 'ami-0a1d')
    """

    uri: str
    extra: dict[str, Any]

    @classmethod
    def of(cls, result: Result) -> Self | None:
        """Return the promotion of a result, ``None`` if its run did not replace the preset's AMI.

        Account and region are those of the pipeline; if an earlier run began the work, those of the build.

        :raises UnknownPlace: if neither is known.
        """
        replaced = result.replacement
        if replaced is None or result.dry_run:
            return None
        account, region = _place(result.pipeline_arn or result.build_id)
        return cls(
            uri(account, region, result.preset_name),
            {
                "presetName": result.preset_name,
                "amiId": shorten(replaced.ami_id),
                "previousAmiId": replaced.previous_ami_id and shorten(replaced.previous_ami_id),
                "buildId": replaced.build_id and shorten(replaced.build_id),
            },
        )


def promotions_of(results: Iterable[Result]) -> list[Promotion]:
    """Return the promotions of results; where account and region are not known, a warning is logged instead.

    >>> promotions_of([Result("linux-x64", None)])
    []
    """
    found = []
    for result in results:
        try:
            if promotion := Promotion.of(result):
                found.append(promotion)
        except UnknownPlace as error:
            log.warning("preset %s: no asset event for its new AMI: %s", result.preset_name, shown(str(error)))
    return found


def uri(account: str, region: str, preset_name: str) -> str:
    """Return the URI of a preset's asset. A preset's name has no character that needs quoting.

    >>> uri("123456789012", "eu-central-1", "linux-x64")
    'spot-runner://123456789012/eu-central-1/linux-x64'
    """
    return f"spot-runner://{account}/{region}/{preset_name}"


def _place(arn: str | None) -> tuple[str, str]:
    """Return account and region of an Image Builder ARN."""
    match Arn.parse(arn):
        case Arn(service="imagebuilder", region=region, account=account) if _REGION.fullmatch(
            region
        ) and _ACCOUNT.fullmatch(account):
            return account, region
    raise UnknownPlace("neither a pipeline nor the record's buildId shows the account and region")
