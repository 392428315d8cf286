"""Requests out of bytes: as much HTTP/1.1 as an honest client speaks; bodies come out unchunked."""

from __future__ import annotations

from dataclasses import dataclass, field

HEAD_LIMIT_BYTES = 4 * 1024 * 1024


class NotHttp(Exception):
    """The bytes are no request."""


@dataclass(slots=True)
class Head:
    method: str
    target: str
    version: str
    headers: list[tuple[bytes, bytes]]
    length: int = 0
    chunked: bool = False
    close: bool = False
    expects: bool = False


@dataclass(slots=True)
class Message:
    head: Head
    body: bytes


@dataclass(slots=True)
class Parser:
    """Feed bytes, take messages. `waiting` is the head whose body has not come yet."""

    buffer: bytearray = field(default_factory=bytearray)
    waiting: Head | None = None
    _body: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> None:
        self.buffer += data

    def take(self) -> Message | None:
        if self.waiting is None:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self.buffer) > HEAD_LIMIT_BYTES:
                    raise NotHttp("the head is too long")
                return None
            self.waiting = read_head(bytes(self.buffer[:end]))
            del self.buffer[: end + 4]
        head = self.waiting
        body = self._chunks() if head.chunked else self._counted(head.length)
        if body is None:
            return None
        self.waiting = None
        return Message(head, body)

    def _counted(self, length: int) -> bytes | None:
        if len(self.buffer) < length:
            return None
        if len(self.buffer) == length:
            body = bytes(self.buffer)
            self.buffer.clear()
            return body
        body = bytes(self.buffer[:length])
        del self.buffer[:length]
        return body

    def _chunks(self) -> bytes | None:
        while True:
            end = self.buffer.find(b"\r\n")
            if end < 0:
                return None
            try:
                size = int(self.buffer[:end].split(b";")[0], 16)
            except ValueError:
                raise NotHttp("a chunk without a size") from None
            if len(self.buffer) < end + 2 + size + 2:
                return None
            self._body += self.buffer[end + 2 : end + 2 + size]
            del self.buffer[: end + 2 + size + 2]
            if size == 0:
                body = bytes(self._body)
                self._body.clear()
                return body


def read_head(raw: bytes) -> Head:
    first, *lines = raw.lstrip(b"\r\n").split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        raise NotHttp("no request line")
    headers: list[tuple[bytes, bytes]] = []
    head = Head(words[0].decode("latin-1"), words[1].decode("latin-1"), words[2].decode("latin-1"), headers)
    head.close = head.version == "HTTP/1.0"
    for line in lines:
        name, _, value = line.partition(b":")
        value = value.strip()
        headers.append((name, value))
        match name.lower():
            case b"content-length":
                head.length = int(value)
            case b"transfer-encoding":
                head.chunked = value.lower().endswith(b"chunked")
            case b"connection":
                head.close = head.close or value.lower() == b"close"
            case b"expect":
                head.expects = value.lower() == b"100-continue"
    return head
