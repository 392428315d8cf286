"""Makes `plugins/cache/semantic/synonyms.bin`, pairs of words with one sense in common, from the files of WordNet 3.0.

python -m benchmarks.training.synonyms /usr/share/wordnet

Taken are pairs that share a sense which is, by WordNet's counts in tagged texts, at least a fifth of what each of the
two means, and that occur in those texts at all.
"""

from __future__ import annotations

import gzip
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

from plugins.cache.semantic.synonyms import PACKAGED

WORD = re.compile(r"[a-z]{3,16}")
PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
KINDS = {"1": "n", "2": "v", "3": "a", "4": "r", "5": "a"}
LEAST_SHARE, LEAST_SEEN = 0.2, 2.0
UNSEEN = (0.6, 0.3, 0.15)
"""What a sense counts that does not occur in the texts: the first, the second, further ones."""
TARGET = Path(__file__).resolve().parents[2] / "plugins" / "cache" / "semantic" / PACKAGED


def counts(folder: Path) -> Counter[tuple[str, str, int]]:
    """How often each sense of a word occurs: (word, part of speech, number of the sense)."""
    found: Counter[tuple[str, str, int]] = Counter()
    for line in (folder / "cntlist.rev").read_text("ascii").splitlines():
        key, number, count = line.split()
        word, _, rest = key.partition("%")
        found[word, KINDS[rest[0]], int(number)] += int(count)
    return found


def meanings(folder: Path) -> dict[str, dict[str, float]]:
    """Word -> sense -> how much it weighs."""
    seen = counts(folder)
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for name, part in PARTS.items():
        for line in (folder / f"index.{name}").read_text("ascii").splitlines():
            if line.startswith(" "):
                continue
            fields = line.split()
            senses = fields[-int(fields[2]) :] if WORD.fullmatch(fields[0]) else []
            for number, sense in enumerate(senses, 1):
                found[fields[0]][part + sense] = seen[fields[0], part, number] + UNSEEN[min(number, 3) - 1]
    return found


def pairs(folder: Path) -> list[str]:
    """Lines of two words, in order."""
    sharing: defaultdict[str, list[str]] = defaultdict(list)
    for word, senses in meanings(folder).items():
        total = sum(senses.values())
        if total < LEAST_SEEN:
            continue
        for sense, weight in senses.items():
            if weight >= LEAST_SHARE * total:
                sharing[sense].append(word)
    return sorted({
        " ".join(sorted((one, other)))
        for words in sharing.values() for at, one in enumerate(words) for other in words[:at]
    })  # fmt: skip


if __name__ == "__main__":
    TARGET.write_bytes(gzip.compress("\n".join(pairs(Path(sys.argv[1]))).encode(), 9, mtime=0))
