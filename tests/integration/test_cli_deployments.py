"""Which deployment ``airflow spot-runner detect | reconcile`` works on, where Airflow has several, or one, or none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from airflow.models import Variable
from airflow.models.dag import DagModel
from airflow.providers.common.compat.sdk import DAG, Param
from airflow.providers_manager import ProvidersManager
from airflow.utils.session import create_session
from botocore import UNSIGNED

from spot_runner_provider import clock
from spot_runner_provider.embedded.__main__ import airflow_connection
from spot_runner_provider.embedded.demo.seed import ami_state, create_table, preset_config, put_items
from spot_runner_provider.embedded.imagebuilder.models import Ami, timestamp
from spot_runner_provider.embedded.server import EmbeddedAws
from spot_runner_provider.operators.detect_stale import DetectStaleOperator
from spot_runner_provider.operators.reconcile_preset import ReconcilePresetOperator
from tests.integration.command_line import Answer, cli
from tests.integration.deployment import NEW, OLD

pytestmark = pytest.mark.skipif(
    not hasattr(ProvidersManager, "cli_command_functions"), reason="providers have no commands before Airflow 3.2"
)

PRESET = "linux-x64"
Here = Callable[..., Answer]
Add = Callable[..., None]


@dataclass(frozen=True)
class Team:
    """A deployment with a table, parameters and pipelines of its own, and one stale preset."""

    aws: EmbeddedAws
    name: str

    @property
    def dag_id(self) -> str:
        return f"runners_{self.name}"

    @property
    def place(self) -> dict[str, str]:
        return {
            "table_name": f"{self.name}-state",
            "config_prefix": f"/{self.name}/configs",
            "pipeline_name": f"{self.name}-{{preset}}",
        }

    @property
    def told(self) -> str:
        table, prefix, pipeline = self.place.values()
        return f"table {table}, region us-east-1, parameters {prefix}, pipelines {pipeline}\n"

    def deploy(self) -> None:
        dynamodb = self.aws.client("dynamodb", bystander=True)
        create_table(dynamodb, self.place["table_name"])
        building = ami_state(PRESET, "building", clock.now() - timedelta(minutes=45), ami=OLD)
        put_items(dynamodb, [building], self.place["table_name"])
        self.aws.client("ssm", bystander=True).put_parameter(
            Name=f"{self.place['config_prefix']}/{PRESET}", Value=json.dumps(preset_config(OLD)), Type="String"
        )
        self.aws.image_builder.create_pipeline(f"{self.name}-{PRESET}")
        self.aws.image_builder.add_image(
            f"{self.name}-{PRESET}", status="AVAILABLE", amis=[Ami("us-east-1", NEW, self.aws.account)]
        )

    def stands(self) -> tuple[str, str]:
        """Return the record's status, and the parameter's AMI."""
        item = self.aws.client("dynamodb", bystander=True).get_item(
            TableName=self.place["table_name"], Key={"jobId": {"S": f"AMI#{PRESET}"}}
        )["Item"]
        name = f"{self.place['config_prefix']}/{PRESET}"
        parameter = self.aws.client("ssm", bystander=True).get_parameter(Name=name)["Parameter"]
        return item["status"]["S"], json.loads(parameter["Value"])["ami"]


@pytest.fixture(scope="module", autouse=True)
def database(no_deployments: None) -> None:
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    DagBundlesManager().sync_bundles_to_db()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedAws]:
    """On moto alone: nothing here depends on the emulator."""
    with EmbeddedAws() as aws:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", airflow_connection(aws))
        yield aws


@pytest.fixture
def red(aws: EmbeddedAws) -> Team:
    team = Team(aws, "red")
    team.deploy()
    return team


@pytest.fixture
def blue(aws: EmbeddedAws) -> Team:
    team = Team(aws, "blue")
    team.deploy()
    return team


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch) -> Iterator[Add]:
    """Let Airflow know a DAG, as its dag processor does."""
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    monkeypatch.setenv("AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL", "0")
    added = []

    def add(dag: DAG) -> None:
        bag = DagBag("/dev/null")
        bag.bag_dag(dag)
        sync_bag_to_db(bag, "dags-folder", None)
        added.append(dag.dag_id)

    yield add
    with create_session() as session:
        for dag_id in added:
            session.get(DagModel, dag_id).is_stale = True


def dag_of(team: Team, **options: Any) -> DAG:
    """Return the team's DAG: with ``detect`` and ``reconcile``, arguments of the operators; the rest is the DAG's."""
    detect, reconcile = options.pop("detect", {}), options.pop("reconcile", {})
    place = dict(team.place)
    pipeline = place.pop("pipeline_name")
    with DAG(team.dag_id, schedule=None, tags=["spot-runner"], **options) as dag:
        found = DetectStaleOperator(task_id="find", **place | detect)
        ReconcilePresetOperator.partial(task_id="mend", **place | {"pipeline_name": pipeline} | reconcile).expand(
            presets=found.output
        )
    return dag


def tables(aws: EmbeddedAws) -> set[str]:
    """Return the tables that were worked on."""
    return {
        name
        for call in aws.call_log()
        if call.operation.startswith("dynamodb.")
        for name in ([call.body["TableName"]] if "TableName" in call.body else call.body["RequestItems"])
    }


def test_each_command_touches_the_chosen_deployment_only(red: Team, blue: Team, add: Add, here: Here) -> None:
    add(dag_of(red))
    add(dag_of(blue))
    found = cli("detect", "--dag-id", blue.dag_id, "-o", "json")
    assert (found.code, found.err) == (3, f"DAG runners_blue: {blue.told}")
    assert [line["stale"] for line in found.report["presets"]] == [True]
    assert tables(blue.aws) == {"blue-state"}

    mended = here("reconcile", "--dag-id", blue.dag_id, "-o", "json")
    assert (mended.code, mended.err) == (0, f"DAG runners_blue: {blue.told}")
    assert mended.outcomes == {PRESET: "corrected_ready"}
    assert (blue.stands(), red.stands()) == (("ready", NEW), ("building", OLD))
    assert tables(blue.aws) == {"blue-state"}

    named = here("reconcile", PRESET, "--dag-id", red.dag_id, "-o", "json")
    assert (named.code, named.err, named.outcomes) == (0, f"DAG runners_red: {red.told}", {PRESET: "corrected_ready"})
    assert red.stands() == ("ready", NEW)


@pytest.mark.parametrize("command", ["detect", "reconcile"])
def test_one_of_several_must_be_chosen_whatever_the_settings_say(
    red: Team, blue: Team, add: Add, here: Here, command: str
) -> None:
    add(dag_of(red))
    add(dag_of(blue))
    unclear = here(command, **red.place)
    assert (unclear.code, unclear.out) == (2, "")
    assert unclear.err.endswith("choose one of runners_blue, runners_red with --dag-id\n")
    unknown = here(command, "--dag-id", "runners_green", **red.place)
    assert (unknown.code, unknown.out) == (2, "")
    assert unknown.err == "no DAG runners_green has the tag spot-runner; these have: runners_blue, runners_red\n"
    assert red.aws.call_log() == []


def test_the_settings_count_where_the_only_dag_says_the_same(red: Team, add: Add, here: Here) -> None:
    add(dag_of(red))
    answer = here("reconcile", "-o", "json", **red.place, dry_run="True")
    assert (answer.code, answer.err) == (3, f"[spot_runner]: {red.told}")
    assert red.stands() == ("building", OLD)


def test_a_chosen_dag_is_dry_where_the_settings_are(red: Team, add: Add, here: Here) -> None:
    add(dag_of(red))
    answer = here("reconcile", PRESET, "--dag-id", red.dag_id, "-o", "json", dry_run="True")
    assert answer.report["message"] == "dry run, nothing was written: 1 preset building"
    assert red.stands() == ("building", OLD)


def test_it_is_dry_if_the_only_dag_is(red: Team, add: Add, here: Here) -> None:
    add(dag_of(red, reconcile={"dry_run": True}))
    answer = here("reconcile", "-o", "json", **red.place, dry_run="False")
    assert answer.report["message"] == "dry run, nothing was written: 1 preset building"
    assert red.stands() == ("building", OLD)


@pytest.mark.parametrize("name", ["table_name", "config_prefix", "pipeline_name"])
def test_settings_that_differ_from_the_only_dag_are_refused(
    red: Team, blue: Team, add: Add, here: Here, name: str
) -> None:
    add(dag_of(red))
    answer = here("reconcile", **red.place | {name: blue.place[name]})
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        f"[spot_runner] and the DAG runners_red differ in {name}: {blue.place[name]!r} and {red.place[name]!r}. "
        "Choose the DAG's with --dag-id, or correct the setting; nothing was done\n"
    )
    assert red.aws.call_log() == []


def test_templates_are_rendered_with_params_and_variables(red: Team, add: Add, here: Here) -> None:
    with create_session():
        Variable.set("runners_table", "red-state")
    given = {"table_name": "{{ var.value.runners_table }}", "aws_conn_id": "{{ params.account }}_default"}
    add(
        dag_of(
            red,
            params={"account": "aws", "dry_run": Param(True, type="boolean"), "minutes": 60},
            render_template_as_native_obj=True,
            detect={**given, "stale_after": "{{ params.minutes }}"},
            reconcile={**given, "dry_run": "{{ params.dry_run }}", "pipeline_name": "red-{preset}"},
        )
    )
    fresh = here("detect", "--dag-id", red.dag_id, "-o", "json")
    assert (fresh.code, fresh.err) == (3, f"DAG runners_red: {red.told}")
    assert [line["stale"] for line in fresh.report["presets"]] == [False]
    dry = here("reconcile", PRESET, "--dag-id", red.dag_id, "-o", "json")
    assert dry.report["message"] == "dry run, nothing was written: 1 preset building"
    assert red.stands() == ("building", OLD)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"pipeline_name": ["red-{preset}", "red-{preset}-windows"]}, id="list"),
        pytest.param({"pipeline_name": "red-{preset},red-{preset}-windows"}, id="text"),
        pytest.param({"pipeline_name": "{{ params.names }}"}, id="param"),
    ],
)
@pytest.mark.parametrize("dag_id", ["runners_red", None], ids=["the-dags", "the-settings"])
def test_several_names_of_pipelines(red: Team, add: Add, here: Here, given: Any, dag_id: str | None) -> None:
    """The settings are the only DAG's, however either gives them."""
    names = ["red-{preset}-windows", "red-{preset}"]
    red.aws.image_builder.create_pipeline("red-elsewhere")
    add(dag_of(red, params={"names": names}, render_template_as_native_obj=True, reconcile=given))
    settings = red.place | {"pipeline_name": "red-{preset}-windows, red-{preset}"}
    answer = here("reconcile", PRESET, "-o", "json", *(["--dag-id", dag_id] if dag_id else []), **settings)
    assert (answer.code, answer.outcomes) == (0, {PRESET: "corrected_ready"})
    assert "red-{preset}" in answer.err.partition("pipelines ")[2].strip().split(", ")
    assert red.stands() == ("ready", NEW)


class TeamsDetect(DetectStaleOperator):
    """A team's own operator."""


class TeamsReconcile(ReconcilePresetOperator):
    """Another, with defaults that Airflow's database does not tell."""

    def __init__(self, *, dry_run: bool = True, **arguments: Any) -> None:
        super().__init__(dry_run=dry_run, **arguments)


def test_what_an_operator_that_inherits_does_is_not_guessed(red: Team, add: Add, here: Here) -> None:
    place = dict(red.place)
    pipeline = place.pop("pipeline_name")
    with DAG(red.dag_id, schedule=None, tags=["spot-runner"]) as dag:
        found = TeamsDetect(task_id="find", **place)
        TeamsReconcile.partial(task_id="mend", **place | {"pipeline_name": pipeline}).expand(presets=found.output)
    add(dag)
    answer = here("reconcile", PRESET, "--dag-id", red.dag_id, "-o", "json")
    assert (answer.code, red.stands()) == (2, ("building", OLD))
    assert "the task find of the DAG runners_red is a TeamsDetect, which may have other defaults" in answer.err


@pytest.mark.parametrize(("minutes", "stale"), [(44, True), (46, False), (1500, False)])
def test_a_duration_comes_through_airflows_database(red: Team, add: Add, here: Here, minutes: int, stale: bool) -> None:
    add(dag_of(red, detect={"stale_after": timedelta(minutes=minutes)}))
    answer = here("detect", "--dag-id", red.dag_id, "-o", "json")
    assert [line["stale"] for line in answer.report["presets"]] == [stale]


@pytest.mark.parametrize(("hours", "outcome"), [(2, "stuck"), (4, "still_building"), (30, "still_building")])
def test_so_does_one_of_the_repair(red: Team, add: Add, here: Here, hours: int, outcome: str) -> None:
    red.aws.image_builder.add_image(
        f"red-{PRESET}", status="TESTING", date_created=timestamp(clock.now() + timedelta(hours=1))
    )
    add(dag_of(red, reconcile={"stuck_after": timedelta(hours=hours)}))
    with pytest.MonkeyPatch.context() as patch:
        present = clock.now()
        patch.setattr(clock, "now", lambda: present + timedelta(hours=4))
        answer = here("reconcile", PRESET, "--dag-id", red.dag_id, "-o", "json")
    assert answer.outcomes == {PRESET: outcome}


def test_a_process_says_no_more_than_why_a_template_is_refused(red: Team, add: Add) -> None:
    add(dag_of(red, detect={"table_name": "red-{{ run_id }}"}))
    answer = cli("detect", "--dag-id", red.dag_id)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "a template of the DAG runners_red cannot be rendered without a run: 'run_id' is undefined; nothing was done\n"
    )


def one_more(team: Team) -> DAG:
    dag = dag_of(team)
    DetectStaleOperator(task_id="again", table_name="another", dag=dag)
    return dag


def nothing(team: Team) -> DAG:
    return DAG(team.dag_id, schedule=None, tags=["spot-runner"])


def mapped(team: Team) -> DAG:
    with DAG(team.dag_id, schedule=None, tags=["spot-runner"]) as dag:
        DetectStaleOperator(task_id="find", table_name="red-state")
        ReconcilePresetOperator.partial(task_id="mend", presets=[PRESET]).expand(table_name=["red-state", "blue-state"])
    return dag


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (
            lambda team: dag_of(team, detect={"table_name": "red-{{ ds }}"}),
            "a template of the DAG runners_red cannot be rendered without a run: 'ds' is undefined; nothing was done",
        ),
        (
            lambda team: dag_of(team, reconcile={"table_name": "blue-state"}),
            "the DAG runners_red detects with table_name 'red-state', and reconciles with 'blue-state'; "
            "nothing was done",
        ),
        (
            one_more,
            "the DAG runners_red has 2 tasks of DetectStaleOperator, and must have one; nothing was done",
        ),
        (
            nothing,
            "the DAG runners_red has no tasks of DetectStaleOperator, and must have one; nothing was done",
        ),
        (mapped, "the task mend of the DAG runners_red is mapped over more than presets; nothing was done"),
        (
            lambda team: dag_of(team, detect={"table_name": None}, reconcile={"table_name": None}),
            "table_name is not set: give it to the operator, or set [spot_runner] table_name",
        ),
        (
            lambda team: dag_of(team, detect={"botocore_config": {"signature_version": UNSIGNED}}),
            "the task find of the DAG runners_red has a botocore_config that is not JSON, which Airflow's database "
            "cannot hold. Use only values that JSON can hold; nothing was done",
        ),
    ],
    ids=["needs a run", "two tables", "two tasks", "no task", "mapped", "no table", "no JSON"],
)
def test_what_cannot_be_told_is_refused(red: Team, add: Add, here: Here, make: Callable[[Team], DAG], why: str) -> None:
    add(make(red))
    answer = here("reconcile", "--dag-id", red.dag_id, table_name="red-state")
    assert (answer.code, answer.out, answer.err) == (2, "", f"{why}\n")
    assert red.aws.call_log() == []


def test_a_task_that_is_not_mapped_will_do(red: Team, add: Add, here: Here) -> None:
    with DAG(red.dag_id, schedule=None, tags=["spot-runner"]) as dag:
        DetectStaleOperator(task_id="find", table_name="red-state")
        ReconcilePresetOperator(task_id="mend", presets=[PRESET], dry_run=True, **red.place)
    add(dag)
    answer = here("reconcile", "--dag-id", red.dag_id, "-o", "json")
    assert (answer.err, answer.report["presets"][0]["outcome"]) == (f"DAG runners_red: {red.told}", "corrected_ready")
    assert red.stands() == ("building", OLD)


@pytest.mark.parametrize("is_mapped", [True, False], ids=["mapped", "not-mapped"])
def test_an_argument_that_is_no_template_field_counts(red: Team, add: Add, is_mapped: bool) -> None:
    given = {"botocore_config": {"user_agent_extra": "team-red", "retries": {"total_max_attempts": 2}}}
    if is_mapped:
        made = dag_of(red, detect=given, reconcile=given)
    else:
        with DAG(red.dag_id, schedule=None, tags=["spot-runner"]) as made:
            DetectStaleOperator(task_id="find", table_name="red-state", **given)
            ReconcilePresetOperator(task_id="mend", presets=[PRESET], **red.place, **given)
    add(made)
    from spot_runner_provider.cli.deployment import of_dag  # it needs Airflow 3

    with create_session() as session:
        found = of_dag(red.dag_id, session)
    for operator in (found.detect, found.reconcile):
        assert operator.botocore_config == given["botocore_config"]
