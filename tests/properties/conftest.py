"""Hypothesis profiles: 200 examples a property in the normal run, 10,000 in the nightly one."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("normal", max_examples=200, deadline=None, derandomize=True)
settings.register_profile(
    "nightly",
    max_examples=10_000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "normal"))
