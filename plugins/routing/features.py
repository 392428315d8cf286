"""What a text shows of how hard it is, without a model: its shape in few numbers, and its words.

Numbers are made so that texts of all lengths are alike in scale: logarithms of counts, shares of characters, yes or no.
Everything here is one pass of something written in C: routing must cost a call next to nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import log1p
from types import MappingProxyType

from proxy.exchange import Segment

MOST_CHARS = 6000
"""Of a longer text its beginning and its end are read."""

_OPTIONS = re.compile(rb"\n *\(?[A-J1-9][.):] +([^\n]*)")
_NUMERIC = re.compile(rb"[-$]?[\d.,/ ]+")
_TEX = re.compile(rb"\\[a-z]{3,}|\$[^$\n]{1,80}\$")
_LETTERS = bytes(code if 97 <= code <= 122 else 32 for code in range(256))
"""What is not a small letter becomes a blank."""
_NUMBERS = bytes(code if 48 <= code <= 57 else 32 for code in range(256))
_NO_LETTERS = bytes(code for code in range(256) if not 97 <= code <= 122)
_DIGITS, _CAPITALS = b"0123456789", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MATHS = b"=+*/^<>"
_STATEMENTS = (b"def", b"import", b"return", b"select")
_CODE = (b"==", b"()", b"```", b";\n", b"{\n")
_BEYOND = bytes(range(128, 256))

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
"""Kinds of words that say something of every text, whatever it is about: how many of them are there."""
_KIND = MappingProxyType({word.encode(): at for at, words in enumerate(CLASSES.values()) for word in words})
_TOLD = frozenset(_KIND)
NAMES = (
    "length", "question", "digits", "numbers", "longest_number", "maths", "options", "option_length",
    "numeric_options", "questions", "sentences", "lines", "commas", "quotes", "capitals", "word_length", "variety",
    "code", "tex", "blank", "which", "what", "how_many", "how_much", "passage", "beyond_ascii", *CLASSES,
)  # fmt: skip
"""The numbers that `shape` gives, in this order."""


def read(text: str) -> tuple[list[float], set[bytes]]:
    """The shape of a text, as `NAMES` says, and its words, each once: Latin letters, small."""
    if len(text) > MOST_CHARS:
        text = f"{text[: MOST_CHARS // 2]}\n{text[-MOST_CHARS // 2 :]}"
    data = text.encode("utf-8", "replace")
    low = data.lower()
    listed = low.translate(_LETTERS).split()
    words = set(listed)
    return _shape(data, low, words, len(listed)), words


def _shape(data: bytes, low: bytes, words: set[bytes], count: int) -> list[float]:
    length, count = max(1, len(data)), max(1, count)
    offered, question = _offered(data)
    numbers = data[:question].translate(_NUMBERS).split()
    kinds = [0] * len(CLASSES)
    for word in words & _TOLD:
        kinds[_KIND[word]] += 1
    return [
        log1p(length),
        log1p(question),
        _share(data, _DIGITS),
        log1p(len(numbers)),
        log1p(max(map(len, numbers), default=0)),
        min(50.0 * _share(data, _MATHS), 5.0),
        1.0 if offered else 0.0,
        log1p(sum(map(len, offered)) / len(offered)) if offered else 0.0,
        sum(1 for option in offered if _NUMERIC.fullmatch(option)) / len(offered) if offered else 0.0,
        log1p(data.count(b"?")),
        log1p(data.count(b".")),
        log1p(data.count(b"\n")),
        log1p(data.count(b",")),
        log1p(data.count(b'"')),
        _share(data, _CAPITALS),
        len(low.translate(None, _NO_LETTERS)) / count,
        len(words) / count,
        1.0 if _has_code(low, words) else 0.0,
        1.0 if (b"$" in data or b"\\" in data) and _TEX.search(data) else 0.0,
        1.0 if b"___" in data or b"..." in data else 0.0,
        1.0 if low.startswith(b"which") else 0.0,
        1.0 if low.startswith((b"what", b"who", b"when", b"where")) else 0.0,
        1.0 if b"many" in words and b"how many" in low else 0.0,
        1.0 if b"much" in words and b"how much" in low else 0.0,
        1.0 if b"passage" in words or (b"following" in words and b"the following information" in low) else 0.0,
        0.0 if data.isascii() else _share(data, _BEYOND),
        *map(log1p, kinds),
    ]


def _offered(data: bytes) -> tuple[list[bytes], int]:
    """The answers to choose from, where there are some, and where the question before them ends."""
    found = list(_OPTIONS.finditer(data)) if b"\n" in data else []
    return ([one[1] for one in found], found[0].start()) if len(found) > 1 else ([], len(data))


def _has_code(low: bytes, words: set[bytes]) -> bool:
    """A single character is found much sooner than two of them, and a word in a table at once."""
    if any(word in words and word + b" " in low for word in _STATEMENTS):
        return True
    return any(mark[:1] in low and mark in low for mark in _CODE)


def _share(data: bytes, marks: bytes) -> float:
    return 1.0 - len(data.translate(None, marks)) / len(data) if data else 0.0


def asked_text(segments: Sequence[Segment], *, newest: bool = False) -> str:
    """The text whose hardness counts: what the user asks. In the middle of a conversation what it began with (or the
    `newest`), so that a process that knows nothing of the conversation comes to the same choice."""
    texts = [one for one in segments if one.role == "user" and one.kind == "text"]
    if not texts:
        return ""
    begun = not newest and any(one.role == "assistant" for one in segments)
    place = texts[0].index if begun else texts[-1].index
    same = [one.text for one in texts if one.index == place]
    return same[0] if len(same) == 1 else "\n".join(same)
