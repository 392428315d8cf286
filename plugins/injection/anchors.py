"""The cheap first look at a text: which disguises and encodings may be in it, found in one pass over its bytes."""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import Any

import re2  # type: ignore[import-untyped,unused-ignore]

COMMON = (" the ", " to ", " and ", " of ", " is ", " a ", " in ", " you ", " for ")
"""English prose has one of them."""
ENCIPHERED = (
    "gur|naq|lbh|lbhe|nyy|guvf|gung|jvgu|jung|sebz|jvyy|ner|vtaber|cerivbhf|vafgehpgvbaf?|flfgrz|cebzcg|cyrnfr|erirny|"
    "cnffjbeq|frperg"
)
BACKWARDS = (
    "eht|dna|uoy|ruoy|siht|taht|htiw|tahw|morf|lliw|erongi|suoiverp|snoitcurtsni|metsys|tpmorp|esaelp|laever|"
    "drowssap|terces|lla|wohs|tegrof|edirrevo|ytefas|slocotorp|delbasid|dnopser|tuohtiw|stimil|selur|edom|"
    "repoleved|egassem|txet|reven|arongi|adivlo|senoiccurtsni|seroiretna|artseum|ereirongi|negnusiewna|ssigrev|"
    "sengisnoc|eilbuo|inoizurtsi|acitnemid|ylno|rewsna"
)
SHUFFLED = (
    "ignore", "previous", "instructions", "instruction", "disregard", "forget", "system", "prompt", "reveal",
    "password", "secret", "please", "should", "would", "their", "which", "about", "without",
    "following", "pretend", "restrictions", "guidelines", "respond", "answer", "question", "write", "provide", "above",
    "because", "people", "every", "create", "message", "information", "content", "response", "request", "before",
    "output", "never", "always", "anything", "account", "explain", "describe", "other", "first", "using",
    "between", "through", "example", "detailed", "developer", "assistant", "instead", "important", "with", "what",
    "text", "given", "show", "were", "encode", "initial", "initially", "safety", "protocols", "verbatim", "rules",
    "limits",
    "ignora", "instrucciones", "anteriores", "muestra", "ignoriere", "anweisungen", "consignes", "istruzioni",
    "that", "this", "your", "have", "will", "when", "does", "make", "some", "more", "know",
)  # fmt: skip
"""Frequent in what people ask of models: a text with shuffled words has one of them shuffled."""


def _misspelt(word: str) -> str:
    """All words of its length, first and last letter, made of its inner letters, but the word itself."""
    inner = word[1:-1]
    letters = "".join(sorted(set(inner)))
    ways = []
    for place, letter in enumerate(inner):
        others = letters.replace(letter, "")
        if others:
            rest = len(inner) - place - 1
            ways.append(f"{inner[:place]}[{others}]" + (f"[{letters}]{{{rest}}}" if rest else ""))
    return f"{word[0]}(?:{'|'.join(ways)}){word[-1]}" if ways else word


_LEET = r"(?:[a-z][013457$!][a-z]|\b[013457@$][a-z]{2}|[a-z][013457]{2})"
PATTERNS = MappingProxyType(
    {
        "base64": r"[A-Za-z0-9+/_-]{16}",
        "base32": r"\b[A-Z2-7]{16}",
        "base85": r"[!-~]{8,}[!#$%&()*;<>?@^`{}~][!-~]{1,12}[!#$%&()*;<>?@^`{}~][!-~]{8,}",
        "hex": r"(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[ :,\n-]?){8}",
        "binary": r"(?:[01]{8}[ ,\n]?){4}",
        "decimal": r"(?:[0-9]{2,3}[ ,;\n]{1,2}){7}",
        "morse": r"(?:[.\-\x{b7}]{1,6}(?: {1,3}| ?[/|] ?|\n)){7}",
        "url": r"%[0-9A-Fa-f]{2}",
        "html": r"&#[0-9xX]",
        "escape": r"\\[uUx0-3][0-9A-Fa-f{]",
        "leet": rf"(?i){_LEET}\S*\s+(?:\S+\s+){{0,4}}\S*{_LEET}",
        "spaced": r"(?:^|[^A-Za-z0-9])[A-Za-z0-9@$!](?:[ .,_*|~/\t\n-]{1,4}[A-Za-z0-9'@$!?]){5}(?:$|[^A-Za-z0-9])",
        "rot13": rf"(?i)\b(?:{ENCIPHERED})\b",
        "reversed": rf"(?i)\b(?:{BACKWARDS})\b",
        "scrambled": rf"(?i)\b(?:{'|'.join(map(_misspelt, SHUFFLED))})\b",
    }
)


WORDED = ("rot13", "reversed", "scrambled")
"""Those that single words tell."""
SET_BYTES = 8 << 20
"""Memory of one automaton, at most."""


@lru_cache(2)
def _compiled(names: tuple[str, ...]) -> Any:
    options = re2.Options()
    options.max_mem = SET_BYTES
    found = re2.Set.SearchSet(options)
    for name in names:
        found.Add(PATTERNS[name])
    found.Compile()
    return found


SIGNED = tuple(name for name in PATTERNS if name not in WORDED)


def anchored(text: str, worded: list[str] | None = None) -> list[str]:
    """What may be in it: keys of PATTERNS, in their order. `text` has no halves of characters (surrogates). `worded`:
    those of WORDED that its words tell, where these have been read."""
    found = [SIGNED[number] for number in sorted(_compiled(SIGNED).Match(text) or ())]
    if worded is None:
        worded = [WORDED[number] for number in sorted(_compiled(WORDED).Match(text) or ())]
    return found + worded


def prose(text: str) -> bool:
    """Whether the beginning has one of the commonest English words; a short text counts as prose."""
    head = text[:400]
    return any(word in head for word in COMMON) or head.count(" ") < 4
