"""Texts that stand in another text as an encoding of it: base64, base32, hex, URL, HTML, escapes, binary, Morse."""

from __future__ import annotations

import binascii
import html
import re
from base64 import a85decode, b32decode, b64decode, b85decode
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import unquote

import re2  # type: ignore[import-untyped,unused-ignore]

from plugins.injection.words import printable, readable


class Piece(NamedTuple):
    """What a span of a text says when it is read as `kind`."""

    text: str
    kind: str
    start: int
    end: int


BASE64 = re2.compile(
    r"[A-Za-z0-9+/_-]{16,}(?:[\r\n]{1,2}[ \t]{0,8}[A-Za-z0-9+/_-]{16,})*"
    r"(?:[\r\n]{1,2}[ \t]{0,8}[A-Za-z0-9+/_-]{2,15}=)?={0,2}"
)
"""A run, also over several lines; a last short line only where it is padded."""
BASE32 = re2.compile(r"\b[A-Z2-7]{16,}\b={0,6}")
BASE85 = re2.compile(r"[0-9A-Za-z!#$%&()*+;<=>?@^_`{|}~'\",./:\[\]\\-]{30,}")
ODD = frozenset("!#$%&()*;<>?@^`{}~")
"""Signs that base85 uses and words do not: a run with few kinds of them is none."""
HEX = re2.compile(r"(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[ :,\n-]?){8,}")
BINARY = re2.compile(r"(?:[01]{8}[ ,\n]?){4,}")
DECIMAL = re2.compile(r"\b(?:[0-9]{2,3}[ ,;\n]{1,2}){7,}[0-9]{2,3}\b")
MORSE = re2.compile(r"[.\-\x{b7}]{1,6}(?:(?: {1,3}| ?[/|] ?|\n)[.\-\x{b7}]{1,6}){7,}")
ENTITY = re.compile(r"&#(?:[0-9]{1,7}|[xX][0-9A-Fa-f]{1,6});")
ESCAPE = re.compile(r"\\u\{?[0-9A-Fa-f]{4,6}\}?|\\x[0-9A-Fa-f]{2}|\\U[0-9A-Fa-f]{8}|\\[0-3][0-7]{2}")
PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
TOKEN = re2.compile(r"\S*%[0-9A-Fa-f]{2}\S*%[0-9A-Fa-f]{2}\S*")

_BYTE = re.compile(r"[01]{8}")
_NUMBER = re.compile(r"[0-9]+")
_NO_DIGIT = re.compile(r"0x|\\x|[^0-9A-Fa-f]")
_BREAK = re.compile(r" {2,}| ?[/|] ?|\n")

PLAIN_CHARS = 12
"""Bytes that are all printable ASCII are no accident from this length on, whatever they say."""
TOKENS = 64
"""With more signs than so many words would have, the whole text is decoded at once."""
LEAST = 3
"""Entities or escapes that spell letters, before they are a text rather than single signs."""
_DOTS = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.. "
    "----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----. .-.-.- --..-- ..--.. .----. -....- -.-.-- -..-. ---..."
)
_MORSE = MappingProxyType(dict(zip(_DOTS.split(), "abcdefghijklmnopqrstuvwxyz0123456789.,?'-!/:", strict=True)))


def _written(data: bytes) -> str | None:
    """Bytes as writing; None where they are none."""
    wide = data.count(b"\0") * 3 > len(data)
    try:
        text = data.decode("utf-16-le" if wide else "utf-8")
    except UnicodeDecodeError:
        return None
    return text if (text.isascii() and printable(text) and len(text) >= PLAIN_CHARS) or readable(text) else None


def _base64(text: str) -> Iterator[Piece]:
    for match in BASE64.finditer(text):
        said = _of64(match.group())
        if said is not None:
            yield Piece(said, "base64", *match.span())


def _of64(run: str) -> str | None:
    letters = "".join(run.split()).rstrip("=").replace("-", "+").replace("_", "/")
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    head = letters[: min(len(letters) // 4 * 4, 64)]
    if not _begins(b64decode(head)):
        return None
    return _written(b64decode(letters + "=" * (-len(letters) % 4)))


def _begins(data: bytes) -> bool:
    """Whether these may be the first bytes of writing: most runs of letters are words, paths and hashes."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(data) - 3 and b"\0" not in data:
            return False
        text = data[: error.start].decode("utf-8")
    return b"\0" in data or printable(text)


def _base32(text: str) -> Iterator[Piece]:
    for match in BASE32.finditer(text):
        letters = match.group().rstrip("=")
        letters = letters[: len(letters) - (len(letters) % 8 in (1, 3, 6))]
        said = _written(b32decode(letters + "=" * (-len(letters) % 8)))
        if said is not None:
            yield Piece(said, "base32", *match.span())


def _base85(text: str) -> Iterator[Piece]:
    for match in BASE85.finditer(text):
        run = match.group()
        if len(ODD.intersection(run)) < 4:
            continue
        for read in (_of_ascii85, b85decode):
            try:
                said = _written(read(run))
            except ValueError:
                continue
            if said is not None:
                yield Piece(said, "base85", *match.span())
                break


def _of_ascii85(run: str) -> bytes:
    return a85decode(run.removeprefix("<~").removesuffix("~>"))


def _hex(text: str) -> Iterator[Piece]:
    for match in HEX.finditer(text):
        digits = _NO_DIGIT.sub("", match.group())
        said = _written(binascii.unhexlify(digits[: len(digits) // 2 * 2]))
        if said is not None:
            yield Piece(said, "hex", *match.span())


def _binary(text: str) -> Iterator[Piece]:
    for match in BINARY.finditer(text):
        said = _written(bytes(int(one, 2) for one in _BYTE.findall(match.group())))
        if said is not None:
            yield Piece(said, "binary", *match.span())


def _decimal(text: str) -> Iterator[Piece]:
    for match in DECIMAL.finditer(text):
        codes = [int(one) for one in _NUMBER.findall(match.group())]
        said = _written(bytes(codes)) if max(codes) < 256 else None
        if said is not None:
            yield Piece(said, "decimal", *match.span())


def _morse(text: str) -> Iterator[Piece]:
    for match in MORSE.finditer(text):
        words = _BREAK.split(match.group().replace("\u00b7", "."))
        said = " ".join("".join(_MORSE.get(one, "") for one in word.split()) for word in words)
        if readable(said):
            yield Piece(said, "morse", *match.span())


def _url(text: str) -> Iterator[Piece]:
    signs = PERCENT.findall(text)
    if len(signs) > TOKENS * LEAST:
        yield Piece(unquote(text.replace("+", " "), errors="replace"), "url", 0, len(text))
        return
    for match in TOKEN.finditer(text):
        token = match.group()
        said = unquote(token.replace("+", " "), errors="replace")
        letters = sum(map(str.isalnum, map(unquote, PERCENT.findall(token))))
        if letters >= LEAST or said.count(" ") - token.count(" ") >= LEAST:
            yield Piece(said, "url", *match.span())


def _spelled(kind: str, signs: re.Pattern[str], read: Callable[[str], str]) -> Callable[[str], Iterator[Piece]]:
    """For encodings of single characters: from the first to the last of them, where they spell letters."""

    def decode(text: str) -> Iterator[Piece]:
        found = signs.findall(text)
        means = {sign: read(sign) for sign in set(found)}
        if sum(map(str.isalpha, map(means.__getitem__, found))) >= LEAST:
            start, end = text.index(found[0]), text.rindex(found[-1]) + len(found[-1])
            said = signs.sub(lambda match: means[match.group()], text[start:end])
            yield Piece(said, kind, start, end)

    return decode


def _escaped(sign: str) -> str:
    digits = sign[2:].strip("{}")
    code = int(digits, 16) if sign[1] in "uUx" else int(sign[1:], 8)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"


DECODERS = MappingProxyType(
    {
        "base64": _base64,
        "base32": _base32,
        "base85": _base85,
        "hex": _hex,
        "binary": _binary,
        "decimal": _decimal,
        "morse": _morse,
        "url": _url,
        "html": _spelled("html", ENTITY, html.unescape),
        "escape": _spelled("escape", ESCAPE, _escaped),
    }
)
