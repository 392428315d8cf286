"""Ten thousand made-up texts: what comes out is never larger, loses nothing, and touches nothing that it must not."""

from __future__ import annotations

import json
import re
from collections import Counter
from random import Random
from typing import Any

import pytest

from benchmarks.quality.payloads import KINDS, LOG_FORMS, Maker
from plugins.compression import blocks, logs
from plugins.compression.regions import is_code
from plugins.compression.shrink import Rules, shrunk
from plugins.compression.table import read
from tests.plugins.compression.tables import untabled

CASES = 10_000
ROUNDS = 20
RULES = Rules()
PLACEHOLDER = re.compile(r"\[[A-Z]+_\d+\]")
NUMBER = re.compile(r"\d+")
ESCAPE = re.compile(r"\\u[0-9a-f]{4}")
RULE = re.compile(r"-{3,}")
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
QUOTED = re.compile(r'"([^"\n]{3,60})"')


def rough(text: str) -> int:
    """Tokens, about: a word or number is one for every four characters, a mark is one."""
    return sum([1 + len(word) // 5 for word in re.findall(r"\w+", text)]) + len(re.findall(r"[^\w\s]|\n +|\n", text))


def awkward(random: Random) -> Any:
    """JSON that is easily broken."""
    scalars = [0, -0.0, 1.0, 1, 10**30, 1e5, True, None, "", " ", "1", "true", "null", "a,b", "a|b", 'say "no"', "x\ny",
               "é\u2028", "\U0001f600", "[EMAIL_1]", "007", "-", "1e5", "<table A>", "{", "\\", "\t"]  # fmt: skip
    kind = random.random()
    if kind < 0.5:
        names = random.sample(["id", "n,a", "", "x y", "k", "v", "deep"], k=random.randint(1, 5))
        return [
            {name: random.choice(scalars) for name in names if random.random() < 0.9}
            for _ in range(random.randint(0, 12))
        ]
    if kind < 0.8:
        return {"rows": awkward(random), "more": {"again": [random.choice(scalars) for _ in range(4)]}, "n": 1}
    return [random.choice(scalars), {"a": [random.choice(scalars)], "b": {}}, []]


def spelled(random: Random, value: Any) -> str:
    """Written in one of many ways."""
    text = json.dumps(value, indent=random.choice([None, 1, 2, 4, "\t"]), ensure_ascii=random.random() < 0.5)
    if random.random() < 0.3:
        text = text.replace("1.0", "1.50e+3").replace(" 0", " 1234567890123456789012")
    return random.choice(["", "\n", "  "]) + text + random.choice(["", "\n"])


def text_of(random: Random, make: Maker) -> tuple[str, str]:
    """A kind, and a text of it: mostly short, so that there can be many."""
    kind = random.random()
    if kind < 0.45:
        return "json", spelled(random, awkward(random))
    if kind < 0.5:
        return "json", make.nested()
    if kind < 0.6:
        return "json", json.dumps(make.rows(random.randint(3, 12)), indent=random.choice([None, 2]))
    if kind < 0.8:
        form = random.choice(LOG_FORMS)
        lines = [form(make) for _ in range(random.randint(6, 30))]
        for _ in range(random.randint(0, 3)):
            lines.insert(random.randrange(len(lines)), random.choice(ODD_LINES))
        if random.random() < 0.3:
            lines[3:3] = make.python_trace()
            lines += make.python_trace()
        return "lines", "\n".join(lines)
    if kind < 0.83:
        return "lines", make.traces()
    if kind < 0.9:
        return "code", make.code()
    return "prose", make.prose().replace("the system", random.choice(["the system", "[PERSON_2]", '"the  system"']), 3)


ODD_LINES = (
    "",
    "A",
    "A b",
    "= x",
    "@x",
    "@2026-01-02 10:00:",
    '"',
    "A: *",
    "  at [EMAIL_3]",
    "[A]",
    "\tx  y  z",
    "2026-01-02 10:00:01 [IP_1] x *",
)


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_nothing_is_lost_or_touched_that_must_not_be(round_: int) -> None:
    random = Random(round_)
    make = Maker(round_)
    for _ in range(CASES // ROUNDS):
        kind, text = text_of(random, make)
        found = shrunk(text, RULES, rough)
        if not found.techniques:
            assert found.text == text
            continue
        assert found.after < found.before
        assert found.after == rough(found.text)
        assert shrunk(text, RULES, rough) == found
        assert set(PLACEHOLDER.findall(text)) <= set(PLACEHOLDER.findall(found.text))
        assert set(NUMBER.findall(ESCAPE.sub("", text))) <= set(NUMBER.findall(found.text))
        CHECKS[kind](text, found.text, found.techniques)


def check_json(text: str, out: str, techniques: tuple[str, ...]) -> None:
    if techniques == ("json",):
        assert read(out) == read(text)
        assert list(map(str, numbers(read(out)))) == list(map(str, numbers(read(text))))
    else:
        assert techniques == ("table",)
        assert untabled(out) == read(text)


def numbers(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [one for inner in value.values() for one in numbers(inner)]
    if isinstance(value, list):
        return [one for inner in value for one in numbers(inner)]
    return [value] if type(value) is not str else []


def check_lines(text: str, out: str, techniques: tuple[str, ...]) -> None:
    lines = out.split("\n")
    if "log" in techniques:
        lines = logs.unfolded(lines)
    if "repeat" in techniques:
        lines = blocks.unfolded(lines)
    if set(techniques) <= {"log", "repeat"}:
        assert "\n".join(lines) == text
    else:
        assert "prose" in techniques


def check_code(text: str, out: str, techniques: tuple[str, ...]) -> None:
    assert not is_code(text.split("\n"))
    if techniques == ("prose",):
        assert RULE.sub("---", out).split() == RULE.sub("---", text).split()


def check_prose(text: str, out: str, techniques: tuple[str, ...]) -> None:
    assert FENCED.findall(text) == FENCED.findall(out)
    assert Counter(QUOTED.findall(text)) == Counter(QUOTED.findall(out))
    if techniques == ("prose",):
        assert re.sub(r"[\s|-]+|Back to top", "", out) == re.sub(r"[\s|-]+|Back to top", "", text)


CHECKS = {"json": check_json, "lines": check_lines, "code": check_code, "prose": check_prose}


@pytest.mark.parametrize("kind", KINDS)
def test_made_up_texts_are_the_same_on_every_machine(kind: str) -> None:
    assert KINDS[kind](Maker(3)) == KINDS[kind](Maker(3))
