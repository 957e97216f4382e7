"""AWS allows only so many calls a second: eight tasks at once wait for their turn, and none fails."""

from __future__ import annotations

import time

from tests.integration.deployment import run_at_once
from tests.integration.fleet import Fleet

PRESETS = 30
PUTS_PER_SECOND = 3
"""Parameter Store's default quota."""

LISTINGS_PER_SECOND = 5


def test_a_whole_run_stays_within_the_quotas(far_aws, figure):
    fleet = Fleet(far_aws, {f"linux-x64-{number:03}": "AVAILABLE" for number in range(PRESETS)})
    far_aws.set_rate("ssm.PutParameter", PUTS_PER_SECOND)
    far_aws.set_rate("imagebuilder.ListImagePipelineImages", LISTINGS_PER_SECOND)
    begun = time.monotonic()
    results, failures = run_at_once()
    seconds = time.monotonic() - begun
    assert failures == []
    assert {result["outcome"] for result in results.values()} == {"corrected_ready"}
    assert fleet.wrong() == {}
    assert fleet.intents() == []
    calls = far_aws.calls()
    figure(
        "quotas",
        f"{PRESETS} presets in {seconds:.0f} s, {PRESETS / PUTS_PER_SECOND:.0f} s at least;"
        f" {calls['ssm.PutParameter']} puts, {calls['imagebuilder.ListImagePipelineImages']} listings",
    )
