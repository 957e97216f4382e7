from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from spot_runner_provider.records.ami_state import (
    REASON_LIMIT,
    AmiState,
    Malformed,
    MalformedRecord,
    Status,
    check_preset_name,
    is_ami_id,
    job_id,
    later,
    parse_timestamp,
    render_timestamp,
)
from spot_runner_provider.records.text import DETAIL_LIMIT, TEXT_LIMIT, shorten, shown

from .values import NOW, ago, record, without

HALF_AN_HOUR = timedelta(minutes=30)
FIRST_MOMENT = datetime(1, 1, 1, tzinfo=UTC)
LAST_MOMENT = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)


class TestStale:
    @pytest.mark.parametrize(
        ("status", "age", "stale"),
        [
            pytest.param("building", HALF_AN_HOUR + timedelta(milliseconds=1), True, id="a-millisecond-over"),
            pytest.param("building", HALF_AN_HOUR, False, id="exactly"),
            pytest.param("building", HALF_AN_HOUR - timedelta(milliseconds=1), False, id="a-millisecond-under"),
            pytest.param("building", timedelta(0), False, id="just-now"),
            pytest.param("building", -timedelta(days=2), False, id="in-the-future"),
            pytest.param("building", timedelta(days=700), True, id="two-years"),
            pytest.param("ready", timedelta(days=700), False, id="ready"),
            pytest.param("failed", timedelta(days=700), False, id="failed"),
        ],
    )
    def test_only_building_for_more_than_the_limit(self, status, age, stale):
        state = AmiState("linux-x64", Status(status), render_timestamp(NOW - age))
        assert state.is_stale(NOW, HALF_AN_HOUR) is stale

    def test_the_zone_of_the_record_does_not_matter(self):
        state = AmiState("linux-x64", Status.BUILDING, "2026-02-11T20:05:48.122+04:30")
        assert state.is_stale(NOW, HALF_AN_HOUR)


class TestTimestamps:
    @pytest.mark.parametrize(
        ("moment", "text"),
        [
            pytest.param(datetime(2026, 2, 11, 15, 35, 48, 123000, UTC), "2026-02-11T15:35:48.123Z", id="usual"),
            pytest.param(datetime(2026, 2, 11, 15, 35, 48, 0, UTC), "2026-02-11T15:35:48.000Z", id="whole-second"),
            pytest.param(datetime(2026, 2, 11, 15, 35, 48, 123999, UTC), "2026-02-11T15:35:48.123Z", id="cut"),
            pytest.param(
                datetime(2026, 2, 11, 17, 35, 48, 0, timezone(timedelta(hours=2))),
                "2026-02-11T15:35:48.000Z",
                id="other-zone",
            ),
            pytest.param(FIRST_MOMENT, "0001-01-01T00:00:00.000Z", id="year-1"),
            pytest.param(datetime(1969, 12, 31, 23, 59, 59, 999000, UTC), "1969-12-31T23:59:59.999Z", id="before-1970"),
            pytest.param(datetime.max.replace(tzinfo=UTC), "9999-12-31T23:59:59.999Z", id="year-9999"),
        ],
    )
    def test_written_with_milliseconds_and_z(self, moment, text):
        assert render_timestamp(moment) == text

    def test_written_ones_sort_as_text_like_the_time(self):
        moments = [
            FIRST_MOMENT,
            FIRST_MOMENT.replace(year=999),
            datetime(1969, 12, 31, 23, 59, 59, 999000, UTC),
            datetime(1970, 1, 1, tzinfo=UTC),
            NOW.replace(microsecond=0),
            NOW.replace(microsecond=1000),
            NOW.replace(microsecond=20000),
            NOW.replace(microsecond=300000),
            NOW + timedelta(seconds=1),
            LAST_MOMENT,
        ]
        texts = [render_timestamp(moment) for moment in moments]
        assert texts == sorted(set(texts))

    @pytest.mark.parametrize("moment", [FIRST_MOMENT, FIRST_MOMENT.replace(year=1969), NOW, LAST_MOMENT], ids=str)
    def test_read_back_as_written(self, moment):
        assert parse_timestamp(render_timestamp(moment)) == moment

    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            pytest.param("2026-02-11T15:35:48.123Z", datetime(2026, 2, 11, 15, 35, 48, 123000, UTC), id="z"),
            pytest.param("2026-02-11T17:35:48.123+02:00", datetime(2026, 2, 11, 15, 35, 48, 123000, UTC), id="offset"),
            pytest.param("2026-02-11T15:35:48Z", datetime(2026, 2, 11, 15, 35, 48, 0, UTC), id="no-fraction"),
            pytest.param(
                "2026-02-11T15:35:48.123456789Z", datetime(2026, 2, 11, 15, 35, 48, 123456, UTC), id="nanoseconds"
            ),
        ],
    )
    def test_read_in_any_iso_form_with_a_zone(self, text, moment):
        assert (parse_timestamp(text), parse_timestamp(text).tzinfo) == (moment, UTC)

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param("2026-02-11T15:35:48.123", id="no-zone"),
            pytest.param("2026-02-11", id="a-day"),
            pytest.param(1770824148, id="number"),
            pytest.param(Decimal("1770824148"), id="decimal"),
            pytest.param("1770824148", id="number-as-text"),
            pytest.param(None, id="none"),
            pytest.param(b"2026-02-11T15:35:48.123Z", id="bytes"),
            pytest.param("", id="empty"),
            pytest.param("yesterday", id="garbage"),
            pytest.param("2026-02-30T15:35:48.123Z", id="no-such-day"),
            pytest.param("10000-01-01T00:00:00.000Z", id="year-10000"),
            pytest.param("0001-01-01T00:00:00.000+14:00", id="before-the-first-moment"),
            pytest.param("9999-12-31T23:59:59.999-12:00", id="after-the-last-moment"),
            pytest.param("2026-02-11\x0015:35:48.123Z", id="a-separator-that-xcom-cannot-hold"),
        ],
    )
    def test_anything_else_is_refused(self, value):
        with pytest.raises(MalformedRecord, match="updatedAt"):
            parse_timestamp(value)


class TestCorrectedRecord:
    @pytest.mark.parametrize(
        ("seen", "at", "written"),
        [
            pytest.param("2026-02-11T15:00:00.000Z", NOW, "2026-02-11T16:05:48.123Z", id="as-given"),
            pytest.param("2026-02-11T16:05:48.123Z", NOW, "2026-02-11T16:05:48.124Z", id="just-after-the-same-moment"),
            pytest.param("2027-01-01T00:00:00.000Z", NOW, "2027-01-01T00:00:00.001Z", id="just-after-a-later-one"),
            pytest.param("2026-02-11T16:05:48.123456Z", NOW, "2026-02-11T16:05:48.124Z", id="just-after-microseconds"),
            pytest.param("9999-12-31T23:59:59.999Z", NOW, "9999-12-31T23:59:59.999Z", id="at-the-end-of-time"),
            pytest.param("9999-12-31T23:59:59.998Z", NOW, "9999-12-31T23:59:59.999Z", id="just-before-it"),
        ],
    )
    @pytest.mark.parametrize("becomes", ["ready", "failed"])
    def test_updated_at_is_later_than_the_one_seen(self, seen, at, written, becomes):
        state = AmiState("linux-x64", Status.BUILDING, seen)
        corrected = (
            state.now_ready("ami-1", build_id="arn", at=at, by="dag/run")
            if becomes == "ready"
            else state.now_failed("broken", build_id="arn", at=at, by="dag/run")
        )
        assert corrected.updated_at == written

    def test_later_compares_moments(self):
        assert later(NOW, than=NOW - timedelta(days=1)) == NOW

    def test_ready_names_the_ami_and_drops_the_error(self):
        seen = AmiState("linux-x64", Status.BUILDING, ago(hours=1), "ami-old", "arn:old", "was broken", "dag/before")
        assert seen.now_ready("ami-new", build_id="arn:new", at=NOW, by="dag/run") == AmiState(
            "linux-x64", Status.READY, "2026-02-11T16:05:48.123Z", "ami-new", "arn:new", None, "dag/run"
        )

    def test_failed_keeps_the_ami_before_it(self):
        seen = AmiState("linux-x64", Status.BUILDING, ago(hours=1), "ami-old", "arn:old")
        assert seen.now_failed("broken", build_id="arn:new", at=NOW, by="dag/run") == AmiState(
            "linux-x64", Status.FAILED, "2026-02-11T16:05:48.123Z", "ami-old", "arn:new", "broken", "dag/run"
        )

    @pytest.mark.parametrize(
        ("status", "ami_id", "usable"),
        [
            pytest.param("ready", "ami-1", "ami-1", id="ready"),
            pytest.param("failed", "ami-1", "ami-1", id="failed-with-the-ami-before"),
            pytest.param("failed", None, None, id="failed-for-the-first-time"),
            pytest.param("building", "ami-1", None, id="building-settles-nothing"),
        ],
    )
    def test_usable_ami(self, status, ami_id, usable):
        assert AmiState("linux-x64", Status(status), ago(hours=1), ami_id).usable_ami == usable


class TestReading:
    def test_every_attribute(self):
        item = record(
            status="failed",
            updatedAt="2026-02-11T15:35:48Z",
            amiId="ami-1",
            buildId="arn",
            errorMessage="broken",
            reconciledBy="dag/run",
        )
        assert AmiState.from_item(item) == AmiState(
            "linux-x64", Status.FAILED, "2026-02-11T15:35:48Z", "ami-1", "arn", "broken", "dag/run"
        )

    @pytest.mark.parametrize(
        "item",
        [
            pytest.param(record(amiId=None), id="null"),
            pytest.param(without(record(), "amiId"), id="absent"),
            pytest.param(record(amiId=""), id="empty"),
        ],
    )
    def test_no_ami(self, item):
        assert AmiState.from_item(item).ami_id is None

    @pytest.mark.parametrize(
        "extra",
        [
            pytest.param({"ttl": Decimal(1770824148), "owner": {"team": ["a"]}}, id="unknown-attributes"),
            pytest.param({"buildId": Decimal(7), "errorMessage": ["x"], "reconciledBy": b"x"}, id="informative-ones"),
        ],
    )
    def test_ignores(self, extra):
        assert AmiState.from_item(record(**extra)) == AmiState.from_item(record())

    @pytest.mark.parametrize(
        ("item", "names"),
        [
            pytest.param({}, "presetName is missing", id="nothing"),
            pytest.param(without(record(), "presetName"), "presetName is missing", id="no-presetName"),
            pytest.param(record(presetName=None), "presetName is missing", id="null-presetName"),
            pytest.param(record(presetName=Decimal(1)), "presetName is missing", id="decimal-presetName"),
            pytest.param(record(presetName=["linux-x64"]), "presetName is missing", id="list-presetName"),
            pytest.param(record(presetName=b"linux-x64"), "presetName is missing", id="bytes-presetName"),
            pytest.param(record(presetName=""), "presetName is missing", id="empty-presetName"),
            pytest.param(record(name="../x"), "presetName '../x' cannot", id="path-presetName"),
            pytest.param(without(record(), "jobId"), "jobId does not match", id="no-jobId"),
            pytest.param(record(jobId="AMI#other"), "jobId does not match", id="other-jobId"),
            pytest.param(record(jobId="linux-x64"), "jobId does not match", id="bare-jobId"),
            pytest.param(record(jobId=Decimal(1)), "jobId does not match", id="decimal-jobId"),
            pytest.param(without(record(), "status"), "status 'None' is none of", id="no-status"),
            pytest.param(record(status="done"), "status 'done' is none of", id="unknown-status"),
            pytest.param(record(status="READY"), "status 'READY' is none of", id="capitals-status"),
            pytest.param(record(status=None), "status", id="null-status"),
            pytest.param(record(status=Decimal(1)), "status", id="decimal-status"),
            pytest.param(record(status=["ready"]), "status", id="list-status"),
            pytest.param(record(status=b"ready"), "status", id="bytes-status"),
            pytest.param(without(record(), "updatedAt"), "updatedAt is missing", id="no-updatedAt"),
            pytest.param(record(updatedAt="soon"), "updatedAt 'soon'", id="unreadable-updatedAt"),
            *(
                pytest.param(record(updatedAt=f"2026-02-11{odd}15:35:48.123Z"), "updatedAt", id=f"{ord(odd)}-in-it")
                for odd in "\x1b\n\u202e\x07é"
            ),
            pytest.param(record(updatedAt=Decimal(1770824148)), "updatedAt", id="decimal-updatedAt"),
            pytest.param(record(updatedAt=["2026"]), "updatedAt", id="list-updatedAt"),
            pytest.param(record(amiId=Decimal(1)), "amiId", id="decimal-amiId"),
            pytest.param(record(amiId=["ami-1"]), "amiId", id="list-amiId"),
            pytest.param(record(amiId=b"ami-1"), "amiId", id="bytes-amiId"),
        ],
    )
    def test_refused_by_the_attribute_that_is_wrong(self, item, names):
        with pytest.raises(MalformedRecord, match=f"^{names}"):
            AmiState.from_item(item)

    @pytest.mark.parametrize("name", ["linux-x64", "a", "Windows_2022", "2022", "x" * 116], ids=lambda name: name[:20])
    def test_preset_names_that_can_be(self, name):
        assert check_preset_name(name) == name

    @pytest.mark.parametrize(
        "name",
        [
            "../x",
            "x" * 117,
            "x" * 500,
            "a b",
            " a",
            "a\n",
            "",
            "*",
            "linux-*",
            "a/b",
            "a.b",
            "a#b",
            "ä",
            "{preset}",
            None,
        ],
        ids=lambda name: repr(name)[:20],
    )
    def test_preset_names_that_cannot(self, name):
        with pytest.raises(MalformedRecord, match="presetName"):
            check_preset_name(name)

    def test_a_refusal_does_not_repeat_a_long_name(self):
        with pytest.raises(MalformedRecord) as refusal:
            check_preset_name("x" * 500)
        assert len(str(refusal.value)) < 200

    def test_key(self):
        assert job_id("linux-x64") == "AMI#linux-x64"


class TestXCom:
    def test_the_record_in_its_own_words(self):
        state = AmiState("linux-x64", Status.FAILED, "2026-02-11T15:35:48Z", "ami-1", "arn", "broken", "dag/run")
        assert state.to_json() == {
            "presetName": "linux-x64",
            "status": "failed",
            "amiId": "ami-1",
            "updatedAt": "2026-02-11T15:35:48Z",
            "buildId": "arn",
            "errorMessage": "broken",
        }

    def test_read_back(self):
        state = AmiState("linux-x64", Status.FAILED, "2026-02-11T15:35:48Z", "ami-1", "arn", "broken")
        assert AmiState.from_json(state.to_json()) == state

    def test_long_texts_are_cut(self):
        state = AmiState("linux-x64", Status.FAILED, ago(hours=1), "a" * 5000, "b" * 5000, "c" * 5000)
        assert {
            name: len(value) for name, value in state.to_json().items() if name in ("amiId", "buildId", "errorMessage")
        } == {"amiId": TEXT_LIMIT, "buildId": TEXT_LIMIT, "errorMessage": DETAIL_LIMIT}

    @pytest.mark.parametrize(
        ("text", "short"),
        [
            pytest.param("", "", id="empty"),
            pytest.param("abcd", "abcd", id="shorter"),
            pytest.param("abcde", "abcde", id="exactly"),
            pytest.param("abcdef", "abcd…", id="longer"),
            pytest.param("\x00", r"\x00", id="nul"),
            pytest.param("\ud83d\ude00", r"\ud8…", id="half-surrogate-pairs"),
            pytest.param("\U0001f600\t\n", "\U0001f600  ", id="line-breaks"),
            pytest.param("\x1b" * 5, r"\x1b…", id="escapes-are-counted"),
        ],
    )
    def test_shorten(self, text, short):
        assert shorten(text, 5) == short

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            pytest.param("Größe: 3 µm, 日本 \U0001f600", "Größe: 3 µm, 日本 \U0001f600", id="printable"),
            pytest.param("a\nb\r\nc\rd\te\vf\fg\x85h\u2028i\u2029j", "a b c d e f g h i j", id="line-breaks"),
            pytest.param("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m", id="escape-sequence"),
            pytest.param("\x9b2J\x9d8;;x\x9c\x07\x08\x7f", r"\x9b2J\x9d8;;x\x9c\x07\x08\x7f", id="c1-bell-delete"),
            pytest.param("\u202eevil\u2066\u200f", r"\u202eevil\u2066\u200f", id="direction"),
            pytest.param("\u200b\ufeff\U000e0041", r"\u200b\ufeff\U000e0041", id="invisible"),
            pytest.param("\x00\ud800", r"\x00\ud800", id="what-xcom-cannot-hold"),
        ],
    )
    def test_what_others_wrote_is_shown_and_not_sent(self, text, said):
        assert shown(text) == said
        assert shown(said) == said

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("ami-0123456789abcdef0", True),
            ("ami-0abc1234", True),
            ("ami-" + "a" * 32, True),
            ("ami-" + "a" * 33, False),
            ("ami-" + "0" * 10_000, False),
            *((text, False) for text in ("ami-", "pending", "", "../../x", "ami-0abc\n", " ami-0abc", "ami-0abc ")),
            *((value, False) for value in ('ami-0abc", "x": "', "AMI-0ABC", "ami-0ä", "ami-٣", None, 7, ["ami-0abc"])),
        ],
    )
    def test_what_can_be_an_ami_id(self, text, expected):
        assert is_ami_id(text) is expected

    @pytest.mark.parametrize("length", [REASON_LIMIT, REASON_LIMIT + 1, 390_000])
    def test_a_builds_reason_is_cut_before_it_is_written(self, length):
        seen = AmiState("linux-x64", Status.BUILDING, ago(hours=1))
        failed = seen.now_failed("\x1b" + "r" * (length - 1), build_id="arn", at=NOW, by="dag/run")
        assert failed.error_message is not None
        assert failed.error_message.startswith("\x1br")
        assert len(failed.error_message) == REASON_LIMIT
        assert failed.error_message.endswith("…") is (length > REASON_LIMIT)

    @pytest.mark.parametrize(
        ("item", "said"),
        [
            pytest.param({}, {"jobId": None, "presetName": None, "reason": "why"}, id="nothing"),
            pytest.param(
                record(), {"jobId": "AMI#linux-x64", "presetName": "linux-x64", "reason": "why"}, id="names-itself"
            ),
            pytest.param(
                {"jobId": Decimal(1), "presetName": ["x"]},
                {"jobId": None, "presetName": None, "reason": "why"},
                id="wrong-types",
            ),
        ],
    )
    def test_a_refusal_says_which_item_and_why(self, item, said):
        assert Malformed.of(item, MalformedRecord("why")).to_json() == said
