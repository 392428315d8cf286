"""What a text shows of how hard it is, without a model: its shape in few numbers, and its words.

Read is a bounded part of a text, its beginning and its end, by few passes of something written in C: routing must cost
a call next to nothing. Numbers are counts, yes or no; logarithms make texts of all lengths alike in scale.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from math import log1p
from types import MappingProxyType

from proxy.exchange import Segment

BEGINNING_CHARS, END_CHARS = 256, 128
MOST_CHARS = BEGINNING_CHARS + END_CHARS + 1
"""Of a longer text its beginning and its end are read, a line's end between them."""

_OPTIONS = re.compile(rb"\n *\(?[A-J1-9][.):] ")
_WORDS = bytes(
    code + 32 if 65 <= code <= 90 else code if 97 <= code <= 122 else 48 if 48 <= code <= 57 else 32
    for code in range(256)
)
"""Letters become small, digits 0, all else a blank."""

CLASSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "negations": ("not", "no", "never", "except", "least", "false", "incorrect", "without", "none"),
        "money": ("dollar", "dollars", "cent", "cents", "price", "cost", "costs", "pay", "paid", "earn", "spend"),
        "times": ("hour", "hours", "minute", "minutes", "day", "days", "week", "weeks", "month", "months", "year",
                  "years", "daily"),
        "parts": ("half", "third", "quarter", "twice", "double", "triple", "times", "percent", "fraction", "ratio"),
        "each": ("each", "every", "per"),
        "rests": ("remaining", "left", "total", "altogether", "combined", "sum", "difference", "average", "remainder"),
        "compared": ("more", "less", "fewer", "than", "greater", "larger", "smaller"),
        "measures": ("mile", "miles", "feet", "foot", "inch", "inches", "pound", "pounds", "kg", "cm", "meter",
                     "meters", "gallon", "gallons", "liter", "liters"),
        "conditions": ("if", "then", "suppose", "assume", "unless", "when", "given"),
        "reasons": ("because", "therefore", "however", "although", "why", "explain", "prove", "derive", "show", "step"),
        "statements": ("statement", "statements", "following", "according", "scenario"),
        "builds": ("function", "write", "implement", "program", "code", "python", "algorithm", "class", "method"),
        "designs": ("design", "compare", "analyze", "analyse", "plan", "evaluate", "optimize", "debug", "refactor"),
        "easy": ("capital", "name", "define", "translate", "summarize", "list", "hello", "thanks", "rewrite"),
    }
)  # fmt: skip
"""Kinds of words that say something of every text, whatever it is about: each word weighs as its kind does, too."""
KIND: Mapping[bytes, str] = MappingProxyType({word.encode(): kind for kind, words in CLASSES.items() for word in words})
NAMES = ("length", "digits", "numbers", "options", "questions", "sentences", "code", "builds")
"""The counts that `Parts` gives, in this order."""


_BUILDS = frozenset(word.encode() for word in CLASSES["builds"])
Counts = tuple[int, int, int, int, int, int, int, int]


def parts(text: str) -> tuple[Counts, list[bytes]]:
    """What is counted of a text, as `NAMES` says: each from 0 to `MOST_CHARS`, the yes or no 0 or 1. And its words
    in order: Latin letters, small; a number as so many 0."""
    if len(text) >= MOST_CHARS:
        text = f"{text[:BEGINNING_CHARS]}\n{text[-END_CHARS:]}"
    data = text.encode("utf-8", "replace")
    low = data.translate(_WORDS)
    listed = low.split()
    lines = data.count(b"\n")
    counts = (
        len(text),
        low.count(b"0"),
        low.count(b" 0"),
        1 if lines > 1 and len(_OPTIONS.findall(data)) > 1 else 0,
        data.count(b"?"),
        data.count(b"."),
        1 if b"()" in data or b"```" in data or (lines and b";\n" in data) else 0,
        0 if _BUILDS.isdisjoint(listed) else 1,
    )
    return counts, listed


def read(text: str) -> tuple[list[float], Counter[bytes]]:
    """The shape of a text, as `NAMES` says, on the scale of logarithms, and how often it has each of its words."""
    counts, listed = parts(text)
    return [log1p(count) for count in counts], Counter(listed)


def asked_text(segments: Sequence[Segment], *, newest: bool = False) -> str:
    """The text whose hardness counts: what the user asks. In the middle of a conversation what it began with (or the
    `newest`), so that a process that knows nothing of the conversation comes to the same choice."""
    texts = [one for one in segments if one.role == "user" and one.kind == "text"]
    if not texts:
        return ""
    if len(texts) == 1:
        return texts[0].text
    begun = not newest and "assistant" in [one.role for one in segments]
    place = texts[0].index if begun else texts[-1].index
    same = [one.text for one in texts if one.index == place]
    return same[0] if len(same) == 1 else "\n".join(same)
