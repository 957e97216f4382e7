"""Whether this is the nightly run, which has time for more of everything: ``make test-nightly``."""

import os

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
