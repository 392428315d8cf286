"""JSON bytes to documents without loss, and back."""

from __future__ import annotations

import json
import re
from typing import NoReturn, TypeVar

import orjson

from proxy.errors import MalformedBody
from proxy.ports import Json

T = TypeVar("T")

_ENCODABLE_DEPTH = 254
"""What orjson writes; it reads deeper than that."""
FEW = 128
"""Brackets that are looked for one by one."""
MANY, MANY_VALUES, MANY_LOOSE = 8_000, 30_000, 10_000
"""Brackets that a long text may have and still be read in a few milliseconds; commas, in one so long that they matter;
and in one that has to be read twice."""
SAFE_BYTES = 512 * 1024
"""Up to here it takes no more than a few milliseconds, however many values there are."""
_BLANKS = b" \t\r\n"
_LOOKED_AT_BYTES = 65536
_BRACKET_OR_STRING = re.compile(rb'[{}\[\]]|"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_DIGITS = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))
_LONG_NUMBER = b"0" * 19


def parse(raw: bytes, *, depth: int = 128) -> dict[str, Json]:
    """The body as an object. Raises `MalformedBody` with a sentence for the caller where it is none, where it is nested
    deeper than `depth`, or where a key stands twice (whoever reads it next might take the other one)."""
    try:
        doc = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        _explain(raw, error, depth)
    return exact(as_object(doc), raw, depth)


def compact(raw: bytes, depth: int) -> Json | None:
    """What is read from `raw` in one go, where that is quick and loses nothing: few brackets, mostly text. None: it has
    to be looked at more closely. Raises `MalformedBody` for a key that stands twice."""
    if not _opens_few(raw, MANY) or (len(raw) > SAFE_BYTES and raw.count(b",") > MANY_VALUES):
        return None
    try:
        doc = orjson.loads(raw)
        if _dumped(doc, raw, depth) == raw:
            return doc
    except (orjson.JSONDecodeError, TypeError):
        return None
    return _closely(raw) if raw.count(b",") <= MANY_LOOSE else None


def as_object(doc: Json) -> dict[str, Json]:
    if type(doc) is dict:
        return doc
    raise MalformedBody(f"The request body must be a JSON object, not {_kind(doc)}.")


def exact(doc: T, raw: bytes, depth: int, *, named: int = 0) -> T:
    """`doc`, as orjson read it from `raw`, if that lost nothing: not deeper than `depth` (`named` in the sentence), no
    key doubled, integers exact; else it is read anew or refused."""
    try:
        dumped = _dumped(doc, raw, depth)
    except TypeError as error:
        raise too_deep(named or depth) from error
    if dumped == raw:
        return doc
    found: T = _closely(raw)
    return found


def load(raw: bytes | str) -> Json:
    """Any JSON, exact integers included; ValueError where it is none. For what providers send: doubled keys pass."""
    doc = orjson.loads(raw)
    if may_lose(raw):
        return json.loads(raw)
    return doc


def load_object(data: bytes) -> dict[str, Json] | None:
    """The JSON object that this is; None where it is none."""
    try:
        doc = load(data)
    except ValueError:
        return None
    return doc if type(doc) is dict else None


def encode(doc: Json) -> bytes:
    """Compact JSON."""
    try:
        return orjson.dumps(doc)
    except TypeError:  # an integer over 64 bits, half a surrogate pair, or too deep
        text = json.dumps(doc, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        try:
            return text.encode()
        except UnicodeEncodeError:
            return json.dumps(doc, separators=(",", ":"), allow_nan=False).encode()


def _dumped(doc: Json, raw: bytes, depth: int) -> bytes:
    """The document as orjson would write it; TypeError where it is too deep."""
    if _opens_few(raw, min(depth, FEW)):
        return orjson.dumps(doc)
    # Wrapped in as many lists as orjson has levels to spare, so that its own limit is ours.
    wraps = max(0, _ENCODABLE_DEPTH - depth)
    for _ in range(wraps):
        doc = [doc]
    dumped = orjson.dumps(doc)
    return dumped[wraps : len(dumped) - wraps]


def _opens_few(raw: bytes, most: int) -> bool:
    """Whether there are at most so many brackets, wherever they stand: then nothing is nested deeper."""
    for bracket in (b"{", b"["):
        at = raw.find(bracket)
        while at >= 0:
            most -= 1
            if most < 0:
                return False
            at = raw.find(bracket, at + 1)
    return True


def _closely(raw: bytes) -> Json:
    """Parses anew, slower, keeping integers exact and refusing doubled keys."""
    return json.loads(raw, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise doubled(key)
        seen.add(key)
    return found


def doubled(key: str) -> MalformedBody:
    return MalformedBody(f"The request body has the key {_shown(key)} twice in one object.", param=key[:64])


def too_deep(depth: int) -> MalformedBody:
    return MalformedBody(f"The request body is nested deeper than {depth} levels.")


def may_lose(raw: bytes | str) -> bool:
    """Whether there is a number so long that orjson might have rounded it."""
    text = raw if isinstance(raw, bytes) else raw.encode("utf-8", "replace")
    return _LONG_NUMBER in text.translate(_DIGITS)


def _explain(raw: bytes, error: orjson.JSONDecodeError, depth: int) -> NoReturn:
    if not raw.strip(_BLANKS):
        raise MalformedBody("The request body is empty; a JSON object is expected.") from error
    try:
        raw.decode()
    except UnicodeDecodeError as broken:
        raise MalformedBody(f"The request body is not valid UTF-8 (at byte {broken.start}).") from error
    if _opens_deeper(raw[:_LOOKED_AT_BYTES], depth):
        raise too_deep(depth) from error
    where = f"{error.msg[:120]} at line {error.lineno} column {error.colno}"
    raise MalformedBody(f"The request body is not valid JSON: {where}.") from error


def _opens_deeper(raw: bytes, depth: int) -> bool:
    level = 0
    for found in _BRACKET_OR_STRING.finditer(raw):
        mark = found[0]
        level += (mark in (b"{", b"[")) - (mark in (b"}", b"]"))
        if level > depth:
            return True
    return False


def _kind(doc: Json) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(doc), "a number")


def _shown(key: str) -> str:
    return json.dumps(key[:64])
