"""Whom to tell, and what."""

import pytest

from spot_runner_provider.reporting.messages import as_callbacks, calls_for_attention, failed_callbacks, message
from spot_runner_provider.reporting.report import Report

READY = {"status": "ready", "message": "1 preset ready", "checkedAt": "…", "presets": [], "malformed": []}


def made(*failures, **changes):
    return Report(READY | changes, failures)


def preset(name, status="ready", ami_id="ami-1", outcome=None, detail=""):
    return {
        "name": name,
        "status": status,
        "amiId": ami_id,
        "updatedAt": "2026-02-11T15:00:00.000Z",
        "outcome": outcome,
        "detail": detail,
    }


@pytest.mark.parametrize(
    ("report", "wanted"),
    [
        pytest.param(made(), False, id="ready"),
        pytest.param(made(status="building"), False, id="building"),
        pytest.param(made(status="degraded"), True, id="degraded"),
        pytest.param(made("the audit failed", status="degraded"), True, id="the-run-fails"),
        pytest.param(made(status=None), False, id="unknown-because-detection-was-skipped"),
    ],
)
def test_who_is_told(report, wanted):
    assert calls_for_attention(report) is wanted


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param(preset("a"), None, id="ready"),
        pytest.param(preset("a", outcome="corrected_ready"), None, id="corrected"),
        pytest.param(preset("a", "building", outcome="still_building", detail="BUILDING"), None, id="building"),
        pytest.param(
            preset("a", "failed", outcome="corrected_failed", detail="FAILED: Build timed out"),
            "- a: failed, ami-1, corrected_failed: FAILED: Build timed out",
            id="failed",
        ),
        pytest.param(preset("a", "failed", None), "- a: failed, no AMI", id="failed-since-long-and-never-built"),
        pytest.param(preset("a", "building", None), "- a: building, no AMI", id="building-for-the-first-time"),
        pytest.param(
            preset("a", outcome="drifted", detail="the parameter says ami-2"),
            "- a: ready, ami-1, drifted: the parameter says ami-2",
            id="drifted",
        ),
        pytest.param(
            preset("a", "building", outcome="error", detail="timed out"),
            "- a: building, ami-1, error: timed out",
            id="error",
        ),
    ],
)
def test_a_preset_has_a_line_if_it_needs_attention(line, said):
    assert message(made(presets=[line])).splitlines()[1:] == ([said] if said else [])


def test_counts_failures_presets_and_records_come_in_this_order():
    malformed = [{"jobId": "AMI#odd", "presetName": "odd", "reason": "status 'paused'"}]
    malformed.append({"jobId": "AMI#nameless", "presetName": None, "reason": "presetName is missing"})
    report = made("error: a", status="degraded", presets=[preset("a", outcome="error")], malformed=malformed)
    assert message(report) == (
        "Runner images are degraded: 1 preset ready\n"
        "The run failed: error: a\n"
        "- a: ready, ami-1, error\n"
        "- odd: malformed: status 'paused'\n"
        "- AMI#nameless: malformed: presetName is missing"
    )


def test_of_many_the_first_ten_are_named_and_the_rest_is_counted():
    text = message(made(presets=[preset(f"p{number:03}", "failed", detail="d" * 200) for number in range(500)]))
    assert text.splitlines()[10:] == [f"- p009: failed, ami-1: {'d' * 200}", "- and 490 more"]
    assert len(text) < 3000, "what a Slack block takes"


def test_malformed_records_that_are_only_counted_are_told_too():
    odd = [{"jobId": f"AMI#{number}", "presetName": None, "reason": "odd"} for number in range(100)]
    text = message(made(malformed=odd, malformedCounts={"odd": 9_999, "else": 1}))
    assert text.splitlines()[-2:] == ["- AMI#9: malformed: odd", "- and 9990 more"]


def test_each_callback_is_called_whatever_the_others_do():
    called = []

    def bad(context):
        raise ConnectionError(f"no way to tell {context}")

    failed = list(failed_callbacks([bad, called.append, bad, called.append], "this"))
    assert called == ["this", "this"]
    assert [(callback, str(error)) for callback, error in failed] == [(bad, "no way to tell this")] * 2


@pytest.mark.parametrize("given", [None, [], print, [print], (print, repr)])
def test_one_callback_many_or_none(given):
    wanted = [] if given is None else [print] if given is print else list(given)
    assert as_callbacks(given) == wanted
