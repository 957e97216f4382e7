import json
from datetime import timedelta

import pytest

from spot_runner_provider.records.parameter import (
    ConfigVersion,
    InvalidConfig,
    ami_of,
    check_platform,
    merge,
    merge_covered,
    replaced_ami,
)
from spot_runner_provider.records.platform import Platform

from .values import NOW

BYTE_ORDER_MARK = "begins with a byte-order mark, which is not JSON (save it as UTF-8 without one)"


def versions(*texts):
    return [ConfigVersion(number, text) for number, text in enumerate(texts, 1)]


class TestParse:
    def test_an_object(self):
        assert ConfigVersion(1, ' {"ami": "ami-1", "size": [1, {}]}\n').parse() == {"ami": "ami-1", "size": [1, {}]}

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            pytest.param("", "is empty", id="empty"),
            pytest.param(" \n", "is empty", id="blank"),
            pytest.param('{"ami": hunter2}', "is not JSON (line 1, column 9)", id="not-json"),
            pytest.param('{"ami": "hunter2"', "is not JSON (line 1, column 18)", id="torn"),
            pytest.param('{"ami": "hunter2"} hunter2', "is not JSON (line 1, column 20)", id="more-after-it"),
            pytest.param("{'ami': 'hunter2'}", "is not JSON (line 1, column 2)", id="single-quotes"),
            pytest.param("ami-0hunter2", "is a bare AMI id, not a JSON object with a key 'ami'", id="bare-ami"),
            pytest.param(
                " ami-0hunter2\n", "is a bare AMI id, not a JSON object with a key 'ami'", id="bare-ami-blanks"
            ),
            pytest.param('\ufeff{"ami": "hunter2"}', BYTE_ORDER_MARK, id="byte-order-mark"),
            pytest.param('\u00ef\u00bb\u00bf{"ami": "hunter2"}', BYTE_ORDER_MARK, id="byte-order-mark-in-latin-1"),
            pytest.param("\ufeff", BYTE_ORDER_MARK, id="byte-order-mark-alone"),
            pytest.param(' \n\ufeff{"ami": "hunter2"}', BYTE_ORDER_MARK, id="byte-order-mark-after-blanks"),
            pytest.param('{"hunter2": NaN}', "is not JSON that can be read", id="nan"),
            pytest.param('{"hunter2": -Infinity}', "is not JSON that can be read", id="infinity"),
            pytest.param('["hunter2"]', "is JSON, but not an object", id="list"),
            pytest.param('"hunter2"', "is JSON, but not an object", id="text"),
            pytest.param("null", "is JSON, but not an object", id="null"),
            pytest.param("[" * 100_000, "is not JSON that can be read", id="deep"),
            pytest.param('{"hunter2": ' + "9" * 5000 + "}", "is not JSON that can be read", id="huge-number"),
        ],
    )
    def test_refused_without_quoting_the_value(self, text, says):
        with pytest.raises(InvalidConfig) as refusal:
            ConfigVersion(1, text).parse()
        assert str(refusal.value) == says

    @pytest.mark.parametrize(
        ("text", "ami"),
        [
            pytest.param('{"ami": "ami-1"}', "ami-1", id="text"),
            pytest.param('{"ami": "pending"}', "pending", id="fresh-deployment"),
            pytest.param('{"ami": null}', None, id="null"),
            pytest.param("{}", None, id="absent"),
        ],
    )
    def test_ami_of(self, text, ami):
        assert ami_of(ConfigVersion(1, text)) == ami

    def test_the_value_is_never_shown(self):
        assert "hunter2" not in repr(ConfigVersion(1, '{"token": "hunter2"}', secure=True))


class TestMergeOfOneVersion:
    """Only ``ami`` changes; the text around it stays to the letter."""

    @pytest.mark.parametrize(
        ("text", "merged"),
        [
            pytest.param('{"a":1,"ami":"ami-old","b":2}', '{"a":1,"ami":"ami-new","b":2}', id="between-others"),
            pytest.param('{"ami": "pending"}', '{"ami": "ami-new"}', id="fresh-deployment"),
            pytest.param(
                ' \n{\n\t"ami"  :\r\n "ami-old" ,"b":2 }\n', ' \n{\n\t"ami"  :\r\n "ami-new" ,"b":2 }\n', id="blanks"
            ),
            pytest.param(
                '{\n    "z": [\n        1\n    ],\n    "ami": "x"\n}',
                '{\n    "z": [\n        1\n    ],\n    "ami": "ami-new"\n}',
                id="indented",
            ),
            pytest.param(
                '{"n": 1e3, "m": 0.10, "k": -0, "l": 1.0E+2, "i": 12345678901234567890123, "ami": ""}',
                '{"n": 1e3, "m": 0.10, "k": -0, "l": 1.0E+2, "i": 12345678901234567890123, "ami": "ami-new"}',
                id="numbers",
            ),
            pytest.param(
                r'{"s": "\u0041\/\n\ud83d\ude00 ä😀", "ami": "\u0061mi"}',
                r'{"s": "\u0041\/\n\ud83d\ude00 ä😀", "ami": "ami-new"}',
                id="escapes-and-unicode",
            ),
            pytest.param('{"\\u0061mi": "x", "b": 1}', '{"\\u0061mi": "ami-new", "b": 1}', id="escaped-key"),
            pytest.param('{"b": 1, "b": 2, "ami": "x"}', '{"b": 1, "b": 2, "ami": "ami-new"}', id="duplicate-keys"),
            pytest.param('{"ami": "x", "ami": "y"}', '{"ami": "ami-new", "ami": "ami-new"}', id="ami-twice"),
            pytest.param(
                '{"nested": {"ami": "x"}, "text": "\\"ami\\": 1}", "ami": "x"}',
                '{"nested": {"ami": "x"}, "text": "\\"ami\\": 1}", "ami": "ami-new"}',
                id="ami-elsewhere",
            ),
            pytest.param('{"ami": null}', '{"ami": "ami-new"}', id="ami-null"),
            pytest.param("{}", '{"ami":"ami-new"}', id="added-to-nothing"),
            pytest.param(" { } ", ' {"ami":"ami-new" } ', id="added-to-blanks"),
            pytest.param('{"a":1}', '{"a":1,"ami":"ami-new"}', id="added-tight"),
            pytest.param('{"a": 1, "b": 2}', '{"a": 1, "b": 2, "ami": "ami-new"}', id="added-spaced"),
            pytest.param('{\n  "a": {}\n}', '{\n  "a": {},"ami": "ami-new"\n}', id="added-indented"),
            pytest.param('{"a":"}{"}\n', '{"a":"}{","ami":"ami-new"}\n', id="added-after-braces-in-text"),
        ],
    )
    def test_to_the_letter(self, text, merged):
        assert merge(versions(text), "ami-new") == merged

    @pytest.mark.parametrize(
        "text",
        ['{ "ami" :"ami-new","n":1e3 }', '{"\\u0061mi":"ami-new"}', '{"ami":"x","ami":"ami-new"}'],
        ids=["plain", "escaped-key", "the-last-of-two-counts"],
    )
    def test_nothing_changes_where_it_is_right_already(self, text):
        assert merge(versions(text), "ami-new") == text

    @pytest.mark.parametrize("ami", ["null", '""', '"pending"', '"ami-1"', '"no id"'])
    def test_of_any_text_and_of_none_is_replaced(self, ami):
        assert merge(versions(f'{{"ami": {ami}}}'), "ami-new") == '{"ami": "ami-new"}'

    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            ('{"ami": {"id": "ami-1"}}', "an object"),
            ('{"ami": {}}', "an object"),
            ('{"ami": ["ami-1"]}', "a list"),
            ('{"ami": true}', "a boolean"),
            ('{"ami": 0}', "a number"),
            ('{"ami": 1.5e3}', "a number"),
            ('{"\\u0061mi": ["ami-1"]}', "a list"),
            ('{"ami": ["ami-1"], "ami": "ami-1"}', "a list"),
        ],
    )
    def test_of_what_would_be_lost_is_refused(self, text, kind):
        config = ConfigVersion(7, text)
        for refuses in (
            lambda: merge([config], "ami-new"),
            lambda: merge_covered([config], "ami-new", base=config, put=config),
            lambda: ami_of(config),
        ):
            with pytest.raises(InvalidConfig, match=f"^has {kind} as 'ami', where a text belongs$"):
                refuses()

    def test_an_older_unusable_ami_keeps_the_edits_beside_it(self):
        history = versions('{"ami":"a","n":1}', '{"ami":["a"],"n":2}', '{"ami":"new","n":1}')
        assert merge(history, "new") == '{"ami":"new","n":2}'

    @pytest.mark.parametrize("text", ["", "[]", '{"ami": NaN}', "ami-1"])
    def test_of_no_object_is_refused(self, text):
        with pytest.raises(InvalidConfig):
            merge(versions(text), "ami-new")


MERGES = [
    pytest.param(
        ['{"ami":"old","a":1}', '{"ami":"old","a":2}', '{"ami":"new","a":1}'], {"ami": "new", "a": 2}, id="changed-key"
    ),
    pytest.param(['{"ami":"old"}', '{"ami":"old","a":2}', '{"ami":"new"}'], {"ami": "new", "a": 2}, id="added-key"),
    pytest.param(
        ['{"ami":"old","a":1,"b":1}', '{"ami":"old","b":1}', '{"ami":"new","a":1,"b":1}'],
        {"ami": "new", "b": 1},
        id="removed-key",
    ),
    pytest.param(
        ['{"ami":"old","b":1,"a":1}', '{"ami":"old","b":1}', '{"ami":"new","b":1,"a":1}'],
        {"ami": "new", "b": 1},
        id="removed-last-key",
    ),
    pytest.param(['{"a":1}', "{}", '{"a":1,"ami":"new"}'], {"ami": "new"}, id="removed-first-of-two"),
    pytest.param(
        ['{"ami":"old","a":1,"b":1}', '{"ami":"old","a":2,"b":2,"c":3}', '{"ami":"new","a":1,"b":1}'],
        {"ami": "new", "a": 2, "b": 2, "c": 3},
        id="several-keys",
    ),
    pytest.param(
        [
            '{"ami":"old","a":1,"b":1}',
            '{"ami":"old","a":2,"b":1}',
            '{"ami":"old","a":1,"b":2}',
            '{"ami":"new","a":1,"b":1}',
        ],
        {"ami": "new", "a": 2, "b": 2},
        id="several-edits",
    ),
    pytest.param(
        ['{"ami":"old","a":1}', '{"ami":"old","a":2}', '{"ami":"old","a":3}', '{"ami":"new","a":1}'],
        {"ami": "new", "a": 3},
        id="the-last-edit-of-a-key",
    ),
    pytest.param(
        [
            '{"ami":"old","a":{"x":[1],"y":1}}',
            '{"ami":"old","a":{"x":[1,2],"y":1}}',
            '{"ami":"new","a":{"y":1,"x":[1]}}',
        ],
        {"ami": "new", "a": {"x": [1, 2], "y": 1}},
        id="nested-values-in-any-order",
    ),
    pytest.param(
        ['{"ami":"old","a":1}', '{"ami":"old","a":true}', '{"ami":"new","a":1}'],
        {"ami": "new", "a": True},
        id="true-for-1",
    ),
    pytest.param(
        ['{"ami":"old","a":[0]}', '{"ami":"old","a":[false]}', '{"ami":"new","a":[0]}'],
        {"ami": "new", "a": [False]},
        id="nested-false-for-0",
    ),
    pytest.param(
        ['{"ami":"old","a":1}', '{"ami":"old","a":null}', '{"ami":"new","a":1}'],
        {"ami": "new", "a": None},
        id="null-is-an-edit",
    ),
    pytest.param(
        ['{"ami":"old","a":1}', '{"ami":"old","a":1}', '{"ami":"new","a":2}'], {"ami": "new", "a": 2}, id="newest-kept"
    ),
    pytest.param(
        ['{"ami":"old","a":1}', '{"ami":"old","a":2}', '{"ami":"new","a":3}'],
        {"ami": "new", "a": 3},
        id="newest-kept-over-an-older-edit",
    ),
    pytest.param(
        ['{"ami":"old","a":1}', '{"ami":"new","a":1}', '{"ami":"new","a":2}'],
        {"ami": "new", "a": 2},
        id="edited-after-the-put",
    ),
    pytest.param(
        ['{"ami":"old","a":1}', '{"ami":"newer","a":1}', '{"ami":"old","a":1}'],
        {"ami": "new", "a": 1},
        id="ami-is-ours-alone",
    ),
    pytest.param(
        ['{"ami":"old","a":1}', '{"ami":"old","a":2}'], {"ami": "new", "a": 2}, id="two-versions-cover-nothing"
    ),
    pytest.param(
        ['{"ami":"old","a":1}', "not json", '{"ami":"old","a":2}', '{"ami":"new","a":1}'],
        {"ami": "new", "a": 2},
        id="unreadable-in-between-passed-over",
    ),
]


class TestMergeOfSeveralVersions:
    """An edit that a put covered comes back."""

    @pytest.mark.parametrize(("texts", "merged"), MERGES)
    def test_every_edit_is_kept(self, texts, merged):
        found = json.loads(merge(versions(*texts), "new"))
        assert json.dumps(found, sort_keys=True) == json.dumps(merged, sort_keys=True)

    def test_the_rest_of_the_newest_stays_to_the_letter(self):
        history = versions('{"a":1,"n":1e3}', '{"a":2,"n":1e3}', '{ "a" : 1,\n"n":1.0e3, "ami": "new" }')
        assert merge(history, "new") == '{ "a" : 2,\n"n":1.0e3, "ami": "new" }'

    @pytest.mark.parametrize(
        ("texts", "base"),
        [
            pytest.param(['{"a":1}', '{"a":1,"b":2}', '{ "a":1,"b":2,"ami":"new" }'], None, id="nothing-covered"),
            pytest.param(
                ['{"a":1,"ami":"new"}', '{"a":2,"ami":"new"}', '{"a":1,"ami":"new"}'], None, id="ami-never-changed"
            ),
            pytest.param(['{"a":0}', '{"a":1}', '{"a":1,"ami":"new"}'], 2, id="edit-before-the-base"),
            # Another try of ours put what it had read before the base; the base's own value must stay.
            pytest.param(
                ['{"a":1,"ami":"old"}', '{"a":2,"ami":"old"}', '{"a":1,"ami":"new"}', '{"a":2,"ami":"new"}'],
                2,
                id="version-that-only-covered",
            ),
        ],
    )
    def test_without_a_covered_edit_the_newest_stays(self, texts, base):
        assert merge(versions(*texts), "new", base=base) == texts[-1]

    def test_what_a_person_took_back_to_an_older_content_counts(self):
        """The fourth repeats the first, but leaves the ``ami`` that stood: no put of somebody who read the first."""
        history = versions(
            '{"a":1,"ami":"z"}', '{"a":2,"ami":"z"}', '{"a":2,"ami":"y"}', '{"a":1,"ami":"y"}', '{"a":2,"ami":"new"}'
        )
        assert json.loads(merge(history, "new", base=3))["a"] == 1

    def test_an_unreadable_newest_is_refused(self):
        with pytest.raises(InvalidConfig):
            merge(versions('{"a":1}', '{"a":2}', "not json"), "new")

    def test_removing_a_repeated_key_leaves_an_object(self):
        history = versions('{"b":2,"a":1,"a":1}', '{"b":2}', '{"ami":"new","b":2,"a":1,"a":1}')
        assert json.loads(merge(history, "new")) == {"ami": "new", "b": 2}

    def test_a_restored_number_beyond_all_floats_leaves_an_object(self):
        merged = merge(versions('{"b":2}', '{"b":1e400}', '{"ami":"new","b":2}'), "new")
        assert ConfigVersion(4, merged).parse()

    @pytest.mark.parametrize("number", ["0.12345678901234567890123", "1.50", "12345678901234567890123"])
    def test_a_restored_number_stays_to_the_letter(self, number):
        history = versions('{"b":2}', f'{{"b":{number}}}', '{"ami":"new","b":2}')
        assert merge(history, "new") == f'{{"ami":"new","b":{number}}}'

    @pytest.mark.parametrize(
        ("minutes", "merged"),
        [
            pytest.param((-2, -1, 0), 2, id="covered-by-then"),
            pytest.param((-2, -1, 1), 1, id="taken-back-later"),
            pytest.param((-2, 1, 2), 1, id="edited-and-taken-back-later"),
            pytest.param((None, None, None), 2, id="of-unknown-date"),
        ],
    )
    def test_what_was_taken_back_after_the_window_was_meant(self, minutes, merged):
        texts = ('{"ami":"old","a":1}', '{"ami":"old","a":2}', '{"ami":"new","a":1}')
        history = [
            ConfigVersion(number, text, modified=None if minute is None else NOW + timedelta(minutes=minute))
            for number, (text, minute) in enumerate(zip(texts, minutes, strict=True), 1)
        ]
        assert json.loads(merge(history, "new", until=NOW))["a"] == merged

    @pytest.mark.parametrize(
        ("texts", "merged"),
        [
            pytest.param(
                ['{"ami":"new","a":1}', '{"ami":"new","a":2}', '{"ami":"new","a":2}', '{"ami":"new","a":1}'],
                1,
                id="taken-back-and-never-covered",
            ),
            pytest.param(
                ['{"a":1}', '{"a":2}', '{"ami":"new","a":1}', '{"ami":"new","a":3}'], 3, id="covered-and-set-anew"
            ),
        ],
    )
    def test_what_came_after_the_window_stands(self, texts, merged):
        history = [
            ConfigVersion(number, text, modified=NOW + timedelta(minutes=number - 3))
            for number, text in enumerate(texts, 1)
        ]
        assert json.loads(merge(history, "new", until=NOW))["a"] == merged


class TestMergeOfWhatOurPutCovered:
    """Version 1 is what our put was made from, the last but one of ``texts`` our put, the last one what stands."""

    @pytest.mark.parametrize(
        ("texts", "merged"),
        [
            pytest.param(
                ['{"ami":"o","x":1}', '{"ami":"o","x":2}', '{"ami":"n","x":1}'], '{"ami":"n","x":2}', id="an-edit"
            ),
            pytest.param(['{"ami":"o"}', '{"ami":"o","x":2}', '{"ami":"n"}'], '{"ami":"n","x":2}', id="a-new-key"),
            pytest.param(['{"ami":"o","x":1}', '{"ami":"o"}', '{"ami":"n","x":1}'], '{"ami":"n"}', id="a-removal"),
            pytest.param(
                ['{"ami":"n","x":1}', '{"ami":"n","x":3}', '{"ami":"n","x":2}'],
                '{"ami":"n","x":3}',
                id="an-edit-of-what-we-restored",
            ),
            pytest.param(
                ['{"ami":"n","x":1}', '{"ami":"n","x":1,"y":2}', '{"ami":"n","x":2}'],
                '{"ami":"n","x":2,"y":2}',
                id="an-edit-beside-what-we-restored",
            ),
            pytest.param(
                ['{"ami":"o","x":1}', '{"ami":"o","x":2}', '{"ami":"o","x":1}', '{"ami":"n","x":1}'],
                '{"ami":"n","x":1}',
                id="an-edit-that-was-taken-back-before",
            ),
            pytest.param(['{"ami":"o","x":1}', "[]", '{"ami":"n","x":1}'], '{"ami":"n","x":1}', id="no-object"),
            pytest.param(
                ['{"ami":"o","x":1}', '{"ami":"o","x":true}', '{"ami":"n","x":1}'],
                '{"ami":"n","x":true}',
                id="true-is-not-1",
            ),
        ],
    )
    def test_is_restored(self, texts, merged):
        history = versions(*texts)
        assert merge_covered(history, "n", base=history[0], put=history[-1]) == merged

    @pytest.mark.parametrize(
        ("later", "merged"),
        [
            pytest.param('{"ami":"o","x":3}', '{"ami":"n","x":3}', id="set-anew"),
            pytest.param('{"ami":"o","x":1,"y":2}', '{"ami":"n","x":2,"y":2}', id="another-key"),
        ],
    )
    def test_what_came_after_our_put_stands(self, later, merged):
        history = versions('{"ami":"o","x":1}', '{"ami":"o","x":2}', '{"ami":"n","x":1}', later)
        assert merge_covered(history, "n", base=history[0], put=history[2]) == merged

    def test_a_put_of_what_was_read_long_before_is_no_edit(self):
        """It covered the edit that ours was made from; what came before it counts all the same."""
        texts = ['{"ami":"o","x":1}', '{"ami":"o","x":2}', '{"ami":"o","x":2,"y":3}', '{"ami":"n","x":1}']
        history = versions(*texts, '{"ami":"n","x":2}')
        assert merge_covered(history, "n", base=history[1], put=history[-1]) == '{"ami":"n","x":2,"y":3}'

    def test_a_parameter_that_was_made_anew_is_covered_whole(self):
        base, put = ConfigVersion(7, '{"ami":"o","x":1}'), ConfigVersion(2, '{"ami":"n","x":1}')
        history = [ConfigVersion(1, '{"ami":"o","x":5,"y":2}'), put]
        assert merge_covered(history, "n", base=base, put=put) == '{"ami":"n","x":5,"y":2}'

    def test_nothing_covered_changes_nothing(self):
        base, put = versions('{"ami":"o","x":1}', '{"ami":"n","x":2}')
        assert merge_covered([base, put], "n", base=base, put=put) == put.text

    def test_an_unreadable_newest_is_refused(self):
        history = versions('{"ami":"o"}', '{"ami":"n"}', "[]")
        with pytest.raises(InvalidConfig):
            merge_covered(history, "n", base=history[0], put=history[1])


class TestRoom:
    @pytest.mark.parametrize(
        ("tier", "text", "fits"),
        [
            pytest.param(None, "x" * 4096, True, id="unknown-tier-full"),
            pytest.param(None, "x" * 4097, False, id="unknown-tier-over"),
            pytest.param("Standard", "x" * 4096, True, id="standard-full"),
            pytest.param("Standard", "x" * 4097, False, id="standard-over"),
            pytest.param("Advanced", "x" * 8192, True, id="advanced-full"),
            pytest.param("Advanced", "x" * 8193, False, id="advanced-over"),
            pytest.param("Standard", "ä" * 2048, True, id="bytes-full"),
            pytest.param("Standard", "ä" * 2049, False, id="bytes-not-characters"),
            pytest.param("Standard", "\ud800" * 1366, False, id="half-a-character"),
        ],
    )
    def test_by_tier_in_bytes(self, tier, text, fits):
        assert ConfigVersion(1, text, tier=tier).fits is fits

    def test_a_put_keeps_type_key_and_tier(self):
        config = ConfigVersion(1, "{}", secure=True, key_id="key", tier="Advanced", modified=NOW)
        assert config.with_text("{ }", 2) == ConfigVersion(2, "{ }", secure=True, key_id="key", tier="Advanced")


@pytest.mark.parametrize(
    ("texts", "secure", "before"),
    [
        pytest.param(['{"ami": "a"}', '{"ami": "b"}'], False, "a", id="another"),
        pytest.param(['{"ami": "a"}', '{"ami": "b"}', '{"ami": "b", "x": 1}'], False, "a", id="edited-since"),
        pytest.param(['{"ami": "a"}', '{"ami": "c"}', '{"ami": "a"}'], False, "c", id="back-and-forth"),
        pytest.param(['{"ami": "a"}', "ami-broken", '{"ami": "b"}'], False, "a", id="one-that-cannot-be-read"),
        pytest.param(["{}", '{"ami": "b"}'], False, None, id="none-before"),
        pytest.param(['{"ami": "b"}', '{"ami": "b"}'], False, None, id="the-same-always"),
        pytest.param(['{"ami": "a"}', '{"ami": "b"}'], True, None, id="SecureString"),
        pytest.param([], False, None, id="no-versions"),
    ],
)
def test_which_ami_was_replaced(texts, secure, before):
    assert replaced_ami([ConfigVersion(n, text, secure=secure) for n, text in enumerate(texts, 1)]) == before


@pytest.mark.parametrize(
    ("text", "platform", "refusal"),
    [
        pytest.param('{"platform": "linux"}', Platform.LINUX, None, id="the-same"),
        pytest.param('{"platform": "LINUX"}', Platform.LINUX, None, id="the-same-in-capitals"),
        pytest.param('{"platform": "macos"}', Platform.MACOS, None, id="macos"),
        pytest.param('{"platform": "windows"}', Platform.LINUX, "is for Windows, and it for Linux", id="windows-linux"),
        pytest.param('{"platform": "Linux"}', Platform.WINDOWS, "is for Linux, and it for Windows", id="linux-windows"),
        pytest.param('{"platform": "linux"}', Platform.MACOS, "is for Linux, and it for macOS", id="linux-macos"),
        pytest.param('{"platform": "linux", "platform": "windows"}', Platform.WINDOWS, None, id="the-last-key-counts"),
        pytest.param('{"platform": "windows"}', None, None, id="image-of-no-platform"),
        pytest.param("{}", Platform.LINUX, None, id="no-key"),
        pytest.param('{"platform": "beos"}', Platform.LINUX, None, id="unknown-word"),
        pytest.param('{"platform": null}', Platform.LINUX, None, id="null"),
        pytest.param('{"platform": ["windows"]}', Platform.LINUX, None, id="list"),
        pytest.param('{"Platform": "windows"}', Platform.LINUX, None, id="another-key"),
    ],
)
def test_the_platform_of_an_image_for_a_parameter(text, platform, refusal):
    if refusal is None:
        check_platform(ConfigVersion(7, text), "it", platform)
    else:
        with pytest.raises(InvalidConfig, match=f"^{refusal}$"):
            check_platform(ConfigVersion(7, text), "it", platform)
