"""Links from a reconciling task to the AWS console, to the resources of the first preset of its batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

from spot_runner_provider.protocol.outcome import Outcome, Result
from spot_runner_provider.records.text import shown
from spot_runner_provider.reporting.console import Console

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import TaskInstanceKey

log = logging.getLogger(__name__)


class ConsoleLink(BaseOperatorLink):
    """A link whose address the task itself pushes, under the XCom key where Airflow 3 looks for it.

    So the link works while the task runs, and still works if the worker dies. The Amazon provider's links are
    different: Airflow asks for their address only after the task has ended.

    >>> PipelineLink().name, PipelineLink().xcom_key
    ('Image Builder pipeline', '_link_PipelineLink')
    """

    name = "AWS console"

    @property
    def xcom_key(self) -> str:
        """The key of the XCom that holds the address."""
        return f"_link_{type(self).__name__}"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """Return the address that the task pushed, if any."""
        return XCom.get_value(key=self.xcom_key, ti_key=ti_key) or ""


class PipelineLink(ConsoleLink):
    """Leads to the preset's pipeline, as soon as Image Builder has said which one it is."""

    name = "Image Builder pipeline"


class ParameterLink(ConsoleLink):
    """Leads to the preset's parameter."""

    name = "SSM parameter"


class RecordLink(ConsoleLink):
    """Leads to the preset's record."""

    name = "DynamoDB record"


class LogGroupLink(ConsoleLink):
    """Leads to the log group of the batch's first build that failed, where Image Builder names one."""

    name = "Failed build's log group"


def push_resources(ti: Any, region: str, table_name: str, parameter_name: str, preset_name: str) -> None:
    """Push the addresses that are known before the first call, and empty ones for those that only AWS can tell.

    If an address cannot be made or pushed, the task does not fail. This holds for all links.

    :param preset_name: the first preset of the batch; an empty text if there is none.

    >>> ti = context["ti"]
    >>> push_resources(ti, "us-east-1", "spot-runner-state", "/spot-runner/configs/linux-x64", "linux-x64")
    >>> ti.xcom_pull(key="_link_ParameterLink").partition("parameters/")[2]
    '%252Fspot-runner%252Fconfigs%252Flinux-x64/description?region=us-east-1&tab=Table'
    """
    here = Console.of_region(region if preset_name else None)
    _push(ti, ParameterLink(), here, lambda console: console.parameter(parameter_name))
    _push(ti, RecordLink(), here, lambda console: console.record(table_name, preset_name))
    for link in (PipelineLink(), LogGroupLink()):  # only Image Builder can tell them
        _push(ti, link, None)


def push_pipeline(ti: Any, arn: str) -> None:
    """Push the address of the pipeline that was found.

    >>> ti = context["ti"]
    >>> push_pipeline(ti, "arn:aws:imagebuilder:us-east-1:123456789012:image-pipeline/spot-runner-linux-x64")
    >>> ti.xcom_pull(key="_link_PipelineLink").partition("#")[2]
    '/pipelines/arn:aws:imagebuilder:us-east-1:123456789012:image-pipeline/spot-runner-linux-x64'
    """
    _push(ti, PipelineLink(), Console.of_arn(arn), lambda console: console.pipeline(arn))


def push_log_group(ti: Any, results: Iterable[Result]) -> None:
    """Push the address of the log group of the first build that failed and has one, if any.

    >>> arn = "arn:aws:imagebuilder:us-east-1:123456789012:image/spotrunnerstack-linux-x64/1.0.0/7"
    >>> failed = Result("linux-x64", Outcome.CORRECTED_FAILED, build_id=arn, image_arn=arn, log_group="/runners")
    >>> ti = context["ti"]
    >>> push_log_group(ti, [failed])
    >>> ti.xcom_pull(key="_link_LogGroupLink").partition("#")[2]
    'logsV2:log-groups/log-group/$252Frunners'
    """
    logged = (
        (result.image_arn, result.log_group)
        for result in results
        if result.outcome is Outcome.CORRECTED_FAILED and result.log_group and result.build_id == result.image_arn
    )
    image_arn, log_group = next(logged, (None, ""))
    if log_group:
        _push(ti, LogGroupLink(), Console.of_arn(image_arn), lambda console: console.log_group(log_group))


def _push(
    ti: Any, link: ConsoleLink, console: Console | None, address: Callable[[Console], str] = lambda _: ""
) -> None:
    """Make and push a link's address; an empty one if there is no console."""
    try:
        ti.xcom_push(key=link.xcom_key, value=address(console) if console else "")
    except Exception as error:
        log.warning("no link to the %s: %s", link.name, shown(str(error)))
