"""The link to the providers, on aiohttp: the only file that opens connections, and where their failures get names."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from collections.abc import AsyncIterator, Iterable, Sequence

import aiohttp
from aiohttp import hdrs
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

from proxy.errors import (
    BadRequest,
    Overloaded,
    ProtocolViolation,
    StreamCut,
    Unreachable,
    UpstreamFailed,
    UpstreamTimeout,
    WeirError,
)
from proxy.live import Upstream
from proxy.ports import Clock, Headers
from proxy.upstream import tls
from proxy.upstream.body import Upload, dressed
from proxy.upstream.connection import FRESH, Connector, Lost, Reply
from proxy.upstream.link import Outgoing

FIELD_BYTES = 64 * 1024
"""Longest status line and longest single header of an answer."""
HEADERS = 256
READ_BYTES = 64 * 1024
"""An unread answer holds at most about three times this."""
MESSAGE_BYTES = 16 * 1024 * 1024
"""Longest websocket message."""

_NOT_ADDED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_TARGET = re.compile(r"/[!-\"$-~]*")
"""Visible ASCII, no fragment."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Client:
    """`upstream.link.Link`: one pool of connections per upstream, made when first needed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: dict[str, Line] = {}
        self._retired: list[Line] = []
        self._stopped = False

    async def prepare(self, upstreams: Iterable[Upstream]) -> None:
        """Reads certificates and makes the pools ahead of the first call. Raises Unreachable for unreadable files."""
        for upstream in upstreams:
            await self._line(upstream)

    async def send(self, upstream: Upstream, outgoing: Outgoing) -> Answer:
        """See `Link.send`. Also BadRequest for what cannot be written as HTTP, Overloaded once stopped."""
        line = await self._line(upstream)
        try:
            return await line.send(outgoing)
        except Lost as lost:
            if not (lost.stale and isinstance(outgoing.body, bytes)):
                raise _without_answer(lost) from None
        fresh = FRESH.set(True)
        try:
            return await line.send(outgoing)
        except Lost as lost:
            raise _without_answer(lost) from None
        finally:
            FRESH.reset(fresh)

    async def websocket(
        self, upstream: Upstream, target: str, headers: Headers, protocols: Sequence[str] = ()
    ) -> aiohttp.ClientWebSocketResponse:
        """An open websocket. A handshake the provider refused is UpstreamFailed with the provider's status."""
        line = await self._line(upstream)
        try:
            return await line.websocket(target, headers, protocols)
        except Lost as lost:
            raise _without_answer(lost) from None

    async def stop(self) -> None:
        """Closes every connection; calls under way break off."""
        self._stopped = True
        lines = [*self._lines.values(), *self._retired]
        self._lines.clear()
        self._retired.clear()
        for line in lines:
            await line.stop()

    async def _line(self, upstream: Upstream) -> Line:
        line = self._lines.get(upstream.name)
        if line is not None and line.upstream is upstream:
            return line
        if self._stopped:
            raise Overloaded("Weir is shutting down.", code="shutting_down")
        if line is not None and _way(line.upstream) == _way(upstream):
            line.upstream = upstream
            return line
        try:
            made = self._lines[upstream.name] = Line(self._clock, upstream)
        except OSError:
            raise Unreachable("A certificate file of this upstream cannot be read.") from None
        if line is not None:
            self._retired.append(line)
        await self._sweep()
        return made

    async def _sweep(self) -> None:
        """Closes pools of earlier settings that carry no call any more."""
        done = [line for line in self._retired if not line.busy]
        self._retired = [line for line in self._retired if line.busy]
        for line in done:
            await line.stop()


class Line:
    """The pool of one upstream. Not kept when anything changes that a connection depends on."""

    def __init__(self, clock: Clock, upstream: Upstream) -> None:
        self.upstream = upstream
        url = URL(upstream.url)
        self._origin = str(url.with_user(None).origin())
        timeouts = upstream.timeouts
        self._connector = Connector(
            clock, timeouts, limit=upstream.pool_size,
            ssl=tls.context(upstream) if url.scheme == "https" else True,
        )  # fmt: skip
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            response_class=Reply,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_NOT_ADDED,
            auto_decompress=False,
            proxy=_outbound(upstream, url),
            read_bufsize=READ_BYTES,
            max_line_size=FIELD_BYTES,
            max_field_size=FIELD_BYTES,
            max_headers=HEADERS,
            timeout=aiohttp.ClientTimeout(
                total=timeouts.total_s or None,
                connect=timeouts.connect_s or None,
                sock_connect=timeouts.connect_s or None,
            ),
        )

    @property
    def busy(self) -> bool:
        return self._connector.busy

    async def stop(self) -> None:
        await self._session.close()

    async def send(self, outgoing: Outgoing) -> Answer:
        data, length = dressed(outgoing.body, outgoing.length)
        headers = _multidict(outgoing.headers)
        if length and hdrs.CONTENT_LENGTH not in headers:
            headers[hdrs.CONTENT_LENGTH] = str(length)
        try:
            reply = await self._session.request(
                outgoing.method,
                self._url(outgoing.target),
                headers=headers,
                data=data if length != 0 else None,
                allow_redirects=False,
            )
        except Exception as error:  # every kind that aiohttp knows gets one of our names
            if isinstance(data, Upload) and data.failure is not None:
                raise data.failure from None
            if isinstance(error, (Lost, WeirError)):
                raise
            raise _before_answer(error) from None
        assert isinstance(reply, Reply)
        return _checked(reply)

    async def websocket(
        self, target: str, headers: Headers, protocols: Sequence[str]
    ) -> aiohttp.ClientWebSocketResponse:
        sent = _multidict([pair for pair in headers if not pair[0].lower().startswith("sec-websocket-")])
        url = self._url(target)
        try:
            return await self._session.ws_connect(
                url, headers=sent, protocols=protocols, max_msg_size=MESSAGE_BYTES, autoclose=False
            )
        except aiohttp.WSServerHandshakeError as error:
            refused = UpstreamFailed("The provider refused the websocket.", code="upstream_refused")
            refused.status = error.status if 400 <= error.status < 600 else 502
            raise refused from None
        except Lost:
            raise
        except Exception as error:  # noqa: BLE001 - every kind that aiohttp knows gets one of our names
            raise _before_answer(error) from None

    def _url(self, target: str) -> URL:
        """The very string that goes on the wire, or BadRequest: nothing here may rewrite it."""
        if _TARGET.fullmatch(target):
            url = URL(self._origin + target, encoded=True)
            if url.raw_path_qs == target or url.raw_path_qs + "?" == target:
                return url
        raise BadRequest("The path cannot be sent.")


class Answer:
    """`upstream.link.Answering` over aiohttp."""

    __slots__ = ("_content", "_reply", "headers", "reused", "status")

    def __init__(self, reply: Reply) -> None:
        self.status = reply.status
        self.reused = reply.reused
        self.headers: Headers = [(name.decode("latin-1"), _text(value)) for name, value in reply.raw_headers]
        self._reply = reply
        self._content = reply.content

    async def read(self, limit: int) -> bytes:
        length = self._reply.content_length
        parts: list[bytes] = []
        size = 0 if length is None else length
        if size <= limit:
            size = 0
            while piece := await self._next():
                parts.append(piece)
                size += len(piece)
                if size > limit:
                    break
        if size > limit:
            self.close()
            raise ProtocolViolation("The provider's answer is too large.", code="upstream_answer_too_large")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def chunks(self) -> AsyncIterator[bytes]:
        while piece := await self._next():
            yield piece

    def close(self) -> None:
        if not self._content.is_eof():
            self._reply.close()

    async def _next(self) -> bytes:
        """What has come since the last look; empty at the end."""
        content = self._content
        try:
            return await content.readany()
        except asyncio.CancelledError:
            self.close()
            raise
        except Exception as error:  # noqa: BLE001 - every kind that aiohttp knows gets one of our names
            # What came before the break is the caller's: first that, then the error (which aiohttp gives again).
            if content._buffer:
                return content._read_nowait(-1)
            self._reply.close()
            raise _inside_answer(error) from None


def _way(upstream: Upstream) -> tuple[object, ...]:
    """All that a connection depends on."""
    return (
        upstream.url, upstream.timeouts, upstream.ca_file, upstream.client_cert, upstream.verify, upstream.proxy,
        upstream.pool_size,
    )  # fmt: skip


def _outbound(upstream: Upstream, url: URL) -> URL | None:
    """The outbound proxy: the upstream's own, else what the environment says. Loopback needs none."""
    if upstream.proxy:
        return URL(upstream.proxy)
    host = url.host or ""
    if host in _LOOPBACK:
        return None
    proxies = urllib.request.getproxies_environment()
    named = proxies.get(url.scheme) or proxies.get("all")
    # The standard library's own reading of NO_PROXY; typeshed does not list it.
    bypass = urllib.request.proxy_bypass_environment(host, proxies)  # type: ignore[attr-defined]
    return URL(named) if named and not bypass else None


def _multidict(headers: Headers) -> CIMultiDict[str]:
    return CIMultiDict([(name, value if value.isascii() else _writable(value)) for name, value in headers])


def _writable(value: str) -> str:
    """aiohttp writes UTF-8 and drops lone surrogates (bytes that were none): those are read as Latin-1 instead."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    return value


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _checked(reply: Reply) -> Answer:
    """aiohttp lets pass what is not quite HTTP/1.1; the caller of Weir must never see two readings of an answer."""
    codings = reply.headers.getall(hdrs.TRANSFER_ENCODING, ())
    version = reply.version
    if (
        200 <= reply.status <= 599
        and version is not None
        and version.major == 1
        and (not codings or [coding.lower() for coding in codings] == ["chunked"])
    ):
        return Answer(reply)
    reply.close()
    raise ProtocolViolation("The provider's answer is not valid HTTP/1.1.")


def _before_answer(error: Exception) -> WeirError:
    """The name of a failure before the answer's headers. No message says more than its kind: aiohttp's own quote
    addresses, and with them keys."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return Unreachable("No connection to the provider in time.")
        case TimeoutError():
            return UpstreamTimeout("The provider did not answer in time.")
        case aiohttp.ClientConnectorCertificateError():
            return Unreachable("The provider's certificate is not trusted.")
        case aiohttp.ClientConnectorSSLError():
            return Unreachable("No TLS connection to the provider.")
        case aiohttp.ClientConnectorDNSError():
            return Unreachable("The provider's name is not known.")
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return Unreachable("No connection through the outbound proxy.")
        case aiohttp.ClientResponseError():
            return ProtocolViolation("The provider's answer is not valid HTTP/1.1.")
        case ValueError():
            return BadRequest("A header of this call cannot be sent.")
        case _:
            return Unreachable("No connection to the provider.")


def _without_answer(lost: Lost) -> WeirError:
    if lost.heard:
        return ProtocolViolation("The provider's answer broke off in its headers.")
    return ProtocolViolation("The provider closed the connection without an answer.")


def _inside_answer(error: Exception) -> WeirError:
    match error:
        case TimeoutError():
            return UpstreamTimeout("The provider fell silent in the middle of its answer.")
        case HttpProcessingError():
            return ProtocolViolation("The provider's answer is not valid HTTP/1.1.")
        case _:
            return StreamCut("The provider's answer broke off.")
