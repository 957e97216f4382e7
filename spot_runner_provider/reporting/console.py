"""Addresses in the AWS console, for people who want to look at a resource."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

from spot_runner_provider.records.ami_state import job_id
from spot_runner_provider.records.arn import Arn

_DOMAINS = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}

_PARTITIONS = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "us-iso": "aws-iso",
    "eu-isoe-": "aws-iso-e",
    "eusc-": "aws-eusc",
}


@dataclass(frozen=True, slots=True)
class Console:
    """The console of one region. Only partitions whose console has a public address have one.

    >>> arn = "arn:aws-cn:imagebuilder:cn-north-1:123456789012:image-pipeline/spot-runner-linux-x64"
    >>> Console.of_arn(arn)
    Console(domain='console.amazonaws.cn', region='cn-north-1')
    >>> Console.of_region("us-iso-east-1") is None
    True
    """

    domain: str
    region: str

    @classmethod
    def of_region(cls, region: str | None) -> Self | None:
        """Return the console of a region, ``None`` if there is none or the region is not known."""
        if not region:
            return None
        partition = next((name for prefix, name in _PARTITIONS.items() if region.startswith(prefix)), "aws")
        return cls._of(partition, region)

    @classmethod
    def of_arn(cls, arn: str | None) -> Self | None:
        """Return the console of the region that an ARN names, ``None`` if it names none."""
        parts = Arn.parse(arn)
        return cls._of(parts.partition, parts.region) if parts and parts.region else None

    @classmethod
    def _of(cls, partition: str, region: str) -> Self | None:
        domain = _DOMAINS.get(partition)
        return cls(domain, region) if domain else None

    def pipeline(self, arn: str) -> str:
        """Return the address of an Image Builder pipeline.

        >>> arn = "arn:aws:imagebuilder:us-east-1:123456789012:image-pipeline/spot-runner-linux-x64"
        >>> Console.of_region("us-east-1").pipeline(arn).partition("/home?")[2]
        'region=us-east-1#/pipelines/arn:aws:imagebuilder:us-east-1:123456789012:image-pipeline/spot-runner-linux-x64'
        """
        return f"{self._home('imagebuilder')}#/pipelines/{quote(arn, safe=':/')}"

    def image(self, arn: str) -> str:
        """Return the address of an image, that is one build of a pipeline.

        >>> arn = "arn:aws:imagebuilder:us-east-1:123456789012:image/spotrunnerstack-linux-x64/1.0.0/7"
        >>> Console.of_region("us-east-1").image(arn).partition("#")[2]
        '/images/arn:aws:imagebuilder:us-east-1:123456789012:image/spotrunnerstack-linux-x64/1.0.0/7'
        """
        return f"{self._home('imagebuilder')}#/images/{quote(arn, safe=':/')}"

    def parameter(self, name: str) -> str:
        """Return the address of an SSM parameter; the console expects its name quoted twice.

        >>> Console.of_region("us-east-1").parameter("/spot-runner/configs/linux-x64").partition("parameters/")[2]
        '%252Fspot-runner%252Fconfigs%252Flinux-x64/description?region=us-east-1&tab=Table'
        """
        twice = quote(quote(name, safe=""), safe="")
        region = quote(self.region, safe="")
        return f"https://{self.domain}/systems-manager/parameters/{twice}/description?region={region}&tab=Table"

    def record(self, table_name: str, preset_name: str) -> str:
        """Return the address of a preset's DynamoDB record.

        >>> Console.of_region("us-east-1").record("spot-runner-state", "linux-x64").partition("#")[2]
        'edit-item?itemMode=2&pk=AMI%23linux-x64&route=ROUTE_ITEM_EXPLORER&sk=&table=spot-runner-state'
        """
        key, table = quote(job_id(preset_name), safe=""), quote(table_name, safe="")
        return f"{self._home('dynamodbv2')}#edit-item?itemMode=2&pk={key}&route=ROUTE_ITEM_EXPLORER&sk=&table={table}"

    def log_group(self, name: str) -> str:
        """Return the address of a CloudWatch log group; the console wants its name quoted twice, with ``$`` for ``%``.

        >>> Console.of_region("us-east-1").log_group("/aws/imagebuilder/linux-x64").partition("#")[2]
        'logsV2:log-groups/log-group/$252Faws$252Fimagebuilder$252Flinux-x64'
        """
        twice = quote(quote(name, safe=""), safe="").replace("%", "$")
        return f"{self._home('cloudwatch')}#logsV2:log-groups/log-group/{twice}"

    def _home(self, service: str) -> str:
        return f"https://{self.domain}/{service}/home?region={quote(self.region, safe='')}"
