from datetime import timedelta

import pytest

from spot_runner_provider.detection.audit import confirmed, drift, settled
from spot_runner_provider.records.ami_state import AmiState, Status, render_timestamp
from spot_runner_provider.records.parameter import ConfigVersion
from tests.unit.values import NOW


def state(status="ready", ami_id="ami-1", *, name="a", **age):
    return AmiState(name, Status(status), render_timestamp(NOW - timedelta(**(age or {"hours": 1}))), ami_id)


@pytest.mark.parametrize(
    ("record", "is_settled"),
    [
        pytest.param(state(), True, id="ready"),
        pytest.param(state("failed"), True, id="failed-with-an-ami"),
        pytest.param(state("failed", None), False, id="failed-for-the-first-time"),
        pytest.param(state("ready", None), False, id="ready-without-an-ami"),
        pytest.param(state("building"), False, id="building"),
        pytest.param(state(minutes=5), False, id="its-writer-may-be-at-work"),
        pytest.param(state(minutes=5, milliseconds=1), True, id="its-writer-is-through"),
        pytest.param(state(minutes=-1), False, id="its-writer's-clock-is-ahead"),
        pytest.param(state(days=-1), True, id="dated-wrongly"),
    ],
)
def test_which_records_a_parameter_must_agree_with(record, is_settled):
    assert settled([record], unfinished=(), now=NOW) == [record] * is_settled


def test_an_unfinished_preset_is_not_audited():
    assert settled([state(), state(name="b")], unfinished={"a"}, now=NOW) == [state(name="b")]


@pytest.mark.parametrize(
    ("record", "config", "detail"),
    [
        pytest.param(state(), '{"ami": "ami-1"}', None, id="agrees"),
        pytest.param(
            state(), '{"ami": "ami-0"}', "the record (ready) says ami-1, the parameter says ami-0", id="another"
        ),
        pytest.param(
            state("failed"), '{"ami": "ami-2"}', "the record (failed) says ami-1, the parameter says ami-2", id="failed"
        ),
        pytest.param(state(), "{}", "the record (ready) says ami-1, the parameter says none", id="no-ami"),
        pytest.param(
            state(),
            '{"ami": 7}',
            "the record (ready) says ami-1, the parameter has a number as 'ami', where a text belongs",
            id="no-text",
        ),
        pytest.param(state(), None, "the record (ready) says ami-1, the parameter does not exist", id="gone"),
        pytest.param(
            state(),
            "ami-1",
            "the record (ready) says ami-1, the parameter is a bare AMI id, not a JSON object with a key 'ami'",
            id="bare",
        ),
    ],
)
def test_drift(record, config, detail):
    found = drift(record, config and ConfigVersion(3, config))
    assert (found and found.detail) == detail
    assert found is None or found.to_json() == {"presetName": "a", "outcome": "drifted", "detail": detail}


def test_the_value_of_a_secure_string_is_not_quoted():
    found = drift(state(), ConfigVersion(3, '{"ami": "ami-0secret"}', secure=True))
    assert found.detail == "the record (ready) says ami-1, the parameter says another"


def test_whatever_the_parameter_holds_the_detail_is_short():
    assert len(drift(state(), ConfigVersion(3, '{"ami": "' + "x" * 3000 + '"}')).detail) < 200


@pytest.mark.parametrize(
    ("present", "is_confirmed"),
    [
        pytest.param(state(), True, id="the-same"),
        pytest.param(state(ami_id="ami-0"), False, id="another-ami"),
        pytest.param(state("building"), False, id="building-again"),
        pytest.param(state(minutes=1), False, id="written-anew"),
        pytest.param(None, False, id="gone"),
        pytest.param(ValueError("malformed"), False, id="malformed-by-now"),
    ],
)
def test_a_record_that_changed_meanwhile_is_no_finding(present, is_confirmed):
    found = drift(state(), ConfigVersion(3, '{"ami": "ami-0"}'))
    assert list(confirmed({"a": found}, [state()], {"a": present})) == [found] * is_confirmed
