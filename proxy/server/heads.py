"""Heads that have come before: recognised by their bytes, and neither parsed nor judged again.

On a keep-alive connection one call's head is mostly that of the call before, but for its Content-Length.

What was found good once is good again, since nothing but the number may differ; what was refused is never learned. A
head lives as long as some connection knows it, and callers who send the same one share it.
"""

from __future__ import annotations

import re
from typing import Any
from weakref import WeakValueDictionary

from proxy.ports import Headers

DIGITS = 10
"""A longer Content-Length is left to the parser."""
MEMOS = 32
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,10})[ \t]*\r\n", re.IGNORECASE)

Known = WeakValueDictionary[tuple[bytes, bytes], "Head"]


class Head:
    """Implements `ports.Head`: a request's line and headers, cut where the length of its body stands."""

    __slots__ = ("__weakref__", "after", "before", "headers", "length_at", "memo", "method", "path", "query",
                 "size_bytes")  # fmt: skip

    def __init__(self, before: bytes, after: bytes, method: str, path: str, query: str, headers: Headers) -> None:
        self.before = before
        self.after = after
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        """Whoever hands them out gives a copy, with the length that this call has."""
        self.length_at = next(at for at, (name, _) in enumerate(headers) if name.lower() == "content-length")
        self.size_bytes = len(before) + len(after)
        self.memo: dict[Any, Any] = {}

    def keep(self, key: Any, value: Any) -> None:
        """What follows from this head alone (and from what `key` or `value` name). Bounded."""
        if len(self.memo) >= MEMOS:
            self.memo.clear()
        self.memo[key] = value

    def match(self, data: bytes) -> tuple[int, int] | None:
        """Where the body begins in `data`, and its length, if this head stands at the beginning."""
        before = self.before
        if not data.startswith(before):
            return None
        at = len(before)
        end = data.find(b"\r", at, at + DIGITS + 1)
        digits = data[at:end]
        if end < 0 or not digits.isdigit() or not data.startswith(self.after, end):
            return None
        return end + len(self.after), int(digits)


def learn(data: bytes, method: str, path: str, query: str, headers: Headers, known: Known) -> Head | None:
    """The head at the beginning of `data`, which the parser has found good, with these headers; None for one without a
    Content-Length, or not there as a whole."""
    end = data.find(b"\r\n\r\n")
    found = _LENGTH.search(data, 0, end + 2) if end > 0 else None
    if found is None:
        return None
    before, after = data[: found.start(1)], data[found.end(1) : end + 4]
    head = known.get((before, after))
    if head is None:
        head = known[before, after] = Head(before, after, method, path, query, headers.copy())
    return head
