"""Server-sent events: cut out of the bytes as they come, however they were cut, and written again."""

from __future__ import annotations

import re

from proxy.errors import ProtocolViolation
from proxy.ports import Json
from proxy.wire.body import encode
from proxy.wire.codec import Event

MAX_BYTES = 8 * 1024 * 1024
DONE = b"data: [DONE]\n\n"

_BOM = b"\xef\xbb\xbf"
_BLANK_LINE = re.compile(rb"(?>\r\n|[\r\n])(?>\r\n|[\r\n])")


def _has_end(data: bytearray, start: int) -> bool:
    """Whether an event ends there; mostly by looking for two newlines, which is much the fastest."""
    if data.find(b"\n\n", start) >= 0:
        return True
    return data.find(b"\r", start) >= 0 and _BLANK_LINE.search(data, start) is not None


class Reader:
    """Cuts a stream into events; their `raw`, joined, is the stream. An event that grows past `max_bytes` raises
    `ProtocolViolation`. Comments and blank lines come as events without data."""

    __slots__ = ("_scanned", "_started", "max_bytes", "pending")

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.pending = bytearray()
        """Of an event whose end has not come."""
        self.max_bytes = max_bytes
        self._scanned = 0
        self._started = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete now."""
        return [self.event(raw) for raw in self.cut(data)]

    def cut(self, data: bytes) -> list[bytes]:
        """The events that are complete now, each for `event` to read."""
        if self.pending:
            self.pending += data
            # A blank line is at most four bytes: what was looked at before cannot hold the begin of another one.
            if not _has_end(self.pending, max(0, self._scanned - 3)):
                self._bound(len(self.pending))
                self._scanned = len(self.pending)
                return []
            data = bytes(self.pending)
            self.pending.clear()
        return self._simple(data) if b"\r" not in data else self._any(data)

    def take(self, data: bytes) -> bytes | None:
        """The bytes of the events that are complete now, uncut. None, and nothing taken but `data`, where they are to
        be had from `feed(b"")` only: lines end in other ways than a newline, or there is very much."""
        if self.pending:
            self.pending += data
            if not _has_end(self.pending, max(0, self._scanned - 3)):
                self._bound(len(self.pending))
                self._scanned = len(self.pending)
                return b""
            data = bytes(self.pending)
            self.pending.clear()
        if b"\r" in data or len(data) > self.max_bytes:
            self.pending += data
            self._scanned = 0
            return None
        end = _last_end(data)
        self.pending += data[end:]
        self._scanned = len(data) - end
        return data[:end]

    def close(self) -> list[Event]:
        """The last event, where the stream ended without its blank line."""
        return [self.event(raw) for raw in self.rest()]

    def rest(self) -> list[bytes]:
        """As `close`, for `event` to read."""
        rest = bytes(self.pending)
        self.pending.clear()
        self._scanned = 0
        if not rest:
            return []
        ended = _BLANK_LINE.search(rest)
        if ended is None or ended.end() == len(rest):
            return [rest]
        return [rest[: ended.end()], rest[ended.end() :]]

    def _simple(self, data: bytes) -> list[bytes]:
        """Where all lines end in a newline."""
        pieces = data.split(b"\n\n")
        self._keep(pieces.pop())
        return [piece + b"\n\n" for piece in pieces]

    def _any(self, data: bytes) -> list[bytes]:
        events = []
        at = 0
        for found in _BLANK_LINE.finditer(data):
            end = found.end()
            if end == len(data) and data.endswith(b"\r"):  # its newline may be still to come
                break
            events.append(data[at:end])
            at = end
        self._keep(data[at:])
        return events

    def _keep(self, rest: bytes) -> None:
        self._bound(len(rest))
        self.pending += rest
        self._scanned = len(rest)

    def _bound(self, size: int) -> None:
        if size > self.max_bytes:
            raise ProtocolViolation(f"The provider sent an event of more than {self.max_bytes} bytes.")

    def event(self, raw: bytes) -> Event:
        """What these bytes say, which are a whole event."""
        self._bound(len(raw))
        text = raw
        if not self._started:
            self._started = True
            text = raw.removeprefix(_BOM)
        if text.startswith(b"data: ") and text.find(b"\n") == len(text) - 2 and b"\r" not in text:
            return Event(raw, "", text[6:-2])
        name = ""
        data: list[bytes] = []
        for line in text.splitlines():
            field, _, value = line.partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" "))
            elif field == b"event":
                name = value.removeprefix(b" ").decode("utf-8", "replace")
        return Event(raw, name, data[0] if len(data) == 1 else b"\n".join(data))


def _last_end(data: bytes) -> int:
    """Where the last event that is complete ends. Of an odd number of newlines the last belongs to the next one."""
    end = data.rfind(b"\n\n") + 2
    if end < 2:
        return 0
    return end - (end - len(data[:end].rstrip(b"\n"))) % 2


def write(name: str, doc: Json) -> bytes:
    """One event; without `name` only its data."""
    data = b"data: " + encode(doc) + b"\n\n"
    return b"event: " + name.encode() + b"\n" + data if name else data


def comment(text: str) -> bytes:
    """What no client reads: a heartbeat."""
    return b": " + text.encode() + b"\n\n"
