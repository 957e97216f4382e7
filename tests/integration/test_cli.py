"""``airflow spot-runner``, as a person types it: mostly in a process of its own."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import yaml
from airflow.models import Connection
from airflow.models.dag import DagModel, DagTag
from airflow.models.log import Log
from airflow.providers_manager import ProvidersManager
from airflow.utils.session import create_session
from sqlalchemy import select

from spot_runner_provider import clock
from spot_runner_provider.embedded.__main__ import airflow_connection
from spot_runner_provider.embedded.demo.seed import TABLE, ami_state, create_table, preset_config
from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.embedded.server import EmbeddedAws
from tests.integration.command_line import REPOSITORY, cli
from tests.integration.deployment import NEW, OLD, Deployment
from tests.integration.test_dag_run import DAG_FILE

pytestmark = [
    pytest.mark.skipif(
        not hasattr(ProvidersManager, "cli_command_functions"), reason="providers have no commands before Airflow 3.2"
    ),
    pytest.mark.usefixtures("no_deployments"),
]

PLACE = (
    f"[spot_runner]: table {TABLE}, region us-east-1, parameters /spot-runner/configs, "
    "pipelines spot-runner-{preset}\n"
)
DAG, OTHER = "spot_runner_reconcile", "spot_runner_elsewhere"
PRESET, FRESH = "linux-x64", "linux-arm64"

MODULES = """
import contextlib, runpy, sys
with contextlib.suppress(SystemExit):
    runpy.run_module("airflow", run_name="__main__")
print("MODULES", *sys.modules)
"""


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedAws]:
    """On moto alone: nothing here depends on the emulator."""
    with EmbeddedAws() as aws:
        create_table(aws.client("dynamodb", bystander=True))
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", airflow_connection(aws))
        monkeypatch.setenv("AIRFLOW__SPOT_RUNNER__TABLE_NAME", TABLE)
        yield aws


# detect


def ready(deployment: Deployment) -> None:
    deployment.preset(PRESET, status="ready")


def failed(deployment: Deployment) -> None:
    deployment.preset(PRESET, status="failed", error="no space left")


def stale(deployment: Deployment) -> None:
    deployment.stale(PRESET)
    deployment.preset(FRESH, minutes=29)


def malformed(deployment: Deployment) -> None:
    ready(deployment)
    deployment.item(ami_state("[/b] :key:", "ready", clock.now()))


@pytest.mark.parametrize(
    ("deploy", "code", "status", "message"),
    [
        (ready, 0, "ready", "1 preset ready; none was stale"),
        (failed, 1, "degraded", "1 preset failed; none was stale"),
        (stale, 3, "building", "2 presets building; 1 to reconcile"),
    ],
)
def test_detect_tells_what_it_finds_and_writes_nothing(deployment, deploy, code, status, message, here):
    deploy(deployment)
    answer = here("detect", "--output", "json")
    assert (answer.code, answer.report["status"], answer.report["message"]) == (code, status, message)
    lines = answer.report["presets"]
    assert {line["name"] for line in lines if line["stale"]} == ({PRESET} if deploy is stale else set())
    assert answer.err == PLACE
    assert deployment.writes() == []


def test_what_others_wrote_is_printed_as_it_is(deployment, here):
    malformed(deployment)
    answer = here("detect")
    assert answer.code == 1
    assert "AMI#[/b] :key:" in answer.out
    assert re.search(r"^degraded at \S+Z: 1 preset ready, 1 record malformed; none was stale$", answer.out, re.M)


def test_unfinished_work_of_an_earlier_call_is_told(deployment, here):
    deployment.aws.add_fault(Fault("ssm.PutParameter", "AccessDeniedException"))
    deployment.stale(PRESET)
    broken = here("reconcile", "-o", "json")
    assert (broken.code, broken.outcomes) == (1, {PRESET: "refused"})
    assert broken.err == PLACE
    found = here("detect", "-o", "yaml")
    assert found.code == 3
    (line,) = yaml.safe_load(found.out)["presets"]
    assert (line["status"], line["stale"], line["unfinished"]) == ("building", False, True)


# reconcile


def test_reconcile_corrects_what_is_stale(deployment):
    stale(deployment)
    answer = cli("reconcile", "-o", "json")
    assert (answer.code, answer.err) == (3, PLACE)
    assert answer.outcomes == {PRESET: "corrected_ready", FRESH: None}
    record = deployment.record(PRESET)
    assert (record["status"], record["amiId"]) == ("ready", NEW)
    assert re.fullmatch(r"cli/[^/]+@[^/]+/[\d-]+T[\d:.]+Z/[0-9a-f]{8}", record["reconciledBy"])
    assert deployment.parameter(PRESET)["ami"] == NEW
    assert deployment.record(FRESH)["status"] == "building"
    assert deployment.intents() == []
    with create_session() as session:
        audited = session.scalars(select(Log.extra).where(Log.event == "cli_reconcile").order_by(Log.id.desc())).first()
    assert "'spot-runner', 'reconcile', '-o', 'json'" in audited


def test_named_presets_alone_are_reconciled_whatever_their_age(deployment, here):
    deployment.stale(PRESET)
    deployment.stale(FRESH, minutes=1)
    answer = here("reconcile", FRESH)
    assert answer.code == 0
    assert re.search(rf"^{FRESH} +\| ready +\| {NEW} .*\| corrected_ready", answer.out, re.M)
    assert PRESET not in answer.out
    assert [deployment.record(name)["status"] for name in (PRESET, FRESH)] == ["building", "ready"]


@pytest.mark.parametrize(("arguments", "settings"), [(["--dry-run"], {}), ([], {"dry_run": "True"})])
def test_a_dry_run_says_what_would_be_done_and_writes_nothing(deployment, here, arguments, settings):
    deployment.stale(PRESET)
    answer = here("reconcile", PRESET, "-o", "json", *arguments, **settings)
    assert (answer.code, answer.outcomes) == (3, {PRESET: "corrected_ready"})
    assert answer.report["message"] == "dry run, nothing was written: 1 preset building"
    assert answer.report["presets"][0]["detail"] == f"dry run: would set ready with {NEW}, and ami from {OLD}"
    assert deployment.writes() == []


def test_a_call_that_another_one_overtakes_gives_way(deployment, here, monkeypatch):
    """Two people reconcile a preset at once: no call takes the other's write for its own."""
    patient = json.loads(airflow_connection(deployment.aws))
    patient["extra"]["config_kwargs"] = {"read_timeout": 600}  # the other one takes its time
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(patient))
    deployment.stale(PRESET)
    others = []
    deployment.aws.before("dynamodb.UpdateItem", f"AMI#{PRESET}", lambda: others.append(cli("reconcile", "-o", "json")))
    answer = here("reconcile", "-o", "json")
    assert (answer.code, answer.outcomes) == (0, {PRESET: "superseded"})
    assert [(other.code, other.outcomes) for other in others] == [(0, {PRESET: "corrected_ready"})]
    assert (deployment.parameter(PRESET)["ami"], deployment.intents()) == (NEW, [])


def test_a_call_knows_its_own_write_when_the_reply_is_lost(deployment, here):
    deployment.stale(PRESET)
    deployment.aws.add_fault(Fault("dynamodb.UpdateItem", "lost_reply", times=1))
    answer = here("reconcile", "-o", "json")
    assert (answer.code, answer.outcomes) == (0, {PRESET: "corrected_ready"})
    assert deployment.parameter(PRESET)["ami"] == NEW


def test_the_log_goes_to_stderr_without_secrets(deployment):
    deployment.stale(PRESET, config={**preset_config(OLD), "token": "s3cr3t"})
    answer = cli("reconcile", "--verbose", "-o", "json")
    assert answer.outcomes == {PRESET: "corrected_ready"}
    assert f"preset {PRESET}: corrected_ready" in answer.err
    assert not re.search("s3cr3t|Signature=", answer.err)


# What a person must put right


def test_a_process_says_in_one_line_what_is_wrong(deployment):
    answer = cli("reconcile", "linux-x46")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == f"{PLACE}table {TABLE} has no record of linux-x46; nothing was done\n"


@pytest.mark.parametrize(
    ("arguments", "settings", "why"),
    [
        (["detect"], {"table_name": ""}, "table_name is not set: .* set [spot_runner] table_name"),
        (["detect"], {"table_name": "nowhere"}, "No DynamoDB table 'nowhere' in region us-east-1: .*"),
        (["detect"], {"aws_conn_id": "aws_prod"}, "There is no connection 'aws_prod'. Add it to Airflow .*"),
        (["detect"], {"region_name": "us-east-1a"}, "[spot_runner] region_name 'us-east-1a' is .*: write us-east-1"),
        (["detect"], {"stale_after_minutes": "soon"}, "[spot_runner] stale_after_minutes is 'soon'; .*"),
        (["reconcile"], {"pipeline_name": "all"}, "[spot_runner] pipeline_name is 'all'; .*"),
        (["reconcile", PRESET, "linux-x46"], {}, f"table {TABLE} has no record of linux-x46; nothing was done"),
        (["reconcile", PRESET, "linux x64"], {}, "presetName 'linux x64' cannot be .*; nothing was done"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_a_usage_or_configuration_error_is_one_line(deployment, here, arguments, settings, why):
    deployment.stale(PRESET)
    answer = here(*arguments, **settings)
    assert (answer.code, answer.out) == (2, "")
    *place, line = answer.err.splitlines()
    assert re.fullmatch(re.sub(r"[\[\]]", r"\\\g<0>", why), line), line
    assert all(each.startswith("[spot_runner]: table") for each in place)
    assert deployment.writes() == []


def test_aws_that_does_not_answer_leaves_everything_unknown(aws, here, monkeypatch):
    connection = json.loads(airflow_connection(aws))
    connection["extra"]["config_kwargs"] = {"retries": {"total_max_attempts": 1}}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    aws.add_fault(Fault("dynamodb.Query", "503"))
    answer = here("detect")
    assert (answer.code, answer.out) == (1, "")
    assert re.fullmatch(r"Nothing is known about any preset: .*Query operation.*\n", answer.err.removeprefix(PLACE))


def test_a_connection_may_be_kept_in_airflows_database(deployment, monkeypatch):
    ready(deployment)
    monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT")
    kept = Connection.from_json(airflow_connection(deployment.aws), conn_id="aws_kept")
    with create_session() as session:
        session.add(kept)
    assert cli("detect", aws_conn_id="aws_kept").code == 0


def test_help_loads_neither_boto3_nor_what_the_commands_do():
    command = [sys.executable, "-c", MODULES, "--help"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=True)
    printed, _, modules = done.stdout.partition("MODULES ")
    assert re.search(r"^\s+spot-runner\s", printed, re.M)
    loaded = {name for name in modules.split() if name.startswith(("spot_runner_provider.", "boto", "fastapi"))}
    assert loaded == {"spot_runner_provider.cli", "spot_runner_provider.cli.definition"}


# status


@pytest.fixture(scope="module")
def ran(no_deployments: None) -> None:
    """A run of the DAG that corrected the one preset that is stale, in an AWS that is gone by now."""
    with EmbeddedAws() as aws, pytest.MonkeyPatch.context() as patch:
        create_table(aws.client("dynamodb", bystander=True))
        stale(Deployment(aws))
        patch.setenv("AIRFLOW_CONN_AWS_DEFAULT", airflow_connection(aws))
        patch.setenv("AIRFLOW__SPOT_RUNNER__TABLE_NAME", TABLE)
        runpy.run_path(str(DAG_FILE))["detect"].dag.test()


@pytest.fixture
def tagged(ran: None) -> Iterator[Callable[[str], None]]:
    """Add deployments, which have never run."""
    added = []

    def add(dag_id: str) -> None:
        with create_session() as session:
            tags = [DagTag(name="spot-runner", dag_id=dag_id)]
            session.add(DagModel(dag_id=dag_id, bundle_name="dags-folder", is_stale=False, tags=tags))
        added.append(dag_id)

    yield add
    with create_session() as session:
        for dag_id in added:
            session.delete(session.get(DagModel, dag_id))


def test_status_shows_the_last_run_and_asks_no_aws(ran, here):
    answer = here("status", "-o", "json")
    assert (answer.code, answer.report["dagId"], answer.report["state"]) == (3, DAG, "current")
    assert answer.report["message"] == "1 preset ready, 1 preset building"
    assert answer.outcomes == {PRESET: "corrected_ready", FRESH: None}
    table = here("status", "--dag-id", DAG)
    assert table.code == 3
    assert re.search(rf"^{PRESET} +\| ready +\| {NEW} .*\| corrected_ready", table.out, re.M)
    assert table.out.rstrip().endswith(f"at {answer.report['checkedAt']}: 1 preset ready, 1 preset building")


def test_status_of_one_of_several_deployments_must_be_chosen(tagged, here):
    tagged(OTHER)
    unclear = here("status")
    assert (unclear.code, unclear.out) == (2, "")
    assert unclear.err.endswith(f"choose one of {OTHER}, {DAG} with --dag-id\n")
    chosen = here("status", "--dag-id", OTHER)
    assert (chosen.code, chosen.out) == (1, "degraded: no run yet, the DAG is paused\n")


def test_a_database_that_is_not_migrated_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    answer = cli("status")
    assert (answer.code, answer.out) == (2, "")
    assert re.fullmatch(r"Airflow's database cannot be read: no such table: .*\n", answer.err)
