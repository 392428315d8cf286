"""Content codings of requests: gzip, deflate, br and zstd taken off with a bound; everything else refused.

A call is forwarded with its original, compressed bytes where nothing changed it, so what the guards read here must be
what the provider will read. Hence the strictness: one complete frame and nothing behind it, since decoders differ in
what they make of a second member, of trailing bytes, or of a frame that breaks off.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import brotli  # type: ignore[import-untyped]
import zstandard

from proxy.errors import BadEncoding, MalformedBody, TooLarge
from proxy.ports import Headers

CODINGS_MOST = 2
"""More than this stacked on one body is nobody's honest call."""
WINDOW_BYTES = 8 * 1024 * 1024
"""The largest zstd window that RFC 9659 allows for a content coding."""
PIECE_BYTES = 64 * 1024
BITE_BYTES = 512
"""Four bytes of zstd can stand for 128 KiB: a bite of this size unpacks to 16 MiB at worst before it is measured."""


def inflate(headers: Headers, body: bytes, limit: int) -> bytes:
    """The body with its content codings taken off; the very object that came where there are none.

    Raises BadEncoding (415) for a coding that is not read here, MalformedBody (400) where the body is not what its
    coding says, TooLarge (413) past `limit` bytes at any layer."""
    names = codings(headers)
    if not names:
        return body
    if len(names) > CODINGS_MOST:
        raise BadEncoding(f"at most {CODINGS_MOST} content codings may be stacked on a body")
    for name in names:
        if name not in _DECODERS:
            raise BadEncoding("this content coding is not understood; use gzip, deflate, br, zstd or none")
    for name in reversed(names):
        body = _DECODERS[name](body, limit)
    return body


def codings(headers: Headers) -> list[str]:
    """The names in Content-Encoding in the order in which they were applied, `identity` left out."""
    values = [value for name, value in headers if len(name) == 16 and name.lower() == "content-encoding"]
    if not values:
        return []
    names = [part.strip().lower() for part in ",".join(values).split(",")]
    return [name for name in names if name not in ("", "identity")]


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit} bytes once its content coding is taken off")


def _broken(name: str) -> MalformedBody:
    return MalformedBody(f"the body is not valid {name}, although Content-Encoding says so", code="broken_encoding")


def _zlib(body: bytes, limit: int, wbits: int, name: str) -> bytes:
    decoder = zlib.decompressobj(wbits)
    try:
        plain = decoder.decompress(body, limit + 1)
    except zlib.error:
        raise _broken(name) from None
    if len(plain) > limit:
        raise _too_large(limit)
    if not decoder.eof or decoder.unused_data:
        raise _broken(name)
    return plain


def _gzip(body: bytes, limit: int) -> bytes:
    return _zlib(body, limit, zlib.MAX_WBITS | 16, "gzip")


def _deflate(body: bytes, limit: int) -> bytes:
    """The zlib format, as the standard says; raw deflate, as some clients send it, is told by its first bytes."""
    wrapped = len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0
    return _zlib(body, limit, zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS, "deflate")


def _brotli(body: bytes, limit: int) -> bytes:
    decoder = brotli.Decompressor()
    parts: list[bytes] = []
    size = 0
    try:
        piece = decoder.process(body, output_buffer_limit=PIECE_BYTES)
        while piece:
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            parts.append(piece)
            piece = b"" if decoder.is_finished() else decoder.process(b"", output_buffer_limit=PIECE_BYTES)
    except brotli.error:
        raise _broken("br") from None
    if not decoder.is_finished():
        raise _broken("br")
    return b"".join(parts)


def _zstd(body: bytes, limit: int) -> bytes:
    decoder = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES).decompressobj()
    parts: list[bytes] = []
    size = 0
    try:
        for at in range(0, len(body), BITE_BYTES):
            piece = decoder.decompress(body[at : at + BITE_BYTES])
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            parts.append(piece)
            if decoder.eof:
                if decoder.unused_data or at + BITE_BYTES < len(body):
                    raise _broken("zstd")
                return b"".join(parts)
    except zstandard.ZstdError:
        raise _broken("zstd") from None
    raise _broken("zstd")


_DECODERS: Final[Mapping[str, Callable[[bytes, int], bytes]]] = MappingProxyType(
    {"gzip": _gzip, "x-gzip": _gzip, "deflate": _deflate, "br": _brotli, "zstd": _zstd}
)
