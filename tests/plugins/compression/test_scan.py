"""`weir scan compression`: any row is answered, never larger, and within its budget where its role allows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.compression.options import CompressionOptions
from tests.plugins.compression.agents import made

PLUGIN, OPTIONS = made(), CompressionOptions()
ROWS = json.dumps([{"id": n, "name": f"pump {n}", "city": "Oslo", "note": "all is well"} for n in range(40)], indent=2)
TEXTS = {
    "empty": "",
    "blank": " \n\t ",
    "short": "Pumps are blue.",
    "no JSON": '{"a": [1, 2,',
    "JSON in a string": json.dumps({"body": json.dumps({"rows": [{"n": n, "told": "x" * 30} for n in range(60)]})}),
    "CRLF": "\r\n".join(f"Line {n} says something about pumps.\r\nAnd more." for n in range(60)),
    "Unicode": "日本語の文章です。ポンプは青い。" * 60 + "\u2028\x85 ümläut 🎉🎉 e\u0301 " * 40,
    "half a pair": "bad \ud800 surrogate " * 40,
    "mixed": f"Here it is:\n{ROWS}\nThat was all about pumps.\n\nBye.",
    "one word": "x" * 20_000,
    "lines": "\n" * 20_000,
    "deep": "[" * 3000 + "]" * 3000,
    "doubled": '{"a":1,"a":2,"b":[1,2,3,4,5,6,7,8,9,10]}' * 3,
    "NaN": "[NaN, 1, 2]",
    "open fence": "```\n" + "a\n\nb pump\n" * 200,
    "headings": "\n".join(f"# H{n}\n\ntext pump {n}" for n in range(80)),
}
BUDGETS = (None, 1, 5, 30, 100, 10**9, 0, -5, "many", 12.5)


def scan(text: str, **row: Any) -> dict[str, Any]:
    found = PLUGIN.scan({"text": text, **row}, OPTIONS)
    assert found["tokens_after"] <= found["tokens_before"]
    assert found["tokens_after"] == PLUGIN.kit.tokens.count(found["text_out"], "gpt-4o")
    return found


@pytest.mark.parametrize("role", [None, "tool", "document", "user", "system", "assistant", "nobody"])
@pytest.mark.parametrize("name", TEXTS)
def test_every_row_is_answered(name: str, role: str | None) -> None:
    for budget in BUDGETS:
        for question in (None, "", "Which pump is blue?"):
            found = scan(TEXTS[name], role=role, budget_tokens=budget, question=question)
            within = budget if isinstance(budget, (int, float)) and budget >= 3 else None
            if within is not None and question and role in (None, "tool", "document"):
                assert found["tokens_after"] <= max(1, int(within))
            elif role not in (None, "tool", "document"):
                assert found["text_out"] == TEXTS[name]


def test_a_megabyte_is_cut_to_its_budget() -> None:
    text = "The pump hums in the cellar. " * 36_000
    found = scan(text + "It is blue.", budget_tokens=500, question="Which pump is blue?")
    assert found["tokens_after"] <= 500
    assert found["techniques"][0] == "extract"


@given(st.text(max_size=600), st.integers(1, 60))
def test_no_text_is_too_odd(text: str, budget: int) -> None:
    scan(text * 3, budget_tokens=budget, question="Which pump?")


@pytest.mark.parametrize("budget", [5, 60, 200, 600])
def test_json_stays_json_at_any_budget(budget: int) -> None:
    rows = [{"id": n, "deep": {"told": [f"pump {n}", "x" * 40]}} for n in range(40)]
    value: dict[str, Any] = {"total": 40, "rows": rows}
    found = scan(json.dumps(value, indent=1), budget_tokens=budget, question="Which is pump 17?")
    told = json.loads(found["text_out"])
    if budget >= 200:
        assert value["rows"][17] in told["rows"]
