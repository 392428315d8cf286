"""Which language a text is likely written in, by its script or its smallest words: for rules, and for no more."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

READ_CHARS = 2000
LEAST = 2
"""Small words of a language that must be there."""

SCRIPTS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7af\u1100-\u11ff]")),
    ("zh", re.compile("[\u4e00-\u9fff]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
)
"""Kana before Han: Japanese has both."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


SMALL: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "en": _set("the of and to is in that it for was with are this what how you on be"),
        "de": _set("der die das und ist nicht ein eine ich mit auf für den von zu wie was sie"),
        "fr": _set("le la les et est des une que pour dans pas je vous sur avec qui au ce"),
        "es": _set("el los las y es que de una por para con no se cómo qué del como su"),
        "it": _set("il lo gli e è che di una per con non sono come della nel più questo cosa"),
        "pt": _set("o os as e é que de uma por para com não se como do da em você"),
        "nl": _set("de het een en is niet van ik met op voor dat die zijn wat hoe je te"),
    }
)
_WORDS = re.compile(r"[^\W\d_]+")


def language(text: str) -> str:
    """A code of two letters; empty where nothing speaks for one."""
    text = text[:READ_CHARS]
    if not text.isascii():
        letters = max(1, sum(map(str.isalpha, text)))
        for code, script in SCRIPTS:
            if len(script.findall(text)) * 5 > letters:
                return code
    words = _WORDS.findall(text.lower())
    counts = [(sum([1 for word in words if word in small]), code) for code, small in SMALL.items()]
    most, code = max(counts, key=lambda one: one[0])
    return code if most >= LEAST or (most and len(words) <= LEAST) else ""
