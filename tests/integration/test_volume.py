"""Thousands of presets: what XCom and memory hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spot_runner_provider.embedded.demo.seed import ami_state, preset_config, put_items
from tests.integration.deployment import NEW, OLD, TaskInstance, detect, reconcile

pytestmark = pytest.mark.parametrize("server", ["moto"], indirect=True)  # nothing here depends on the emulator

PRESETS = 1000
MEGABYTE = 1_000_000

TASK = """
import json, pathlib, re, sys
from tests.integration.deployment import reconcile
results = reconcile(json.load(sys.stdin))
status = pathlib.Path("/proc/self/status").read_text()
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) * 1024
print(json.dumps([len(results), sorted({each["outcome"] for each in results.values()}), peak]))
"""
"""The peak is the kernel's own, of this program alone: ``ru_maxrss`` would begin with the peak of its parent."""


@pytest.fixture
def fleet(deployment):
    """A thousand stale presets whose builds ended well, and their batch."""
    then = datetime.now(UTC) - timedelta(hours=1)
    names = [f"linux-x64-{number:04}" for number in range(PRESETS)]
    put_items(deployment.dynamodb, [ami_state(name, "building", then, ami=OLD) for name in names])
    for name in names:
        deployment.image(name, "AVAILABLE", NEW)
        deployment.ssm.put_parameter(
            Name=f"/spot-runner/configs/{name}", Value=json.dumps(preset_config(OLD)), Type="String"
        )
    (batch,), _ = detect(max_mapped_tasks=1)
    return batch


def measured(batch):
    """Reconcile a batch in a process of its own; return the number of results, the outcomes, the peak in bytes."""
    done = subprocess.run(
        [sys.executable, "-c", TASK],
        input=json.dumps(batch),
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": "."},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.long
def test_a_thousand_presets_stay_within_150_mb(fleet, figure):
    _, _, empty = measured([])
    count, outcomes, full = measured(fleet)
    assert (count, outcomes) == (PRESETS, ["corrected_ready"])
    figure("memory", f"{empty / MEGABYTE:.0f} MB empty, {full / MEGABYTE:.0f} MB for {PRESETS} presets")
    assert full - empty < 150 * MEGABYTE


def test_results_of_two_thousand_presets_fit_one_xcom(deployment):
    then = datetime.now(UTC) - timedelta(hours=1)
    names = [f"linux-x64-{number:04}" for number in range(2000)]
    put_items(deployment.dynamodb, [ami_state(name, "building", then, ami=OLD) for name in names])
    (batch,), _ = detect(max_mapped_tasks=1)
    results = reconcile(batch, TaskInstance())
    assert {result["outcome"] for result in results.values()} == {"pipeline_not_found"}
    assert len(json.dumps(list(results.values()))) < 1_000_000
