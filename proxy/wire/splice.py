"""Edits of a JSON object by byte splice: everything outside the spliced spans stays as it came."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import orjson

from proxy.errors import MalformedBody
from proxy.ports import Json
from proxy.wire.coding import encode

_BLANKS = b" \t\r\n"


def _balanced(levels: int) -> bytes:
    """A pattern for a whole value of at most so many levels; possessive throughout, so it never backtracks."""
    pattern = rb"[^\[\]{}]++"
    for _ in range(levels):
        pattern = rb"[^\[\]{}]++|[\[{](?:" + pattern + rb")*+[\]}]"
    return pattern


# These read an outline: the JSON with every string replaced by one quote.
_TO_BRACKET = re.compile(rb"(?:" + _balanced(6) + rb")*+([{}\[\]])")
_KEY = re.compile(rb'[ \t\r\n]*+(")[ \t\r\n]*+:[ \t\r\n]*+')
_SCALAR = re.compile(rb'"|[^\[\]{}", \t\r\n]++')
_EMPTY = re.compile(rb"[ \t\r\n]*+\{[ \t\r\n]*+\}")
_NEXT = re.compile(rb"[ \t\r\n]*+([,}])")


@dataclass(frozen=True, slots=True)
class Span:
    """`raw[start:end]` becomes `text`."""

    start: int
    end: int
    text: bytes


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    start: int
    value: int
    end: int


def splice(raw: bytes, edits: Mapping[str, Json], *, doc: Json = None) -> bytes:
    """Sets top-level keys (None removes one); a dotted name sets a key inside a nested object, made where absent.
    Everything outside the spliced spans stays as it was, byte for byte. `doc` is `raw` parsed, if that is at hand:
    it makes the search faster, nothing else."""
    done: list[bytes] = []
    at = 0
    for span in spans(raw, edits, doc=doc):
        done += (raw[at : span.start], span.text)
        at = span.end
    done.append(raw[at:])
    return b"".join(done)


def spans(raw: bytes, edits: Mapping[str, Json], *, doc: Json = None) -> list[Span]:
    """What `splice` does, as spans of `raw` in order. `raw` must be a valid JSON object without doubled keys."""
    changes = _by_key(edits)
    known = doc if isinstance(doc, dict) else None
    wanted = {name for name in changes if _may_have(raw, name, known)}
    removing = {name for name in wanted if changes[name] is None}
    members: list[_Member] = []
    if wanted:
        members = _compact_members(raw, known, wanted) if known and not removing else []
        members = members or _seek(raw, wanted, everything=bool(removing))
    found = {member.name for member in members}
    result = list(_replaced(raw, members, changes))
    added = [_pair(name, value) for name, value in changes.items() if name not in found and value is not None]
    added = [pair for pair in added if pair]
    if added:
        close = len(raw.rstrip(_BLANKS)) - 1
        bare = _EMPTY.match(raw) is not None or (bool(removing) and found <= removing)
        result.append(Span(close, close, (b"" if bare else b",") + b",".join(added)))
    return result


def _by_key(edits: Mapping[str, Json]) -> dict[str, Json]:
    """Edits by top-level key; those of nested keys gathered as `_Inner`."""
    changes: dict[str, Json] = {}
    for name, value in edits.items():
        key, dot, rest = name.partition(".")
        if not dot:
            changes[key] = value
        elif isinstance(inner := changes.get(key), _Inner):
            inner.edits[rest] = value
        elif isinstance(inner, dict):
            changes[key] = orjson.loads(splice(encode(inner), {rest: value}))
        else:
            changes[key] = _Inner({rest: value})
    return changes


@dataclass(slots=True)
class _Inner:
    edits: dict[str, Json]


def _may_have(raw: bytes, name: str, doc: dict[str, Json] | None) -> bool:
    if doc is not None:
        return name in doc
    return b'"' + name.encode() + b'"' in raw or b"\\u" in raw


def _pair(name: str, value: Json) -> bytes:
    if isinstance(value, _Inner):
        text = splice(b"{}", value.edits)
        return encode(name) + b":" + text if text != b"{}" else b""
    return encode(name) + b":" + encode(value)


def _replaced(raw: bytes, members: list[_Member], changes: Mapping[str, Json]) -> Iterator[Span]:
    last_kept: _Member | None = None
    for index, member in enumerate(members):
        if member.name not in changes:
            last_kept = member
            continue
        value = changes[member.name]
        if value is None:
            if last_kept is not None:
                yield Span(members[index - 1].end, member.end, b"")
            else:
                yield Span(member.start, members[index + 1].start if index + 1 < len(members) else member.end, b"")
            continue
        last_kept = member
        if not isinstance(value, _Inner):
            yield Span(member.value, member.end, encode(value))
        elif raw[member.value : member.value + 1] == b"{":
            for span in spans(raw[member.value : member.end], value.edits):
                yield Span(member.value + span.start, member.value + span.end, span.text)
        elif any(inner is not None for inner in value.edits.values()):
            yield Span(member.value, member.end, splice(b"{}", value.edits))


def _compact_members(raw: bytes, doc: dict[str, Json], wanted: set[str]) -> list[_Member]:
    """The members up to the last wanted one, found by writing what stands before it; empty where `raw` is written in
    another way than orjson's."""
    members = []
    left = set(wanted)
    at = 1
    for name, value in doc.items():
        key = encode(name) + b":"
        text = encode(value)
        end = at + len(key) + len(text)
        if raw[at:end] != key + text:
            return []
        members.append(_Member(name, at, at + len(key), end))
        left.discard(name)
        if not left:
            break
        at = end + 1
    return members


def _seek(raw: bytes, wanted: set[str], *, everything: bool) -> list[_Member]:
    members = []
    left = set(wanted)
    for member in _members(raw):
        members.append(member)
        left.discard(member.name)
        if not left and not everything:
            break
    return members


def _members(raw: bytes) -> Iterator[_Member]:
    """The top-level members, found in an outline of the JSON: a regular expression over every character of long
    strings would be slow, splitting at quotes is not."""
    plain = raw.replace(b"\\\\", b"__").replace(b'\\"', b"__") if b"\\" in raw else raw
    pieces = plain.split(b'"')
    outline = b'"'.join(pieces[::2])
    at = outline.find(b"{") + 1
    strings = passed = counted = 0

    def place(position: int) -> int:
        """Where a position of the outline is in `raw`; asked in ascending order."""
        nonlocal strings, passed, counted
        more = outline.count(b'"', passed, position)
        counted += sum(map(len, pieces[2 * strings + 1 : 2 * (strings + more) : 2])) + more
        strings, passed = strings + more, position
        return position + counted

    while found := _KEY.match(outline, at):
        start = place(found.start(1))
        key = raw[start : place(found.end(1))]
        value = place(found.end())
        outlined_end = _value_end(outline, found.end())
        yield _Member(orjson.loads(key), start, value, place(outlined_end))
        following = _NEXT.match(outline, outlined_end)
        if following is None or following[1] == b"}":
            return
        at = following.end()


def _value_end(outline: bytes, at: int) -> int:
    if outline[at] not in b"{[":
        scalar = _SCALAR.match(outline, at)
        return scalar.end() if scalar else at
    depth = 0
    at += 1
    while found := _TO_BRACKET.match(outline, at):
        at = found.end()
        if found[1] in b"{[":
            depth += 1
        elif depth:
            depth -= 1
        else:
            return at
    raise MalformedBody("The request body is not valid JSON.")
