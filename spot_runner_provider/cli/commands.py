"""The commands of ``airflow spot-runner``: they do the work of a deployment's operators, and report it."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn, cast

from airflow.providers.common.compat.sdk import AirflowException
from airflow.utils.cli import action_cli, suppress_logs_and_warning
from airflow.utils.platform import getuser
from airflow.utils.session import create_session
from botocore.exceptions import BotoCoreError, ClientError
from sqlalchemy.exc import SQLAlchemyError

from spot_runner_provider import clock
from spot_runner_provider.cli.output import show
from spot_runner_provider.detection.survey import NO_RECORD, sift
from spot_runner_provider.operators.arguments import InvalidArgument, boolean
from spot_runner_provider.protocol.calls import ConfigurationError
from spot_runner_provider.records.ami_state import Status, render_timestamp
from spot_runner_provider.records.text import shown
from spot_runner_provider.reporting.report import DEGRADED, Report, message_of, report

if TYPE_CHECKING:
    from spot_runner_provider.cli.deployment import Deployment

EXIT_CODES = {Status.READY: 0, DEGRADED: 1, Status.BUILDING: 3}
"""Exit code of each overall status."""

UNUSABLE = 2
"""Exit code if a person must change the command, a setting, a permission or a resource."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Stands in for the task instance that signs records.

    Unlike the tries of a run, no two calls share a signature. So each call treats what an earlier call wrote as another
    program's, even if that call was interrupted. An intent that it left is finished like any other.

    >>> Caller.new().run_id
    '...@.../2026-02-11T16:05:48.123Z/...'
    """

    run_id: str
    dag_id: str = "cli"
    task_id: str = "reconcile"
    map_index: int = -1
    try_number: int = 1

    @classmethod
    def new(cls) -> Caller:
        """Return a signature for this call: ``cli/<user>@<host>/<moment>/<four random bytes>``."""
        return cls(f"{getuser()}@{socket.gethostname()}/{render_timestamp(clock.now())}/{secrets.token_hex(4)}")


def command(work: Callable[[Namespace], dict[str, Any]]) -> Callable[[Namespace], None]:
    """Turn a function that returns a report into a command that prints it and exits with its status.

    Connections may be in the metadata database, which Airflow reads only in the context of a server. Airflow's loggers
    write to stdout, so all output but the report is sent to stderr. ``--verbose`` logs everything except what AWS's
    libraries log below ``INFO``: requests and answers with their secrets.

    :param work: takes the parsed arguments; their ``output`` is the format of the report.
    :raises SystemExit: always; see :data:`EXIT_CODES` and :data:`UNUSABLE`.

    >>> @command
    ... def forget(args: Namespace) -> dict[str, Any]:
    ...     raise InvalidArgument(f"{args.preset} cannot be forgotten")
    >>> forget(Namespace(preset="linux-x64", output="table", verbose=False))
    Traceback (most recent call last):
        ...
    SystemExit: 2
    """

    @suppress_logs_and_warning
    @action_cli(check_db=False)  # type: ignore[no-untyped-call, untyped-decorator]
    @wraps(work)
    def run(args: Namespace) -> None:
        os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
        for library in ("boto3", "botocore", "urllib3"):
            logging.getLogger(library).setLevel(logging.INFO)
        try:
            with redirect_stdout(sys.stderr):
                made = work(args)
        except (InvalidArgument, ConfigurationError, AirflowException) as error:
            _fail(UNUSABLE, error)
        except SQLAlchemyError as error:
            why = getattr(error, "orig", None) or error
            _fail(UNUSABLE, f"Airflow's database cannot be read: {why}. Is it migrated, and [database] right?")
        except (BotoCoreError, ClientError, TimeoutError) as error:
            _fail(EXIT_CODES[DEGRADED], f"Nothing is known about any preset: {error}")
        show(made, args.output)
        sys.exit(EXIT_CODES[made["status"]])

    return cast("Callable[[Namespace], None]", run)


@command
def status(args: Namespace) -> dict[str, Any]:
    """Return the same as the status page's endpoint.

    ``airflow spot-runner status --dag-id nowhere`` says which DAGs there are, and exits with 2:

    >>> status(Namespace(dag_id="nowhere", output="table", verbose=False))
    Traceback (most recent call last):
        ...
    SystemExit: 2
    """
    from spot_runner_provider.status import store, view

    with create_session() as session:
        dag_ids = store.dag_ids(session)
        return view.status(store.deployment(_chosen(args.dag_id, dag_ids), session), dag_ids, clock.now())


@command
def detect(args: Namespace) -> dict[str, Any]:
    """Return every preset with its record's state, and which presets are stale or unfinished.

    ``airflow spot-runner detect``, while a preset is building, prints a table and exits with 3:

    >>> detect(Namespace(dag_id=None, output="table", verbose=False))
    Traceback (most recent call last):
        ...
    SystemExit: 3
    """
    states, flagged = _deployment(args).detect.detect()
    made = _told(report(states, (), ()))
    stale = {item["presetName"] for item in flagged if item.get("status") == Status.BUILDING}
    unfinished = {state["presetName"] for state in states["states"] if state.get("unfinished")}
    lines = [
        preset | {"stale": preset["name"] in stale, "unfinished": preset["name"] in unfinished}
        for preset in made["presets"]
    ]
    message = message_of(lines, made["malformedCounts"], [item["presetName"] for item in flagged])
    return made | {"presets": lines, "message": message + (f"; {len(flagged)} to reconcile" if flagged else "")}


@command
def reconcile(args: Namespace) -> dict[str, Any]:
    """Reconcile the presets, and return a report of all that were looked at.

    :raises InvalidArgument: for a preset that cannot exist or has no record; the command then exits with 2.

    ``airflow spot-runner reconcile linux-x64``, when its build ended well, prints a table and exits with 0:

    >>> reconcile(Namespace(presets=["linux-x64"], dag_id=None, dry_run=False, output="table", verbose=False))
    Traceback (most recent call last):
        ...
    SystemExit: 0
    """
    from spot_runner_provider.settings import Settings

    names, refused = sift(args.presets)
    if refused:
        raise InvalidArgument(f"{refused[0].reason}; nothing was done")
    deployment = _deployment(args)
    operator = deployment.reconcile
    if args.dry_run or Settings.read().dry_run:  # the DAG in the database was parsed by another process
        operator.is_dry_run = True
    deployment.detect.presets = names or None
    states, flagged = deployment.detect.detect()
    if missing := [refusal["presetName"] for refusal in states["malformed"] if refusal["reason"] == NO_RECORD]:
        raise InvalidArgument(f"table {operator.table_name} has no record of {', '.join(missing)}; nothing was done")
    results = operator.reconcile(flagged, Caller.new())
    made = _told(report(states, [flagged], results))
    dry = boolean("dry_run", operator.is_dry_run)
    return made | ({"message": f"dry run, nothing was written: {made['message']}"} if dry else {})


def _deployment(args: Namespace) -> Deployment:
    """Return the deployment to work on, and say which one it is.

    Nobody may repair the wrong table by mistake, so ``[spot_runner]`` alone decides only if no DAG has the tag.
    Otherwise the DAG must agree with it.
    """
    from spot_runner_provider.cli import deployment
    from spot_runner_provider.status import store

    with create_session() as session:
        dag_ids = store.dag_ids(session)
        if args.dag_id is None and not dag_ids:
            found = deployment.of_settings()
        else:
            found = deployment.of_dag(_chosen(args.dag_id, dag_ids), session)
            if args.dag_id is None:
                found = deployment.of_settings().confirmed_by(found)
    found.announce()
    return found


def _chosen(dag_id: str | None, dag_ids: Sequence[str]) -> str:
    """Return the requested deployment, or the only one."""
    if not dag_ids:
        raise InvalidArgument("no DAG has the tag spot-runner: check that its file is where Airflow looks for DAGs")
    if dag_id is None and len(dag_ids) > 1:
        raise InvalidArgument(
            f"several DAGs have the tag spot-runner: choose one of {', '.join(dag_ids)} with --dag-id"
        )
    if dag_id not in (None, *dag_ids):
        raise InvalidArgument(f"no DAG {dag_id} has the tag spot-runner; these have: {', '.join(dag_ids)}")
    return dag_id or dag_ids[0]


def _told(made: Report) -> dict[str, Any]:
    """Return the report with its reasons in full length; failures are written to stderr."""
    for failure in made.failures:
        sys.stderr.write(f"{shown(failure)}\n")
    return made.value | {"presets": [preset | {"detail": made.detail_of(preset)} for preset in made.value["presets"]]}


def _fail(code: int, why: object) -> NoReturn:
    """Exit with the reason in one line on stderr."""
    from spot_runner_provider.hooks.scrubbing import scrubbed_text

    sys.stderr.write(f"{shown(' '.join(scrubbed_text(str(why)).split()))}\n")
    sys.exit(code)
