"""The outlets through which Airflow learns of promotions."""

from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias

from spot_runner_provider.operators.reconcile_preset import ReconcilePresetOperator
from spot_runner_provider.reporting.promotion import ALIAS

ELSE = Asset("s3://bucket/else")


@pytest.mark.parametrize(
    ("given", "outlets"),
    [
        pytest.param({}, [AssetAlias(ALIAS)], id="none"),
        pytest.param({"outlets": [ELSE]}, [ELSE, AssetAlias(ALIAS)], id="an-asset"),
        pytest.param({"outlets": [AssetAlias("team")]}, [AssetAlias("team")], id="an-alias"),
        pytest.param({"default_args": {"outlets": [ELSE]}}, [ELSE, AssetAlias(ALIAS)], id="by-default"),
    ],
)
def test_the_alias_is_among_them_unless_there_is_another(given: dict[str, Any], outlets: list[Any]) -> None:
    arguments: dict[str, Any] = {"table_name": "any", **given}
    with DAG("outlets", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
        single = ReconcilePresetOperator(task_id="single", presets=[], **arguments)
        mapped = ReconcilePresetOperator.partial(task_id="mapped", **arguments).expand(presets=[[], []])
    assert single.outlets == outlets
    assert mapped.outlets == outlets
    assert mapped.unmap({"presets": []}).outlets == outlets
