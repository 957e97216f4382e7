"""The arguments of ``airflow spot-runner``. Every ``airflow`` command imports this, so it must stay light."""

from __future__ import annotations

from airflow.cli.cli_config import ARG_VERBOSE, ActionCommand, Arg, CLICommand, GroupCommand, lazy_load_command

_COMMANDS = "spot_runner_provider.cli.commands"

_EXIT_CODES = "Exit code: 0 all ready, 1 degraded, 2 usage or configuration error, 3 building."

_OUTPUT = Arg(  # type: ignore[no-untyped-call]
    ("-o", "--output"),
    help="Output format: table, json or yaml (default: table)",
    metavar="(table, json, yaml)",
    choices=("table", "json", "yaml"),
    default="table",
)
_DAG_ID = Arg(  # type: ignore[no-untyped-call]
    ("-d", "--dag-id"), help="The deployment's DAG, needed if several have the tag spot-runner"
)
_PRESETS = Arg(  # type: ignore[no-untyped-call]
    ("presets",),
    metavar="PRESET",
    nargs="*",
    help="Reconcile only these, whatever their age; all stale ones if none are given",
)
_DRY_RUN = Arg(  # type: ignore[no-untyped-call]
    ("--dry-run",), help="Look everything up, write nothing, say what would be done", action="store_true"
)


def get_commands() -> list[CLICommand]:
    """Return the commands, in the form that the metadata key ``cli`` needs.

    >>> [command.name for command in get_commands()[0].subcommands]
    ['status', 'detect', 'reconcile']
    """
    return [
        GroupCommand(
            name="spot-runner",
            help="Runner images: report them, detect stale ones, repair them",
            description=f"See and repair runner images whose build event got lost. {_EXIT_CODES}",
            subcommands=(
                ActionCommand(
                    name="status",
                    help="Show what the last run of the DAG reported; AWS is not called",
                    func=lazy_load_command(f"{_COMMANDS}.status"),
                    args=(_DAG_ID, _OUTPUT, ARG_VERBOSE),
                    epilog=_EXIT_CODES,
                ),
                ActionCommand(
                    name="detect",
                    help="Read the records now: what is stale, unfinished or malformed; nothing is written",
                    func=lazy_load_command(f"{_COMMANDS}.detect"),
                    args=(_DAG_ID, _OUTPUT, ARG_VERBOSE),
                    epilog=_EXIT_CODES,
                ),
                ActionCommand(
                    name="reconcile",
                    help="Ask Image Builder about presets now, and correct their records and parameters",
                    func=lazy_load_command(f"{_COMMANDS}.reconcile"),
                    args=(_PRESETS, _DAG_ID, _DRY_RUN, _OUTPUT, ARG_VERBOSE),
                    epilog=_EXIT_CODES,
                ),
            ),
        )
    ]
