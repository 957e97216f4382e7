"""An Apache Airflow provider that repairs runner images whose "build finished" event got lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__version__ = "0.1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A setting of ``[spot_runner]``. Its values are those that operators take; Airflow's metadata have them as text.

    :param description: a sentence.
    :param type: the type's name in Airflow's metadata.
    :param default: ``None`` if there is none.
    :param example: a sensible value.
    :param is_template: keeps Airflow from filling in text in braces. Without it, Airflow 2.11 fails as a whole.

    >>> Setting(name="max_mapped_tasks", description="Tasks.", default=8, example=16, type="integer").option["default"]
    '8'
    """

    name: str
    description: str
    default: Any
    example: Any
    type: str = "string"
    is_template: bool = False

    @property
    def option(self) -> dict[str, Any]:
        """The setting in the form of Airflow's schema."""
        return {
            "description": self.description,
            "version_added": "0.1.0",
            "type": self.type,
            "example": str(self.example),
            "default": None if self.default is None else str(self.default),
        } | ({"is_template": True} if self.is_template else {})


SETTINGS = (
    Setting(
        name="table_name",
        description="Name of the DynamoDB table that holds the AMI states. There is no default.",
        default=None,
        example="spot-runner-state",
    ),
    Setting(
        name="config_prefix",
        description="Path above the SSM parameters: a preset's is ``<config_prefix>/<preset>``.",
        default="/spot-runner/configs",
        example="/team-a/runners",
    ),
    Setting(
        name="pipeline_name",
        description="Name of a preset's Image Builder pipeline; ``{preset}`` stands for the preset's name. "
        "Several, with commas in between, if pipelines are named in different ways: exactly one of them must exist.",
        default="spot-runner-{preset}",
        example="spot-runner-{preset}, spot-runner-{preset}-windows",
        is_template=True,
    ),
    Setting(
        name="aws_conn_id",
        description="Airflow connection for AWS.",
        default="aws_default",
        example="aws_runners",
    ),
    Setting(
        name="region_name",
        description="AWS region; the connection's own if empty.",
        default="",
        example="eu-central-1",
    ),
    Setting(
        name="stale_after_minutes",
        description="Minutes that a build may take before Image Builder is asked about it.",
        type="float",
        default=30,
        example=45,
    ),
    Setting(
        name="stuck_after_minutes",
        description="Minutes after which a build that is still running is reported as stuck; never if 0.",
        type="float",
        default=360,
        example=720,
    ),
    Setting(
        name="schedule",
        description="When the DAG runs: a cron expression or preset; manually only if empty.",
        default="*/15 * * * *",
        example="@hourly",
    ),
    Setting(
        name="max_mapped_tasks",
        description="Highest number of mapped tasks in a run. Up to that many presets have a task each.",
        type="integer",
        default=8,
        example=16,
    ),
    Setting(
        name="audit",
        description="Compare every settled record with its SSM parameter, and report those that drifted apart.",
        type="boolean",
        default=False,
        example=True,
    ),
    Setting(
        name="dry_run",
        description="Look everything up and say what would be done, but write nothing: for a trial period.",
        type="boolean",
        default=False,
        example=True,
    ),
)
"""Every setting. The operators take their defaults from here."""

DEFAULTS = {setting.name: setting.default for setting in SETTINGS}


def get_provider_info() -> dict[str, Any]:
    """Return what Airflow must know about the provider, such as its name, links and ``[spot_runner]`` settings.

    >>> sorted(get_provider_info()["config"]["spot_runner"]["options"])
    ['audit', 'aws_conn_id', 'config_prefix', 'dry_run', 'max_mapped_tasks', 'pipeline_name', 'region_name', 'schedule',
     'stale_after_minutes', 'stuck_after_minutes', 'table_name']
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
                "options": {setting.name: setting.option for setting in SETTINGS},
            }
        },
    }
