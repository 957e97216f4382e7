"""What is secret stays so: SecureStrings' values and the connection's credentials, whatever goes wrong.

Searched for in all that a run puts out: what it prints, the files below Airflow's home, and the metadata database with
its XComs and rendered templates. Logging is at INFO, Airflow's default: botocore's own DEBUG log tells every request.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from airflow.providers.common.compat.sdk import AirflowException
from moto.ssm.responses import SimpleSystemManagerResponse

from spot_runner_provider.embedded import errors, faults
from spot_runner_provider.embedded.__main__ import airflow_connection
from spot_runner_provider.embedded.call import ApiCall
from spot_runner_provider.embedded.demo.seed import PARAMETER_PREFIX, TABLE, create_table, preset_config, put_parameter
from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.embedded.server import EmbeddedAws
from spot_runner_provider.protocol.outcome import Outcome
from tests.integration.deployment import NEW, Deployment, TaskInstance, detect, reconcile

REPOSITORY = Path(__file__).parents[2]
PASSWORD, SESSION_TOKEN = "s3cretPassword", "s3cretSessionToken"

# The search.


def secret(word: str) -> str:
    """Return a value that is secret: a word again and again, so that a part of it has the word too."""
    return f'{word}/{word}+{word}"{word}\\{word}'


def forms(word: str) -> set[bytes]:
    """Return what a word looks like as it is, which JSON and URLs leave alone, in hex, and in base64.

    In base64 it has three forms, by where it begins.
    """
    raw = word.encode()
    found = {raw, raw.hex().encode(), raw.hex().upper().encode()}
    for before, cut in enumerate((0, 2, 3)):
        found.add(base64.b64encode(b"-" * before + raw)[cut : (before + len(raw)) * 8 // 6])
    return found


def finds(word: str, places: Mapping[str, bytes]) -> set[str]:
    """Return the places where a word is, in whatever form."""
    return {place for place, content in places.items() if any(form in content for form in forms(word))}


def places_below(home: Path) -> dict[str, bytes]:
    """Return each file below a folder, and each table of the databases there."""
    found = {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}
    for path in home.rglob("*.db"):
        found |= tables(path)
    return found


def tables(database: Path) -> dict[str, bytes]:
    """Return what the cells of each table hold, which in the file may lie in pieces."""
    with closing(sqlite3.connect(database)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}
    return {
        f"table {name}": b"\n".join(
            cell if isinstance(cell, bytes) else str(cell).encode() for row in found for cell in row
        )
        for name, found in rows.items()
    }


ENCODED: dict[str, Callable[[str], str]] = {
    "plain": str,
    "cut": lambda text: text[4:30],
    "JSON": json.dumps,
    "JSON in JSON": lambda text: json.dumps({"value": json.dumps({"token": text})}),
    "a URL": quote,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64, one off": lambda text: base64.b64encode(f"a{text}".encode()).decode(),
    "base64, two off": lambda text: base64.urlsafe_b64encode(f"ab{text}".encode()).decode(),
    "hex": lambda text: text.encode().hex(),
}


@pytest.mark.parametrize("encode", ENCODED.values(), ids=ENCODED)
def test_the_search_finds_secrets_in_files_and_cells(tmp_path, encode):
    told = f"some text {encode(secret('s3cretWord'))} and more"
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "task.log").write_text(told)
    with closing(sqlite3.connect(tmp_path / "airflow.db")) as connection:
        connection.execute("CREATE TABLE texts (id INTEGER, told TEXT)")
        connection.execute("CREATE TABLE bytes (id INTEGER, told BLOB)")
        connection.execute("CREATE TABLE others (id INTEGER, told TEXT)")
        connection.execute("INSERT INTO texts VALUES (1, ?)", [told])
        connection.execute("INSERT INTO bytes VALUES (1, ?)", [told.encode()])
        connection.execute("INSERT INTO others VALUES (1, NULL)")
        connection.commit()
    found = finds("s3cretWord", places_below(tmp_path))
    assert found == {"logs/task.log", "airflow.db", "table texts", "table bytes"}


# All that can go wrong, each at a preset of its own.


@dataclass(frozen=True)
class Case:
    """A preset with a SecureString.

    :param outcome: what becomes of it
    :param faults: what goes wrong
    :param config: its text; ``SECRET`` stands for the secret
    :param size: to which blanks fill it up
    :param status: of its record
    """

    outcome: str
    faults: tuple[Fault, ...] = ()
    config: str = json.dumps(preset_config("SECRET") | {"env": {"KEY": ["SECRET"], "SECRET": 1}})
    size: int = 0
    status: str = "building"


def at(preset: str, operation: str, kind: str, **options: Any) -> Fault:
    return Fault(operation, kind, key=f"*{preset}", **options)


CASES = {
    "sound": Case("corrected_ready"),
    "edited": Case("corrected_ready"),
    "drifted": Case("drifted", status="ready"),
    "lost": Case("corrected_ready", (at("lost", "ssm.PutParameter", "lost_reply", times=1),)),
    "torn": Case("config_invalid", config='{"ami": "ami-0a1d", "token": "SECRET"'),
    "bare": Case("config_invalid", config="SECRET"),
    "full": Case("config_invalid", config='{"token": "SECRET", "ami": ""}', size=4096),
    "refused": Case("refused", (at("refused", "ssm.PutParameter", "ValidationException"),)),
    "denied": Case("refused", (at("denied", "ssm.PutParameter", "AccessDeniedException"),)),
    "nonsense": Case("error"),
    "unread": Case("refused", (at("unread", "ssm.GetParameters", "AccessDeniedException"),)),
    "unsigned": Case("refused", (at("unsigned", "imagebuilder.ListImagePipelineImages", "InvalidSignatureException"),)),
    "resigned": Case(
        "error",
        (
            at("resigned", "dynamodb.UpdateItem", "500", times=1),
            at("resigned", "dynamodb.UpdateItem", "InvalidSignatureException"),
        ),
    ),
}
"""``edited`` meets somebody else's secret, and the answer to the put of ``nonsense`` makes no sense."""

QUOTES = {
    "ValidationException": "1 validation error detected: Value '{body}' at 'value' failed to satisfy constraint",
    "InvalidSignatureException": "The request signature we calculated does not match the signature you provided. The "
    "Canonical String for this request should have been 'POST / x-amz-security-token:{token} ...'",
}
"""What AWS says, by code, where it says more than it should."""

SECRETS = [*(f"s3cret{preset.title()}" for preset in CASES), "s3cretOfSomebody", PASSWORD, SESSION_TOKEN]


def deploy(aws: EmbeddedAws, patch: pytest.MonkeyPatch, presets: Iterable[str]) -> None:
    """Put presets of :data:`CASES` onto an AWS with an empty table, and let things go wrong."""
    deployment = Deployment(aws)
    for preset in presets:
        case = CASES[preset]
        text = case.config.replace("SECRET", json.dumps(secret(f"s3cret{preset.title()}"))[1:-1]).ljust(case.size)
        deployment.stale(preset, status=case.status)
        deployment.ssm.delete_parameter(Name=PARAMETER_PREFIX + preset)
        put_parameter(deployment.ssm, preset, text, Type="SecureString", KeyId="alias/ours")
        for fault in case.faults:
            aws.add_fault(fault)
    aws.before("ssm.PutParameter", "*edited", lambda: deployment.edit("edited", token=secret("s3cretOfSomebody")))

    def quoting(call: ApiCall, code: str, message: str) -> Any:
        said = QUOTES.get(code, message).format(body=json.dumps(call.body), token=secret(SESSION_TOKEN))
        return errors.error_reply(call, code, said)

    put = SimpleSystemManagerResponse.put_parameter

    def nonsense(handler: SimpleSystemManagerResponse) -> Any:
        return "{}" if handler._get_param("Name").endswith("nonsense") else put(handler)

    patch.setattr(faults, "error_reply", quoting)
    patch.setattr(SimpleSystemManagerResponse, "put_parameter", nonsense)
    known = json.loads(airflow_connection(aws))
    extra = known["extra"] | {"aws_session_token": secret(SESSION_TOKEN)}
    patch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(known | {"password": secret(PASSWORD), "extra": extra}))


@pytest.fixture
def aws() -> Iterator[EmbeddedAws]:
    """On moto, which can be made to answer nonsense."""
    with EmbeddedAws() as aws:
        create_table(aws.client("dynamodb", bystander=True))
        yield aws


# A whole run, as ``airflow dags test`` makes it.

STDOUT = "stdout of dags test"


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """All that one run of the DAG over all cases put out, by place."""
    home = tmp_path_factory.mktemp("airflow")
    (home / "config").mkdir()
    (home / "config" / "airflow_local_settings.py").write_text("def task_policy(task):\n    task.retries = 0\n")
    places = {}
    with EmbeddedAws() as aws, pytest.MonkeyPatch.context() as patch:
        create_table(aws.client("dynamodb", bystander=True))
        deploy(aws, patch, CASES)
        patch.setenv("AIRFLOW_HOME", str(home))
        patch.delenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER")
        patch.setenv("AIRFLOW__SPOT_RUNNER__TABLE_NAME", TABLE)
        patch.setenv("AIRFLOW__SPOT_RUNNER__AUDIT", "True")
        patch.setenv("AIRFLOW__SPOT_RUNNER__MAX_MAPPED_TASKS", str(len(CASES)))
        for command in ("db migrate", "dags test spot_runner_reconcile"):
            airflow = [sys.executable, "-m", "airflow", *command.split()]
            done = subprocess.run(airflow, cwd=REPOSITORY, capture_output=True, timeout=300)
            name = " ".join(command.split()[:2])
            places |= {f"stdout of {name}": done.stdout, f"stderr of {name}": done.stderr}
    return places | places_below(home)


def test_the_run_meets_every_case(output):
    printed = output[STDOUT].decode()
    met = dict(re.findall(rf"preset (\w+): ({'|'.join(Outcome)})\b", printed))
    assert met == {preset: case.outcome for preset, case in CASES.items()}
    assert "AirflowFailException: Access denied: allow ssm:GetParameters on parameters" in printed
    assert "AirflowFailException: AWS does not accept the credentials for pipeline" in printed


@pytest.mark.parametrize(("preset", "case"), CASES.items(), ids=CASES)
def test_the_search_finds_what_is_known_to_be_there(output, preset, case):
    rendered = {"table rendered_task_instance_fields"} if case.status == "building" else set()
    assert {STDOUT, "airflow.db", "table xcom"} | rendered <= finds(preset, output)
    assert {STDOUT, "airflow.db", "table xcom"} <= finds(NEW, output)


@pytest.mark.parametrize("word", SECRETS)
def test_no_secret_is_in_what_a_run_puts_out(output, word):
    assert finds(word, output) == set()


# Each case by itself: what its task raises, returns, pushes, logs and prints.


@pytest.mark.parametrize("preset", CASES)
def test_no_secret_is_in_what_a_task_tells(deployment, monkeypatch, told, preset):
    deploy(deployment.aws, monkeypatch, [preset])
    places = told()
    assert finds(preset, places)
    assert {word: found for word in SECRETS if (found := finds(word, places))} == {}


def test_no_secret_is_in_what_a_dry_run_tells(deployment, monkeypatch, told):
    deploy(deployment.aws, monkeypatch, CASES)
    places = told(dry_run=True)
    assert b"and ami from another value" in places["XCom"]
    assert {word: found for word in SECRETS if (found := finds(word, places))} == {}


@pytest.fixture
def told(caplog, capfd) -> Callable[..., dict[str, bytes]]:
    """Detect and reconcile in one batch; return all that this tells, by place."""
    caplog.set_level(logging.INFO)

    def run(**arguments: Any) -> dict[str, bytes]:
        ti, error = TaskInstance(), ""
        batches, _ = detect(ti, max_mapped_tasks=1, audit=True)
        try:
            for batch in batches:
                ti.xcom_push("return_value", reconcile(batch, ti, **arguments))
        except AirflowException as failure:
            error = "".join(traceback.format_exception(failure))
        printed = capfd.readouterr()
        places = {
            "error": error,
            "XCom": json.dumps([batches, ti.pushed]),
            "log": caplog.text,
            "stdout": printed.out,
            "stderr": printed.err,
        }
        return {place: text.encode() for place, text in places.items()}

    return run
