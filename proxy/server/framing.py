"""Bytes to requests: llhttp's findings, judged, bounded and made into `Incoming`s. Pure: no socket, no time.

Fed with what was read, it leaves
  ready     requests whose head is whole, in order; their bodies grow while more is fed
  message   the one of them whose body is still arriving
  begun     a head has begun and is not whole
  failure   why nothing more is read as HTTP: an answer that is owed behind those in `ready`
  over      nothing more is read
  surplus   something came that nobody will read: a close at once would be a reset, and take the last answer along
  tail      what came behind a websocket's handshake

A head that this connection has sent before is not parsed again (`heads`), and its body is counted here.

llhttp (strict) refuses control characters, folded and repeated framing headers, bare line feeds, and Content-Length
beside Transfer-Encoding. What else is refused stands in `screen`; sizes, counts and doubles are judged here. A request
that is refused ends the reading at once: where the framing is in doubt, nothing behind it is taken for a call.
"""

from __future__ import annotations

from typing import NamedTuple, NoReturn

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from proxy.errors import BadRequest, WeirError
from proxy.ports import Headers
from proxy.server.heads import Head, Known, learn
from proxy.server.incoming import Incoming, Line
from proxy.server.screen import Opening, refusal

HEADERS_MOST = 128
AHEAD_MOST = 16
"""Requests of one read that may wait behind another; whoever sends more at once gets no answer to the rest."""
FRAMING_BYTES = 16 * 1024
"""What chunk sizes and extensions may cost beyond sixteen bytes for each byte of body."""
VERSIONS = {"1.1": (1, 1), "1.0": (1, 0), "2.0": (2, 0)}
SINGLE = frozenset(
    {"content-length", "content-location", "content-range", "content-type", "etag", "host", "max-forwards", "server",
     "transfer-encoding", "user-agent"}
)  # fmt: skip
"""Headers that may be sent once."""
HEEDED = SINGLE | {"expect", "upgrade", "sec-websocket-key", "sec-websocket-version"}


class Failure(NamedTuple):
    """A request that is refused: why, the path it named, and whether its answer has no body (HEAD)."""

    error: WeirError
    path: str = ""
    silent: bool = False


class _Stop(Exception):
    """Ends the parser's run from within."""


class Framing:
    """One per connection. Implements what httptools asks of a protocol (`on_...`)."""

    __slots__ = (
        "_alone", "_bodies", "_carried", "_chunked", "_fed", "_head", "_headers", "_heads", "_judged", "_left", "_line",
        "_lone", "_parser", "_said", "_spare", "_start", "_target", "_trailers", "begun", "failure", "message", "over",
        "ready", "surplus", "tail",
    )  # fmt: skip

    def __init__(self, line: Line, heads: Known | None = None) -> None:
        """`heads`: those that any connection knows."""
        self._line = line
        self._heads = Known() if heads is None else heads
        self._head: Head | None = None
        """The latest head that was learned."""
        self._lone: Incoming | None = None
        """The request whose head this read began with, where it may be learned."""
        self._left = 0
        """Bytes still to come of a body that is counted here."""
        self._parser: HttpRequestParser | None = None
        """None: it has nothing to remember, or may have nothing more to read."""
        self._target = b""
        self._headers: Headers = []
        self._said: dict[str, str] = {}
        """Those of them that mean something to the server itself."""
        self._judged: Opening | None = None
        """The last one that was found good: on one connection they are mostly alike."""
        self._start: str | None = None
        """The first line of a request that asks for a protocol not spoken here: it is read anew, without that."""
        self._fed = 0
        """At most so many bytes belong to the head that is being read."""
        self._carried = 0
        """Those of them that came in earlier reads."""
        self._alone = True
        """This read has begun with this head."""
        self._trailers = 0
        self._chunked: Incoming | None = None
        """The latest request whose body is chunked, as long as it is bounded here."""
        self._bodies = 0
        """Bytes of bodies in this read."""
        self._spare = 0
        """Bytes read for a chunked body without being part of it."""
        self.ready: list[Incoming] = []
        self.message: Incoming | None = None
        self.begun = False
        self.failure: Failure | None = None
        self.over = False
        self.surplus = False
        self.tail = b""

    def feed(self, data: bytes) -> None:
        if self._left:
            data = self._count(data)
        while data and self._head is not None and not (self.over or self.ready or self.begun or self.message):
            found = self._head.match(data)
            if found is None or self._head.size_bytes > self._line.limits().header_bytes:
                break
            data = self._again(self._head, data, *found)
        if data:
            self._parse(data)

    def recognised(self, data: bytes) -> Incoming | None:
        """The request that `data` is, where it is just one, whole, with the head that came last."""
        head = self._head
        if head is None or self._left or self.ready or self.begun or self.message is not None or self.over:
            return None
        found = head.match(data)
        if found is None:
            return None
        start, length = found
        if start + length != len(data) or head.size_bytes > self._line.limits().header_bytes:
            return None
        message = Incoming.again(self._line, head, length)
        message.came(data[start:])
        return message

    def _again(self, head: Head, data: bytes, start: int, length: int) -> bytes:
        """A request with a known head; gives what lies behind it."""
        message = Incoming.again(self._line, head, length)
        self.ready.append(message)
        end = start + length
        if len(data) >= end:
            message.came(data[start:end])
            return data[end:]
        self.message, self._left = message, length
        return self._count(data[start:])

    def _count(self, data: bytes) -> bytes:
        """More of a body whose head was known; gives what lies behind it."""
        message, size = self.message, len(data)
        assert message is not None
        if size <= self._left:
            self._left -= size
            message.arrived(data)
            data = b""
        else:
            message.arrived(data[: self._left])
            data = data[self._left :]
            self._left = 0
        if not self._left:
            self.on_message_complete()
        return data

    def _parse(self, data: bytes) -> None:
        if self.over:
            self.surplus = True
            return
        known, self._bodies = len(self.ready), 0
        self._fed, self._alone = self._carried + len(data), self.message is None
        self._lone = None
        parser = self._parser
        if parser is None:
            parser = self._parser = HttpRequestParser(self)
        try:
            parser.feed_data(data)
        except HttpParserUpgrade as found:
            self._upgraded(data[found.args[0] :])
            return
        except HttpParserError:
            self._failed()
        if self._chunked is not None:
            self._bound_framing(len(data), known)
        if self._lone is not None and not self.failure:
            self._learn(data, self._lone)
        if self.begun:
            self._bound_beginning()
        else:
            self._carried = 0

    def close(self) -> None:
        """Lets go of the parser and the connection, which both know this object: no garbage is left to collect."""
        self.over = True
        self._lone = None
        del self._parser, self._line

    # ---- what the parser finds --------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if len(self.ready) >= AHEAD_MOST:
            self.over = self.surplus = self.ready[-1].closing = True
            raise _Stop
        self.begun = True

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.begun:
            self._trailers += 1
            if self._trailers > HEADERS_MOST:
                raise _Stop
            return
        try:
            pair = name.decode(), value.strip().decode()
        except UnicodeDecodeError:
            self._stop(BadRequest("a header value is not valid UTF-8", code="bad_header"))
        self._headers.append(pair)
        key = pair[0].lower()
        if key in HEEDED:
            self._heed(key, pair[1])
        if len(self._headers) > HEADERS_MOST:
            self._stop(too_large())

    def on_headers_complete(self) -> None:
        parser, said = self._parser, self._said
        assert parser is not None
        lone = self._alone and not self._carried
        self.begun = self._alone = False
        if self._fed > self._line.limits().header_bytes:
            self._bound_head()
        version = parser.get_http_version()
        upgrade = said.get("upgrade") if parser.should_upgrade() else None
        opening = Opening(
            VERSIONS.get(version, (0, 9)), parser.get_method().decode(), self._target.decode("latin-1"),
            said.get("transfer-encoding"), said.get("expect"), said.get("sec-websocket-key"),
            said.get("sec-websocket-version"), upgrade is not None and upgrade.lower() == "websocket",
        )  # fmt: skip
        if opening != self._judged or "host" not in said:
            self._screen(opening)
        if upgrade is not None and not opening.websocket:
            self._start = f"{opening.method} {opening.target} HTTP/{version}"
        else:
            message = self._open(opening, closing=not parser.should_keep_alive())
            if lone and not (message.closing or message.expects or message.websocket) and message.modern:
                self._lone = message

    def _open(self, opening: Opening, *, closing: bool) -> Incoming:
        if opening.websocket and (self._said.get("content-length", "0") != "0" or opening.transfer_coding is not None):
            self._stop(BadRequest("a websocket's handshake has no body", code="bad_handshake"))
        path, _, query = opening.target.partition("?")
        message = Incoming(self._line, opening.method, path, query, self._headers)
        message.closing = closing
        message.modern = opening.version == (1, 1)
        message.websocket = opening.websocket
        message.expects = opening.expect is not None
        length = self._said.get("content-length")
        if length is not None:
            message.length = int(length)
        elif opening.transfer_coding is not None:
            message.length = None
            self._chunked, self._trailers, self._spare = message, 0, 0
        self._target, self._headers, self._said = b"", [], {}
        self.message = message
        self.ready.append(message)
        return message

    def on_body(self, data: bytes) -> None:
        self._bodies += len(data)
        assert self.message is not None
        self.message.arrived(data)

    def on_message_complete(self) -> None:
        message, self.message = self.message, None
        if message is not None:
            message.finished()
            self.over = message.closing

    # ---- what is made of it -----------------------------------------------------------------------------------------

    def _learn(self, data: bytes, message: Incoming) -> None:
        self._lone = None
        head = self._head = learn(data, message.method, message.path, message.query, message.headers, self._heads)
        if head is not None:
            message.known_as(head)
            if self.message is None and not (self.begun or self._chunked):
                self._parser = None  # between two messages, and the next has most likely the same head

    def _heed(self, key: str, value: str) -> None:
        said = self._said
        if key in said:
            if key in SINGLE:
                self._stop(malformed())
            value = f"{said[key]}, {value}"
        said[key] = value

    def _screen(self, opening: Opening) -> None:
        said = self._said
        error = refusal(opening)
        if error is not None:
            self._stop(error, opening.target, silent=opening.method == "HEAD")
        if opening.version == (1, 1) and "host" not in said:
            self._stop(malformed())
        self._judged = opening

    def _bound_head(self) -> None:
        """Reads hold more than heads, so only here is it counted exactly."""
        if self._head_bytes() > self._line.limits().header_bytes:
            self._stop(too_large())

    def _bound_beginning(self) -> None:
        self._carried = self._fed if self._alone else self._head_bytes()
        if self._carried > self._line.limits().header_bytes:
            self._refuse(too_large())

    def _head_bytes(self) -> int:
        return len(self._target) + size_of(self._headers)

    def _bound_framing(self, size: int, known: int) -> None:
        """Chunk sizes, extensions and trailers cost bytes that no limit of the body sees."""
        message = self._chunked
        assert message is not None
        if not self.begun:
            heads = sum(size_of(one.headers) + len(one.path) + len(one.query) for one in list(self.ready)[known:])
            self._spare += size - heads - self._bodies
        if self._spare > FRAMING_BYTES + 16 * max(self._bodies, message.received):
            self._broken(message)
        if self.message is not message:
            self._chunked = None

    def _upgraded(self, tail: bytes) -> None:
        """llhttp takes no body for a request that asks for another protocol. So a websocket's handshake has none; and
        where the other protocol is not spoken here (h2c), the request is read anew, as if it had not asked."""
        self._parser = HttpRequestParser(self)
        self._carried = 0
        start, self._start = self._start, None
        if start is None:
            self.tail = tail
            return
        lines = [start, *(f"{name}: {value}" for name, value in self._headers if name.lower() != "upgrade")]
        self._target, self._headers, self._said = b"", [], {}
        self.feed("\r\n".join(lines).encode() + b"\r\n\r\n" + tail)

    def _failed(self) -> None:
        """The parser will not go on, or one of the judges above has said so already."""
        self.surplus = True
        if self.over:
            return
        if self.message is not None:
            self._broken(self.message)
        else:
            self._refuse(malformed())

    def _broken(self, message: Incoming) -> None:
        self.over = self.surplus = True
        message.broke(BadRequest("the body's framing is broken", code="bad_framing"))

    def _refuse(self, error: WeirError, target: str = "", *, silent: bool = False) -> None:
        self.over = self.surplus = True
        self.begun = False
        self.failure = Failure(error, target.partition("?")[0], silent)

    def _stop(self, error: WeirError, target: str = "", *, silent: bool = False) -> NoReturn:
        self._refuse(error, target, silent=silent)
        raise _Stop


def size_of(headers: Headers) -> int:
    return sum(len(name) + len(value.encode()) + 4 for name, value in headers)


def malformed() -> WeirError:
    """The answer to what could not be read. It never quotes the bytes: they may hold a key."""
    return BadRequest("this is not a well-formed HTTP/1.1 request", code="malformed_request")


def too_large() -> WeirError:
    error = BadRequest("the request's line or headers are too large or too many", code="headers_too_large")
    error.status = 431
    return error
