"""The audit of the detecting task reads parameters only as long as that may be of use."""

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from spot_runner_provider.operators.detect_stale import _compare
from spot_runner_provider.records.ami_state import AmiState, Status
from spot_runner_provider.records.parameter import ConfigVersion

from .values import ago

STATES = [AmiState(f"linux-{number:02}", Status.READY, ago(hours=1), "ami-1") for number in range(60)]
NO_ANSWER = ReadTimeoutError(endpoint_url="https://ssm.us-east-1.amazonaws.com")
BAD_ANSWER = ClientError({"Error": {"Code": "InternalServerError"}}, "GetParameters")
WORKS = None


class Parameters:
    """A store whose calls end as they are told, the last way from then on."""

    def __init__(self, *ends):
        self.ends = list(ends)
        self.calls = 0

    def newest(self, names):
        end = self.ends[min(self.calls, len(self.ends) - 1)]
        self.calls += 1
        if end is not None:
            raise end
        return {name: ConfigVersion(1, '{"ami": "ami-1"}') for name in names}

    def name_of(self, name):
        return f"/spot-runner/configs/{name}"


@pytest.mark.parametrize(
    ("ends", "calls", "unread"),
    [
        pytest.param([WORKS], 6, 0, id="works"),
        pytest.param([NO_ANSWER], 1, 60, id="never-answers"),
        pytest.param([WORKS, NO_ANSWER], 2, 50, id="answers-once"),
        pytest.param([BAD_ANSWER], 3, 60, id="answers-badly"),
        pytest.param([BAD_ANSWER, BAD_ANSWER, WORKS], 6, 20, id="recovers"),
        pytest.param([BAD_ANSWER, WORKS, BAD_ANSWER, WORKS, BAD_ANSWER, WORKS], 6, 30, id="now-and-then"),
    ],
)
def test_calls_that_an_audit_makes(ends, calls, unread):
    store = Parameters(*ends)
    suspects, missed = _compare(store, STATES)
    assert (suspects, store.calls, len(missed)) == ({}, calls, unread)


def test_the_first_preset_has_the_error_itself():
    _, missed = _compare(Parameters(NO_ANSWER), STATES)
    assert missed["linux-00"] is NO_ANSWER
    assert str(missed["linux-59"]).startswith("not tried, because this failed before: ReadTimeoutError")
