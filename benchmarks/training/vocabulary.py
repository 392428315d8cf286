"""Makes `plugins/cache/semantic/words.bin`, the filter of English words, from word lists (one word a line).

python -m benchmarks.training.vocabulary american-english-huge british-english-huge
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from plugins.cache.semantic.lexicon import PACKAGED, places

WORD = re.compile(r"[a-z]{3,24}")
BITS = 11
"""For each word: with seven hashes, one of two hundred other strings is taken for a word."""
TARGET = Path(__file__).resolve().parents[2] / "plugins" / "cache" / "semantic" / PACKAGED


def words(files: list[str]) -> set[str]:
    """In lower case, without possessives, and without plurals whose singular is there."""
    found = {
        word
        for file in files
        for line in Path(file).read_text("utf-8").splitlines()
        if WORD.fullmatch(word := line.strip().lower().removesuffix("'s"))
    }
    return {word for word in found if not (word.endswith("s") and word[:-1] in found)}


def packed(known: set[str]) -> bytes:
    bits = bytearray(len(known) * BITS // 8)
    for word in known:
        for place in places(word, 8 * len(bits)):
            bits[place >> 3] |= 1 << (place & 7)
    return bytes(bits)


if __name__ == "__main__":
    TARGET.write_bytes(packed(words(sys.argv[1:])))
