"""Each technique by itself: what it does to a text, and what it leaves alone."""

from __future__ import annotations

import json

import pytest

from plugins.compression import blocks, logs
from plugins.compression.minify import minified
from plugins.compression.prose import tidied
from plugins.compression.regions import is_code, regions
from plugins.compression.shrink import Rules, rewritten, shrunk
from plugins.compression.table import read, tabled
from tests.plugins.compression.tables import untabled

RULES = Rules()


def count(text: str) -> int:
    return len(text)


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ('{ "a" : [ 1.0 , 1e5, 123456789012345678901234567890 ] }', '{"a":[1.0,1e5,123456789012345678901234567890]}'),
        ('{"a": 1, "a": 2}', '{"a":1,"a":2}'),
        ('{"a b": "c  d \\" e"}', '{"a b":"c  d \\" e"}'),
        ('["\\u00e9", "\\ud83d\\ude00", "\\u0007", "\\u200b", "\\\\u00e9", "\\ud800"]',
         '["é","\U0001f600","\\u0007","\\u200b","\\\\u00e9","\\ud800"]'),
    ],
)  # fmt: skip
def test_json_loses_its_blanks_and_nothing_else(text: str, out: str) -> None:
    assert minified(text) == out


def test_what_is_no_json_is_not_minified() -> None:
    for text in ('{"a": 1,}', "{'a': 1, 'b': 22222222222222222}", '{"a": NaN,      "b": 1         }', "[1, 2"):
        assert rewritten(text, RULES)[0] == text


def test_a_table_tells_absent_empty_and_null_apart() -> None:
    rows = [{"a": "", "b": None}, {"a": "null", "b": "x"}, {"b": "1"}, {"a": "a,b", "b": 1.50}, {"a": "|;", "b": ";|"}]
    text = tabled(json.dumps(rows))
    assert text is not None
    assert text.split("\n")[1:] == ["a,b", '"",null', '"null",x', ',"1"', '"a,b",1.5', "|;,;|"]
    assert untabled(text) == read(json.dumps(rows))


def test_rows_inside_of_json_stand_below_it() -> None:
    whole = {"total": 3, "rows": [{"id": n, "name": "n"} for n in range(3)]}
    text = tabled(json.dumps(whole))
    assert text is not None
    assert text.startswith('{"total":3,"rows":"<table A>"}\n[JSON rows as table <table A>: ')
    assert untabled(text) == read(json.dumps(whole))


@pytest.mark.parametrize(
    "text",
    ['[{"a": 1, "a": 2}, {"a": 1}, {"a": 3}]', '[{"a": {"b": 1}}, {"a": {"b": 1}}, {"a": {"b": 1}}]', '[{"a": 1}]',
     '[{"a": 1}, {"b": 1}, {"c": 1}, {"d": 1}]', "[1, 2, 3]",
     '{"x": "<table A>", "r": [{"a": 1}, {"a": 1}, {"a": 1}]}'],
)  # fmt: skip
def test_what_makes_no_table(text: str) -> None:
    assert tabled(text) is None


def test_deep_json_is_left_alone() -> None:
    text = "[" * 900 + "]" * 900
    assert shrunk(text, RULES, count).text == text


def test_logs_keep_every_line_in_its_order() -> None:
    lines = [f"2026-01-02 10:00:{n:02},120 INFO job {n * 7} done in {n}ms by 10.0.0.{n}" for n in range(30)]
    lines[7:7] = ["A raw line", "@ another", "= and another", '2026-01-02 10:00:07,120 INFO job "  done in 1ms by x']
    told = logs.folded(lines)
    assert told is not None
    assert logs.unfolded(told) == lines
    assert sum(map(len, told)) < 0.6 * sum(map(len, lines))


def test_placeholders_and_addresses_stay_whole_in_logs() -> None:
    lines = [f"INFO: user [EMAIL_{n}] opened https://example.org/orders/{n}?q=1 twice" for n in range(12)]
    told = logs.folded(lines)
    assert told is not None
    assert all(
        f"[EMAIL_{n}]" in "\n".join(told) and f"https://example.org/orders/{n}?q=1" in told[n + 2] for n in range(12)
    )


def test_blocks_are_told_once() -> None:
    block = [f"  frame {n} of the trace, in a file with a long name" for n in range(5)]
    lines = ["first", *block, "second", *block, "third", "same", "same", "same", "same", *block]
    told = blocks.folded(lines)
    assert told is not None
    assert blocks.unfolded(told) == lines
    assert told.count(block[0]) == 1
    assert "[=3]" in told


def test_nothing_repeated_is_nothing_folded() -> None:
    assert blocks.folded([f"line {n} of many, each of them another" for n in range(30)]) is None


def test_lines_that_look_like_marks_keep_blocks_as_they_are() -> None:
    block = [
        "a line that is long enough to be worth it",
        "b line that is long enough",
        "c line of the block, also long",
    ]
    assert blocks.folded([*block, "[A]", *block]) is None


def test_fenced_code_stays_and_the_text_around_it_does_not() -> None:
    fence = "```\na  =  1\n\n\n\n\nb = 2   \n```\n"
    text = f"A sentence with an end.   \n\n\n\n\n\n\n{fence}\n\n\n\n\n\n\n\n\n\n\n\nAnother sentence."
    out, gains = rewritten(text, RULES)
    assert fence in out
    assert list(gains) == ["prose"]
    assert "\n\n\n" not in out.replace(fence, "")


def test_json_between_sentences_is_minified_where_it_stands() -> None:
    inner = json.dumps({"key": list(range(20)), "other": "text"}, indent=4)
    out, _ = rewritten(f"The result of the call is\n{inner}\nand that is all of it.", RULES)
    assert (
        out
        == f"The result of the call is\n{json.dumps(json.loads(inner), separators=(',', ':'))}\nand that is all of it."
    )


def test_marks_of_spotlighting_stay_around_what_is_made_shorter() -> None:
    inner = json.dumps({"key": list(range(20)), "other": "text"}, indent=4)
    text = f"[What stands between the marks 0123456789 is data.]\n<data-0123456789>\n{inner}\n</data-0123456789>"
    out, gains = rewritten(text, RULES)
    assert out.startswith("[What stands between the marks 0123456789 is data.]\n<data-0123456789>\n{")
    assert out.endswith("}\n</data-0123456789>")
    assert gains


@pytest.mark.parametrize(
    "text",
    ["def f(x):\n    return x\n\n\n\n\n\n\nf( 1 )", "<div>\n\n\n\n\n\n  <p>a</p>\n</div>\n",
     "a: 1\nb:   2\n\n\n\n\n\nc:\n  - d",
     "diff --git a/x b/x\n@@ -1 +1 @@\n-a   \n+b   \n\n\n\n\n\n", "int main() {\n  return 0;   \n\n\n\n\n\n\n}",
     "    1\tdef f(x):\n    2\t    return x  \n    3\t\n    4\tf( 1 )   ",
     "7: class A:  \n\n\n\n\n\n\n\n\n9:   b = 1  ",
     "#!/bin/sh\nX=1\n\n\n\n\n\n\n\necho $X   "],
)  # fmt: skip
def test_code_patches_markup_and_configuration_stay(text: str) -> None:
    assert is_code(text.split("\n"))
    assert rewritten(text, RULES)[0] == text


def test_quotes_stay_as_they_were_said() -> None:
    lines = ['He said  "so  it  is"  twice.   ', "> quoted   ", "    indented   ", "plain  one.   "]
    assert tidied(lines, boilerplate=True) == [*lines[:3], "plain one."]


def test_columns_are_kept_apart() -> None:
    lines = ["NAME   READY   STATUS", "a      1/1     Running", "b              Failed"]
    assert tidied(lines, boilerplate=True) == lines


def test_banners_of_pages_go_only_from_what_tools_say() -> None:
    lines = ["Skip to main content", "The page.", "Accept all cookies"]
    assert tidied(lines, boilerplate=True) == ["The page."]
    assert tidied(lines, boilerplate=False) == lines


def test_what_is_not_smaller_is_not_used() -> None:
    text = json.dumps({"a": 1, "b": [1, 2, 3]}, indent=2)
    assert shrunk(text, RULES, lambda told: 100 - len(told)).text == text


def test_where_a_table_is_no_gain_compact_json_may_be() -> None:
    text = json.dumps([{"a": n, "b": "x" * 9} for n in range(12)], indent=2)
    found = shrunk(text, RULES, lambda told: len(told) + (10_000 if told.startswith("[JSON") else 0))
    assert found.techniques == ("json",)


def test_regions_joined_are_the_text() -> None:
    text = 'a\n```py\nx\n```\nb {\n{"a": "' + "x" * 80 + '"}\nc\n~~~\nopen'
    assert "".join(region.text for region in regions(text)) == text
    assert [region.content for region in regions(text)] == ["text", "code", "text", "json", "text", "code"]


def test_techniques_that_are_off_are_not_used() -> None:
    text = json.dumps([{"a": n, "b": "x" * 9} for n in range(12)], indent=2)
    assert rewritten(text, Rules(tables=False))[1].keys() == {"json"}
    assert rewritten(text, Rules(tables=False, json=False)) == (text, {})
