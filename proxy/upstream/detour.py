"""The way to one provider on aiohttp: for outbound proxies, websockets, and whatever else ordinary calls never need.

Loaded by `client` when an upstream needs it first, so that a worker without such an upstream does without the library.
It keeps the same promises as `line`, and the same tests hold both.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import aiohttp
from aiohttp import hdrs
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

from proxy.errors import Unreachable, UpstreamFailed, WeirError
from proxy.live import Upstream
from proxy.ports import Clock, Headers
from proxy.upstream import failure, tls
from proxy.upstream.body import Upload, dressed
from proxy.upstream.carrier import FRESH, Connector, Lost, Reply
from proxy.upstream.head import FIELD_BYTES, HEADERS, TARGET, writable
from proxy.upstream.link import Outgoing, header_of
from proxy.upstream.outbound import outbound

READ_BYTES = 64 * 1024
"""An unread answer holds at most about three times this."""
MESSAGE_BYTES = 16 * 1024 * 1024
"""Longest websocket message."""

_NOT_ADDED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class Detour:
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
            proxy=outbound(upstream),
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

    def retire(self) -> None:
        """Nothing to do: `stop` comes once it is busy no more."""

    async def stop(self) -> None:
        await self._session.close()

    async def send(self, outgoing: Outgoing) -> Answer:
        """See `Link.send`."""
        try:
            return await self._send(outgoing)
        except Lost as lost:
            if not (lost.stale and isinstance(outgoing.body, bytes)):
                raise failure.unanswered(heard=lost.heard) from None
        fresh = FRESH.set(True)
        try:
            return await self._send(outgoing)
        except Lost as lost:
            raise failure.unanswered(heard=lost.heard) from None
        finally:
            FRESH.reset(fresh)

    async def websocket(
        self, target: str, headers: Headers, protocols: Sequence[str]
    ) -> aiohttp.ClientWebSocketResponse:
        """An open websocket. A handshake the provider refused is UpstreamFailed with the provider's status."""
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
        except Lost as lost:
            raise failure.unanswered(heard=lost.heard) from None
        except Exception as error:  # noqa: BLE001 - every kind that aiohttp knows gets one of our names
            raise _before_answer(error) from None

    async def _send(self, outgoing: Outgoing) -> Answer:
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

    def _url(self, target: str) -> URL:
        """The very string that goes on the wire, or BadRequest: nothing here may rewrite it."""
        if TARGET.fullmatch(target):
            url = URL(self._origin + target, encoded=True)
            if url.raw_path_qs == target or url.raw_path_qs + "?" == target:
                return url
        raise failure.unsendable_path()


class Answer:
    """`upstream.link.Answering` over aiohttp."""

    __slots__ = ("_content", "_reply", "headers", "reused", "status")

    def __init__(self, reply: Reply) -> None:
        self.status = reply.status
        self.reused = reply.reused
        self.headers: Headers = [(name.decode("latin-1"), _text(value)) for name, value in reply.raw_headers]
        self._reply = reply
        self._content = reply.content

    @property
    def held_bytes(self) -> int:
        """Of the body, come and not yet taken."""
        return self._content._size

    def header(self, name: str) -> str | None:
        return header_of(self.headers, name)

    def lines(self, changed: bool) -> bytes | None:
        return None

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
            raise failure.too_large()
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


def _multidict(headers: Headers) -> CIMultiDict[str]:
    """aiohttp writes UTF-8 and drops lone surrogates."""
    return CIMultiDict([(name, value if value.isascii() else writable(value)) for name, value in headers])


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
    raise failure.invalid()


def _before_answer(error: Exception) -> WeirError:
    """The name of a failure before the answer's headers. No message says more than its kind: aiohttp's own quote
    addresses, and with them keys."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return failure.unconnected_in_time()
        case TimeoutError():
            return failure.unanswered_in_time()
        case aiohttp.ClientConnectorCertificateError():
            return failure.untrusted()
        case aiohttp.ClientConnectorSSLError():
            return failure.no_tls()
        case aiohttp.ClientConnectorDNSError():
            return failure.unknown_name()
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return Unreachable("No connection through the outbound proxy.")
        case aiohttp.ClientResponseError():
            return failure.invalid()
        case ValueError():
            return failure.unsendable_header()
        case _:
            return failure.unconnected()


def _inside_answer(error: Exception) -> WeirError:
    match error:
        case TimeoutError():
            return failure.silent()
        case HttpProcessingError():
            return failure.invalid()
        case _:
            return failure.cut()
