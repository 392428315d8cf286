"""Texts made from the project's own templates, attacks and harmless ones: rows."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

CORPORA = Path(__file__).parent.parent / "corpora" / "injection"
CHOICE = re.compile(r"\{([^{}]*)\}")
WORD = re.compile(r"<([a-z]+)>")
MOST = 60
"""Texts of one template of the English ones."""
ABROAD = 40
"""Texts of one template of the others."""


def rows(carriers: Mapping[str, list[str]], seed: int = 20261122) -> list[dict[str, Any]]:
    """Rows like those of the corpora. `carriers`: harmless texts by language that some attacks are set into."""
    random = Random(seed)
    made = [*_english(random, carriers.get("en", [])), *_abroad(random, carriers)]
    return list({row["text"]: row for row in reversed(made)}.values())[::-1]


def spelt(template: str, words: Mapping[str, list[str]], random: Random) -> str:
    """One text of a template: a word for each `<name>` it knows, one of the choices of each `{a|b}`."""
    text = template
    while match := CHOICE.search(text):
        text = text[: match.start()] + random.choice(match[1].split("|")) + text[match.end() :]
    return WORD.sub(lambda found: random.choice(words[found[1]]) if found[1] in words else found[0], text)


def _english(random: Random, carriers: list[str]) -> Iterator[dict[str, Any]]:
    table = tomllib.loads((CORPORA / "templates.toml").read_text("utf-8"))
    words = table["words"]
    for label, name in ((1, "attack"), (0, "benign")):
        for kind in table[name]:
            for template in kind["templates"]:
                for _ in range(min(MOST, 6 * (1 + template.count("|")))):
                    text = spelt(template, words, random)
                    text = spelt(text, words, random) if "<" in text else text
                    text = text[:1].upper() + text[1:] if random.random() < 0.8 else text
                    text = text.upper() if label and random.random() < 0.05 else text
                    if kind["kind"] == "indirect" and carriers and random.random() < 0.6:
                        text = planted(text, random.choice(carriers), random)
                    yield row(text, label, kind["kind"], "own-templates")


def _abroad(random: Random, carriers: Mapping[str, list[str]]) -> Iterator[dict[str, Any]]:
    table = tomllib.loads((CORPORA / "tongues.toml").read_text("utf-8"))
    for language, kinds in table.items():
        for template in kinds["attack"]:
            for _ in range(min(ABROAD, 3 * (1 + template.count("|")))):
                text = spelt(template, {}, random)
                hosts = carriers.get(language, [])
                if hosts and random.random() < 0.35:
                    text = planted(text, random.choice(hosts), random)
                yield row(text, 1, "multilingual", "own-tongues")
        for template in kinds["benign"]:
            for _ in range(2 * (1 + template.count("|"))):
                yield row(spelt(template, {}, random), 0, "benign-hard", "own-tongues")


def planted(text: str, host: str, random: Random) -> str:
    """An attack inside a harmless text: at the end of one of its lines or sentences."""
    pieces = re.split(r"(?<=[.!?\n])\s", host[:700])
    at = random.randrange(len(pieces) + 1)
    return " ".join([*pieces[:at], text, *pieces[at:]])


def row(text: str, label: int, category: str, source: str) -> dict[str, Any]:
    """A text with what is known of it."""
    return {"text": text, "label": label, "category": category, "source": source, "origin": "own"}
