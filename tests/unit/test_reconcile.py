"""The write protocol of one preset, row by row: each call it makes, the answer it gets, and what it comes to."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from spot_runner_provider.protocol.calls import (
    AmbiguousPut,
    Busy,
    Call,
    Commit,
    Committed,
    DescribeConfig,
    FindPipeline,
    ForgetIntent,
    LatestImage,
    LogIntent,
    Lost,
    Pause,
    PutConfig,
    PutsInVain,
    ReadConfig,
    ReadHistory,
    ReadState,
    Refused,
    Throttled,
    resource_of,
)
from spot_runner_provider.protocol.candidate import Candidate, Run
from spot_runner_provider.protocol.outcome import Replacement
from spot_runner_provider.protocol.reconcile import MAX_ROUNDS, reconcile, retold, untouched
from spot_runner_provider.records.ami_state import AmiState, MalformedRecord, Status
from spot_runner_provider.records.image import Ami, Image, Pipeline, UndatedImage
from spot_runner_provider.records.intent import Intent
from spot_runner_provider.records.parameter import ConfigVersion
from spot_runner_provider.records.platform import Platform

from .values import ACCOUNT, NOW, REGION

PRESET = "linux-x64"
PIPELINE = f"arn:aws:imagebuilder:{REGION}:{ACCOUNT}:image-pipeline/spot-runner-linux-x64"
IMAGE = f"arn:aws:imagebuilder:{REGION}:{ACCOUNT}:image/spot-runner-linux-x64/1.0.0/7"
AVAILABLE = Image(
    IMAGE, "AVAILABLE", datetime(2026, 2, 11, 15, 30, tzinfo=UTC), amis=(Ami("ami-0new", REGION, ACCOUNT),)
)

RUN = Run(owner="dag/run", attempt="2", region=REGION, clock=lambda: NOW)
DRY_RUN = replace(RUN, dry_run=True)

SEEN = AmiState(PRESET, Status.BUILDING, "2026-02-11T15:00:00.000Z", "ami-0old", "arn:old")
STALE = Candidate(PRESET, SEEN)
READY = AmiState(PRESET, Status.READY, "2026-02-11T16:04:48.123Z", "ami-0new", IMAGE, None, "dag/run")
FAILED = AmiState(PRESET, Status.FAILED, "2026-02-11T16:04:48.123Z", "ami-0old", IMAGE, "FAILED: no disk", "dag/run")
NEWER = AmiState(PRESET, Status.READY, "2026-02-11T16:05:00.000Z", "ami-0newer", "arn:newer")
REBUILDING = AmiState(PRESET, Status.BUILDING, "2026-02-11T16:05:00.000Z", "ami-0new")

CONFIG = ConfigVersion(7, '{"ami":"ami-0old","x":1}')
TEXT = '{"ami":"ami-0new","x":1}'
INTENT = Intent("AMI-INTENT#linux-x64#dag/run/2", PRESET, "2026-02-11T16:05:48.123Z", 7, "ami-0new", IMAGE)

FOUND = (FindPipeline(("spot-runner-linux-x64",)), [Pipeline("spot-runner-linux-x64", PIPELINE)])
BUILT = (LatestImage(PIPELINE), AVAILABLE)
READ = (ReadConfig(PRESET), CONFIG)
LOGGED = (LogIntent(INTENT), None)
COMMITTED = (Commit(SEEN, READY), Committed())
PUT = (PutConfig(PRESET, CONFIG, TEXT), 8)
LOOKED = (ReadState(PRESET), READY)
FORGOT = (ForgetIntent(INTENT.job_id), None)


def play(candidate, *script, run=RUN):
    """Reconcile against a script of calls and answers; return the result, or the exception that it ended in.

    An answer that is an exception is thrown in. Any other call, or one too many or too few, fails the test.
    """
    flow = reconcile(candidate, run)
    resume = partial(next, flow)
    for expected, answer in script:
        try:
            call = resume()
        except StopIteration as stop:
            pytest.fail(f"{expected} was not asked; it ended with {stop.value}")
        assert call == expected
        resume = partial(flow.throw if isinstance(answer, Exception) else flow.send, answer)
    try:
        call = resume()
    except StopIteration as stop:
        return stop.value
    except Exception as error:
        return error
    return pytest.fail(f"{call} was asked besides")


def built(image):
    return LatestImage(PIPELINE), image


def what(result):
    """The outcome, and the record as it stands."""
    return result.outcome, result.status, result.ami_id, result.updated_at, result.build_id


AS_IT_WAS = ("building", "ami-0old", "2026-02-11T15:00:00.000Z", "arn:old")
AS_READY = ("ready", "ami-0new", "2026-02-11T16:04:48.123Z", IMAGE)


class TestNothingToWrite:
    @pytest.mark.parametrize("run", [RUN, DRY_RUN], ids=["run", "dry-run"])
    @pytest.mark.parametrize(
        ("script", "outcome", "detail"),
        [
            pytest.param(
                [(FOUND[0], [])],
                "pipeline_not_found",
                "'spot-runner-linux-x64' in us-east-1",
                id="no-pipeline",
            ),
            pytest.param([FOUND, built(None)], "no_images", "has no images", id="no-images"),
            pytest.param(
                [FOUND, built(UndatedImage("image arn:undated has no readable dateCreated"))],
                "no_usable_ami",
                "arn:undated",
                id="undated",
            ),
            pytest.param(
                [FOUND, built(replace(AVAILABLE, status="TESTING"))], "still_building", "TESTING", id="in-progress"
            ),
            pytest.param(
                [FOUND, built(replace(AVAILABLE, status="DELETED"))], "no_usable_ami", "DELETED", id="deleted"
            ),
            pytest.param(
                [FOUND, built(replace(AVAILABLE, amis=()))], "no_usable_ami", "no AMI in us-east-1", id="no-ami"
            ),
            pytest.param(
                [FOUND, built(replace(AVAILABLE, status="DREAMING"))], "no_usable_ami", "DREAMING", id="unknown"
            ),
        ],
    )
    def test_without_a_build_that_ended(self, script, outcome, detail, run):
        result = play(STALE, *script, run=run)
        assert (what(result), detail in result.detail) == ((outcome, *AS_IT_WAS), True)

    @pytest.mark.parametrize("run", [RUN, DRY_RUN], ids=["run", "dry-run"])
    @pytest.mark.parametrize(
        ("config", "detail"),
        [
            pytest.param(None, "the parameter does not exist", id="missing"),
            pytest.param(ConfigVersion(7, "ami-1"), "the parameter is a bare AMI id", id="bare-ami"),
            pytest.param(ConfigVersion(7, "[]"), "the parameter is JSON, but not an object", id="list"),
            pytest.param(ConfigVersion(7, ""), "the parameter is empty", id="empty"),
            pytest.param(ConfigVersion(7, "{", secure=True), "the parameter is not JSON", id="torn"),
        ],
    )
    def test_with_a_parameter_that_cannot_be_updated(self, config, detail, run):
        result = play(STALE, FOUND, BUILT, (ReadConfig(PRESET), config), run=run)
        assert (what(result), result.detail.startswith(detail)) == (("config_invalid", *AS_IT_WAS), True)
        assert ": /spot-runner/configs/linux-x64; record and parameter unchanged. " in result.detail


class TestStuck:
    """A build that runs for longer than any should."""

    RUNNING = replace(AVAILABLE, status="TESTING", created=NOW - timedelta(hours=6, seconds=1), amis=())

    @pytest.mark.parametrize("run", [RUN, DRY_RUN], ids=["run", "dry-run"])
    def test_it_is_told_since_when_and_what_to_do(self, run):
        result = play(STALE, FOUND, built(self.RUNNING), run=run)
        assert (what(result), result.detail) == (
            ("stuck", *AS_IT_WAS),
            f"the build is TESTING, and it began at 2026-02-11T10:05:47.123Z; record unchanged. Look at image {IMAGE}. "
            "If nothing moves, cancel the build and start another",
        )

    @pytest.mark.parametrize(
        ("created", "stuck_after", "outcome"),
        [
            pytest.param(NOW - timedelta(hours=6), timedelta(hours=6), "still_building", id="not-yet"),
            pytest.param(NOW - timedelta(hours=7), timedelta(hours=7, seconds=1), "still_building", id="longer-limit"),
            pytest.param(NOW - timedelta(minutes=2), timedelta(minutes=1), "stuck", id="shorter-limit"),
            pytest.param(NOW - timedelta(days=90), timedelta(0), "still_building", id="never"),
            pytest.param(NOW + timedelta(minutes=1), timedelta(minutes=1), "still_building", id="clock-ahead"),
            pytest.param(None, timedelta(hours=6), "still_building", id="undated"),
        ],
    )
    def test_from_when_on(self, created, stuck_after, outcome):
        image = replace(self.RUNNING, created=created)
        assert play(STALE, FOUND, built(image), run=replace(RUN, stuck_after=stuck_after)).outcome == outcome

    @pytest.mark.parametrize("status", ["AVAILABLE", "FAILED", "DELETED"])
    def test_a_build_that_ended_never_is(self, status):
        image = built(replace(AVAILABLE, status=status, created=NOW - timedelta(days=90)))
        read = [READ] if status == "AVAILABLE" else []
        assert play(STALE, FOUND, image, *read, run=DRY_RUN).outcome != "stuck"


class TestDisabledPipeline:
    """Following an advice to start a build does not help for long where the pipeline is switched off."""

    SAID = (
        "Image Builder disabled pipeline 'spot-runner-linux-x64' after 5 failed builds in a row: enable it, or no "
        "build starts by itself"
    )
    FAILED_IMAGE = replace(AVAILABLE, status="FAILED", reason="no disk")

    def found(self, **pipeline):
        return FOUND[0], [replace(FOUND[1][0], **pipeline)]

    @pytest.mark.parametrize(
        ("failures", "said"),
        [(5, SAID), (0, "pipeline 'spot-runner-linux-x64' is disabled")],
        ids=["failures", "person"],
    )
    def test_it_is_told_beside_a_failed_build_and_not_in_the_record(self, failures, said):
        found = self.found(is_enabled=False, failures=failures)
        result = play(STALE, found, built(self.FAILED_IMAGE), (Commit(SEEN, FAILED), Committed()))
        assert (result.outcome, result.detail) == ("corrected_failed", f"{said}; FAILED: no disk")

    def test_a_dry_run_tells_it_too(self):
        result = play(STALE, self.found(is_enabled=False, failures=5), built(self.FAILED_IMAGE), run=DRY_RUN)
        assert result.detail == f"{self.SAID}; dry run: would set failed (FAILED: no disk)"

    def test_it_is_told_where_there_is_no_image(self):
        result = play(STALE, self.found(is_enabled=False, failures=5), built(None))
        assert (result.outcome, result.detail.endswith(f"Start a build; {self.SAID}")) == ("no_images", True)

    def test_it_is_not_told_where_a_build_succeeded(self):
        found = self.found(is_enabled=False)
        result = play(STALE, found, BUILT, READ, LOGGED, COMMITTED, PUT, LOOKED, FORGOT)
        assert (result.outcome, result.detail) == ("corrected_ready", "")


class TestPipelines:
    """Exactly one of the pipelines that may be the preset's exists, or nothing is written."""

    NAMES = ("spot-runner-{preset}", "spot-runner-{preset}-windows")
    MIXED = replace(RUN, pipeline_names=NAMES)
    FIND = FindPipeline(("spot-runner-linux-x64", "spot-runner-linux-x64-windows"))
    LINUX = Pipeline("spot-runner-linux-x64", PIPELINE)
    WINDOWS = Pipeline("spot-runner-linux-x64-windows", f"{PIPELINE}-windows")
    NO_OTHER = (ReadState("linux-x64-windows"), None)

    @pytest.mark.parametrize("pipeline", [LINUX, WINDOWS], ids=["first", "second"])
    def test_the_one_that_exists_is_looked_up(self, pipeline):
        asked = [self.NO_OTHER] if pipeline is self.WINDOWS else []
        script = ((self.FIND, [pipeline]), *asked, (LatestImage(pipeline.arn), AVAILABLE), READ, LOGGED, COMMITTED)
        result = play(STALE, *script, PUT, LOOKED, FORGOT, run=self.MIXED)
        assert (what(result), result.pipeline_arn) == (("corrected_ready", *AS_READY), pipeline.arn)

    def test_one_without_images_is_named(self):
        script = ((self.FIND, [self.WINDOWS]), self.NO_OTHER, (LatestImage(self.WINDOWS.arn), None))
        result = play(STALE, *script, run=self.MIXED)
        assert (result.outcome, "pipeline 'spot-runner-linux-x64-windows' has" in result.detail) == ("no_images", True)

    @pytest.mark.parametrize("run", [MIXED, replace(MIXED, dry_run=True)], ids=["run", "dry-run"])
    def test_of_several_none_is_taken(self, run):
        result = play(STALE, (self.FIND, [self.LINUX, self.WINDOWS]), run=run)
        assert (what(result), result.pipeline_arn) == (("pipeline_ambiguous", *AS_IT_WAS), None)
        assert result.detail.startswith(
            "pipelines 'spot-runner-linux-x64' and 'spot-runner-linux-x64-windows' exist in us-east-1, and only one "
            "may be the preset's; record unchanged. "
        )

    @pytest.mark.parametrize(
        "other", [SEEN, READY, MalformedRecord("status is dreaming")], ids=["stale", "ready", "odd"]
    )
    def test_one_that_may_be_another_presets_is_not_taken(self, other):
        result = play(STALE, (self.FIND, [self.WINDOWS]), (ReadState("linux-x64-windows"), other), run=self.MIXED)
        assert (what(result), result.detail) == (
            ("pipeline_ambiguous", *AS_IT_WAS),
            "pipeline 'spot-runner-linux-x64-windows' may be that of preset linux-x64-windows as well; record "
            "unchanged. Replace it by one with a name that pipeline_name gives for its preset only. If a preset is "
            "gone, delete its record",
        )

    def test_where_there_is_none_all_are_named(self):
        result = play(STALE, (self.FIND, []), run=self.MIXED)
        assert (what(result), result.detail) == (
            ("pipeline_not_found", *AS_IT_WAS),
            "no pipeline 'spot-runner-linux-x64' or 'spot-runner-linux-x64-windows' in us-east-1; record unchanged. "
            "Create 'spot-runner-linux-x64' or 'spot-runner-linux-x64-windows', correct pipeline_name or the region. "
            "If the preset is gone, delete the record AMI#linux-x64",
        )

    def test_equal_names_count_once(self):
        run = replace(RUN, pipeline_names=("{preset}-x64", "linux-{preset}", "{preset}-x64"))
        candidate = Candidate("linux", replace(SEEN, preset_name="linux"))
        result = play(candidate, (FindPipeline(("linux-x64", "linux-linux")), []), run=run)
        assert "no pipeline 'linux-x64' or 'linux-linux' in us-east-1" in result.detail

    LONG = "x" * 100

    @pytest.mark.parametrize(
        ("templates", "asked", "remedy"),
        [
            pytest.param(("a-longer-name-than-usual-it-is-{preset}",), (), "It cannot exist: correct", id="one"),
            pytest.param(
                ("a-longer-name-than-usual-it-is-{preset}", "and-another-longer-one-than-usual-{preset}"),
                (),
                "None of them can exist: correct",
                id="each-of-two",
            ),
            pytest.param(
                ("a-longer-name-than-usual-it-is-{preset}", "ci-{preset}"),
                (f"ci-{LONG}",),
                f"Create 'ci-{LONG}', correct",
                id="one-of-two",
            ),
        ],
    )
    def test_a_name_that_no_pipeline_can_have_is_not_asked_for(self, templates, asked, remedy):
        candidate = Candidate(self.LONG, replace(SEEN, preset_name=self.LONG))
        script = ((FindPipeline(asked), []),) if asked else ()
        result = play(candidate, *script, run=replace(RUN, pipeline_names=templates))
        assert (result.outcome, f"record unchanged. {remedy} pipeline_name" in result.detail) == (
            "pipeline_not_found",
            True,
        )


class TestPlatform:
    """An image never reaches a parameter that is for another platform."""

    WINDOWS = replace(AVAILABLE, platform=Platform.WINDOWS)
    LINUX_CONFIG = ConfigVersion(7, '{"ami":"ami-0old","platform":"linux"}')
    WINDOWS_CONFIG = ConfigVersion(7, '{"ami":"ami-0old","platform":"windows"}')
    INTENT = replace(INTENT, platform=Platform.WINDOWS)
    TEXT = '{"ami":"ami-0new","platform":"windows"}'
    PUT = (PutConfig(PRESET, WINDOWS_CONFIG, TEXT), 8)
    START = (FOUND, built(WINDOWS), (ReadConfig(PRESET), WINDOWS_CONFIG), (LogIntent(INTENT), None), COMMITTED)

    def found(self, platform):
        return FOUND[0], [replace(FOUND[1][0], platform=platform)]

    @pytest.mark.parametrize("run", [RUN, DRY_RUN], ids=["run", "dry-run"])
    @pytest.mark.parametrize(
        ("image", "pipeline"),
        [
            pytest.param(Platform.WINDOWS, None, id="of-the-image"),
            pytest.param(None, Platform.WINDOWS, id="of-the-pipeline"),
            pytest.param(Platform.WINDOWS, Platform.LINUX, id="of-the-image-before-the-pipelines"),
        ],
    )
    def test_another_one_writes_nothing(self, image, pipeline, run):
        looked_up = (self.found(pipeline), built(replace(AVAILABLE, platform=image)))
        result = play(STALE, *looked_up, (ReadConfig(PRESET), self.LINUX_CONFIG), run=run)
        assert (what(result), result.detail.partition("unchanged. ")[0]) == (
            ("config_invalid", *AS_IT_WAS),
            f"the parameter is for Linux, and image {IMAGE} for Windows: /spot-runner/configs/linux-x64; record and "
            "parameter ",
        )

    def test_it_writes_nothing_even_where_the_parameter_names_the_ami_already(self):
        config = replace(self.LINUX_CONFIG, text='{"ami":"ami-0new","platform":"linux"}')
        assert play(STALE, FOUND, built(self.WINDOWS), (ReadConfig(PRESET), config)).outcome == "config_invalid"

    FAILED_IMAGE = replace(WINDOWS, status="FAILED", reason="no disk")

    def test_a_failed_build_of_the_only_possible_pipeline_is_recorded(self):
        """The parameter is not even read: the record keeps its AMI."""
        image = built(self.FAILED_IMAGE)
        assert play(STALE, FOUND, image, (Commit(SEEN, FAILED), Committed())).outcome == "corrected_failed"

    @pytest.mark.parametrize("dry_run", [True, False])
    @pytest.mark.parametrize(
        ("platform", "config", "outcome"),
        [
            pytest.param(Platform.WINDOWS, LINUX_CONFIG, "config_invalid", id="other"),
            pytest.param(Platform.WINDOWS, WINDOWS_CONFIG, "corrected_failed", id="same"),
            pytest.param(Platform.WINDOWS, CONFIG, "corrected_failed", id="parameter-tells-none"),
            pytest.param(Platform.WINDOWS, ConfigVersion(7, "{"), "corrected_failed", id="torn"),
            pytest.param(Platform.WINDOWS, None, "corrected_failed", id="no-parameter"),
            pytest.param(None, None, "corrected_failed", id="nobody-tells"),
        ],
    )
    def test_a_failed_build_of_one_of_several_must_be_for_it(self, platform, config, outcome, dry_run):
        run = replace(RUN, pipeline_names=("spot-runner-{preset}", "ci-{preset}"), dry_run=dry_run)
        found = (FindPipeline(("spot-runner-linux-x64", "ci-linux-x64")), FOUND[1])
        read = [(ReadConfig(PRESET), config)] if platform else []
        commit = [] if dry_run or outcome == "config_invalid" else [(Commit(SEEN, FAILED), Committed())]
        result = play(STALE, found, built(replace(self.FAILED_IMAGE, platform=platform)), *read, *commit, run=run)
        assert result.outcome == outcome
        if outcome == "config_invalid":
            assert f"is for Linux, and image {IMAGE} for Windows: /spot-runner/configs/linux-x64; rec" in result.detail

    def test_the_same_one_is_told_in_the_intent(self):
        looked = (ReadState(PRESET), READY)
        assert play(STALE, *self.START, self.PUT, looked, FORGOT).outcome == "corrected_ready"

    CHANGED = ConfigVersion(8, '{"ami":"ami-0old","platform":"linux"}')

    def test_one_that_changed_while_a_put_waited_is_left_with_the_intent(self):
        waited = ((self.PUT[0], Throttled()), (Pause(), True), LOOKED)
        result = play(STALE, *self.START, *waited, (ReadHistory(PRESET), [self.WINDOWS_CONFIG, self.CHANGED]))
        assert what(result) == ("config_invalid", "building", *AS_READY[1:])
        assert result.detail.startswith("the parameter is for Linux, and AMI ami-0new for Windows: /spot-runner/")

    @pytest.mark.parametrize("before", ["ami-0old", None], ids=str)
    def test_one_that_changed_before_the_put_covered_it_comes_back_with_its_ami(self, before):
        """As if the person had come before us: nothing that they wrote is lost, and no runner starts from that AMI."""
        changed = replace(self.CHANGED, text=json.dumps({"ami": before, "platform": "linux"}, separators=(",", ":")))
        ours = ConfigVersion(9, self.TEXT)
        script = (
            (self.PUT[0], 9),
            (ReadHistory(PRESET), [self.WINDOWS_CONFIG, changed, ours]),
            (PutConfig(PRESET, ours, changed.text), 10),
        )
        result = play(STALE, *self.START, *script)
        assert (what(result), result.replacement) == (("config_invalid", "building", *AS_READY[1:]), None)
        assert "is for Linux, and AMI ami-0new for Windows" in result.detail

    def test_a_newer_record_is_followed_whatever_its_ami_is_for(self):
        waited = ((self.PUT[0], Throttled()), (Pause(), True), (ReadState(PRESET), NEWER))
        put = (PutConfig(PRESET, self.CHANGED, '{"ami":"ami-0newer","platform":"linux"}'), 9)
        history = (ReadHistory(PRESET), [self.WINDOWS_CONFIG, self.CHANGED])
        result = play(STALE, *self.START, *waited, history, put, (ReadState(PRESET), NEWER), FORGOT)
        assert (result.outcome, result.ami_id) == ("corrected_ready", "ami-0newer")

    LEFT = Intent(
        "AMI-INTENT#linux-x64#dag/before/1",
        PRESET,
        "2026-02-11T15:50:00.000Z",
        7,
        "ami-0new",
        platform=Platform.WINDOWS,
    )

    @pytest.mark.parametrize("ami", ["ami-0old", "ami-0new"], ids=["not-yet-put", "put-already"])
    def test_an_intent_that_a_dead_try_left_is_not_finished_for_another_one(self, ami):
        candidate = Candidate(PRESET, READY, (self.LEFT,))
        changed = replace(self.CHANGED, text=self.CHANGED.text.replace("ami-0old", ami))
        result = play(candidate, LOOKED, (ReadHistory(PRESET), [self.WINDOWS_CONFIG, changed]))
        assert what(result) == ("config_invalid", "building", *AS_READY[1:])
        assert "an earlier run's try stands unfinished. If that image is right, correct" in result.detail

    def test_one_that_changed_before_a_dead_trys_put_comes_back_with_its_ami(self):
        ours, moments = ConfigVersion(9, self.TEXT), (60, 20, 15)
        history = [
            replace(version, modified=NOW - timedelta(minutes=minutes))
            for version, minutes in zip((self.WINDOWS_CONFIG, self.CHANGED, ours), moments, strict=True)
        ]
        own = replace(self.INTENT, stands_for=(self.LEFT.job_id,))
        put = (PutConfig(PRESET, history[-1], self.CHANGED.text), 10)
        script = (LOOKED, (ReadHistory(PRESET), history), (LogIntent(own), None), put)
        assert play(Candidate(PRESET, READY, (self.LEFT,)), *script).outcome == "config_invalid"

    def test_an_intent_of_our_own_hands_it_on(self):
        own = replace(self.INTENT, stands_for=(self.LEFT.job_id,))
        script = (LOOKED, (ReadHistory(PRESET), [self.WINDOWS_CONFIG]), (LogIntent(own), None), self.PUT, LOOKED)
        forgot = (FORGOT, (ForgetIntent(self.LEFT.job_id), None))
        assert play(Candidate(PRESET, READY, (self.LEFT,)), *script, *forgot).outcome == "finished"

    @pytest.mark.parametrize("left", [replace(LEFT, ami_id="ami-0other"), replace(LEFT, platform=None)], ids=repr)
    def test_an_intent_that_tells_nothing_of_the_records_ami_is_finished(self, left):
        own = replace(INTENT, stands_for=(left.job_id,))
        put = (PutConfig(PRESET, self.LINUX_CONFIG, self.LINUX_CONFIG.text.replace("old", "new")), 8)
        script = (LOOKED, (ReadHistory(PRESET), [self.LINUX_CONFIG]), (LogIntent(own), None), put, LOOKED)
        forgot = (FORGOT, (ForgetIntent(left.job_id), None))
        assert play(Candidate(PRESET, READY, (left,)), *script, *forgot).outcome == "finished"


class TestRoomInTheParameter:
    def config(self, length, tier=None):
        """A parameter that is ``length`` bytes long once it names the new AMI."""
        frame = len('{"ami":"ami-0new","x":""}')
        return ConfigVersion(7, '{"ami":"a","x":"' + "x" * (length - frame) + '"}', tier=tier)

    def grown(self, config):
        return config.text.replace('"a"', '"ami-0new"')

    def test_what_fits_a_standard_one_is_not_asked_about(self):
        config = self.config(4096)
        put = (PutConfig(PRESET, config, self.grown(config)), 8)
        script = (FOUND, BUILT, (ReadConfig(PRESET), config), LOGGED, COMMITTED, put, LOOKED, FORGOT)
        assert play(STALE, *script).outcome == "corrected_ready"

    def test_an_advanced_one_takes_more(self):
        config = self.config(4097)
        described = replace(config, tier="Advanced")
        script = (
            FOUND,
            BUILT,
            (ReadConfig(PRESET), config),
            (DescribeConfig(PRESET, config), described),
            LOGGED,
            COMMITTED,
            (PutConfig(PRESET, described, self.grown(config)), 8),
            LOOKED,
            FORGOT,
        )
        assert play(STALE, *script).outcome == "corrected_ready"

    @pytest.mark.parametrize(
        ("length", "tier", "limit"),
        [(4097, "Standard", 4096), (8193, "Advanced", 8192), (4097, None, 4096)],
        ids=["standard", "advanced", "nobody-knows"],
    )
    def test_too_large_for_its_tier(self, length, tier, limit):
        config = self.config(length)
        described = (DescribeConfig(PRESET, config), replace(config, tier=tier))
        result = play(STALE, FOUND, BUILT, (ReadConfig(PRESET), config), described)
        assert (result.outcome, f"over the {limit} bytes" in result.detail) == ("config_invalid", True)

    def test_a_known_tier_is_not_asked_again(self):
        read = (ReadConfig(PRESET), self.config(8193, tier="Advanced"))
        assert play(STALE, FOUND, BUILT, read).outcome == "config_invalid"


class TestFailedBuild:
    FAILED_IMAGE = replace(AVAILABLE, status="FAILED", reason="no disk")

    def test_only_the_record_changes(self):
        result = play(STALE, FOUND, built(self.FAILED_IMAGE), (Commit(SEEN, FAILED), Committed()))
        assert what(result) == ("corrected_failed", "failed", "ami-0old", "2026-02-11T16:04:48.123Z", IMAGE)

    def test_a_cancelled_one_too(self):
        cancelled = replace(FAILED, error_message="CANCELLED: Image Builder gives no reason")
        image = replace(AVAILABLE, status="CANCELLED")
        assert play(STALE, FOUND, built(image), (Commit(SEEN, cancelled), Committed())).outcome == "corrected_failed"

    def test_the_reason_is_told(self):
        result = play(STALE, FOUND, built(self.FAILED_IMAGE), (Commit(SEEN, FAILED), Committed()))
        assert result.detail == "FAILED: no disk"

    @pytest.mark.parametrize(
        ("present", "outcome", "status"),
        [
            pytest.param(NEWER, "superseded", "ready", id="newer-state"),
            pytest.param(None, "superseded", None, id="gone"),
            pytest.param(FAILED, "corrected_failed", "failed", id="own-write"),
        ],
    )
    def test_a_lost_commit(self, present, outcome, status):
        result = play(STALE, FOUND, built(self.FAILED_IMAGE), (Commit(SEEN, FAILED), Lost(present)))
        assert (result.outcome, result.status) == (outcome, status)

    def test_dry_run(self):
        result = play(STALE, FOUND, built(self.FAILED_IMAGE), run=DRY_RUN)
        assert (what(result), result.detail, result.dry_run) == (
            ("corrected_failed", *AS_IT_WAS),
            "dry run: would set failed (FAILED: no disk)",
            True,
        )


class TestAvailableImage:
    START = (FOUND, BUILT, READ, LOGGED)

    def test_read_log_commit_follow_forget(self):
        result = play(STALE, *self.START, COMMITTED, PUT, LOOKED, FORGOT)
        assert what(result) == ("corrected_ready", *AS_READY)

    def test_the_result_tells_what_was_looked_at(self):
        result = play(STALE, *self.START, COMMITTED, PUT, LOOKED, FORGOT)
        assert (result.previous_ami_id, result.pipeline_arn, result.image_arn, result.image_state) == (
            "ami-0old",
            PIPELINE,
            IMAGE,
            "AVAILABLE",
        )

    def test_a_parameter_that_is_right_already_is_not_put(self):
        read = (ReadConfig(PRESET), ConfigVersion(7, TEXT))
        assert play(STALE, FOUND, BUILT, read, LOGGED, COMMITTED, LOOKED, FORGOT).outcome == "corrected_ready"

    def test_the_ami_of_the_pipelines_account_is_taken(self):
        shared = Ami("ami-0shared", REGION, "999999999999")
        image = built(replace(AVAILABLE, amis=(shared, *AVAILABLE.amis)))
        result = play(STALE, FOUND, image, READ, LOGGED, COMMITTED, PUT, LOOKED, FORGOT)
        assert what(result) == ("corrected_ready", *AS_READY)

    def test_the_intent_names_preset_run_and_try(self):
        intent = replace(INTENT, job_id="AMI-INTENT#linux-x64#other/one/5")
        ready = replace(READY, reconciled_by="other/one")
        script = (
            *(FOUND, BUILT, READ, (LogIntent(intent), None), (Commit(SEEN, ready), Committed()), PUT),
            *((ReadState(PRESET), ready), (ForgetIntent(intent.job_id), None)),
        )
        assert play(STALE, *script, run=replace(RUN, owner="other/one", attempt=5)).outcome == "corrected_ready"

    def test_updated_at_is_a_minute_before_the_lookup(self):
        moments = iter([NOW, NOW + timedelta(seconds=90), NOW + timedelta(seconds=91)])
        late = replace(INTENT, logged_at="2026-02-11T16:07:18.123Z")
        script = (FOUND, BUILT, READ, (LogIntent(late), None), COMMITTED, PUT, LOOKED, FORGOT)
        assert play(STALE, *script, run=replace(RUN, clock=lambda: next(moments))).updated_at == READY.updated_at

    def test_updated_at_is_just_after_the_one_seen_if_that_is_later(self):
        seen = replace(SEEN, updated_at="2026-02-11T16:05:30.000Z")
        ready = replace(READY, updated_at="2026-02-11T16:05:30.001Z")
        script = (*self.START, (Commit(seen, ready), Committed()), PUT, (ReadState(PRESET), ready), FORGOT)
        assert play(Candidate(PRESET, seen), *script).updated_at == "2026-02-11T16:05:30.001Z"

    @pytest.mark.parametrize(
        ("created", "warn"),
        [
            pytest.param(datetime(2026, 2, 11, 14, 59, 59, tzinfo=UTC), True, id="before"),
            pytest.param(datetime(2026, 2, 11, 15, tzinfo=UTC), False, id="the-same-moment"),
            pytest.param(datetime(2026, 2, 11, 15, 1, tzinfo=UTC), False, id="after"),
        ],
    )
    def test_an_image_created_before_the_record_is_worth_a_warning(self, created, warn):
        image = built(replace(AVAILABLE, created=created))
        result = play(STALE, FOUND, image, READ, LOGGED, COMMITTED, PUT, LOOKED, FORGOT)
        assert (result.warn, "was created before" in result.detail) == (warn, warn)


class TestLostCommit:
    START = (FOUND, BUILT, READ, LOGGED)

    @pytest.mark.parametrize(
        ("present", "stands"),
        [
            pytest.param(NEWER, ("ready", "ami-0newer", NEWER.updated_at, "arn:newer"), id="newer-state"),
            pytest.param(
                replace(REBUILDING, ami_id="ami-0old"),
                ("building", "ami-0old", REBUILDING.updated_at, None),
                id="new-build",
            ),
            pytest.param(replace(READY, reconciled_by="dag/another"), AS_READY, id="the-same-state-by-another-run"),
            pytest.param(
                replace(REBUILDING, ami_id="ami-0old", reconciled_by="dag/run"),
                ("building", "ami-0old", REBUILDING.updated_at, None),
                id="building-though-signed",
            ),
            pytest.param(None, (None, None, None, None), id="gone-or-malformed"),
        ],
    )
    def test_another_programs_state_is_kept(self, present, stands):
        result = play(STALE, *self.START, (Commit(SEEN, READY), Lost(present)), FORGOT)
        assert what(result) == ("superseded", *stands)

    def test_an_own_write_goes_on(self):
        result = play(STALE, *self.START, (Commit(SEEN, READY), Lost(READY)), PUT, LOOKED, FORGOT)
        assert what(result) == ("corrected_ready", *AS_READY)

    def test_an_earlier_trys_own_write_goes_on(self):
        earlier = replace(READY, ami_id="ami-0earlier", updated_at="2026-02-11T16:00:00.000Z")
        put = (PutConfig(PRESET, CONFIG, '{"ami":"ami-0earlier","x":1}'), 8)
        looked = (ReadState(PRESET), earlier)
        result = play(STALE, *self.START, (Commit(SEEN, READY), Lost(earlier)), put, looked, FORGOT)
        assert (result.outcome, result.ami_id) == ("corrected_ready", "ami-0earlier")

    def test_a_failed_build_with_our_ami_is_followed(self):
        """The commit was applied, its reply lost, and a failed build's event came before its repetition."""
        after_us = replace(FAILED, ami_id="ami-0new", reconciled_by=None)
        script = ((Commit(SEEN, READY), Lost(after_us)), PUT, (ReadState(PRESET), after_us), FORGOT)
        result = play(STALE, *self.START, *script)
        assert (result.outcome, result.status, result.ami_id) == ("superseded", "failed", "ami-0new")

    def test_a_new_build_that_took_our_ami_over_leaves_the_intent(self):
        result = play(STALE, *self.START, (Commit(SEEN, READY), Lost(REBUILDING)))
        assert (result.outcome, result.status) == ("superseded", "building")

    def test_an_earlier_trys_failure_leaves_the_parameter_alone(self):
        result = play(STALE, *self.START, (Commit(SEEN, READY), Lost(FAILED)), FORGOT)
        assert (result.outcome, result.status, result.detail) == ("corrected_failed", "failed", "FAILED: no disk")

    def test_refused_the_intent_is_forgotten(self):
        refusal = Refused("no permission")
        assert play(STALE, *self.START, (Commit(SEEN, READY), refusal), FORGOT) is refusal

    def test_unknown_whether_it_was_applied_the_intent_stays(self):
        error = TimeoutError()
        assert play(STALE, *self.START, (Commit(SEEN, READY), error)) is error


EDITED, OURS = ConfigVersion(8, '{"ami":"ami-0old","x":2}'), ConfigVersion(9, TEXT)
AGAIN, MERGED = ConfigVersion(10, '{"ami":"ami-0new","x":3}'), ConfigVersion(11, '{"ami":"ami-0new","x":2}')
COVERED = (ReadHistory(PRESET), [CONFIG, EDITED, OURS])
MERGE = PutConfig(PRESET, OURS, MERGED.text)

FOLLOWED = {
    "busy-parameter-is-read-again": ((PUT[0], Busy()), (ReadHistory(PRESET), [CONFIG]), PUT, LOOKED, FORGOT),
    "edit-in-between-is-merged": ((PUT[0], 9), COVERED, (MERGE, 10), LOOKED),
    "lost-merging-put-is-repeated": ((PUT[0], 9), COVERED, (MERGE, AmbiguousPut()), COVERED, (MERGE, 10), LOOKED),
    "edit-before-the-merging-put-is-merged": (
        (PUT[0], 9),
        COVERED,
        (MERGE, 11),
        (ReadHistory(PRESET), [CONFIG, EDITED, OURS, AGAIN, MERGED]),
        (PutConfig(PRESET, MERGED, AGAIN.text), 12),
        LOOKED,
    ),
    "harmless-version-in-between": (
        (PUT[0], 9),
        (ReadHistory(PRESET), [CONFIG, ConfigVersion(8, CONFIG.text), OURS]),
        LOOKED,
    ),
    "lost-reply-applied": (
        (PUT[0], AmbiguousPut()),
        (ReadHistory(PRESET), [CONFIG, ConfigVersion(8, TEXT)]),
        LOOKED,
    ),
    "lost-reply-not-applied": ((PUT[0], AmbiguousPut()), (ReadHistory(PRESET), [CONFIG]), PUT, LOOKED),
    "lost-reply-covered-an-edit": ((PUT[0], AmbiguousPut()), COVERED, (MERGE, 10), LOOKED),
}
"""What others, or the network, do while the parameter follows its record."""


class TestFollow:
    """A put that met somebody else's version, or got no reply, leaves the intent for another look."""

    START = (FOUND, BUILT, READ, LOGGED, COMMITTED)

    @pytest.mark.parametrize("script", FOLLOWED.values(), ids=FOLLOWED)
    def test_the_parameter_follows_what_others_do_meanwhile(self, script):
        assert play(STALE, *self.START, *script).outcome == "corrected_ready"

    def test_a_throttled_put_waits_and_reads_both_again_first(self):
        edited = ConfigVersion(8, '{"ami":"ami-0old","x":2}')
        script = (
            (PUT[0], Throttled()),
            (Pause(), True),
            LOOKED,
            (ReadHistory(PRESET), [CONFIG, edited]),
            (PutConfig(PRESET, edited, '{"ami":"ami-0new","x":2}'), Throttled()),
            (Pause(), False),
            (Pause(), True),
            LOOKED,
            (ReadHistory(PRESET), [CONFIG, edited]),
            (PutConfig(PRESET, edited, '{"ami":"ami-0new","x":2}'), 9),
        )
        assert play(STALE, *self.START, *script, LOOKED, FORGOT).outcome == "corrected_ready"

    def test_a_newer_record_found_while_waiting_is_followed(self):
        newer = replace(READY, ami_id="ami-0newer", reconciled_by=None)
        stands = ConfigVersion(8, '{"ami":"ami-0newer"}')
        script = (
            (PUT[0], Throttled()),
            (Pause(), True),
            (ReadState(PRESET), newer),
            (ReadHistory(PRESET), [CONFIG, stands]),
            (ReadState(PRESET), newer),
            FORGOT,
        )
        assert play(STALE, *self.START, *script).ami_id == "ami-0newer"

    @pytest.mark.parametrize("meanwhile", [None, SEEN], ids=["gone", "building-again"])
    def test_a_record_that_settles_nothing_any_more_is_not_followed(self, meanwhile):
        script = ((PUT[0], Throttled()), (Pause(), True), (ReadState(PRESET), meanwhile), FORGOT)
        assert play(STALE, *self.START, *script).outcome == "corrected_ready"

    def test_a_new_build_with_the_unput_ami_keeps_the_intent(self):
        building = replace(SEEN, ami_id=READY.ami_id)
        script = ((PUT[0], Throttled()), (Pause(), True), (ReadState(PRESET), building))
        assert play(STALE, *self.START, *script).outcome == "corrected_ready"

    def test_an_intent_is_renewed_while_its_put_waits(self):
        moments = iter([NOW, NOW, NOW, NOW + timedelta(minutes=2, seconds=1), NOW, NOW])
        renewed = replace(INTENT, logged_at="2026-02-11T16:07:49.123Z")
        waiting = ((PUT[0], Throttled()), (Pause(), False), (LogIntent(renewed), None), (Pause(), True))
        script = (*self.START, *waiting, LOOKED, (ReadHistory(PRESET), [CONFIG]), PUT, LOOKED, FORGOT)
        run = replace(RUN, clock=lambda: next(moments))
        assert play(STALE, *script, run=run).outcome == "corrected_ready"

    def test_a_put_that_waited_in_vain_leaves_the_intent(self):
        error = PutsInVain("no")
        assert play(STALE, *self.START, (PUT[0], Throttled()), (Pause(), error)) is error

    def test_an_intent_is_renewed_before_it_looks_abandoned(self):
        moments = iter([NOW, NOW, NOW + timedelta(minutes=2, seconds=1)])
        renewed = replace(INTENT, logged_at="2026-02-11T16:07:49.123Z")
        script = (*self.START, (LogIntent(renewed), None), PUT, LOOKED, FORGOT)
        run = replace(RUN, clock=lambda: next(moments))
        assert play(STALE, *script, run=run).outcome == "corrected_ready"

    def test_what_is_taken_back_after_all_was_mended_stays_so(self):
        """Our next put, for a newer record, restores no more what an earlier one had covered."""
        edited, ours = ConfigVersion(8, '{"ami":"ami-0old","x":2}'), ConfigVersion(9, TEXT)
        mended, back = ConfigVersion(10, '{"ami":"ami-0new","x":2}'), ConfigVersion(11, TEXT)
        newer = replace(READY, ami_id="ami-0newer", reconciled_by=None)
        script = (
            (PUT[0], 9),
            (ReadHistory(PRESET), [CONFIG, edited, ours]),
            (PutConfig(PRESET, ours, mended.text), 10),
            (ReadState(PRESET), newer),
            (PutConfig(PRESET, mended, '{"ami":"ami-0newer","x":2}'), Busy()),
            (ReadHistory(PRESET), [CONFIG, edited, ours, mended, back]),
            (PutConfig(PRESET, back, '{"ami":"ami-0newer","x":1}'), 12),
            (ReadState(PRESET), newer),
        )
        assert play(STALE, *self.START, *script).ami_id == "ami-0newer"

    def test_a_record_that_changed_its_ami_is_followed(self):
        ours = ConfigVersion(8, TEXT)
        script = (
            PUT,
            (ReadState(PRESET), NEWER),
            (PutConfig(PRESET, ours, '{"ami":"ami-0newer","x":1}'), 9),
            (ReadState(PRESET), NEWER),
            FORGOT,
        )
        result = play(STALE, *self.START, *script)
        assert what(result) == ("corrected_ready", "ready", "ami-0newer", NEWER.updated_at, "arn:newer")

    @pytest.mark.parametrize(
        ("present", "ami_id"),
        [
            pytest.param(REBUILDING, "ami-0new", id="building-again"),
            pytest.param(None, "ami-0new", id="gone"),
            pytest.param(replace(FAILED, ami_id=None), None, id="failed-without-ami"),
        ],
    )
    def test_a_record_that_settles_nothing_by_now_ends_it(self, present, ami_id):
        result = play(STALE, *self.START, PUT, (ReadState(PRESET), present), FORGOT)
        assert result.ami_id == ami_id

    @pytest.mark.parametrize("broken", [[], [ConfigVersion(9, "not json")]], ids=["gone", "broken"])
    def test_a_parameter_broken_since_the_commit_leaves_the_intent(self, broken):
        result = play(STALE, *self.START, (PUT[0], 9), (ReadHistory(PRESET), broken))
        assert what(result) == ("config_invalid", "building", *AS_READY[1:])

    def test_any_other_error_leaves_the_intent(self):
        error = TimeoutError()
        assert play(STALE, *self.START, PUT, (ReadState(PRESET), error)) is error

    def test_a_parameter_changed_again_and_again_keeps_its_intent(self):
        rounds = []
        config, text = CONFIG, TEXT
        for _ in range(MAX_ROUNDS):
            changed = ConfigVersion(config.version + 3, '{"ami":"pending"}')
            rounds += [
                (PutConfig(PRESET, config, text), config.version + 2),
                (ReadHistory(PRESET), [changed]),
            ]
            config, text = changed, '{"ami":"ami-0new"}'
        assert isinstance(play(STALE, *self.START, *rounds), PutsInVain)


class TestDryRunOfAnAvailableImage:
    @pytest.mark.parametrize(
        ("config", "detail"),
        [
            pytest.param(CONFIG, "dry run: would set ready with ami-0new, and ami from ami-0old", id="plain"),
            pytest.param(
                replace(CONFIG, secure=True),
                "dry run: would set ready with ami-0new, and ami from another value",
                id="secret-value-not-shown",
            ),
        ],
    )
    def test_writes_nothing_and_says_what_it_would_do(self, config, detail):
        result = play(STALE, FOUND, BUILT, (ReadConfig(PRESET), config), run=DRY_RUN)
        assert (what(result), result.detail, result.dry_run) == (("corrected_ready", *AS_IT_WAS), detail, True)

    def test_says_too_that_the_image_is_older_than_the_record(self):
        image = built(replace(AVAILABLE, created=datetime(2026, 2, 11, 14, tzinfo=UTC)))
        assert "was created before" in play(STALE, FOUND, image, READ, run=DRY_RUN).detail


class TestReplacement:
    """What the run made of the parameter's AMI, whichever of its tries did."""

    DONE = Replacement("ami-0new", "ami-0old", IMAGE)
    AGAIN = Candidate(PRESET, replace(READY, status=Status.BUILDING))
    """As a second try knows a preset by its name: the record has the new AMI already."""
    THERE = (ReadConfig(PRESET), replace(CONFIG, text=TEXT))
    BEFORE = (ReadHistory(PRESET), [replace(CONFIG, version=6), replace(CONFIG, text=TEXT)])

    def test_of_the_parameters_ami(self):
        result = play(STALE, FOUND, BUILT, READ, LOGGED, COMMITTED, PUT, LOOKED, FORGOT)
        assert result.replacement == self.DONE

    def test_of_what_the_parameter_named_not_the_record(self):
        drifted = replace(CONFIG, text=CONFIG.text.replace("ami-0old", "ami-0drifted"))
        put = (PutConfig(PRESET, drifted, TEXT), 8)
        result = play(STALE, FOUND, BUILT, (ReadConfig(PRESET), drifted), LOGGED, COMMITTED, put, LOOKED, FORGOT)
        assert result.replacement == replace(self.DONE, previous_ami_id="ami-0drifted")

    def test_a_parameter_that_is_right_already_was_not_replaced(self):
        result = play(STALE, FOUND, BUILT, self.THERE, LOGGED, COMMITTED, LOOKED, FORGOT)
        assert result.replacement is None

    @pytest.mark.parametrize("repeated", [True, False])
    def test_in_a_second_try_it_was_the_first_that_made_it_right(self, repeated):
        lost = (Commit(SEEN, READY), Lost(READY))
        run = replace(RUN, repeated=repeated)
        result = play(STALE, FOUND, BUILT, self.THERE, LOGGED, lost, LOOKED, FORGOT, run=run)
        assert result.replacement == (self.DONE if repeated else None)

    def test_the_history_shows_the_previous_ami(self):
        lost = (Commit(self.AGAIN.state, replace(READY, updated_at="2026-02-11T16:04:48.124Z")), Lost(READY))
        script = (FOUND, BUILT, self.THERE, LOGGED, lost, LOOKED, self.BEFORE, FORGOT)
        assert play(self.AGAIN, *script, run=replace(RUN, repeated=True)).replacement == self.DONE

    @pytest.mark.parametrize("repeated", [True, False])
    def test_the_try_befores_result_counts_only_in_a_retry(self, repeated):
        left = Candidate(PRESET, READY, (TestUnfinished.LEFT,))
        history = [replace(CONFIG, version=5), replace(CONFIG, version=6, text=TEXT)]
        script = (LOOKED, (ReadHistory(PRESET), history), TestUnfinished().logged(left=left.intents), LOOKED)
        forgot = ((ForgetIntent(TestUnfinished.OWN), None), TestUnfinished.FORGOT_BOTH[0])
        result = play(left, *script, *forgot, run=replace(RUN, repeated=repeated))
        assert result.replacement == (self.DONE if repeated else None)

    def test_finishing_an_overtaken_commit_replaces_too(self):
        """Its record is of a failed build, so nothing tells which one made the AMI."""
        failed = AmiState(PRESET, Status.FAILED, "2026-02-11T16:05:00.000Z", "ami-0new", "arn:failed", "no disk")
        lost, looked = (Commit(SEEN, READY), Lost(failed)), (ReadState(PRESET), failed)
        result = play(STALE, FOUND, BUILT, READ, LOGGED, lost, PUT, looked, FORGOT)
        assert (result.outcome, result.replacement) == ("superseded", replace(self.DONE, build_id=None))

    def test_an_unsettled_record_leaves_the_parameter_as_it_is(self):
        throttled = (PutConfig(PRESET, CONFIG, TEXT), Throttled("too many"))
        script = (FOUND, BUILT, READ, LOGGED, COMMITTED, throttled, (Pause(), True), (ReadState(PRESET), None), FORGOT)
        assert play(STALE, *script).replacement is None

    @pytest.mark.parametrize("secure", [True, False], ids=["SecureString", "String"])
    def test_what_a_secure_string_held_is_not_told(self, secure):
        history = [ConfigVersion(5, CONFIG.text, secure=secure)]
        put = (PutConfig(PRESET, history[-1], TEXT), 6)
        candidate = Candidate(PRESET, READY, (TestUnfinished.LEFT,))
        own = TestUnfinished().logged(left=candidate.intents)
        script = (LOOKED, (ReadHistory(PRESET), history), own, put, LOOKED)
        result = play(candidate, *script, (ForgetIntent(TestUnfinished.OWN), None), TestUnfinished.FORGOT_BOTH[0])
        assert result.replacement == replace(self.DONE, previous_ami_id=None if secure else "ami-0old")

    @pytest.mark.parametrize("ami", ["ami-0drifted", "ami-0new"])
    def test_our_own_put_counts_before_the_earlier_trys(self, ami):
        """What stood when this try put is known; what stood before the earlier one is taken from the record."""
        config = replace(CONFIG, text=CONFIG.text.replace("ami-0old", ami))
        put = [(PutConfig(PRESET, config, TEXT), 8)] if ami == "ami-0drifted" else []
        script = (FOUND, BUILT, (ReadConfig(PRESET), config), LOGGED, (COMMITTED[0], Lost(READY)), *put, LOOKED, FORGOT)
        before = "ami-0drifted" if put else "ami-0old"
        result = play(STALE, *script, run=replace(RUN, repeated=True))
        assert result.replacement == replace(self.DONE, previous_ami_id=before)

    def test_a_retry_whose_own_commit_held_did_not_replace_what_was_right(self):
        script = (FOUND, BUILT, self.THERE, LOGGED, COMMITTED, LOOKED, FORGOT)
        assert play(STALE, *script, run=replace(RUN, repeated=True)).replacement is None

    def test_of_a_secure_string_the_record_tells_the_previous_ami(self):
        secure = replace(CONFIG, text=CONFIG.text.replace("ami-0old", "ami-0secret"), secure=True)
        put = (PutConfig(PRESET, secure, TEXT), 8)
        result = play(STALE, FOUND, BUILT, (ReadConfig(PRESET), secure), LOGGED, COMMITTED, put, LOOKED, FORGOT)
        assert result.replacement == self.DONE

    def test_of_several_puts_the_first_tells_the_previous_ami(self):
        newer = (PutConfig(PRESET, ConfigVersion(8, TEXT), TEXT.replace("new", "newer")), 9)
        looked = (ReadState(PRESET), NEWER)
        result = play(STALE, FOUND, BUILT, READ, LOGGED, COMMITTED, PUT, looked, newer, looked, FORGOT)
        assert result.replacement == Replacement("ami-0newer", "ami-0old", "arn:newer")

    def test_a_put_whose_reply_was_lost_replaces_too(self):
        lost = ((PUT[0], AmbiguousPut()), (ReadHistory(PRESET), [CONFIG, ConfigVersion(8, TEXT)]))
        assert play(STALE, FOUND, BUILT, READ, LOGGED, COMMITTED, *lost, LOOKED).replacement == self.DONE

    def test_a_put_that_only_mends_an_edit_replaces_nothing(self):
        texts = (CONFIG.text, CONFIG.text.replace("1", "2"), TEXT)
        history = [
            ConfigVersion(number, text, modified=NOW - timedelta(minutes=minutes))
            for number, text, minutes in zip((5, 6, 7), texts, (60, 20, 15), strict=True)
        ]
        candidate = Candidate(PRESET, READY, (TestUnfinished.LEFT,))
        own, put = (
            TestUnfinished().logged(left=candidate.intents),
            (PutConfig(PRESET, history[-1], TEXT.replace("1", "2")), 8),
        )
        forgot = ((ForgetIntent(TestUnfinished.OWN), None), TestUnfinished.FORGOT_BOTH[0])
        result = play(candidate, LOOKED, (ReadHistory(PRESET), history), own, put, LOOKED, *forgot)
        assert (result.outcome, result.replacement) == ("finished", None)

    @pytest.mark.parametrize("repeated", [True, False])
    def test_a_finishing_put_counts_before_the_earlier_trys(self, repeated):
        candidate = Candidate(PRESET, READY, (TestUnfinished.LEFT,))
        history = [ConfigVersion(5, CONFIG.text), ConfigVersion(6, CONFIG.text.replace("ami-0old", "ami-0drifted"))]
        own, put = TestUnfinished().logged(left=candidate.intents), (PutConfig(PRESET, history[-1], TEXT), 7)
        forgot = ((ForgetIntent(TestUnfinished.OWN), None), TestUnfinished.FORGOT_BOTH[0])
        script = (LOOKED, (ReadHistory(PRESET), history), own, put, LOOKED, *forgot)
        result = play(candidate, *script, run=replace(RUN, repeated=repeated))
        assert result.replacement == replace(self.DONE, previous_ami_id="ami-0drifted")

    @pytest.mark.parametrize(
        ("corrects", "finishes"), [(True, False), (False, True), (True, True), (False, False)], ids=str
    )
    def test_correcting_and_finishing_are_one(self, corrects, finishes):
        """In between, a newer build's event may have replaced the record."""
        case = TestUnfinished()
        candidate = Candidate(PRESET, SEEN, (case.LEFT,))
        read = CONFIG if corrects else replace(CONFIG, text=TEXT)
        puts = (case.merged(puts_until=None), PUT) if corrects else ()
        corrected = (FOUND, BUILT, (ReadConfig(PRESET), read), case.merged(), COMMITTED, *puts, LOOKED)
        ours, newer = ConfigVersion(8, TEXT), TEXT.replace("new", "newer")
        record = NEWER if finishes else READY
        put = [(PutConfig(PRESET, ours, newer), 9)] if finishes else []
        looked = (ReadState(PRESET), record)
        own = case.logged(record, left=(case.LEFT,))
        finished = (looked, (ReadHistory(PRESET), [*case.HISTORY, CONFIG, ours]), own, *put, looked)
        result = play(candidate, *corrected, *finished, *case.FORGOT_ALL[:2])
        after, build = ("ami-0newer", "arn:newer") if finishes else ("ami-0new", IMAGE)
        before = "ami-0old" if corrects else "ami-0new"
        assert result.replacement == (Replacement(after, before, build) if corrects or finishes else None)


class TestTold:
    """The words of a result, where nothing else tells two ends apart."""

    START = (FOUND, BUILT, READ, LOGGED)
    FAILED_IMAGE = built(replace(AVAILABLE, status="FAILED", reason="no disk"))
    GONE = "the parameter does not exist: /spot-runner/configs/linux-x64; "

    def test_a_failure_after_an_earlier_trys_success_stays_due(self):
        result = play(STALE, FOUND, self.FAILED_IMAGE, (Commit(SEEN, FAILED), Lost(READY)))
        assert what(result) == ("corrected_ready", "building", *AS_READY[1:])
        assert result.detail == "set by an earlier try; the next run finishes it"

    @pytest.mark.parametrize("present", [NEWER, None], ids=["replaced", "gone"])
    def test_superseded(self, present):
        changed = "another program changed the record since it was detected; its state was kept"
        gone = "the record is gone, or was replaced by a malformed one, since it was detected"
        result = play(STALE, *self.START, (Commit(SEEN, READY), Lost(present)), FORGOT)
        assert (result.preset_name, result.detail) == (PRESET, changed if present else gone)

    def test_a_parameter_that_is_gone_after_the_commit(self):
        result = play(STALE, *self.START, COMMITTED, (PUT[0], Busy()), (ReadHistory(PRESET), []))
        assert result.detail.startswith(f"{self.GONE}the record is ready already. ")
        assert result.detail.endswith(". The next run finishes it")

    def test_a_parameter_that_is_gone_before_a_dead_try_is_finished(self):
        result = play(TestUnfinished.CANDIDATE, LOOKED, (ReadHistory(PRESET), []))
        assert result.detail.startswith(f"{self.GONE}an earlier run's try stands unfinished. ")
        assert result.detail.endswith(". The next run finishes it")

    @pytest.mark.parametrize(
        ("record", "detail"),
        [
            pytest.param(None, "the record is gone", id="gone"),
            pytest.param(
                replace(FAILED, ami_id=None), "finished what an earlier run's try left undone", id="never-ready"
            ),
        ],
    )
    def test_a_dead_try_with_nothing_to_put(self, record, detail):
        result = play(TestUnfinished.CANDIDATE, (ReadState(PRESET), record), *TestUnfinished.FORGOT_ALL)
        assert (result.preset_name, result.detail) == (PRESET, detail)

    def test_a_dead_try_of_a_build_that_goes_on(self):
        result = play(TestUnfinished.CANDIDATE, (ReadState(PRESET), SEEN))
        assert result.detail == "an earlier run's try stands unfinished"

    def test_a_dead_try_that_somebody_wrote_after(self):
        case = TestUnfinished()
        put = (PutConfig(PRESET, case.HISTORY[-1], TEXT), AmbiguousPut())
        after = (ReadHistory(PRESET), [*case.HISTORY, ConfigVersion(7, TEXT)])
        result = play(case.CANDIDATE, LOOKED, (ReadHistory(PRESET), case.HISTORY), case.logged(), put, after, LOOKED)
        assert result.detail == "finished; the next run looks at it again"

    @pytest.mark.parametrize(
        ("ami_id", "quoted"), [(None, "null"), ("pending", "'pending'"), ("x" * 99, f"'{'x' * 59}…'")], ids=repr
    )
    def test_an_ami_id_that_is_none(self, ami_id, quoted):
        record = (ReadState(PRESET), replace(READY, ami_id=ami_id))
        result = play(TestUnfinished.CANDIDATE, record, *TestUnfinished.FORGOT_ALL)
        assert result.detail.startswith(
            f"the record is ready, but its amiId is {quoted}, no AMI id; record and parameter "
        )


class TestRetold:
    HISTORY = (replace(CONFIG, version=6), replace(CONFIG, text=TEXT))

    def test_a_promotion(self):
        result = retold(READY, self.HISTORY)
        assert (result.outcome, result.replacement) == ("corrected_ready", TestReplacement.DONE)
        assert (result.ami_id, result.previous_ami_id) == ("ami-0new", "ami-0old")

    def test_a_failed_build(self):
        failed = replace(READY, status=Status.FAILED, error_message="no disk")
        result = retold(failed, ())
        assert (result.outcome, result.detail, result.replacement) == ("corrected_failed", "no disk", None)

    @pytest.mark.parametrize(
        "history",
        [
            pytest.param(HISTORY[:1], id="not-yet"),
            pytest.param((*HISTORY, replace(CONFIG, version=8)), id="taken-back"),
            pytest.param((), id="no-parameter"),
        ],
    )
    def test_a_parameter_that_names_another_ami_is_left_alone(self, history):
        assert retold(READY, history) == untouched(READY)


class TestUnfinished:
    LEFT = Intent("AMI-INTENT#linux-x64#dag/before/1", PRESET, "2026-02-11T15:50:00.000Z", 5)
    OTHER = Intent("AMI-INTENT#linux-x64#dag/before/2", PRESET, "2026-02-11T15:55:00.000Z", 6)
    CANDIDATE = Candidate(PRESET, READY, (LEFT, OTHER))
    FORGOT_BOTH = ((ForgetIntent(LEFT.job_id), None), (ForgetIntent(OTHER.job_id), None))
    HISTORY = (ConfigVersion(5, CONFIG.text), ConfigVersion(6, CONFIG.text))
    OWN = INTENT.job_id
    FORGOT_ALL = ((ForgetIntent(OWN), None), *FORGOT_BOTH)

    def logged(self, record=READY, left=(LEFT, OTHER)):
        """An intent of our own comes before any put, so that another run knows what any try may have covered."""
        own = Intent(self.OWN, PRESET, INTENT.logged_at, self.LEFT.param_version, record.ami_id, record.build_id)
        return (LogIntent(replace(own, stands_for=tuple(intent.job_id for intent in left))), None)

    def test_the_merge_begins_at_the_oldest_intent(self):
        put = (PutConfig(PRESET, self.HISTORY[-1], TEXT), 7)
        history = (ReadHistory(PRESET), self.HISTORY)
        result = play(self.CANDIDATE, LOOKED, history, self.logged(), put, LOOKED, *self.FORGOT_ALL)
        assert what(result) == ("finished", *AS_READY)

    def test_a_put_that_somebody_came_before_leaves_every_intent(self):
        put = (PutConfig(PRESET, self.HISTORY[-1], TEXT), 8)
        after = (ReadHistory(PRESET), [*self.HISTORY, ConfigVersion(7, CONFIG.text), ConfigVersion(8, TEXT)])
        script = (LOOKED, (ReadHistory(PRESET), self.HISTORY), self.logged(), put, after, LOOKED)
        assert play(self.CANDIDATE, *script).outcome == "finished"

    def test_a_refused_put_leaves_one_intent_for_all(self):
        """Nothing was put, so it tells of their puts alone: what people edit until the next run is no concern of it."""
        put = (PutConfig(PRESET, self.HISTORY[-1], TEXT), refusal := Refused("no permission"))
        merged = (LogIntent(replace(self.logged()[0].intent, puts_until="2026-02-11T16:00:00.000Z")), None)
        script = (LOOKED, (ReadHistory(PRESET), self.HISTORY), self.logged(), put, merged, *self.FORGOT_BOTH)
        assert play(self.CANDIDATE, *script) is refusal

    def test_without_a_put_where_it_agrees_already(self):
        history = (ReadHistory(PRESET), [*self.HISTORY, ConfigVersion(7, TEXT)])
        script = (LOOKED, history, self.logged(), LOOKED, *self.FORGOT_ALL)
        assert play(self.CANDIDATE, *script).outcome == "finished"

    def test_for_whatever_the_record_says_now(self):
        looked = (ReadState(PRESET), NEWER)
        history = (ReadHistory(PRESET), self.HISTORY)
        put = (PutConfig(PRESET, self.HISTORY[-1], '{"ami":"ami-0newer","x":1}'), 7)
        script = (looked, history, self.logged(NEWER), put, looked, *self.FORGOT_ALL)
        assert play(self.CANDIDATE, *script).ami_id == "ami-0newer"

    def test_a_failed_record_keeps_its_ami_in_the_parameter(self):
        looked = (ReadState(PRESET), FAILED)
        history = (ReadHistory(PRESET), [ConfigVersion(5, '{"ami":"pending"}')])
        put = (PutConfig(PRESET, history[1][0], '{"ami":"ami-0old"}'), 6)
        result = play(self.CANDIDATE, looked, history, self.logged(FAILED), put, looked, *self.FORGOT_ALL)
        assert (result.outcome, result.status) == ("finished", "failed")

    @pytest.mark.parametrize(
        ("edited", "restored"),
        [
            pytest.param(datetime(2026, 2, 11, 15, 59, 59, tzinfo=UTC), 2, id="while-a-try-could-put"),
            pytest.param(datetime(2026, 2, 11, 16, 0, 1, tzinfo=UTC), 1, id="after-all-tries-were-dead"),
        ],
    )
    def test_only_what_a_try_could_have_covered_is_restored(self, edited, restored):
        texts = (CONFIG.text, '{"ami":"ami-0old","x":2}', TEXT)
        history = [
            ConfigVersion(number, text, modified=moment)
            for number, text, moment in zip(
                (5, 6, 7), texts, (NOW - timedelta(hours=1), NOW - timedelta(minutes=20), edited), strict=True
            )
        ]
        put = [(PutConfig(PRESET, history[-1], '{"ami":"ami-0new","x":2}'), 8)] if restored == 2 else []
        script = (LOOKED, (ReadHistory(PRESET), history), self.logged(), *put, LOOKED, *self.FORGOT_ALL)
        assert play(self.CANDIDATE, *script).outcome == "finished"

    @pytest.mark.parametrize("run", [RUN, DRY_RUN], ids=["run", "dry-run"])
    def test_while_the_record_is_building_the_intents_stay(self, run):
        result = play(self.CANDIDATE, (ReadState(PRESET), SEEN), run=run)
        assert what(result) == ("still_building", *AS_IT_WAS)

    @pytest.mark.parametrize(
        ("record", "status"),
        [
            pytest.param(None, None, id="record-gone"),
            pytest.param(replace(FAILED, ami_id=None), "failed", id="failed-without-ami"),
        ],
    )
    def test_without_an_ami_the_intents_are_only_forgotten(self, record, status):
        result = play(self.CANDIDATE, (ReadState(PRESET), record), *self.FORGOT_ALL)
        assert (result.outcome, result.status) == ("finished", status)

    @pytest.mark.parametrize("run", [RUN, DRY_RUN], ids=["run", "dry-run"])
    @pytest.mark.parametrize(
        "record",
        [
            replace(READY, ami_id=None),
            replace(READY, ami_id="pending"),
            replace(READY, ami_id="../../x"),
            replace(FAILED, ami_id='ami-0abc", "x": "'),
            replace(READY, ami_id="ami-0abc\n"),
            replace(READY, ami_id="ami-" + "0" * 3000),
        ],
        ids=["none", "pending", "path", "json", "line-break", "long"],
    )
    def test_an_ami_id_that_is_none_never_reaches_the_parameter(self, record, run):
        forgot = () if run is DRY_RUN else self.FORGOT_ALL
        result = play(self.CANDIDATE, (ReadState(PRESET), record), *forgot, run=run)
        assert (result.outcome, result.ami_id) == ("no_usable_ami", record.ami_id)
        assert "Write the right AMI id into the record" in result.detail
        assert len(result.detail) < 250

    @pytest.mark.parametrize("history", [[], [ConfigVersion(7, "[]")]], ids=["gone", "broken"])
    @pytest.mark.parametrize("run", [RUN, DRY_RUN], ids=["run", "dry-run"])
    def test_an_invalid_parameter_keeps_the_intents(self, history, run):
        result = play(self.CANDIDATE, LOOKED, (ReadHistory(PRESET), history), run=run)
        assert what(result) == ("config_invalid", "building", *AS_READY[1:])

    @pytest.mark.parametrize("record", [READY, None], ids=["ready", "gone"])
    def test_dry_run(self, record):
        read = [(ReadHistory(PRESET), self.HISTORY)] if record else []
        result = play(self.CANDIDATE, (ReadState(PRESET), record), *read, run=DRY_RUN)
        assert (result.outcome, result.detail) == ("finished", "dry run: would finish an earlier run's try")

    def test_a_stale_record_is_corrected_before_its_intents(self):
        """Under our one intent: forgotten in between, it could no longer stand for them."""
        candidate = Candidate(PRESET, SEEN, (self.LEFT,))
        history = (ReadHistory(PRESET), [*self.HISTORY, CONFIG, ConfigVersion(8, TEXT)])
        logged, putting = self.merged(), self.merged(puts_until=None)
        corrected = (FOUND, BUILT, READ, logged, COMMITTED, putting, PUT, LOOKED)
        finished = (LOOKED, history, self.logged(left=(self.LEFT,)), LOOKED, *self.FORGOT_ALL[:2])
        assert what(play(candidate, *corrected, *finished)) == ("corrected_ready", *AS_READY)

    def test_a_second_try_leaves_that_to_the_next_run(self):
        """The first one may live, and put; so the second one's intent stays, and stands for all."""
        first = replace(self.LEFT, job_id="AMI-INTENT#linux-x64#dag/run/1")
        candidate = replace(Candidate(PRESET, SEEN, (self.LEFT,)), living=(first,))
        both = (self.LEFT.job_id, first.job_id)
        logged, putting = (
            (LogIntent(replace(self.merged(until)[0].intent, stands_for=both)), None)
            for until in ("2026-02-11T15:55:00.000Z", None)
        )
        assert play(candidate, FOUND, BUILT, READ, logged, COMMITTED, putting, PUT, LOOKED).outcome == "corrected_ready"

    def merged(self, puts_until="2026-02-11T15:55:00.000Z"):
        """Our intent, which stands for ``LEFT`` as well; once we put, it tells of our puts too."""
        return (
            LogIntent(replace(INTENT, param_version=5, puts_until=puts_until, stands_for=(self.LEFT.job_id,))),
            None,
        )

    def test_a_first_put_refused_leaves_only_the_dead_tries_puts(self):
        candidate = Candidate(PRESET, SEEN, (self.LEFT,))
        refused = (PUT[0], refusal := Refused("no permission"))
        script = (self.merged(), COMMITTED, self.merged(puts_until=None), refused, self.merged())
        assert play(candidate, FOUND, BUILT, READ, *script) is refusal

    def test_a_retry_sees_the_renewed_intent_of_a_dead_try(self):
        renewed, first = self.LEFT.renewed(NOW), replace(self.LEFT, job_id="AMI-INTENT#linux-x64#dag/run/1")
        retried = Candidate(PRESET, SEEN, (self.LEFT,)).retried([renewed, first, self.OTHER], RUN.owner)
        assert (retried.intents, retried.living) == ((renewed,), (first,))

    STANDS_FOR_LEFT = OTHER.standing_for([LEFT])

    def test_what_another_intent_stands_for_is_forgotten_first(self):
        candidate = Candidate(PRESET, SEEN, (self.LEFT, self.STANDS_FOR_LEFT))
        in_progress = built(replace(AVAILABLE, status="BUILDING"))
        script = ((ForgetIntent(self.LEFT.job_id), None), FOUND, in_progress, (ReadState(PRESET), SEEN))
        assert play(candidate, *script).outcome == "still_building"

    def test_what_another_intent_reaches_as_far_as_is_not(self):
        """Its own try, which may live and forget it, does not know that anything else rests on it."""
        candidate = Candidate(PRESET, SEEN, (self.LEFT, replace(self.STANDS_FOR_LEFT, stands_for=())))
        in_progress = built(replace(AVAILABLE, status="BUILDING"))
        assert play(candidate, FOUND, in_progress, (ReadState(PRESET), SEEN)).outcome == "still_building"

    def test_a_dry_run_forgets_nothing(self):
        candidate = Candidate(PRESET, SEEN, (self.LEFT, self.STANDS_FOR_LEFT))
        in_progress = built(replace(AVAILABLE, status="BUILDING"))
        assert play(candidate, FOUND, in_progress, (ReadState(PRESET), SEEN), run=DRY_RUN).outcome == "still_building"

    @pytest.mark.parametrize("commit", ["committed", "lost", "refused"])
    @pytest.mark.parametrize("beside", [True, False])
    def test_ours_stays_if_it_may_be_the_last_to_tell_of_another_try(self, beside, commit):
        first = replace(self.LEFT, job_id="AMI-INTENT#linux-x64#dag/run/1")
        candidate = Candidate(PRESET, SEEN).retried([first] if beside else [], RUN.owner)
        log = [(LogIntent(INTENT.standing_for([first] if beside else [])), None)]
        putting = [(LogIntent(log[0][0].intent.renewed(NOW)), None)] if beside else []
        ends = {
            "committed": (COMMITTED, *putting, PUT, LOOKED),
            "lost": ((COMMITTED[0], Lost(NEWER)),),
            "refused": ((COMMITTED[0], Refused("no")),),
        }
        play(candidate, FOUND, BUILT, READ, *log, *ends[commit], *([] if beside else [FORGOT]))

    def test_a_stale_record_that_goes_on_building_keeps_its_intents(self):
        candidate = Candidate(PRESET, SEEN, (self.LEFT,))
        in_progress = built(replace(AVAILABLE, status="BUILDING"))
        assert play(candidate, FOUND, in_progress, (ReadState(PRESET), SEEN)).outcome == "still_building"

    @pytest.mark.parametrize("record", [READY, None], ids=["ready", "no-record"])
    def test_nothing_to_do_is_no_candidate(self, record):
        assert isinstance(play(Candidate(PRESET, record)), ValueError)


@pytest.mark.parametrize(
    ("call", "resource"),
    [
        (FOUND[0], "pipeline spot-runner-linux-x64"),
        (FindPipeline(("a-linux", "b-linux")), "pipelines a-linux, b-linux"),
        (BUILT[0], f"pipeline {PIPELINE}"),
        (READ[0], "parameter /runners/linux-x64"),
        (DescribeConfig(PRESET, CONFIG), "parameter /runners/linux-x64"),
        (ReadHistory(PRESET), "parameter /runners/linux-x64"),
        (PUT[0], "parameter /runners/linux-x64"),
        (LOOKED[0], "record AMI#linux-x64"),
        (COMMITTED[0], "record AMI#linux-x64"),
        (LOGGED[0], "intent AMI-INTENT#linux-x64#dag/run/2"),
        (FORGOT[0], "intent AMI-INTENT#linux-x64#dag/run/2"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Call) else "",
)
def test_each_call_names_its_resource(call, resource):
    assert resource_of(call, "/runners") == resource
