import pytest

from spot_runner_provider.protocol.outcome import Outcome
from spot_runner_provider.reporting.report import (
    Answers,
    Instance,
    Silence,
    message_of,
    needs_attention,
    overall_status,
    report,
)

CHECKED = "2026-02-11T16:05:48.123Z"
BEFORE, AFTER = "2026-02-11T15:00:00.000Z", "2026-02-11T16:04:48.123Z"
SOME = object()


def state(name="a", status="ready", ami_id=SOME, **more):
    """A preset as detection saw it."""
    ami_id = (None if status == "building" else "ami-1") if ami_id is SOME else ami_id
    return {"presetName": name, "status": status, "amiId": ami_id, "updatedAt": BEFORE, "buildId": None} | more


def result(name="a", outcome="corrected_ready", status="ready", ami_id="ami-2", detail="", dry_run=False):
    return {
        "presetName": name,
        "status": status,
        "amiId": ami_id,
        "updatedAt": AFTER,
        "outcome": outcome,
        "detail": detail,
        "dryRun": dry_run,
    }


def seen(*states, malformed=()):
    return {"checkedAt": CHECKED, "states": list(states), "malformed": list(malformed)}


def flag(*names):
    return [[{"presetName": name}] for name in names]


MALFORMED = {"jobId": "AMI#x", "presetName": "x", "reason": "status"}


@pytest.mark.parametrize(
    ("states", "malformed", "status"),
    [
        pytest.param([], [], "ready", id="no-presets"),
        pytest.param([state("a"), state("b")], [], "ready", id="all-ready"),
        pytest.param([state(), state("b", "building", "ami-0")], [], "building", id="one-building"),
        pytest.param([state(), state("b", "building", None)], [], "degraded", id="one-building-for-the-first-time"),
        pytest.param([state(), state("b", "failed")], [], "degraded", id="one-failed"),
        pytest.param([state("a", "building", "ami-0"), state("b", "failed")], [], "degraded", id="failed-and-building"),
        pytest.param([state(ami_id=None)], [], "degraded", id="ready-without-ami"),
        pytest.param([state(ami_id="pending")], [], "degraded", id="ready-without-an-ami-id"),
        pytest.param([state()], [MALFORMED], "degraded", id="a-malformed-record"),
        pytest.param([], [MALFORMED], "degraded", id="a-malformed-record-alone"),
    ],
)
def test_overall_status(states, malformed, status):
    assert report(seen(*states, malformed=malformed), [], []).value["status"] == status


def preset(status, number=1):
    return [{"status": status, "amiId": "ami-1", "outcome": None}] * number


@pytest.mark.parametrize(
    ("presets", "malformed", "message"),
    [
        pytest.param(
            preset("ready", 3) + preset("building") + preset("failed"),
            0,
            "3 presets ready, 1 preset building, 1 preset failed",
            id="each-status",
        ),
        pytest.param(preset("failed") + preset("ready", 2), 0, "2 presets ready, 1 preset failed", id="in-that-order"),
        pytest.param(preset("building", 2), 0, "2 presets building", id="plural"),
        pytest.param(preset("ready"), 0, "1 preset ready", id="singular"),
        pytest.param([], 0, "no presets", id="no-presets"),
        pytest.param(
            [preset("ready")[0] | {"amiId": None}], 0, "1 preset ready, 1 preset without an AMI", id="without-an-ami"
        ),
        pytest.param(preset("ready"), 1, "1 preset ready, 1 record malformed", id="one-malformed"),
        pytest.param([], 2, "no presets, 2 records malformed", id="two-malformed"),
    ],
)
def test_message(presets, malformed, message):
    assert message_of(presets, {"status": malformed} if malformed else {}, flagged={"a"}) == message


def test_the_message_says_if_nothing_was_stale():
    assert report(seen(state()), [], []).value["message"] == "1 preset ready; none was stale"


def test_overall_status_of_lines():
    assert overall_status(preset("ready") + preset("building"), {}) == "building"


@pytest.mark.parametrize("outcome", [None, *Outcome])
def test_it_is_degraded_if_and_only_if_a_preset_needs_attention(outcome):
    line = {"status": "building", "amiId": "ami-1", "outcome": outcome}
    asks = outcome is not None and Outcome(outcome).meaning.needs_attention
    assert needs_attention(line) is asks
    assert overall_status([line, *preset("ready")], []) == ("degraded" if asks else "building")


def test_a_run_that_fails_is_degraded():
    assert overall_status(preset("ready"), [], ["the audit is incomplete"]) == "degraded"


@pytest.mark.parametrize(
    ("found", "results", "flagged", "line"),
    [
        pytest.param(
            state(status="failed", errorMessage="broken"),
            [],
            [],
            ("failed", "ami-1", BEFORE, None, "broken"),
            id="as-detected",
        ),
        pytest.param(
            state(status="building"),
            [result(detail="well")],
            ["a"],
            ("ready", "ami-2", AFTER, "corrected_ready", "well"),
            id="as-its-result-has-it",
        ),
        pytest.param(
            state(status="building"),
            [result(dry_run=True, detail="dry run: would")],
            ["a"],
            ("building", None, BEFORE, "corrected_ready", "dry run: would"),
            id="a-dry-run-changes-nothing",
        ),
        pytest.param(
            state(status="building"),
            [result(outcome="superseded", status=None, ami_id=None, detail="gone")],
            ["a"],
            ("building", None, BEFORE, "superseded", "gone"),
            id="a-result-that-knows-nothing",
        ),
        pytest.param(
            state(status="building"),
            [],
            ["a"],
            ("building", None, BEFORE, "error", "its task pushed no result; see its log"),
            id="a-lost-result",
        ),
        pytest.param(
            state(unfinished=True), [], [], ("building", "ami-1", BEFORE, None, ""), id="unfinished-counts-as-building"
        ),
        pytest.param(
            state(unfinished=True),
            [result(outcome="error", detail="throttled")],
            ["a"],
            ("building", "ami-2", AFTER, "error", "throttled"),
            id="unfinished-after-an-error",
        ),
        pytest.param(
            state(unfinished=True),
            [result(outcome="config_invalid", detail="is empty")],
            ["a"],
            ("building", "ami-2", AFTER, "config_invalid", "is empty"),
            id="unfinished-because-of-the-parameter",
        ),
        pytest.param(
            state(unfinished=True),
            [result(outcome="finished", dry_run=True, detail="dry run: would")],
            ["a"],
            ("building", "ami-1", BEFORE, "finished", "dry run: would"),
            id="unfinished-after-a-dry-run",
        ),
        pytest.param(
            state(unfinished=True),
            [result(outcome="finished")],
            ["a"],
            ("ready", "ami-2", AFTER, "finished", ""),
            id="finished",
        ),
        pytest.param(
            state("a", "building", "ami-0", unfinished=True),
            [result(outcome="superseded")],
            ["a"],
            ("ready", "ami-2", AFTER, "superseded", ""),
            id="finished-beside-what-another-program-wrote",
        ),
    ],
)
def test_a_presets_line(found, results, flagged, line):
    (shown,) = report(seen(found), flag(*flagged), results).value["presets"]
    assert shown == dict(zip(("name", "status", "amiId", "updatedAt", "outcome", "detail"), ("a", *line), strict=True))


def test_every_preset_is_reported_sorted_by_name():
    value = report(seen(state("c"), state("a"), state("b")), flag("b"), [result("b")]).value
    assert [line["name"] for line in value["presets"]] == ["a", "b", "c"]


def test_the_whole_value():
    assert report(seen(state("a"), malformed=[MALFORMED]), [], []).value == {
        "status": "degraded",
        "message": "1 preset ready, 1 record malformed; none was stale",
        "checkedAt": CHECKED,
        "presets": [
            {"name": "a", "status": "ready", "amiId": "ami-1", "updatedAt": BEFORE, "outcome": None, "detail": ""}
        ],
        "malformed": [MALFORMED],
        "malformedCounts": {"status": 1},
    }


def test_if_detection_failed_nothing_is_known():
    found = report(None, [], [])
    assert (found.value, found.failures) == (
        {
            "status": "degraded",
            "message": "detection failed: nothing is known about any preset; see the log of the detecting task",
            "checkedAt": None,
            "presets": [],
            "malformed": [],
            "malformedCounts": {},
        },
        ("detection failed",),
    )


OF_A_PRESET = (Silence.EARLIER_TRY, Silence.LEFT_OUT)


@pytest.mark.parametrize("silence", [each for each in Silence if each not in (Silence.SKIPPED, *OF_A_PRESET)])
def test_each_silence_of_detection_is_a_failure(silence):
    made = report(None, [], [], silence=silence)
    assert (made.value["status"], made.failures) == ("degraded", (f"detection {silence}",))
    assert made.value["message"].startswith(f"detection {silence}: ")


def test_a_detection_that_was_skipped_is_no_failure():
    made = report(None, [], [], silence=Silence.SKIPPED)
    assert (made.value["status"], made.failures) == (None, ())
    assert made.value["message"] == "detection was skipped: nothing was looked at in this run"


@pytest.mark.parametrize("found", [{}, None])
def test_further_complaints_fail_the_run_whatever_detection_told(found):
    made = report(seen(state()) if found is not None else None, [], [], silence=Silence.SKIPPED, complaints=["no"])
    assert (made.value["status"], made.failures) == ("degraded", ("no",))


def test_a_result_of_an_unflagged_preset_does_not_count():
    made = report(seen(state("a", "failed"), state("b")), [], [result("a"), result("b", "error")])
    assert [(line["status"], line["outcome"]) for line in made.value["presets"]] == [("failed", None), ("ready", None)]
    assert (made.value["status"], made.failures) == ("degraded", ())


def test_a_task_that_was_skipped_is_no_failure():
    made = report(seen(state("a", "building", "ami-0")), flag("a"), [], silent={"a": Silence.SKIPPED})
    (line,) = made.value["presets"]
    assert (line["outcome"], line["detail"]) == (None, "its task was skipped, so nothing was done")
    assert (made.value["status"], made.failures) == ("building", ())


STALE = {"presetName": "a", "updatedAt": "2026-02-11T15:00:00.000Z"}


class TestAnswers:
    @pytest.mark.parametrize(
        ("told", "silence"),
        [
            pytest.param([result("a")], None, id="of-the-preset"),
            pytest.param([result("b")], Silence.EARLIER_TRY, id="of-another-preset"),
            pytest.param([result("a") | {"updatedAt": BEFORE}], None, id="of-the-record-that-was-seen"),
            pytest.param([result("a") | {"updatedAt": None}], None, id="of-a-record-that-is-gone"),
            pytest.param(
                [result("a") | {"updatedAt": "2026-02-11T14:59:59.999Z"}],
                Silence.EARLIER_TRY,
                id="of-an-earlier-record",
            ),
            pytest.param([result("a") | {"updatedAt": "2026-02-11T16:00:00.001+01:00"}], None, id="in-another-zone"),
            pytest.param([result("a") | {"updatedAt": 7}], Silence.EARLIER_TRY, id="of-no-moment"),
            pytest.param([], Silence.PUSHED_NOTHING, id="nothing"),
            pytest.param("s3://bucket/key", Silence.SOMETHING_ELSE, id="kept-elsewhere"),
            pytest.param([["a"]], Silence.SOMETHING_ELSE, id="what-no-operator-here-pushes"),
            pytest.param(None, Silence.PUSHED_NOTHING, id="null"),
        ],
    )
    def test_what_counts(self, told, silence):
        answers = Answers.of([[STALE]], [Instance("success", told)])
        assert [each["presetName"] for each in answers.results] == ([] if silence else ["a"])
        assert answers.silent == ({"a": silence} if silence else {})

    @pytest.mark.parametrize(
        ("flagged", "instances", "told_of", "silent"),
        [
            pytest.param("ab", [("success", "b"), ("success", "a")], "ab", {}, id="in-another-order"),
            pytest.param("ab", [("success", "b")], "b", {"a": Silence.LEFT_OUT}, id="the-first-left-out"),
            pytest.param("ab", [("success", "ab")], "ab", {}, id="all-in-one-task"),
            pytest.param("ab", [("success", "b"), ("success", "b")], "b", {"a": Silence.EARLIER_TRY}, id="twice"),
            pytest.param(
                "abc",
                [("success", "b"), ("failed", "")],
                "b",
                {"a": Silence.FAILED, "c": Silence.FAILED},
                id="left-out-or-failed",
            ),
            pytest.param("ab", [("skipped", "")], "", dict.fromkeys("ab", Silence.SKIPPED), id="skipped-as-a-whole"),
            pytest.param(
                "ab", [("upstream_failed", "")], "", dict.fromkeys("ab", Silence.NOT_RUN), id="not-run-as-a-whole"
            ),
            pytest.param("ab", [("skipped", ""), ("success", "b")], "b", {"a": Silence.SKIPPED}, id="one-skipped"),
            pytest.param(
                "abc",
                [("skipped", ""), ("success", "b")],
                "b",
                {"a": Silence.LEFT_OUT, "c": Silence.LEFT_OUT},
                id="which-one-was-skipped-is-not-known",
            ),
            pytest.param("ab", [], "", dict.fromkeys("ab", Silence.NOT_RUN), id="none"),
            pytest.param("a", [("success", "x")], "", {"a": Silence.EARLIER_TRY}, id="of-what-is-not-stale-now"),
        ],
    )
    def test_answers_are_found_by_preset_in_any_task(self, flagged, instances, told_of, silent):
        answers = Answers.of(
            [[STALE | {"presetName": name}] for name in flagged],
            [Instance(state, [result(name) for name in names] or None) for state, names in instances],
        )
        assert "".join(sorted(each["presetName"] for each in answers.results)) == told_of
        assert answers.silent == silent

    def test_an_earlier_record_is_told_beside_a_result_that_counts(self):
        told = [result("a") | {"updatedAt": "2026-02-11T14:00:00.000Z"}, result("b")]
        answers = Answers.of([[STALE, STALE | {"presetName": "b"}]], [Instance("success", told)])
        assert answers.silent == {"a": Silence.EARLIER_TRY}

    def test_of_two_answers_the_one_at_the_batchs_own_place_counts(self):
        """Detection and the second instance were cleared; the first was not."""
        other = STALE | {"presetName": "b"}
        told = [Instance("success", [result("b", "still_building")]), Instance("success", [result("b")])]
        (counted,) = Answers.of([[STALE], [other]], told).results
        assert counted["outcome"] == "corrected_ready"

    @pytest.mark.parametrize(
        ("first", "second", "complains"),
        [
            pytest.param(("success", "ab"), ("failed", ""), True, id="failed-beside-the-answers"),
            pytest.param(("success", "ab"), ("success", ""), False, id="none-failed"),
            pytest.param(("success", "a"), ("failed", ""), False, id="the-lost-result-tells"),
        ],
    )
    def test_a_failed_task_with_all_results_is_reported(self, first, second, complains):
        told = [Instance(state, [result(name) for name in names] or None) for state, names in (first, second)]
        assert bool(Answers.of([[STALE], [STALE | {"presetName": "b"}]], told).complaints) is complains

    @pytest.mark.parametrize(
        ("state_", "outcomes", "failed"),
        [
            ("success", ["still_building"], ""),
            ("failed", ["still_building"], "a"),
            ("failed", ["corrected_ready", "refused"], "ab"),
            ("failed", ["still_building", "error"], ""),
        ],
    )
    def test_a_task_that_failed_without_an_error_of_a_preset(self, state_, outcomes, failed):
        names = "ab"[: len(outcomes)]
        results = [result(name, outcome) for name, outcome in zip(names, outcomes, strict=True)]
        batch = [STALE | {"presetName": name} for name in names]
        assert Answers.of([batch], [Instance(state_, results)]).failed == frozenset(failed)

    @pytest.mark.parametrize(
        ("state_", "silence"),
        [
            ("skipped", Silence.SKIPPED),
            ("success", Silence.PUSHED_NOTHING),
            ("failed", Silence.FAILED),
            *((each, Silence.NOT_RUN) for each in ("upstream_failed", "removed", "running", "up_for_retry", None)),
        ],
    )
    def test_why_an_instance_told_nothing(self, state_, silence):
        assert Silence.of(state_) is silence


@pytest.mark.parametrize(
    ("flagged", "results", "fail_on", "failures"),
    [
        pytest.param(["a"], [result("a")], [], (), id="none"),
        pytest.param(
            ["a"], [result("a", "config_invalid")], [], (), id="what-a-person-should-look-at-is-no-failure-by-itself"
        ),
        pytest.param(["a", "b"], [result("b", "error"), result("a", "error")], [], ("error: a, b",), id="errors"),
        pytest.param(["b", "a"], [], [], ("no result: a, b",), id="lost-results"),
        pytest.param(["a", "b"], [result("a", "error")], [], ("error: a", "no result: b"), id="both"),
        pytest.param(
            ["a", "b"],
            [result("a", "config_invalid"), result("b", "no_images")],
            ["config_invalid"],
            ("config_invalid: a",),
            id="outcomes-named-in-fail_on",
        ),
        pytest.param(
            ["a", "b"],
            [result("a", "error"), result("b", "no_images")],
            ["no_images"],
            ("error: a", "no_images: b"),
            id="error-beside-fail_on",
        ),
        pytest.param([], [], ["degraded"], (), id="not-degraded"),
        pytest.param(
            ["a"],
            [result("a", "no_images")],
            ["degraded"],
            ("degraded: 2 presets ready",),
            id="degraded",
        ),
    ],
)
def test_failures(flagged, results, fail_on, failures):
    assert report(seen(state("a"), state("b")), flag(*flagged), results, fail_on).failures == failures


@pytest.mark.parametrize(
    ("outcome", "fail_on", "failures", "detail"),
    [
        pytest.param(
            "still_building",
            [],
            ("its task failed after this result: a (still_building)",),
            "its task failed after this result, see its log: why",
            id="killed-while-it-waited",
        ),
        pytest.param(
            "refused",
            [],
            ("its task failed after this result: a (refused)",),
            "why",
            id="what-a-person-must-mend",
        ),
        pytest.param("refused", ["refused"], ("refused: a",), "why", id="told-once"),
    ],
)
def test_a_task_that_failed_fails_the_run(outcome, fail_on, failures, detail):
    told = [result("a", outcome, status="building", detail="why")]
    made = report(seen(state("a", "building", "ami-0")), flag("a"), told, fail_on, failed={"a"})
    (line,) = made.value["presets"]
    assert (made.value["status"], made.failures, line["outcome"]) == ("degraded", failures, outcome)
    assert line["detail"] == detail


@pytest.mark.parametrize(
    ("malformed", "failures"),
    [
        pytest.param([], (), id="none"),
        pytest.param(
            [{"jobId": "AMI#x", "presetName": "x", "reason": "no record"}],
            ("named, but not looked at: x (no record)",),
            id="no-record",
        ),
        pytest.param(
            [{"jobId": None, "presetName": "a/b", "reason": "no name"}, MALFORMED],
            ("named, but not looked at: a/b (no name), x (status)",),
            id="no-name-and-malformed",
        ),
        pytest.param(
            [{"jobId": "AMI-INTENT#a#dag/run/1", "presetName": "a", "reason": "updatedAt"}], (), id="an-intent-of-its"
        ),
    ],
)
def test_a_named_preset_that_was_not_looked_at_is_a_failure(malformed, failures):
    survey = seen(state("a"), malformed=malformed)
    assert report(survey | {"named": True}, [], []).failures == failures
    assert report(survey, [], []).failures == ()


def test_a_failure_with_many_names_stays_short():
    names = [f"preset-{number}" for number in range(2000)]
    (failure,) = report(seen(), flag(*names), []).failures
    assert len(failure) < 250


class TestAudit:
    def drifted(self, *names, error=None):
        findings = [{"presetName": name, "outcome": "drifted", "detail": f"of {name}"} for name in names]
        return {"audit": {"findings": findings, "error": error}}

    def test_a_drifted_preset_keeps_its_status(self):
        made = report(seen(state("a"), state("b")) | self.drifted("b"), [], [])
        assert [(line["name"], line["status"], line["outcome"], line["detail"]) for line in made.value["presets"]] == [
            ("a", "ready", None, ""),
            ("b", "ready", "drifted", "of b"),
        ]
        assert made.value["status"] == "degraded"
        assert made.value["message"] == "2 presets ready, 1 parameter drifted; none was stale"
        assert made.failures == ()

    def test_drift_fails_the_run_if_asked_to(self):
        made = report(seen(state("a"), state("b")) | self.drifted("b"), [], [], ["drifted"])
        assert made.failures == ("drifted: b",)

    def test_an_audit_that_failed_fails_the_run_and_hides_nothing(self):
        survey = seen(state("a", "building")) | self.drifted(error="no")
        made = report(survey, flag("a"), [result("a")])
        assert made.value["presets"][0]["outcome"] == "corrected_ready"
        assert made.value["message"] == "1 preset ready; the audit is incomplete: no"
        assert made.failures == ("the audit is incomplete, the rest of the run did its work: no",)
        assert made.value["status"] == "degraded"

    def test_without_an_audit_nothing_is_said(self):
        made = report(seen(state("a")), [], [])
        assert (made.value["status"], made.failures) == ("ready", ())
