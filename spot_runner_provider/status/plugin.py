"""What Airflow 3.1 and newer must know about the page. Older versions load the plugin and find nothing in it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.providers.amazon.version_compat import AIRFLOW_V_3_1_PLUS
from airflow.providers.common.compat.sdk import AirflowPlugin

NAME = "Spot runner presets"


class SpotRunnerPlugin(AirflowPlugin):
    """The app and its entry in the Browse menu.

    Only the api-server looks them up. Every other process, even each task's, creates the plugin, too, and must not
    spend time on importing FastAPI.

    >>> [view["href"] for view in SpotRunnerPlugin().external_views]
    ['spot-runner/']
    """

    name = "spot_runner"

    @cached_property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]
        """Return the app that serves the page and the endpoint."""
        if not AIRFLOW_V_3_1_PLUS:
            return []
        from spot_runner_provider.status.api import app

        return [{"app": app, "url_prefix": "/spot-runner", "name": NAME}]

    @cached_property
    def external_views(self) -> list[Any]:  # type: ignore[override]
        """Return the menu's entry. Its address is relative, because Airflow may be served below a path."""
        if not AIRFLOW_V_3_1_PLUS:
            return []
        return [{"name": NAME, "href": "spot-runner/", "url_route": "spot-runner-presets", "category": "browse"}]
