"""E-mail addresses: from each @ outwards, and the ones people write out (`name at host dot com`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from proxy.detection.span import RESTS, Span

TYPE: Final = "EMAIL"
LOCAL_CHARS: Final = 64
LOCAL_SIGNS: Final = frozenset("._%+-")
INNER_SIGNS: Final = frozenset("'!#$&*^~")
DOMAIN = re.compile(
    r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}"
    r"(?:xn--[A-Za-z0-9-]{2,59}|[A-Za-z]{2,24}(?![À-ɏ])|[^\W\d_]{2,24})(?![A-Za-z0-9])"
)
"""Labels of letters and digits of any alphabet; the last one has no digits unless it is punycode. Writing without
spaces may follow one in ASCII."""
UNSPACED: Final = "\u2e80"
"""From here on are scripts that put no space before an address."""
FILE = re.compile(
    r"\.(?:png|jpe?g|gif|svg|webp|ico|html?|jsx?|tsx?|css|json|ya?ml|xml|exe|dll|jar|whl|tgz|lock)\Z", re.IGNORECASE
)
"""Names of files (`icon@2x.png`) end in what is no domain."""
SIGN = re.compile(r"@(?<=[^\s@]@)" + DOMAIN.pattern)
"""The sign first: it is what texts have the least of."""
STRIDE_CHARS: Final = 16_384
DOMAIN_CHARS: Final = 600
"""No domain is longer."""
LOGIN_CHARS: Final = 120
AWAY = re.compile(r"[\s/?=&<>\"'(),;]")
QUOTED = re.compile(r'"[^"\n\\]{1,62}"\Z')

DOT: Final = r"(?:\.| ?[\[({<] ?(?:dot|\.|punkt|punto|point) ?[\])}>] ?| (?:dot|punkt|punto) )"
SPOKEN_DOT: Final = r"(?: ?[\[({] ?dot ?[\])}] ?| dot | punkt | punto )"
AT: Final = r" ?[\[({<] ?(?:at|@|arroba) ?[\])}>] ?"
LETTER: Final = r"[0-9A-Za-zÀ-ɏ]"
NAME: Final = rf"{LETTER}(?:[0-9A-Za-zÀ-ɏ_%+-]|'(?={LETTER})){{0,40}}"
HOST: Final = r"[A-Za-z0-9][A-Za-z0-9-]{0,40}"
ANCHOR: Final = (
    r"[\[({<] ?(?i:at|@|arroba) ?[\])}>] ?[A-Za-z0-9]"
    rf"| (?i:at|arroba) {HOST}(?:\.[A-Za-z0-9-]{{1,40}}){{0,3}}(?i:{SPOKEN_DOT})"
)
BRACKETED = re.compile(rf"{AT}(?P<host>{HOST}(?:{DOT}{HOST}){{1,5}})(?![A-Za-z0-9])", re.IGNORECASE)
SPOKEN = re.compile(
    r" (?:at|arroba) (?!(?:the|this|that|these|those|an?|each|every|one|which|my|your|some|any|his|her|its|our) )"
    rf"(?P<host>{HOST}(?:\.{HOST}){{0,3}}{SPOKEN_DOT}{HOST}(?:(?: dot |\.){HOST}){{0,3}})(?![A-Za-z0-9])",
    re.IGNORECASE,
)
BEFORE = re.compile(rf"(?<!{LETTER}){NAME}(?:(?:\.| dot | ?[\[(]dot[\])] ?){NAME}){{0,4}}\Z", re.IGNORECASE)
LAST = re.compile(r"[^\w-]+")
_TOP: Final = """
    com org net edu gov mil int info biz io co ai app dev me name pro tv cc eu uk us de fr es it nl pt br pl jp
    cn kr in ru ch at be se no dk fi ie cz sk hu ro bg gr tr ua by kz il ae sa za ng ke eg mx ar cl pe au nz ca
    hk tw sg my th vn id ph xyz travel mobi jobs fm am lt lv ee lu li mc rs hr si mk al ba md ge az uz ir pk lk
    np bd kh gh tz ug ma tn dz ec uy py bo ve cr pa cu pr st ly gg sh ws work world live news email cloud online
    site shop store tech blog agency engineering enterprises company group systems health example
"""
TOP: Final = frozenset(_TOP.split())
"""Ends that a spoken address has: `look at this dot product` is none."""


def emails(text: str) -> Iterator[Span | None]:
    """Every address with its sign; None for what looked like one, and for rests."""
    done, at = 0, text.find("@")
    while at >= 0:
        border = at + STRIDE_CHARS
        found = SIGN.search(text, at, border + DOMAIN_CHARS)
        if found is None or found.start() >= border:
            at = text.find("@", border)
            if at >= 0:
                yield from RESTS
            continue
        sign, end = found.span()
        start = _local(text, sign, done)
        if start == sign:
            yield None
            at = sign + 1
            continue
        real = not _login(text, start, sign) and not FILE.search(text, sign, end)
        yield Span(start, end, TYPE) if real else None
        done, at = end, end


def _local(text: str, sign: int, floor: int) -> int:
    """Where the part before the @ begins; `sign` itself if there is none."""
    least = max(floor, sign - LOCAL_CHARS)
    start = sign
    while start > least and (text[start - 1].isalnum() or text[start - 1] in LOCAL_SIGNS or _inner(text, start - 1)):
        start -= 1
        if text[start] >= UNSPACED and start + 1 < sign and text[start + 1].isascii():
            start += 1
            break
    while start < sign and text[start] in ".-%+":
        start += 1
    if start == sign and text[sign - 1 : sign] == '"':
        quoted = QUOTED.search(text, least, sign)
        return quoted.start() if quoted else sign
    return start


def _inner(text: str, place: int) -> bool:
    """An apostrophe and the like count inside a name (o'neil), never as what opens it."""
    return place > 0 and text[place] in INNER_SIGNS and text[place - 1].isalnum()


def _login(text: str, start: int, sign: int) -> bool:
    """Whether it is who logs in somewhere (`https://token@host`, `git@host:path`), which is no address."""
    if text[start:sign] == "git":
        return True
    slashes = text.rfind("//", max(0, start - LOGIN_CHARS), start)
    return slashes >= 0 and not AWAY.search(text, slashes + 2, start)


def written(text: str, start: int) -> Span | None:
    """An address that spells its sign out, which begins here."""
    pattern = BRACKETED if text[start] in "[({<" else SPOKEN
    begin = start - 1 if pattern is BRACKETED and text[start - 1 : start] == " " else start
    found = pattern.match(text, begin)
    if found is None or (pattern is SPOKEN and LAST.split(found["host"].lower())[-1] not in TOP):
        return None
    before = BEFORE.search(text, max(0, begin - 80), begin)
    return Span(before.start(), found.end(), TYPE, 0.9) if before else None
