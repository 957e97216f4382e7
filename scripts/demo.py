"""``make run``: run the DAG once against an embedded AWS, and show every preset before and after.

Nothing outside the project's folder is touched: AWS is embedded, Airflow's home is ``.airflow``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from environment import PROJECT, airflow_environment
from progress import Progress

from spot_runner_provider.embedded.__main__ import airflow_connection
from spot_runner_provider.embedded.demo.deployment import MALFORMED, OUTCOMES, RUNNER_JOBS, seed_demo
from spot_runner_provider.embedded.demo.seed import PARAMETER_PREFIX, TABLE
from spot_runner_provider.embedded.server import EmbeddedAws
from spot_runner_provider.protocol.outcome import Outcome
from spot_runner_provider.records.ami_state import Status

HOME = PROJECT / ".airflow"
LOG = HOME / "logs" / "demo.log"
DAG = "spot_runner_reconcile"
BIN = Path(sys.executable).parent

LOGGED = re.compile(r"preset (\S+): (" + "|".join(Outcome) + r")\b")
"""The line that the mapped tasks log for each preset."""

COLORS: Mapping[str, str] = {
    Status.READY: "32",
    Outcome.CORRECTED_READY: "32",
    Outcome.FINISHED: "32",
    Status.FAILED: "31",
    Outcome.CORRECTED_FAILED: "31",
    Outcome.ERROR: "31",
    Status.BUILDING: "33",
    Outcome.STILL_BUILDING: "33",
}


@dataclass(frozen=True)
class Preset:
    """What the two stores say about a preset."""

    status: str
    ami: str
    parameter: str


def main() -> None:
    """Start the embedded AWS, run the DAG, and show the result."""
    progress = Progress()
    with EmbeddedAws() as aws:
        seed_demo(aws)
        progress(
            f"Embedded AWS at {aws.endpoint_url}: {len(OUTCOMES)} presets, {len(MALFORMED)} malformed records, "
            f"{RUNNER_JOBS} runner jobs"
        )
        environment = airflow_environment(HOME) | {
            "AIRFLOW_CONN_AWS_DEFAULT": airflow_connection(aws),
            "AIRFLOW__SPOT_RUNNER__TABLE_NAME": TABLE,
        }
        LOG.parent.mkdir(parents=True, exist_ok=True)
        with LOG.open("w") as log:
            progress(f"airflow db migrate                       (output: {LOG.relative_to(PROJECT)})")
            run([BIN / "airflow", "db", "migrate"], environment, log, lambda line: None)

            before = look(aws)
            started = datetime.now(UTC)
            progress(f"airflow dags test {DAG}  (output: {LOG.relative_to(PROJECT)})")
            run(
                [BIN / "airflow", "dags", "test", DAG, started.isoformat()],
                environment,
                log,
                lambda line: report_line(line, progress),
            )
        after = look(aws)
        calls = sum(aws.calls().values())
        os.environ.update(environment)
        report = read_report(started)
        progress(f"Done, with {calls} AWS calls")

    print()
    show_presets(before, after, {preset["name"]: preset for preset in report["presets"]})
    print()
    for record in report["malformed"]:
        print(f"malformed: {record['jobId']}: {record['reason']}")
    print(f"\nReport: {paint(report['status'])}. {report['message']}.\n")
    print(MORE.format(log=LOG.relative_to(PROJECT), project=PROJECT))
    unexpected = {preset["name"] for preset in report["presets"] if preset["outcome"] != OUTCOMES[preset["name"]]}
    if unexpected:
        sys.exit(f"Not what the demo is made to show: {', '.join(sorted(unexpected))}; see {LOG}")


MORE = """\
How to see more
  What each task logged       {log}
  What each preset shows      .venv/bin/python -c 'import spot_runner_provider.embedded.demo as d; print(d.__doc__)'
  In Airflow's pages          make up
  What it is and how to set it up: README.md"""


def run(
    command: Sequence[str | Path], environment: Mapping[str, str], log: TextIO, each_line: Callable[[str], None]
) -> None:
    """Run a command to its end; its output goes to ``log``, and line by line to ``each_line``."""
    with subprocess.Popen(
        command, env=environment, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            log.write(line)
            each_line(line)
    log.flush()
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed, exit code {process.returncode}; see {log.name}")


def report_line(line: str, progress: Progress) -> None:
    """Print progress if the line is one that a mapped task logs for a preset."""
    if found := LOGGED.search(line):
        progress(f"  {found[1]:<20} {paint(found[2])}")


def look(aws: EmbeddedAws) -> dict[str, Preset]:
    """Read the records and parameters as a bystander, not through the DAG."""
    dynamodb, ssm = aws.client("dynamodb", bystander=True), aws.client("ssm", bystander=True)
    presets = {}
    for name in OUTCOMES:
        item = dynamodb.get_item(TableName=TABLE, Key={"jobId": {"S": f"AMI#{name}"}})["Item"]
        found = ssm.get_parameter(Name=PARAMETER_PREFIX + name, WithDecryption=True)["Parameter"]["Value"]
        presets[name] = Preset(item["status"]["S"], item["amiId"].get("S", ""), configured_ami(found))
    return presets


def configured_ami(text: str) -> str:
    """Return a parameter's AMI; the demo has one that is not JSON."""
    try:
        return str(json.loads(text)["ami"])
    except ValueError:
        return "(not JSON)"


def read_report(started: datetime) -> dict[str, Any]:
    """Return the report that the run pushed as XCom."""
    from airflow.models.dagrun import DagRun
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    query = (
        select(XComModel)
        .join(DagRun, DagRun.id == XComModel.dag_run_id)
        .where(DagRun.dag_id == DAG, DagRun.logical_date == started)
        .where(XComModel.task_id == "report_status", XComModel.key == "return_value")
    )
    with create_session() as session:
        value: dict[str, Any] = XComModel.deserialize_value(session.scalars(query).one())
    return value


def show_presets(
    before: Mapping[str, Preset], after: Mapping[str, Preset], reported: Mapping[str, Mapping[str, Any]]
) -> None:
    """Print the table."""
    print_row(["", "before", "", "", "after", "", "", ""])
    print_row(["preset", *("status", "record", "param.") * 2, "outcome"])
    print_row(["-" * width for width in WIDTHS])
    for name, old in before.items():
        new = after[name]
        cells = [name]
        for state in (old, new):
            cells += [state.status, short(state.ami), short(state.parameter)]
        print_row([*cells, reported[name]["outcome"] or "not flagged"])
    print("\nrecord: the DynamoDB record's AMI, param.: the SSM parameter's, by their last four digits.")


WIDTHS = (19, 8, 6, 6, 8, 6, 6, 18)


def print_row(cells: Iterable[str]) -> None:
    """Print one line of the table, painted where a cell is a word with a colour."""
    padded = (paint(cell, width) for cell, width in zip(cells, WIDTHS, strict=True))
    print("  ".join(padded).rstrip())


def short(ami: str) -> str:
    """Return the end of an AMI's id, in the width of a column."""
    return f"…{ami[-4:]}" if ami.startswith("ami-") else "broken" if ami else "-"


def paint(word: str, width: int = 0) -> str:
    """Return the word, padded, and in its colour on a terminal."""
    padded = word.ljust(width)
    if word in COLORS and sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        return f"\x1b[{COLORS[word]}m{padded}\x1b[0m"
    return padded


if __name__ == "__main__":
    main()
