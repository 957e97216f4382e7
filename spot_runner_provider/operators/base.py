"""The base of the operators that work on the table of AMI states."""

from __future__ import annotations

import json
from typing import Any

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator

from spot_runner_provider.hooks.ami_state import AmiStateHook


class AmiStateOperator(AwsBaseOperator[AmiStateHook]):
    """An operator with a table of AMI states. Subclasses set ``table_name`` and ``index_name``.

    >>> AmiStateOperator.aws_hook_class.__name__
    'AmiStateHook'
    """

    aws_hook_class = AmiStateHook
    table_name: str | None
    index_name: str

    @property
    def botocore_json(self) -> str:
        """``botocore_config`` as JSON: empty if there is none, ``null`` if JSON cannot hold it.

        It is stored in Airflow's database for the command line. An operator's extra field must be text there, because
        the scheduler cannot deserialize a DAG with a dictionary.

        >>> AmiStateOperator(task_id="detect", botocore_config={"read_timeout": 5}).botocore_json
        '{"read_timeout": 5}'
        """
        try:
            return json.dumps(self.botocore_config) if self.botocore_config else ""
        except (TypeError, ValueError):
            return "null"

    @classmethod
    def get_serialized_fields(cls) -> frozenset[str]:
        """Return the fields of a task that Airflow's database stores besides the template fields.

        >>> "botocore_json" in AmiStateOperator.get_serialized_fields()
        True
        """
        fields: frozenset[str] = super().get_serialized_fields()  # type: ignore[no-untyped-call]
        return fields | {"botocore_json"}

    @property
    def _hook_parameters(self) -> dict[str, Any]:
        names = {"table_name": self.table_name, "index_name": self.index_name, "caller": type(self).__name__}
        return {**self._beside_parameters, **names}

    @property
    def _beside_parameters(self) -> dict[str, Any]:
        """The parameters for the hooks of other services: how to reach AWS."""
        return super()._hook_parameters
