"""What the HTTP parser lets pass and Weir does not: versions, targets, transfer codings, methods, handshakes. Pure.

llhttp (strict) already refuses control characters, folded and repeated framing headers, bare line feeds, and
Content-Length beside Transfer-Encoding. What is judged here it takes for good: HTTP/0.9 and HTTP/2.0 request lines,
`Transfer-Encoding: gzip, chunked`, absolute targets, fragments, dot segments, websockets over HTTP/1.0.
Whatever is refused here also closes the connection: where the framing is in doubt, nothing behind it is read as a call.
"""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple
from urllib.parse import unquote

from proxy.errors import BadMethod, BadRequest, WeirError

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
DECODE_ROUNDS = 3
"""How often a path is percent-decoded in search of dot segments; a path that is still coded after that is refused."""


class Opening(NamedTuple):
    """What a request begins with, as far as it is judged."""

    version: tuple[int, int]
    method: str
    target: str
    transfer_coding: str | None = None
    expect: str | None = None
    websocket_key: str | None = None
    websocket_version: str | None = None
    websocket: bool = False


def refusal(opening: Opening) -> WeirError | None:
    """Why this request is not served, or None."""
    if opening.version not in ((1, 1), (1, 0)):
        return _status(505, "only HTTP/1.1 and HTTP/1.0 are spoken here", "http_version_not_supported")
    if opening.method not in METHODS:
        return BadMethod("this method is not served here", headers=[("allow", ", ".join(sorted(METHODS)))])
    coding = opening.transfer_coding
    if coding is not None and (coding.lower() != "chunked" or opening.version == (1, 0)):
        return _status(501, "the only transfer coding read here is chunked, over HTTP/1.1", "bad_transfer_encoding")
    if opening.expect is not None and opening.expect.lower() != "100-continue":
        return _status(417, "the only expectation met here is 100-continue", "expectation_failed")
    return _target_refusal(opening.target) or (_handshake_refusal(opening) if opening.websocket else None)


def _target_refusal(target: str) -> WeirError | None:
    if not target.startswith("/"):
        return BadRequest("the request target must be a path; set base_url, not a proxy", code="bad_target")
    if not target.isascii() or not target.isprintable() or " " in target or "#" in target:
        return BadRequest("the request target holds a character that must be percent-encoded", code="bad_target")
    if target.startswith("//") or traverses(target.partition("?")[0]):
        return BadRequest("the path holds dot or empty segments; paths are never rewritten", code="bad_path")
    return None


def traverses(path: str) -> bool:
    """Whether some server on the way could read `.` or `..` segments (or a NUL) in this path."""
    if "%" not in path and "/." not in path and "\\" not in path and ";" not in path:
        return False
    for _ in range(DECODE_ROUNDS):
        segments = path.replace("\\", "/").split("/")
        if any(segment.partition(";")[0] in (".", "..") for segment in segments) or "\0" in path:
            return True
        decoded = unquote(path, errors="surrogateescape")
        if decoded == path:
            return False
        path = decoded
    return True


def _handshake_refusal(opening: Opening) -> WeirError | None:
    if opening.method != "GET" or opening.version != (1, 1):
        return BadRequest("a websocket opens with GET over HTTP/1.1", code="bad_handshake")
    if opening.websocket_version != "13":
        error = _status(426, "only version 13 of the websocket protocol is spoken here", "bad_handshake")
        error.headers = (("sec-websocket-version", "13"),)
        return error
    try:
        nonce = base64.b64decode(opening.websocket_key or "", validate=True)
    except (binascii.Error, ValueError):
        nonce = b""
    if len(nonce) != 16:
        return BadRequest("Sec-WebSocket-Key is not sixteen bytes in base64", code="bad_handshake")
    return None


def _status(status: int, message: str, code: str) -> WeirError:
    error = BadRequest(message, code=code)
    error.status = status
    return error
