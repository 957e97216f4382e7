"""An Apache Airflow provider that repairs runner images whose "build finished" event got lost."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def get_provider_info() -> dict[str, Any]:
    """Return what Airflow must know of the provider: its name, links and ``[spot_runner]`` settings.

    >>> sorted(get_provider_info()["config"]["spot_runner"]["options"])
    ['audit', 'aws_conn_id', 'config_prefix', 'dry_run', 'max_mapped_tasks', 'pipeline_name', 'region_name', 'schedule',
     'stale_after_minutes', 'table_name']
    """
    return {
        "package-name": "airflow-provider-spot-runner",
        "name": "Spot runner",
        "description": "Repairs GitHub Actions runner images whose EC2 Image Builder event got lost.",
        "versions": [__version__],
        "cli": ["spot_runner_provider.cli.definition.get_commands"],
        "extra-links": [
            f"spot_runner_provider.operators.links.{link}"
            for link in ("PipelineLink", "ParameterLink", "RecordLink", "LogGroupLink")
        ],
        "triggers": [{"integration-name": "Spot runner", "python-modules": ["spot_runner_provider.triggers.images"]}],
        "config": {
            "spot_runner": {
                "description": "Settings of the DAG ``spot_runner_reconcile``.",
                "options": {
                    "table_name": _option(
                        "Name of the DynamoDB table that holds the AMI states. There is no default.",
                        example="spot-runner-state",
                        default=None,
                    ),
                    "config_prefix": _option(
                        "Path above the SSM parameters: a preset's is ``<config_prefix>/<preset>``.",
                        example="/team-a/runners",
                        default="/spot-runner/configs",
                    ),
                    "pipeline_name": _option(
                        "Name of a preset's Image Builder pipeline; ``{preset}`` stands for the preset's name.",
                        example="spot-runner-{preset}-windows",
                        default="spot-runner-{preset}",
                        is_template=True,
                    ),
                    "aws_conn_id": _option("Airflow connection for AWS.", example="aws_runners", default="aws_default"),
                    "region_name": _option(
                        "AWS region; the connection's own if empty.", example="eu-central-1", default=""
                    ),
                    "stale_after_minutes": _option(
                        "Minutes that a build may take before Image Builder is asked about it.",
                        type_="float",
                        example="45",
                        default="30",
                    ),
                    "schedule": _option(
                        "When the DAG runs: a cron expression or preset; manually only if empty.",
                        example="@hourly",
                        default="*/15 * * * *",
                    ),
                    "max_mapped_tasks": _option(
                        "Mapped tasks a run at most. Up to that many presets have a task each.",
                        type_="integer",
                        example="16",
                        default="8",
                    ),
                    "audit": _option(
                        "Compare every settled record with its SSM parameter, and report those that drifted apart.",
                        type_="boolean",
                        example="True",
                        default="False",
                    ),
                    "dry_run": _option(
                        "Look everything up and say what would be done, but write nothing: for a trial period.",
                        type_="boolean",
                        example="True",
                        default="False",
                    ),
                },
            }
        },
    }


def _option(
    description: str, *, example: str, default: str | None, type_: str = "string", is_template: bool = False
) -> dict[str, Any]:
    """Return an option as Airflow's schema has it.

    :param is_template: keeps Airflow from filling in what stands in braces, on which 2.11 fails as a whole.
    """
    return {
        "description": description,
        "version_added": "0.1.0",
        "type": type_,
        "example": example,
        "default": default,
    } | ({"is_template": True} if is_template else {})
