"""What a placeholder looks like: as it is written, as callers may type it, and as models mangle it.

Written is `[EMAIL_1]`, or `[EMAIL_k...]` with a keyed token. Read is more: any case, other brackets or none at all, a
blank or a dash for the underscore. Without an underscore it takes a bracket: `email 1` and `(person 1)` are prose.
All patterns are bounded: no match, and nothing that may become one, is longer than `HOLD_CHARS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import re2

TYPES = frozenset({
    "ADDRESS", "BANK_ACCOUNT", "CREDIT_CARD", "CRYPTO", "DATE_OF_BIRTH", "DOB", "DRIVER_LICENSE", "EMAIL", "IBAN",
    "IP", "LOCATION", "MAC", "NATIONAL_ID", "ORGANIZATION", "PASSPORT", "PERSON", "PHONE", "SECRET", "SSN", "TAX_ID",
    "URL", "USERNAME",
})  # fmt: skip
"""Types whose placeholders are recognised in what callers send, whether or not any is found in this call."""
HOLD_CHARS = 48
TOKEN_CHARS = 12
"""Of a keyed token, after its `k`: 60 bits."""
_NAME = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
_NAME_CHARS = 24
_OPEN, _CLOSE = r"\[{<［｛【〔＜「", r"\]}>］｝】〕＞」"
_NOT_AFTER = r"[A-Za-z0-9_]"
_OTHER = re.compile(r"[^A-Z0-9]+")
_END = r"\Z"


def written(type: str, token: str | int) -> str:
    """The placeholder of a type: the form in which it leaves."""
    return f"[{type}_{token}]"


def key(shape: str) -> str:
    """What a placeholder stands under, however it is written: `EMAIL_1`."""
    return _OTHER.sub("_", shape.upper()).strip("_")


def is_type(name: str) -> bool:
    """Whether placeholders can be made of it."""
    return len(name) <= _NAME_CHARS and _NAME.fullmatch(name) is not None


def reserved(text: str, gaps: Iterable[tuple[int, int]]) -> tuple[str, ...]:
    """The keys of all placeholders that stand in these stretches of a text."""
    if not _anchor().search(text):
        return ()
    found: dict[str, None] = {}
    pattern = exact(TYPES)
    for start, end in gaps:
        for match in pattern.finditer(text[start:end]):
            found[key(match.group())] = None
    return tuple(found)


@lru_cache(1)
def _anchor() -> Any:
    """A type's name with a number behind it: every placeholder has that, and few other texts."""
    between = r"\\?[_ -]"
    names = "|".join(name.replace("_", between) for name in sorted(TYPES))
    return re2.compile(rf"(?i)(?:{names}){between}[1-9k]")


@lru_cache(256)
def partial(types: frozenset[str]) -> re.Pattern[str]:
    """Finds placeholders of these types alone, and what may become one at the end of a text: the first have a group,
    the others none. Made in about a millisecond a type."""
    return _compiled(types, partial=True)


@lru_cache(256)
def exact(types: frozenset[str]) -> re.Pattern[str]:
    """Finds placeholders alone."""
    return _compiled(types, partial=False)


def _compiled(types: frozenset[str], *, partial: bool) -> re.Pattern[str]:
    """The first character is a set of its own, which the engine looks for at the speed of a loop in C; what it was
    tells which of the forms it may be."""

    def forms(before: str, between: str, *behind: str) -> str:
        chains = [_chain([*_core(name, between), *behind], partial) for name in names]
        either = f"(?:{'|'.join(chains)})"
        return _chain([before, either], partial) if before else either

    names = sorted(types, key=lambda name: (-len(name), name))
    end = f"{_END}|" if partial else ""
    escaped = forms(r"\[", "_", r"\\", r"\]()")
    first = "".join(sorted({letter for name in names for letter in (name[0], name[0].lower())}))
    bare = (_chain([*_bare(name), f"(?!{_NOT_AFTER})()"], partial) for name in names)
    return re.compile(
        rf"[{_OPEN}(（\\{first}](?:(?<=[{first}])(?<!{_NOT_AFTER}[{first}])(?:{'|'.join(bare)})"
        rf"|(?<=[{_OPEN}]){forms(' ?', '[_ -]', ' ?', f'[{_CLOSE}]()')}"
        rf"|(?<=[(（])(?<!{_NOT_AFTER}[(（])(?:{end}{forms('', '_', '[)）]()')})"
        rf"|(?<=\\)(?:{end}{escaped}))",
        re.ASCII,
    )


def _bare(name: str) -> Iterator[str]:
    """Behind the first letter: without brackets, and with underscores."""
    letter, *rest = _core(name, "_")
    yield f"(?<={letter})"
    yield from rest


def _core(name: str, between: str) -> Iterator[str]:
    """Name and number, character by character, in either case; what is `between` may be escaped, as in Markdown."""
    for letter in f"{name}_":
        if letter == "_":
            yield r"\\?"
            yield between
        else:
            yield f"[{letter}{letter.lower()}]" if letter.isalpha() else letter
    yield "#"


def _chain(atoms: list[str], partial: bool) -> str:
    """One atom after the other; with `partial` the text may end between any two of them."""
    out = ""
    for atom in reversed(atoms):
        if atom == "#":
            out = _number(out, partial)
        elif out:
            out = f"{atom}(?:{_END}|{out})" if partial else atom + out
        else:
            out = atom
    return out


def _number(rest: str, partial: bool) -> str:
    letters = "[A-Za-z2-7]"
    rest = f"(?:{_END}|{rest})" if partial else rest
    token = f"[Kk]{letters}{{{TOKEN_CHARS}}}{rest}"
    if partial:
        token = f"[Kk]{letters}{{0,{TOKEN_CHARS - 1}}}{_END}|{token}"
    return f"(?:[1-9][0-9]{{0,6}}{rest}|{token})"
