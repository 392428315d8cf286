"""Takes an answer down as it passes the cache's place, and says whether it may be given again."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from proxy.exchange import WOULD, Exchange, Json

ENDED: Final = frozenset(
    {"stop", "tool_calls", "function_call", "end_turn", "stop_sequence", "tool_use", "completed", "eos", "eos_token"}
)
"""How an answer ends that has said what it had to say. One that was cut short, filtered or refused ends otherwise."""
ASKED_USAGE: Final = "stream_options.include_usage"
"""The edit by which Weir asks for usage in a stream whose caller did not."""
_REFUSED: Final = re.compile(rb'"refusal"\s*:\s*"')
"""What a model says instead of an answer. (Inside of a text the quotes would have backslashes before them.)"""
_USAGE: Final = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_ID: Final = re.compile(rb'"id"\s*:\s*"([!-~]{1,128}?)"')
HEAD_BYTES: Final = 2048
_VECTOR: Final = re.compile(rb'"embedding"\s*:\s*(?:\[\s*[-\d]|"[^"])')
_ENDS: Final = frozenset(map(str.encode, ENDED))
_FINISHED: Final = re.compile(rb'"finish_reason"\s*:\s*"([^"]*)"')


class Recorder:
    """One answer's pieces, up to a size."""

    __slots__ = ("_keep", "_pieces", "_room")

    def __init__(self, most_bytes: int, keep: Callable[[bytes], None]) -> None:
        self._room = most_bytes
        self._keep = keep
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self._room -= len(data)
        if self._room >= 0:
            self._pieces.append(data)
        else:
            self._pieces.clear()

    def close(self, complete: bool) -> None:
        pieces, self._pieces = self._pieces, []
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if complete and self._room >= 0 and body:
            self._keep(body)


def answered(exchange: Exchange) -> bool:
    """Whether the provider has begun to answer with something that may be kept, once it is whole."""
    response = exchange.response
    return response is not None and response.status == 200 and response.source == "upstream"


def worth(exchange: Exchange, body: bytes, findings: int) -> bool:
    """Whether a complete answer may be given again: it ended by itself, nothing of it was refused, and no guard that
    acts found anything in it (behind the first `findings`, which were of the call)."""
    response, dialect = exchange.response, exchange.request.dialect
    if response is None or not response.complete or exchange.error is not None or exchange.outcome != "ok":
        return False
    if dialect == "embeddings" and len(_VECTOR.findall(body)) != _inputs(exchange.request.doc):
        return False
    if dialect != "embeddings" and (response.finish not in ENDED or _REFUSED.search(body) is not None):
        return False
    if dialect in ("chat", "completions") and not _ENDS.issuperset(_FINISHED.findall(body)):
        return False
    return len(exchange.findings) <= findings or all(
        found.action.startswith(WOULD) for found in exchange.findings[findings:]
    )


def _inputs(doc: Json) -> int:
    """How many vectors a call asks for."""
    given = doc.get("input")
    return len(given) if type(given) is list and given and type(given[0]) is not int else 1


def named_in(body: bytes) -> str:
    """The provider's own id of an answer, where it stands near the beginning."""
    found = _ID.search(body, 0, HEAD_BYTES)
    return "" if found is None else found[1].decode("ascii", "replace")


def events(exchange: Exchange, body: bytes) -> bytes:
    """The events of a stream as its caller is meant to have them: without the one that Weir alone asked for."""
    if ASKED_USAGE not in exchange.request.edits or b'"usage"' not in body:
        return body
    blank = b"\r\n\r\n" if b"\r\n\r\n" in body else b"\n\n"
    return blank.join(each for each in body.split(blank) if not (b'"usage"' in each and _USAGE.search(each)))
