"""Links from a reconciling task to what it works on, in the AWS console: for the first preset of its batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import TaskInstanceKey


class ConsoleLink(BaseOperatorLink):
    """A link whose address the task itself pushes, under the XCom key where Airflow 3 looks for it.

    So it is there while the task runs, and it stays if the worker dies: Airflow's own way, which the Amazon
    provider's links take, is to ask for the address once the task has ended.

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
