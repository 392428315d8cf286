"""Makes `plugins/compression/meanings.txt`, stems of words with a sense in common, from the files of WordNet 3.0.

python -m benchmarks.training.meanings /usr/share/wordnet

Taken are words that occur at least twice in WordNet's tagged texts, with the senses that occur there (the first in any
case, four at most): their synonyms, what is derived from them, and the synonyms of that. Irregular forms come first.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

from plugins.compression.meanings import PACKAGED
from plugins.compression.words import STOP, plain_stem

FILES = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
PARTS = {"1": "n", "2": "v", "3": "a", "4": "r", "5": "a"}
LEAST_SEEN, MOST_SENSES = 2, 4
WORD = re.compile(r"[a-z]{3,20}")
REGULAR = ("ed", "ing", "es")
TARGET = Path(__file__).resolve().parents[2] / "plugins" / "compression" / PACKAGED
Sense = tuple[str, str]
"""Part of speech, place in its file."""


def _read(folder: Path, name: str) -> list[list[str]]:
    lines = (folder / name).read_text("utf-8").split("\n")
    return [line.partition(" | ")[0].split() for line in lines if line and line[0] != " "]


class Net:
    """WordNet as its files have it."""

    def __init__(self, folder: Path) -> None:
        self.seen: Counter[tuple[str, str, int]] = Counter()
        for key, number, count in _read(folder, "cntlist.rev"):
            word, _, rest = key.partition("%")
            self.seen[word, PARTS[rest[0]], int(number)] = int(count)
        self.words: dict[Sense, list[str]] = {}
        self.derived: dict[Sense, list[tuple[int, Sense, int]]] = {}
        self.senses: dict[tuple[str, str], list[Sense]] = {}
        for part, file in FILES.items():
            for fields in _read(folder, f"data.{file}"):
                self._sense((part, fields[0]), fields)
            for fields in _read(folder, f"index.{file}"):
                self.senses[fields[0], part] = [(part, place) for place in fields[-int(fields[2]) :]]
        self.irregular = {form: of for file in ("verb", "noun") for form, of, *_ in _read(folder, f"{file}.exc")}

    def _sense(self, sense: Sense, fields: list[str]) -> None:
        count = int(fields[3], 16)
        self.words[sense] = [fields[4 + 2 * at].partition("(")[0].lower() for at in range(count)]
        start = 4 + 2 * count
        pointers = [fields[start + 1 + 4 * at : start + 5 + 4 * at] for at in range(int(fields[start]))]
        self.derived[sense] = [
            (int(where[:2], 16), (part, place), int(where[2:], 16))
            for kind, place, part, where in pointers
            if kind == "+"
        ]


def pairs(net: Net) -> dict[str, set[str]]:
    """By stem, the stems that may stand for it."""
    often: Counter[str] = Counter()
    for (word, _, _), count in net.seen.items():
        often[word] += count
    common = {word for word, count in often.items() if count >= LEAST_SEEN and WORD.fullmatch(word)} - STOP
    found: dict[str, set[str]] = defaultdict(set)
    for (word, part), senses in net.senses.items():
        if word not in common:
            continue
        for number, sense in enumerate(senses[:MOST_SENSES], 1):
            if number > 1 and not net.seen[word, part, number]:
                break
            for other in _like(net, word, sense):
                one, two = plain_stem(word), plain_stem(other)
                if other in common and one != two:
                    found[one].add(two)
                    found[two].add(one)
    return found


def _like(net: Net, word: str, sense: Sense) -> list[str]:
    own = net.words[sense]
    found = list(own)
    for which, other, _ in net.derived[sense]:
        if which and own[which - 1] == word:
            found += net.words.get(other, [])
    return found


def irregular(net: Net) -> dict[str, str]:
    return {
        form: plain_stem(of)
        for form, of in net.irregular.items()
        if WORD.fullmatch(form) and WORD.fullmatch(of) and not form.endswith(REGULAR)
        and plain_stem(form) != plain_stem(of) and net_has(net, of) and form not in STOP
    }  # fmt: skip


def net_has(net: Net, word: str) -> bool:
    """Whether a word occurs in the tagged texts."""
    return any(net.seen[word, part, 1] for part in FILES)


def main() -> int:
    net = Net(Path(sys.argv[1]))
    forms = [f"{form}={of}" for form, of in sorted(irregular(net).items())]
    lines = [f"{one}:{' '.join(sorted(others))}" for one, others in sorted(pairs(net).items())]
    TARGET.write_text("\n".join([*forms, "", *lines, ""]), "ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main())
