import pytest

from spot_runner_provider.records.ami_state import RECORD_TYPE
from spot_runner_provider.records.intent import RECORD_TYPE as INTENT
from spot_runner_provider.records.intent import Intent
from spot_runner_provider.records.projection import NEEDED, is_suspicious, left_out

from .values import NOW, note, record

KEYS = {"jobId", "recordType", "updatedAt"}


def projected(item, *names):
    return {name: value for name, value in item.items() if name in KEYS | set(names)}


LOGGED = {"preset_name": "x", "owner": "dag/run/1", "at": NOW, "param_version": 7, "ami_id": "a", "build_id": "b"}
SOUND = record("linux-x64", recordType=RECORD_TYPE, amiId="ami-1")


@pytest.mark.parametrize(
    ("record_type", "names", "suspicious"),
    [
        pytest.param(RECORD_TYPE, SOUND, False, id="all"),
        pytest.param(RECORD_TYPE, KEYS, True, id="keys-only"),
        *(
            pytest.param(RECORD_TYPE, SOUND.keys() - {name}, True, id=f"no-{name}")
            for name in sorted(NEEDED[RECORD_TYPE])
        ),
        pytest.param(RECORD_TYPE, KEYS | NEEDED[RECORD_TYPE], False, id="all-that-is-needed"),
        pytest.param(INTENT, note("linux-x64", "dag/run/1"), False, id="intent"),
        pytest.param(INTENT, KEYS | {"presetName"}, True, id="intent-without-its-version"),
        *(
            pytest.param(INTENT, note().keys() - {name}, True, id=f"intent-no-{name}")
            for name in sorted(Intent.of(**LOGGED).standing_for([Intent.of(**LOGGED)]).to_json().keys() - KEYS)
        ),
        pytest.param(INTENT, Intent.of(**LOGGED).to_item(), False, id="an-intent-as-it-is-logged"),
    ],
)
def test_an_index_without_a_needed_attribute_is_suspicious(record_type, names, suspicious):
    assert is_suspicious(record_type, names) is suspicious


@pytest.mark.parametrize(
    ("listed", "stored", "names"),
    [
        pytest.param(SOUND, SOUND, set(), id="the-same"),
        pytest.param(projected(SOUND), SOUND, {"presetName", "status", "amiId"}, id="keys-only"),
        pytest.param(projected(SOUND, "presetName", "status"), SOUND, {"amiId"}, id="include"),
        pytest.param(projected(SOUND), projected(SOUND), set(), id="really-malformed"),
        pytest.param(projected(SOUND), SOUND | {"updatedAt": "2026-02-11T16:00:00.000Z"}, set(), id="written-since"),
        pytest.param(projected(SOUND), None, set(), id="gone-since"),
    ],
)
def test_what_an_index_leaves_out(listed, stored, names):
    assert left_out([listed], {listed["jobId"]: stored}) == names
