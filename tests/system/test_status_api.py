"""The endpoint and the page's files, in Airflow's own API app, after a run of the demo."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from airflow.api_fastapi.app import create_app, get_auth_manager, purge_cached_app
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.models.dag import DagModel, DagTag
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunType
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator
from sqlalchemy import delete, func, insert, select, update

from spot_runner_provider.embedded.__main__ import airflow_connection
from spot_runner_provider.embedded.demo.deployment import OUTCOMES, seed_demo
from spot_runner_provider.embedded.demo.seed import PARAMETER_PREFIX, TABLE
from spot_runner_provider.embedded.server import EmbeddedAws
from spot_runner_provider.records.ami_state import parse_timestamp
from tests.demo_checks import Snapshot, check_report
from tests.system import status_auth

DAG = "spot_runner_reconcile"
OTHER = "spot_runner_elsewhere"
DAG_FILE = Path(__file__).parents[2] / "dags" / "spot_runner_reconcile.py"
PATHS = ["/spot-runner/status", "/spot-runner/", "/spot-runner/page.js", "/spot-runner/style.css"]

pytestmark = pytest.mark.system

Client = Callable[..., TestClient]


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with EmbeddedAws() as aws:
        seed_demo(aws)
        yield aws


@pytest.fixture(scope="module")
def after(aws: EmbeddedAws) -> Iterator[Snapshot]:
    """What a run of the demo left in AWS; its results are in the metadata database, and no other run's."""
    initdb()
    with create_session() as session:
        session.execute(update(DagModel).values(is_stale=True))
        session.execute(delete(DagRun))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__SPOT_RUNNER__TABLE_NAME", TABLE)
        patch.setenv("AIRFLOW_CONN_AWS_DEFAULT", airflow_connection(aws))
        runpy.run_path(str(DAG_FILE))["detect"].dag.test()
        yield Snapshot.of(aws)


@pytest.fixture(scope="module")
def client(after: Snapshot) -> Iterator[Client]:
    """Make clients of Airflow's API app: ``client("somebody", role="VIEWER")``, or ``client()`` for nobody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__AUTH_MANAGER", f"{status_auth.__name__}.DagAuthManager")
        purge_cached_app()
        app = create_app()

        def make(name: str | None = None, role: str | None = None) -> TestClient:
            user = SimpleAuthManagerUser(username=name, role=role) if name else None
            token = {"Authorization": f"Bearer {get_auth_manager().generate_jwt(user)}"} if user else {}
            return TestClient(app, headers=token)

        yield make
        purge_cached_app()


@pytest.fixture
def viewer(client: Client) -> TestClient:
    return client("viewer", role="VIEWER")


@pytest.fixture
def other() -> Iterator[str]:
    """A second deployment, which has never run."""
    with create_session() as session:
        session.add(
            DagModel(
                dag_id=OTHER, bundle_name="dags-folder", is_stale=False, tags=[DagTag(name="spot-runner", dag_id=OTHER)]
            )
        )
    yield OTHER
    with create_session() as session:
        session.delete(session.get(DagModel, OTHER))


@pytest.fixture
def untagged() -> Iterator[None]:
    """No deployment at all."""
    with create_session() as session:
        session.execute(delete(DagTag).where(DagTag.dag_id == DAG))
    yield
    with create_session() as session:
        session.add(DagTag(name="spot-runner", dag_id=DAG))


@pytest.fixture
def pushed(after: Snapshot) -> Iterator[Callable[..., None]]:
    """Replace what a task pushed: the one that reports, unless another is named."""
    replaced: list[tuple[dict[str, Any], Any]] = []

    def push(value: Any, task_id: str = "report_status", map_index: int = -1, key: str = "return_value") -> None:
        with create_session() as session:
            (row,) = session.scalars(select(XComModel).filter_by(task_id=task_id, map_index=map_index, key=key))
            where = {"task_id": task_id, "map_index": map_index, "key": key, "dag_id": DAG, "run_id": row.run_id}
            replaced.append((where, XComModel.deserialize_value(row)))
        XComModel.set(value=value, **where)

    yield push
    for where, value in reversed(replaced):
        XComModel.set(value=value, **where)


@pytest.fixture
def an_hour_ago(after: Snapshot) -> Iterator[None]:
    """Let the run have begun an hour earlier."""

    def move(duration: timedelta) -> None:
        with create_session() as session:
            (run,) = session.scalars(select(DagRun).where(DagRun.dag_id == DAG))
            run.start_date += duration

    move(-timedelta(hours=1))
    yield
    move(timedelta(hours=1))


@pytest.fixture
def others(after: Snapshot) -> Iterator[Callable[..., None]]:
    """Add 25 runs that are created after the one that has reported, a minute apart from some moment on."""

    def add(first: timedelta, step: timedelta, state: DagRunState, moment_of: str) -> None:
        with create_session() as session:
            began = session.scalars(select(DagRun.start_date).where(DagRun.dag_id == DAG)).one()
            for number in range(25):
                moment = began + first + number * step
                times = {"run_after": moment, moment_of: moment}
                kind = DagRunType.BACKFILL_JOB
                session.add(DagRun(dag_id=DAG, run_id=f"backfill__{number}", run_type=kind, state=state, **times))

    yield add
    with create_session() as session:
        session.execute(delete(DagRun).where(DagRun.dag_id == DAG, DagRun.run_id.startswith("backfill__")))


@pytest.fixture
def teams_detection(after: Snapshot) -> Iterator[None]:
    """Let the run have had a second task that detects, by a team's own operator."""
    table = TaskInstance.__table__
    with create_session() as session:
        row = session.execute(select(table).where(table.c.dag_id == DAG, table.c.task_id == "detect_stale")).one()
        values = dict(row._mapping) | {
            "id": type(row.id)(str(uuid4())),
            "task_id": "teams_detection",
            "operator": "TeamsDetect",
        }
        session.execute(insert(table).values(values))
    yield
    with create_session() as session:
        session.execute(delete(table).where(table.c.dag_id == DAG, table.c.task_id == "teams_detection"))


@pytest.fixture
def inherited(after: Snapshot) -> Iterator[None]:
    """Let the run's operators have been a team's own, which inherit from these."""
    with create_session() as session:
        (named,) = session.execute(
            select(func.count()).where(
                TaskInstance.dag_id == DAG, TaskInstance.custom_operator_name == TaskInstance.operator
            )
        ).one()
        assert named == session.scalar(select(func.count()).where(TaskInstance.dag_id == DAG))
        session.execute(
            update(TaskInstance).where(TaskInstance.dag_id == DAG).values(operator="Teams" + TaskInstance.operator)
        )
    yield
    with create_session() as session:
        session.execute(
            update(TaskInstance).where(TaskInstance.dag_id == DAG).values(operator=TaskInstance.custom_operator_name)
        )


@pytest.fixture
def fixed(pushed: Callable[..., None]) -> None:
    """Let detection have looked at some presets only."""
    with create_session() as session:
        (row,) = session.scalars(select(XComModel).filter_by(task_id="detect_stale", key="states"))
        survey = XComModel.deserialize_value(row)
    pushed(survey | {"named": True}, task_id="detect_stale", key="states")


@pytest.fixture
def deny(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Deny the viewer something of a DAG."""
    denied: set[tuple[str, DagAccessEntity]] = set()
    monkeypatch.setitem(status_auth.DENIED, "viewer", denied)
    return lambda dag_id, entity=DagAccessEntity.XCOM: denied.add((dag_id, entity))


def status(client: TestClient, **params: str) -> dict[str, Any]:
    """Return what the endpoint answers, which must match the schema that it publishes."""
    response = client.get("/spot-runner/status", params=params)
    assert response.status_code == 200, response.text
    schema = client.get("/spot-runner/schema.json").json()
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(response.json())
    return dict(response.json())


def lines(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {preset["name"]: preset for preset in answer["presets"]}


@pytest.mark.parametrize("path", PATHS)
def test_nobody_gets_anything(client: Client, path: str) -> None:
    assert client().get(path).status_code == 401


@pytest.mark.parametrize("path", PATHS)
def test_a_user_without_a_role_gets_nothing(client: Client, path: str) -> None:
    assert client("newcomer").get(path).status_code == 403


@pytest.mark.parametrize("role", ["VIEWER", "USER", "OP", "ADMIN"])
@pytest.mark.parametrize("path", PATHS)
def test_each_role_that_may_read_dags_gets_all(client: Client, path: str, role: str) -> None:
    assert client("somebody", role).get(path).status_code == 200


@pytest.mark.parametrize("entity", [DagAccessEntity.RUN, DagAccessEntity.XCOM])
@pytest.mark.parametrize("path", PATHS)
def test_a_viewer_who_may_not_see_the_only_deployment_gets_nothing(
    viewer: TestClient, deny: Callable[..., None], path: str, entity: DagAccessEntity
) -> None:
    deny(DAG, entity)
    assert viewer.get(path).status_code == 403


def test_a_deployment_that_may_not_be_seen_is_not_even_named(
    viewer: TestClient, deny: Callable[..., None], other: str
) -> None:
    assert status(viewer)["dagIds"] == [OTHER, DAG]
    deny(other)
    answer = status(viewer)
    assert (answer["dagId"], answer["dagIds"]) == (DAG, [DAG])
    assert viewer.get("/spot-runner/status", params={"dag_id": other}).status_code == 403
    assert viewer.get("/spot-runner/status", params={"dag_id": "no such DAG"}).status_code == 404


def test_one_of_several_deployments_is_chosen(viewer: TestClient, other: str) -> None:
    assert len(status(viewer, dag_id=DAG)["presets"]) == len(OUTCOMES)
    answer = status(viewer, dag_id=other)
    assert (answer["state"], answer["message"], answer["presets"]) == ("empty", "no run yet, the DAG is paused", [])


def test_a_dag_without_the_tag_is_no_deployment(viewer: TestClient, untagged: None) -> None:
    answer = status(viewer)
    assert (answer["status"], answer["state"], answer["dagIds"]) == ("degraded", "empty", [])
    assert viewer.get("/spot-runner/status", params={"dag_id": DAG}).status_code == 404


def test_it_says_what_the_run_reported(viewer: TestClient, after: Snapshot) -> None:
    answer = status(viewer)
    check_report(answer, after)
    assert (answer["status"], answer["state"]) == ("degraded", "current")
    assert answer["message"] == "9 presets ready, 9 presets building, 3 presets failed, 3 records malformed"
    assert {name: preset["outcome"] for name, preset in lines(answer).items()} == OUTCOMES
    assert [run["runId"] for run in answer["runs"]] == [answer["reportedBy"]]


def test_each_preset_leads_to_its_log_and_its_resources(viewer: TestClient) -> None:
    answer = status(viewer)
    (run,) = answer["runs"]
    arn = "arn:aws:imagebuilder:us-east-1:123456789012"
    reconciled, settled = lines(answer)["windows-2022"], lines(answer)["linux-x64-docker"]
    assert reconciled["logPath"].startswith(f"{run['path']}/tasks/reconcile_preset/mapped/")
    assert settled["logPath"] == f"{run['path']}/tasks/detect_stale"
    assert reconciled["console"]["pipeline"].endswith(f"#/pipelines/{arn}:image-pipeline/spot-runner-windows-2022")
    assert set(settled["console"]) == {"image", "parameter", "record"}
    name = f"{PARAMETER_PREFIX}windows-2022".replace("/", "%252F")
    assert f"/parameters/{name}/description" in reconciled["console"]["parameter"]
    assert f"table={TABLE}" in reconciled["console"]["record"]


def test_aws_is_never_called(viewer: TestClient, aws: EmbeddedAws) -> None:
    aws.reset_calls()
    for path in PATHS:
        assert viewer.get(path).status_code == 200
    assert aws.calls() == {}


def test_an_hour_without_a_run_is_stale(viewer: TestClient, an_hour_ago: None) -> None:
    answer = status(viewer)
    assert (answer["status"], answer["state"]) == ("degraded", "stale")
    assert 0 < (parse_timestamp(answer["due"]) - parse_timestamp(answer["runs"][0]["beganAt"])).total_seconds() <= 900


def test_a_teams_own_operators_are_found(viewer: TestClient, inherited: None) -> None:
    assert len(status(viewer)["presets"]) == len(OUTCOMES)


def test_of_two_that_detect_the_one_of_the_very_class_counts(viewer: TestClient, teams_detection: None) -> None:
    assert lines(status(viewer))["linux-x64-docker"]["logPath"].endswith("/tasks/detect_stale")


def test_runs_that_wait_do_not_hide_what_the_last_one_found(viewer: TestClient, others: Callable[..., None]) -> None:
    others(timedelta(0), timedelta(minutes=1), DagRunState.QUEUED, "queued_at")
    answer = status(viewer)
    assert [run["runId"] for run in answer["runs"]] == ["backfill__24", answer["reportedBy"]]
    assert len(answer["presets"]) == len(OUTCOMES)


def test_the_newest_run_is_the_one_that_began_last(viewer: TestClient, others: Callable[..., None]) -> None:
    """It was cleared, and ran again."""
    others(-timedelta(hours=1), -timedelta(minutes=1), DagRunState.SUCCESS, "start_date")
    answer = status(viewer)
    assert [run["runId"] for run in answer["runs"]] == [answer["reportedBy"], *(f"backfill__{n}" for n in range(19))]
    assert len(answer["presets"]) == len(OUTCOMES)


@pytest.mark.parametrize("value", ["s3://bucket/key", {"presets": None}, [1], None, 7])
def test_a_value_that_is_no_report_is_not_shown(viewer: TestClient, pushed: Callable[[Any], None], value: Any) -> None:
    pushed(value)
    answer = status(viewer)
    assert (answer["status"], answer["message"], answer["presets"]) == ("degraded", "no report can be read", [])


def test_where_every_run_looks_at_some_presets_only_the_newest_is_shown(viewer: TestClient, fixed: None) -> None:
    answer = status(viewer)
    assert answer["message"].endswith("; no run looked at other presets")
    assert len(answer["presets"]) == len(OUTCOMES)


@pytest.mark.parametrize(
    "where",
    [
        {"task_id": "detect_stale", "key": "states"},
        {"task_id": "detect_stale"},
        {"task_id": "reconcile_preset", "map_index": 0},
    ],
)
def test_a_value_that_is_kept_elsewhere_takes_nothing_but_its_links_away(
    viewer: TestClient, pushed: Callable[..., None], where: dict[str, Any]
) -> None:
    before = lines(status(viewer))
    pushed("s3://bucket/key", **where)
    after = lines(status(viewer))
    links = {"logPath", "console"}
    assert {name: {key: line[key] for key in line.keys() - links} for name, line in after.items()} == {
        name: {key: line[key] for key in line.keys() - links} for name, line in before.items()
    }


def test_the_log_of_a_preset_without_a_result_is_that_of_its_mapped_task(
    viewer: TestClient, pushed: Callable[..., None]
) -> None:
    before = lines(status(viewer))
    pushed([], task_id="reconcile_preset", map_index=1)
    assert {name: line["logPath"] for name, line in lines(status(viewer)).items()} == {
        name: line["logPath"] for name, line in before.items()
    }
    assert sum(line["logPath"].endswith("/mapped/1") for line in before.values()) > 0


def test_html_in_a_text_is_passed_on_as_the_text_that_it_is(viewer: TestClient, pushed: Callable[[Any], None]) -> None:
    hostile, moment = "<img src=x onerror=alert(1)>", "2026-05-01T11:00:00.000Z"
    line = {"name": "a", "status": "failed", "amiId": None, "updatedAt": moment, "outcome": "error", "detail": hostile}
    pushed({"status": "degraded", "message": hostile, "checkedAt": moment, "presets": [line], "malformed": []})
    response = viewer.get("/spot-runner/status")
    assert response.headers["content-type"] == "application/json"
    assert (response.json()["message"], response.json()["presets"][0]["detail"]) == (hostile, hostile)


def test_the_page_allows_no_script_and_no_style_but_its_own(viewer: TestClient) -> None:
    page = viewer.get("/spot-runner/")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert (policy["script-src"], policy["style-src"], policy["connect-src"]) == ("'self'", "'self'", "'self'")
    assert "style=" not in page.text
    assert page.text.count("<script") == page.text.count('<script src="page.js">') == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(client: Client, method: str) -> None:
    assert client("admin", "ADMIN").request(method, "/spot-runner/status").status_code == 405


def test_it_is_in_the_browse_menu(client: Client) -> None:
    plugins = client("admin", "ADMIN").get("/api/v2/plugins").json()["plugins"]
    (plugin,) = (plugin for plugin in plugins if plugin["name"] == "spot_runner")
    (view,) = plugin["external_views"]
    assert (view["name"], view["category"], view["href"]) == ("Spot runner presets", "browse", "spot-runner/")
    assert [app["url_prefix"] for app in plugin["fastapi_apps"]] == ["/spot-runner"]
