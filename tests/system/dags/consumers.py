"""DAGs of somebody else, each of which runs when the AMI of one preset changes."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Asset, task

for preset in ("promoted", "failed"):
    asset = Asset(f"spot-runner://123456789012/us-east-1/{preset}")
    with DAG(f"after_{preset}", schedule=[asset]):

        @task
        def told(asset: Asset = asset, **context: Any) -> list[dict[str, Any]]:
            """Return the extra of each event that the run was started for."""
            return [event.extra for event in context["triggering_asset_events"][asset]]

        told()
