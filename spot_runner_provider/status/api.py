"""The app below ``/spot-runner``: the page with its script and style, and the endpoint ``status``.

A plugin's app has no authentication of its own, so every route depends on :func:`readable`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.models.dag import DagModel
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse, JSONResponse

from spot_runner_provider import clock
from spot_runner_provider.status import store, view

HERE = Path(__file__).parent

HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of the static files: scripts and styles come only from this app, and none is inline."""


def readable(user: GetUserDep, session: SessionDep, dag_id: str | None = None) -> list[str]:
    """Return the deployments whose runs and XCom the user may see.

    Airflow's own guard for routes, ``requires_access_dag``, asks the auth manager the same. But before 3.1.8 it only
    looks for a DAG in the route.

    :raises HTTPException: 401 without a login; 403 if the user may not see the requested deployment, or any.

    >>> from fastapi.testclient import TestClient
    >>> TestClient(app).get("/status").status_code  # without a login
    401
    """

    def may_read(dag_id: str | None) -> bool:
        details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id, session=session) if dag_id else None)
        return all(
            get_auth_manager().is_authorized_dag(method="GET", access_entity=entity, details=details, user=user)
            for entity in (DagAccessEntity.RUN, DagAccessEntity.XCOM)
        )

    deployments = store.dag_ids(session)
    permitted = [each for each in deployments if may_read(each)]
    if not (may_read(dag_id) if dag_id or not deployments else permitted):
        raise HTTPException(403, "Forbidden")
    return permitted


Readable = Annotated[list[str], Depends(readable)]

app = FastAPI(
    title="Spot runner presets",
    openapi_url=None,
    dependencies=[Depends(readable)],
)


@app.get("/status")
def get_status(dag_ids: Readable, session: SessionDep, dag_id: str | None = None) -> JSONResponse:
    """Return the status of the requested deployment, or of the first one.

    :raises HTTPException: 404 if the requested deployment does not exist, or may not be seen.

    >>> import json
    >>> answer = json.loads(get_status(["spot_runner_reconcile"], session).body)
    >>> answer["status"], answer["message"]
    ('degraded', 'no run yet, the DAG is paused')
    """
    if dag_id and dag_id not in dag_ids:
        raise HTTPException(404, f"no DAG {dag_id} has the tag {store.TAG}")
    chosen = dag_id or next(iter(dag_ids), None)
    found = store.deployment(chosen, session) if chosen else None
    return JSONResponse(view.status(found, dag_ids, clock.now()), headers={"Cache-Control": "no-store"})


@app.get("/schema.json")
def get_schema() -> FileResponse:
    """Return the JSON schema of the answer of ``status``.

    >>> get_schema().media_type
    'application/schema+json'
    """
    return FileResponse(HERE / "schema.json", media_type="application/schema+json", headers=HEADERS)


@app.get("/")
def get_page() -> FileResponse:
    """Return the page.

    >>> get_page().headers["content-security-policy"].partition(";")[0]
    "default-src 'none'"
    """
    return FileResponse(HERE / "page" / "index.html", headers=HEADERS)


@app.get("/page.js")
def get_script() -> FileResponse:
    """Return the page's script.

    >>> get_script().media_type, get_script().path.name
    ('text/javascript', 'page.js')
    """
    return FileResponse(HERE / "page" / "page.js", media_type="text/javascript", headers=HEADERS)


@app.get("/style.css")
def get_style() -> FileResponse:
    """Return the page's style.

    >>> get_style().media_type
    'text/css'
    """
    return FileResponse(HERE / "page" / "style.css", headers=HEADERS)
