"""Every link is registered, and has a name and a key of its own."""

import pytest

from spot_runner_provider import get_provider_info
from spot_runner_provider.operators.links import ConsoleLink
from spot_runner_provider.operators.reconcile_preset import ReconcilePresetOperator

NAMES = {
    "_link_PipelineLink": "Image Builder pipeline",
    "_link_ParameterLink": "SSM parameter",
    "_link_RecordLink": "DynamoDB record",
    "_link_LogGroupLink": "Failed build's log group",
}


def test_names_and_keys():
    assert {link.xcom_key: link.name for link in ReconcilePresetOperator.operator_extra_links} == NAMES


@pytest.mark.parametrize("kind", ConsoleLink.__subclasses__())
def test_each_link_is_on_the_operator_and_known_to_airflow_2(kind):
    assert kind in {type(link) for link in ReconcilePresetOperator.operator_extra_links}
    assert f"{kind.__module__}.{kind.__qualname__}" in get_provider_info()["extra-links"]
