"""Linux and Windows in one table: pipelines that are named in different ways, and images of the wrong platform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from spot_runner_provider.embedded.demo.seed import preset_config
from spot_runner_provider.operators.reconcile_preset import ReconcilePresetOperator
from tests.integration.deployment import NEW, NEWER, OLD, Deployment, TaskInstance, reconcile, run
from tests.integration.test_native_rendering import execute, rendered

pytestmark = pytest.mark.parametrize("server", ["moto"], indirect=True)  # nothing here depends on the emulator

LINUX, WINDOWS = "spot-runner-{preset}", "spot-runner-{preset}-windows"
BOTH = f"{LINUX}, {WINDOWS}"
ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image-pipeline/"


def pipeline(deployment: Deployment, name: str, platform: str = "Linux", ami: str = NEW, **image: Any) -> str:
    return deployment.image("", "AVAILABLE", ami, pipeline=name, platform=platform, **image)


def asked(deployment: Deployment) -> list[list[str]]:
    """Return the names in each call of ListImagePipelines."""
    calls = deployment.aws.call_log()
    return [call.body["filters"][0]["values"] for call in calls if call.operation == "imagebuilder.ListImagePipelines"]


@pytest.fixture
def fleet(deployment: Deployment) -> Deployment:
    """One preset of each kind."""
    for name, platform in {
        "linux-x64": "linux",
        "server-2022": "windows",
        "twice": "linux",
        "never": "linux",
        "server-2019": "Windows",
    }.items():
        deployment.preset(name, config=preset_config(OLD, platform))
    deployment.preset("silent", config={"ami": OLD, "timeout": 3600})
    pipeline(deployment, "spot-runner-linux-x64")
    pipeline(deployment, "spot-runner-server-2022-windows", "Windows", NEWER)
    pipeline(deployment, "spot-runner-twice")
    pipeline(deployment, "spot-runner-twice-windows", "Windows")
    pipeline(deployment, "spot-runner-server-2019")
    pipeline(deployment, "spot-runner-silent-windows", "Windows")
    return deployment


OUTCOMES = {
    "linux-x64": ("corrected_ready", f"{ARN}spot-runner-linux-x64"),
    "server-2022": ("corrected_ready", f"{ARN}spot-runner-server-2022-windows"),
    "twice": ("pipeline_ambiguous", None),
    "never": ("pipeline_not_found", None),
    "server-2019": ("config_invalid", f"{ARN}spot-runner-server-2019"),
    "silent": ("corrected_ready", f"{ARN}spot-runner-silent-windows"),
}
WRITTEN = {"linux-x64": NEW, "server-2022": NEWER, "silent": NEW}


def outcomes(results: dict[str, dict[str, Any]]) -> dict[str, tuple[str, str | None]]:
    return {name: (result["outcome"], result["pipelineArn"]) for name, result in results.items()}


@pytest.mark.parametrize("names", [BOTH, [LINUX, WINDOWS], [WINDOWS, LINUX]], ids=["text", "list", "other-order"])
def test_a_mixed_fleet(fleet: Deployment, names: str | list[str]) -> None:
    before = {name: (fleet.record(name), fleet.parameter_text(name)) for name in OUTCOMES}
    assert outcomes(run(pipeline_name=names)) == OUTCOMES
    for name in OUTCOMES:
        if name in WRITTEN:
            assert (fleet.record(name)["status"], fleet.record(name)["amiId"]) == ("ready", WRITTEN[name])
            assert fleet.parameter(name)["ami"] == WRITTEN[name]
        else:
            assert (fleet.record(name), fleet.parameter_text(name), fleet.version(name)) == (*before[name], 1)
    assert fleet.intents() == []


def test_a_second_run_writes_nothing_and_says_the_same_of_the_others(fleet: Deployment) -> None:
    run("scheduled__1", pipeline_name=BOTH)
    before = fleet.writes()
    left = {name: outcome for name, outcome in OUTCOMES.items() if name not in WRITTEN}
    assert (outcomes(run("scheduled__2", pipeline_name=BOTH)), fleet.writes()) == (left, before)


def test_a_dry_run_says_the_same_and_writes_nothing(fleet: Deployment) -> None:
    assert (outcomes(run(pipeline_name=BOTH, dry_run=True)), fleet.writes()) == (OUTCOMES, [])


def test_the_detail_says_which_is_which(fleet: Deployment) -> None:
    results = run(pipeline_name=BOTH)
    image = results["server-2019"]["imageArn"]
    assert results["server-2019"]["detail"].startswith(
        f"the parameter is for Windows, and image {image} for Linux: /spot-runner/configs/server-2019; record and "
        "parameter unchanged. "
    )
    assert results["twice"]["detail"].startswith(
        "pipelines 'spot-runner-twice' and 'spot-runner-twice-windows' exist in us-east-1, "
    )
    assert results["never"]["detail"].startswith("no pipeline 'spot-runner-never' or 'spot-runner-never-windows' in ")


def test_what_the_advice_says_helps(fleet: Deployment) -> None:
    run("scheduled__1", pipeline_name=BOTH)
    fleet.edit("server-2019", platform="linux")
    del fleet.aws.image_builder._pipelines[f"{ARN}spot-runner-twice-windows"]
    results = run("scheduled__2", pipeline_name=BOTH)
    assert {name: results[name]["outcome"] for name in ("server-2019", "twice")} == {
        "server-2019": "corrected_ready",
        "twice": "corrected_ready",
    }


@pytest.mark.parametrize(
    ("unlisted", "outcome"),
    [
        pytest.param((), "config_invalid", id="listed"),
        pytest.param(("state", "platform"), "config_invalid", id="the-image-itself-tells"),
        pytest.param(("platform",), "config_invalid", id="the-pipeline-tells"),
    ],
)
def test_where_the_platform_is_told(deployment: Deployment, unlisted: Sequence[str], outcome: str) -> None:
    deployment.preset("linux-x64")
    pipeline(deployment, "spot-runner-linux-x64", "Windows", unlisted=unlisted)
    assert (run()["linux-x64"]["outcome"], deployment.writes()) == (outcome, [])


def test_platforms_that_nobody_knows_are_not_compared(deployment: Deployment) -> None:
    deployment.preset("linux-x64", config=preset_config(OLD, "beos"))
    pipeline(deployment, "spot-runner-linux-x64", "Plan 9")
    assert run()["linux-x64"]["outcome"] == "corrected_ready"


@pytest.mark.parametrize(
    ("names", "count", "calls"),
    [
        pytest.param(LINUX, 10, [10], id="one-name-each"),
        pytest.param(BOTH, 5, [10], id="two-names-each"),
        pytest.param(BOTH, 10, [10, 10], id="two-names-of-ten"),
        pytest.param([LINUX, WINDOWS, "ci-{preset}"], 7, [10, 10, 1], id="three-names-of-seven"),
        pytest.param([LINUX, LINUX], 10, [10], id="equal-names"),
        pytest.param([LINUX, "{preset}"], 1, [2], id="one-preset"),
    ],
)
def test_ten_names_are_asked_for_in_one_call(
    deployment: Deployment, names: str | list[str], count: int, calls: list[int]
) -> None:
    presets = [f"linux-{number}" for number in range(count)]
    for preset in presets:
        deployment.preset(preset)
    results = reconcile(presets, pipeline_name=names)
    assert {result["outcome"] for result in results.values()} == {"pipeline_not_found"}
    assert [len(names) for names in asked(deployment)] == calls


def test_a_name_that_two_presets_may_have_is_asked_for_once(deployment: Deployment) -> None:
    """The pipeline of ``x64-windows`` has a name that ``x64`` may have, too."""
    for name in ("x64", "x64-windows"):
        deployment.preset(name)
    for name in ("spot-runner-x64", "spot-runner-x64-windows"):
        pipeline(deployment, name)
    results = reconcile(["x64", "x64-windows"], pipeline_name=BOTH)
    assert {name: result["outcome"] for name, result in results.items()} == {
        "x64": "pipeline_ambiguous",
        "x64-windows": "pipeline_ambiguous",
    }
    assert asked(deployment) == [["spot-runner-x64", "spot-runner-x64-windows", "spot-runner-x64-windows-windows"]]


@pytest.mark.parametrize("record", ["sound", "malformed", "gone"])
def test_a_pipeline_that_may_be_another_presets_is_not_taken(deployment: Deployment, record: str) -> None:
    """``x64`` has no pipeline of its own, and would get the image of ``x64-windows``."""
    deployment.preset("x64", config={"ami": OLD})
    if record != "gone":
        deployment.preset("x64-windows", status="ready")
    if record == "malformed":
        deployment.item(deployment.record("x64-windows") | {"status": "dreaming"})
    pipeline(deployment, "spot-runner-x64-windows", "Windows")
    result = reconcile(["x64"], pipeline_name=BOTH)["x64"]
    if record == "gone":
        assert result["outcome"] == "corrected_ready"
    else:
        assert (result["outcome"], deployment.writes()) == ("pipeline_ambiguous", [])
        assert result["detail"].startswith(
            "pipeline 'spot-runner-x64-windows' may be that of preset x64-windows as well; "
        )


@pytest.mark.parametrize("status", ["ready", "building"])
def test_another_presets_pipeline_is_not_linked(deployment: Deployment, status: str) -> None:
    for name in ("x64", "x64-windows"):
        deployment.preset(name, status=status)
    pipeline(deployment, "spot-runner-x64-windows", "Windows")
    ti = TaskInstance()
    reconcile(["x64", "x64-windows"], ti, pipeline_name=BOTH)
    assert not ti.pushed["_link_PipelineLink"]


@pytest.mark.parametrize("names", [BOTH, "{preset}-windows"], ids=["several-names", "one-name"])
def test_a_failed_build_for_another_platform_is_not_the_presets(deployment: Deployment, names: str) -> None:
    deployment.preset("x64")
    deployment.image(
        "", "FAILED", pipeline="x64-windows" if names != BOTH else "spot-runner-x64-windows", platform="Windows"
    )
    result = reconcile(["x64"], pipeline_name=names)["x64"]
    if names == BOTH:
        assert (result["outcome"], deployment.writes()) == ("config_invalid", [])
    else:
        assert result["outcome"] == "corrected_failed"


@pytest.mark.parametrize(
    ("preset", "pipeline"),
    [("linux-x64", "spot-runner-linux-x64"), ("server-2022", "spot-runner-server-2022-windows"), ("twice", None)],
)
def test_the_link_leads_to_the_one_that_was_found(fleet: Deployment, preset: str, pipeline: str | None) -> None:
    ti = TaskInstance()
    reconcile([preset], ti, pipeline_name=BOTH)
    assert ti.pushed["_link_PipelineLink"].rpartition("#/pipelines/")[2] == (f"{ARN}{pipeline}" if pipeline else "")


@pytest.mark.parametrize(
    ("params", "names"),
    [
        pytest.param({"names": [LINUX, WINDOWS]}, "{{ params.names }}", id="list-of-a-param"),
        pytest.param({"names": BOTH}, "{{ params.names }}", id="text-of-a-param"),
        pytest.param(
            {"ending": "windows"}, [LINUX, "spot-runner-{preset}-{{ params.ending }}"], id="templates-of-a-list"
        ),
    ],
)
def test_it_is_a_template(fleet: Deployment, params: dict[str, Any], names: Any) -> None:
    task = rendered(ReconcilePresetOperator, params, presets=["server-2022"], pipeline_name=names)
    assert [result["outcome"] for result in execute(task)[0]] == ["corrected_ready"]
