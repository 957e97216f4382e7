"""An auth manager with rules of its own for each DAG, as real ones have; Airflow's simple one has roles only."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

DENIED: dict[str, set[tuple[str, DagAccessEntity]]] = {}
"""User -> what of which DAG is denied."""


class DagAuthManager(SimpleAuthManager):
    """Airflow's simple auth manager, and :data:`DENIED`."""

    def is_authorized_dag(self, *, user: Any, access_entity: Any = None, details: Any = None, **kwargs: Any) -> bool:
        denied = DENIED.get(user.username, set())
        if details is not None and (details.id, access_entity) in denied:
            return False
        return super().is_authorized_dag(user=user, access_entity=access_entity, details=details, **kwargs)
