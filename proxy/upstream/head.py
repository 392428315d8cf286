"""Heads of HTTP/1.1 messages: a request's as the bytes that go out, an answer's as headers and framing. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

from proxy.errors import WeirError
from proxy.ports import Headers
from proxy.upstream import failure
from proxy.upstream.link import Outgoing
from proxy.upstream.shape import Shape

FIELD_BYTES = 64 * 1024
"""Longest single header of an answer."""
HEADERS = 256
HEAD_BYTES = 256 * 1024
"""Longest head of an answer, interim answers before it included."""
REMEMBERED, REMEMBERED_CHARS = 512, 128
"""Names, and as many targets, that need no second look; longer ones are looked at each time."""

TARGET = re.compile(r"/[!-\"$-~]*")
"""Visible ASCII, no fragment."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING = frozenset({"host", "content-length", "transfer-encoding"})
_FRAMING_SIZES = frozenset({4, 14, 17})
"""Lengths of these names: told apart from nearly all others without lowering them."""
_LENGTH = b"Content-Length: %d\r\n\r\n"
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
"""Of these a missing length is said to be 0."""

Fields = list[tuple[bytes, bytes]]


class Names(dict[str, str]):
    """Header names that were found sendable, each as the beginning of its line. Bounded."""

    def __missing__(self, name: str) -> str:
        if not _TOKEN.fullmatch(name):
            raise failure.unsendable_header()
        begun = f"{name}: "
        if len(name) <= REMEMBERED_CHARS:
            if len(self) >= REMEMBERED:
                self.clear()
            self[name] = begun
        return begun


class Writer:
    """Writes the heads of requests to one host, and remembers what it has checked."""

    def __init__(self, host: str) -> None:
        """`host` as the Host header has it: with the port where that is not the scheme's."""
        self._host = f"Host: {host}\r\n"
        self._names = Names()
        self._lines: dict[tuple[str, str], str] = {}

    def again(self, outgoing: Outgoing, length: int | None) -> bytes:
        """As `write`, where it has been written before but for the length."""
        memo = outgoing.memo
        if memo is None or not length:
            return self.write(outgoing.method, outgoing.target, outgoing.headers, length)
        begun = memo.get(self)
        if begun is None:
            whole = self.write(outgoing.method, outgoing.target, outgoing.headers, length)
            begun = memo[self] = whole[: -len(_LENGTH % length)]
        return begun + _LENGTH % length

    def write(self, method: str, target: str, headers: Headers, length: int | None) -> bytes:
        """`length` of the body; None: it will be chunked. Raises BadRequest for what cannot be sent as it is, and for
        headers that tell another length."""
        line = self._lines.get((method, target)) or self._line(method, target)
        begun = self._names
        fields = "".join([f"{begun[name]}{value}\r\n" for name, value in headers])
        if not fields.isascii():
            fields = "".join([f"{begun[name]}{writable(value)}\r\n" for name, value in headers])
        lines = len(headers)
        if fields.count("\n") != lines or fields.count("\r") != lines or "\0" in fields:
            raise failure.unsendable_header()
        told = [(name.lower(), value) for name, value in headers if len(name) in _FRAMING_SIZES]
        host, framing = self._framed(method, [pair for pair in told if pair[0] in _FRAMING], length)
        return f"{line}{host}{fields}{framing}\r\n".encode()

    def _line(self, method: str, target: str) -> str:
        if not TARGET.fullmatch(target):
            raise failure.unsendable_path()
        if not _TOKEN.fullmatch(method) or method == "CONNECT":
            raise failure.unsendable_header()
        line = f"{method} {target} HTTP/1.1\r\n"
        if len(line) <= REMEMBERED_CHARS:
            if len(self._lines) >= REMEMBERED:
                self._lines.clear()
            self._lines[method, target] = line
        return line

    def _framed(self, method: str, told: Headers, length: int | None) -> tuple[str, str]:
        """The lines about host and length that the headers lack. They may tell the length once and rightly."""
        host, lengths = self._host, 0
        for name, value in told:
            if name == "host":
                host = ""
            elif name == "content-length" and value == str(length):
                lengths += 1
            else:
                raise failure.unsendable_header()
        if lengths > 1:
            raise failure.unsendable_header()
        if length is None:
            return host, "Transfer-Encoding: chunked\r\n"
        if lengths or (not length and method not in _WITH_BODY):
            return host, ""
        return host, f"Content-Length: {length}\r\n"


def writable(value: str) -> str:
    """UTF-8 goes out as it is; bytes that were none (lone surrogates) are read as Latin-1."""
    try:
        value.encode()
    except UnicodeEncodeError:
        try:
            return value.encode("utf-8", "surrogateescape").decode("latin-1")
        except UnicodeEncodeError:
            raise failure.unsendable_header() from None
    return value


def read(fields: Fields, head_bytes: int) -> tuple[Headers, int | None, bool]:
    """An answer's headers, the length they tell, and whether the body is chunked. Raises ProtocolViolation for more or
    longer ones than Weir takes, and for transfer codings that it does not read; llhttp has refused the rest."""
    if len(fields) > HEADERS or (
        head_bytes > FIELD_BYTES and any(len(name) + len(value) > FIELD_BYTES for name, value in fields)
    ):
        raise failure.invalid()
    try:
        headers = [(_name(name), value.rstrip().decode()) for name, value in fields]
    except UnicodeDecodeError:
        headers = [(name.decode("latin-1"), _text(value.rstrip())) for name, value in fields]
    length, chunked = None, False
    for name, value in headers:
        size = len(name)
        if size == 14 and name.lower() == "content-length":
            length = _length(value, length)
        elif size == 17 and name.lower() == "transfer-encoding":
            if chunked or value.lower() != "chunked":
                raise failure.invalid()
            chunked = True
    if chunked and length is not None:
        raise failure.invalid()
    return headers, length, chunked


@lru_cache(256)
def _name(name: bytes) -> str:
    return name.decode()


def framing(shape: Shape, values: list[bytes]) -> tuple[int | None, bool]:
    """As `read` tells length and chunked, where such names have been read before."""
    if shape.chunked_at >= 0:
        if values[shape.chunked_at].rstrip().lower() != b"chunked":
            raise failure.invalid()
        return None, True
    if shape.length_at < 0:
        return None, False
    return _length(values[shape.length_at].rstrip().decode("latin-1"), None), False


def usable(status: int, version: str) -> WeirError | None:
    """What is wrong with a status line that llhttp let pass."""
    return None if 200 <= status <= 599 and version in ("1.1", "1.0") else failure.invalid()


def _length(value: str, before: int | None) -> int:
    if before is not None or not value.isascii() or not value.isdecimal() or len(value) > 19:
        raise failure.invalid()
    return int(value)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
