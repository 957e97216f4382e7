"""The reason for which something went wrong is told whole, from AWS to the report."""

from __future__ import annotations

from typing import Any

import pytest

from spot_runner_provider.embedded import errors, faults
from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.reporting.messages import message
from spot_runner_provider.reporting.report import report
from tests.integration.deployment import TaskInstance, detect, reconcile

PRESET = "linux-x64"
KEY = "arn:aws:kms:us-east-1:123456789012:key/0f9b04ee-ab13-4f35-a2b2-d0902bfe6a1e"
DENIED = (
    "User: arn:aws:sts::123456789012:assumed-role/airflow-worker/i-0123456789abcdef0 is not authorized to perform: "
    f"kms:GenerateDataKey on resource: {KEY} because no identity-based policy allows the kms:GenerateDataKey action "
    "(Service: AWSKMS; Status Code: 400; Error Code: AccessDeniedException; Request ID: d15ba1d5; Proxy: null)"
)


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let AWS say something else where it refuses a call."""

    def patch(words: str) -> None:
        monkeypatch.setattr(faults, "error_reply", lambda call, code, _: errors.error_reply(call, code, words))

    return patch


def told(deployment: Any) -> tuple[dict[str, Any], str]:
    """Detect, reconcile and report; return the preset's line and the message."""
    batches, states = detect()
    ti = TaskInstance()
    results = reconcile(batches[0], ti)
    made = report(states, batches, list(results.values()))
    return made.value["presets"][0], message(made)


def test_a_kms_denial_that_ssm_passes_on_is_told_by_its_key(deployment, says, logged):
    says(DENIED)
    deployment.stale(PRESET)
    deployment.stale("linux-arm64")
    deployment.aws.add_fault(Fault("ssm.PutParameter", "AccessDeniedException", key=f"*{PRESET}"))
    batches, _ = detect(max_mapped_tasks=1)
    detail = reconcile(batches[0])[PRESET]["detail"]
    assert detail.startswith(f"Access denied: allow kms:GenerateDataKey on {KEY} (a KMS key, needed for parameter ")
    assert f"AWS says: {DENIED}" in detail
    assert f"AWS says: {DENIED}" in logged()


def test_a_components_message_is_in_report_message_and_log(deployment, logged):
    words = "E: Unable to locate package cuda-drivers-560; " * 20
    context = {"failedStep": "ApplyBuildComponents", "componentFailure": {"errorMessage": words, "phaseName": "build"}}
    deployment.preset(PRESET)
    deployment.image(PRESET, "FAILED", reason="Document failed!", failure_context=context)
    line, mail = told(deployment)
    assert (line["detail"][:500], words[:480] in mail) == (f"FAILED: {words}"[:500], True)
    assert words.strip() in logged()
    assert deployment.record(PRESET)["errorMessage"].startswith(f"FAILED: {words}")


def test_a_parameter_that_is_missing_is_named(deployment):
    deployment.stale(PRESET)
    deployment.ssm.delete_parameter(Name=f"/spot-runner/configs/{PRESET}")
    line, mail = told(deployment)
    named = f"the parameter does not exist: /spot-runner/configs/{PRESET}; record and parameter unchanged. Create the"
    assert (line["outcome"], line["detail"].startswith(named), named in mail) == ("config_invalid", True, True)
