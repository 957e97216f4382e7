"""Seeding the demo: each preset's record, parameter and pipeline, and the others that interfere."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from spot_runner_provider.embedded.demo.seed import (
    PARAMETER_PREFIX,
    TABLE,
    ami_state,
    create_pipeline,
    create_table,
    edit_parameter,
    intent,
    preset_config,
    put_items,
    put_parameter,
    runner_job,
    to_attributes,
)
from spot_runner_provider.embedded.imagebuilder.models import Ami, timestamp
from spot_runner_provider.embedded.server import EmbeddedAws

OUTCOMES: Mapping[str, str | None] = {
    "linux-x64": "corrected_ready",
    "linux-arm64": "corrected_ready",
    "windows-2022": "corrected_ready",
    "linux-x64-large": "corrected_ready",
    "linux-x64-edited": "corrected_ready",
    "linux-x64-secure": "corrected_ready",
    "linux-x64-cuda": "corrected_failed",
    "windows-2019": "corrected_failed",
    "linux-arm64-docker": "still_building",
    "windows-2025": "stuck",
    "linux-x64-contested": "superseded",
    "linux-x64-resumed": "finished",
    "linux-riscv64": "pipeline_not_found",
    "linux-x64-preview": "no_images",
    "linux-x64-legacy": "no_usable_ami",
    "linux-x64-hardened": "no_usable_ami",
    "linux-arm64-eu": "no_usable_ami",
    "linux-x64-typo": "config_invalid",
    "linux-x64-fresh": None,
    "linux-x64-docker": None,
    "linux-arm64-gpu": None,
}
"""Preset -> its outcome; None if nothing is done about it."""

MALFORMED = ("AMI#nameless", "AMI#linux-x64-odd", "AMI#linux-x64-undated")
"""The ``jobId`` of the records that cannot be read."""

RUNNER_JOBS = 200
OTHER_ACCOUNT = "210987654321"
SECURE_KEY = "alias/spot-runner"

FAILURE_CONTEXT = {
    "imageStatus": "BUILDING",
    "workflowExecutionId": "wf-5b1c3c0e-8f0c-4c53-9d0e-0d6d7f1f2a11",
    "stepExecutionId": "step-0f4b9f1e-61c7-4c0b-9a63-7f4a3c1d9e20",
    "failedStep": "ApplyBuildComponents",
    "componentFailure": {
        "componentArn": "arn:aws:imagebuilder:us-east-1:123456789012:component/install-cuda/1.2.0/1",
        "phaseName": "build",
        "stepName": "InstallDriver",
        "action": "ExecuteBash",
        "errorMessage": "E: Unable to locate package cuda-drivers-560",
    },
}


def seed_demo(aws: EmbeddedAws, table: str = TABLE, now: datetime | None = None) -> None:
    """Fill an empty embedded AWS with the demo, and register the bystanders that interfere.

    :param aws: started, and without a table of that name
    :param now: aware; the present when omitted. All times are relative to it

    >>> with EmbeddedAws() as aws:
    ...     seed_demo(aws)
    ...     aws.client("dynamodb").describe_table(TableName="spot-runner-state")["Table"]["ItemCount"]
    225
    """
    _Demo(aws, table, now or datetime.now(UTC)).seed()


class _Demo:
    def __init__(self, aws: EmbeddedAws, table: str, now: datetime) -> None:
        self._aws = aws
        self._table = table
        self._now = now
        self._dynamodb = aws.client("dynamodb", bystander=True)
        self._ssm = aws.client("ssm", bystander=True)
        self._image_builder = aws.client("imagebuilder", bystander=True)
        self._items: list[dict[str, Any]] = []
        self._amis = 0

    def seed(self) -> None:
        create_table(self._dynamodb, self._table)
        self._builds_that_ended_well()
        self._builds_that_did_not()
        self._unusable()
        self._meanwhile()
        self._not_flagged()
        self._malformed()
        self._items += [
            runner_job(9_000_000_000 + n, "running" if n % 4 == 0 else "completed", self._ago(minutes=7 * n))
            for n in range(RUNNER_JOBS)
        ]
        put_items(self._dynamodb, self._items, self._table)

    def _builds_that_ended_well(self) -> None:
        self._stale("linux-x64", minutes=135)
        for age in range(60, 0, -1):
            self._image("linux-x64", "AVAILABLE", hours=24 * age)
        self._image("linux-x64", "AVAILABLE", hours=1)

        self._stale("linux-arm64", minutes=95)
        self._image("linux-arm64", "AVAILABLE", hours=300, build=36)
        self._image("linux-arm64", "AVAILABLE", hours=200, build=37)
        self._image("linux-arm64", "AVAILABLE", hours=1, version="1.0.1", build=1)

        self._stale("windows-2022", minutes=190, platform="windows")
        region, account = self._aws.region, self._aws.account
        owners = [
            ("eu-central-1", account),
            (region, OTHER_ACCOUNT),
            (region, account),
            ("eu-west-1", account),
        ]
        amis = [Ami(place, self._ami(), owner) for place, owner in owners]
        self._image("windows-2022", "AVAILABLE", hours=2, amis=amis)

        self._stale("linux-x64-large", minutes=75)
        self._image("linux-x64-large", "AVAILABLE", hours=30)
        self._image("linux-x64-large", "AVAILABLE", hours=1, unlisted=("state", "outputResources"))

        self._stale("linux-x64-secure", minutes=50, parameter={"Type": "SecureString", "KeyId": SECURE_KEY})
        self._image("linux-x64-secure", "AVAILABLE", hours=0.5)

    def _builds_that_did_not(self) -> None:
        self._stale("linux-x64-cuda", minutes=240)
        self._image("linux-x64-cuda", "AVAILABLE", hours=50)
        self._image(
            "linux-x64-cuda",
            "FAILED",
            hours=3,
            reason="Workflow step 'ApplyBuildComponents' failed: document execution failed.",
            failure_context=FAILURE_CONTEXT,
        )
        self._stale("windows-2019", minutes=400, platform="windows")
        self._image("windows-2019", "CANCELLED", hours=6, amis=(), reason="Cancelled by user.")
        self._stale("linux-arm64-docker", minutes=45)
        self._image("linux-arm64-docker", "AVAILABLE", hours=90)
        self._image("linux-arm64-docker", "BUILDING", hours=0.5, amis=())
        self._stale("windows-2025", minutes=520, platform="windows")
        self._image("windows-2025", "TESTING", hours=8, amis=())

    def _unusable(self) -> None:
        self._stale("linux-riscv64", minutes=500, pipeline=False)
        self._stale("linux-x64-preview", minutes=600)
        self._stale("linux-x64-legacy", minutes=800)
        self._image("linux-x64-legacy", "DEPRECATED", hours=12)
        self._stale("linux-x64-hardened", minutes=90)
        self._image("linux-x64-hardened", "AVAILABLE", hours=40)
        self._image("linux-x64-hardened", "QUARANTINED", hours=1)
        self._stale("linux-arm64-eu", minutes=90)
        self._image("linux-arm64-eu", "AVAILABLE", hours=1, amis=[Ami("ap-south-2", self._ami(), self._aws.account)])
        self._stale("linux-x64-typo", minutes=60, config=self._ami())
        self._image("linux-x64-typo", "AVAILABLE", hours=1)

    def _meanwhile(self) -> None:
        contested = "linux-x64-contested"
        self._stale(contested, minutes=120)
        self._image(contested, "AVAILABLE", hours=1)
        self._aws.before("dynamodb.UpdateItem", f"AMI#{contested}", lambda: self._event_arrives(contested))

        edited = "linux-x64-edited"
        self._stale(edited, minutes=110)
        self._image(edited, "AVAILABLE", hours=1)
        self._aws.before(
            "ssm.PutParameter",
            PARAMETER_PREFIX + edited,
            lambda: edit_parameter(self._ssm, edited, timeout=7200),
        )

        resumed, ami = "linux-x64-resumed", self._ami()
        create_pipeline(self._image_builder, resumed)
        build = self._image(resumed, "AVAILABLE", hours=1, amis=[Ami(self._aws.region, ami, self._aws.account)])
        version = put_parameter(self._ssm, resumed, preset_config(self._ami()))
        stopped, run = self._ago(minutes=20), "scheduled__" + timestamp(self._ago(minutes=21))
        by = f"spot_runner_reconcile/{run}"
        self._items += [
            ami_state(resumed, "ready", stopped, ami=ami, build=build, reconciledBy=by),
            intent(resumed, run, stopped, ami=ami, build=build, parameter_version=version),
        ]

    def _not_flagged(self) -> None:
        self._stale("linux-x64-fresh", minutes=10)
        self._image("linux-x64-fresh", "BUILDING", hours=0.1, amis=())
        for preset, status in (("linux-x64-docker", "ready"), ("linux-arm64-gpu", "failed")):
            create_pipeline(self._image_builder, preset)
            ami, error = self._ami(), "Build failed: no space left on device" if status == "failed" else None
            amis = [Ami(self._aws.region, ami, self._aws.account)]
            build = self._image(preset, "FAILED" if error else "AVAILABLE", hours=720, amis=amis)
            put_parameter(self._ssm, preset, preset_config(ami))
            self._items.append(ami_state(preset, status, self._ago(hours=719), ami=ami, build=build, error=error))

    def _malformed(self) -> None:
        nameless = ami_state("nameless", "building", self._ago(hours=2))
        del nameless["presetName"]
        self._items += [
            nameless,
            ami_state("linux-x64-odd", "paused", self._ago(hours=2)),
            ami_state("linux-x64-undated", "building", self._ago(hours=2), updatedAt="yesterday"),
        ]

    def _stale(
        self,
        preset: str,
        *,
        minutes: float,
        platform: str = "linux",
        pipeline: bool = True,
        parameter: Mapping[str, str] | None = None,
        config: str | None = None,
    ) -> None:
        """Create a preset that has been building for some minutes; its record and parameter have the previous AMI."""
        ami = self._ami()
        self._items.append(ami_state(preset, "building", self._ago(minutes=minutes), ami=ami))
        put_parameter(self._ssm, preset, config or preset_config(ami, platform), **(parameter or {}))
        if pipeline:
            create_pipeline(self._image_builder, preset)

    def _image(self, preset: str, status: str, *, hours: float, **options: Any) -> str:
        """Add an image, by default with one AMI for this region and account; return its ARN."""
        options.setdefault("amis", [Ami(self._aws.region, self._ami(), self._aws.account)])
        created = timestamp(self._ago(hours=hours))
        image = self._aws.image_builder.add_image(
            f"spot-runner-{preset}", status=status, date_created=created, **options
        )
        return image.arn

    def _event_arrives(self, preset: str) -> None:
        """Do what the deployed event handler does when a build is ready."""
        now, ami = datetime.now(UTC), self._ami()
        build = self._image(preset, "AVAILABLE", hours=0, amis=[Ami(self._aws.region, ami, self._aws.account)])
        self._dynamodb.put_item(
            TableName=self._table,
            Item=to_attributes(ami_state(preset, "ready", now, ami=ami, build=build)),
            ConditionExpression="attribute_not_exists(jobId) OR updatedAt < :now",
            ExpressionAttributeValues={":now": {"S": timestamp(now)}},
        )
        edit_parameter(self._ssm, preset, ami=ami)

    def _ago(self, **age: float) -> datetime:
        return self._now - timedelta(**age)

    def _ami(self) -> str:
        self._amis += 1
        return f"ami-{self._amis:017x}"
