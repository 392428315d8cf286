"""Websockets: two connections made to one, message by message, with back-pressure, and closed together.

The only file of the data port's server that imports aiohttp, which frames, masks and answers pings: the caller's socket
is handed over to aiohttp's own connection, and the handshake said to it once more.

Pings are answered on each leg for itself, so that a dead leg is noticed where it died; all else is relayed. Whoever
closes first gives the code and the reason that the other side is closed with.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
from aiohttp import WSCloseCode, WSMsgType, hdrs, web
from aiohttp.http_websocket import WebSocketError
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from proxy.errors import StreamCut
from proxy.ports import Headers
from proxy.server.connection import Connection
from proxy.server.incoming import Incoming
from proxy.server.reply import Reply
from proxy.server.tunnel import MESSAGE_BYTES, Connect

log = logging.getLogger("weir.server")

Upstream = aiohttp.ClientWebSocketResponse
Socket = Upstream | web.WebSocketResponse
_Side = tuple[asyncio.Task[None], Socket]
CLOSING_S = 2.0
"""How long a side may take to say goodbye."""
REASON_BYTES = 123
"""What fits into a close frame."""
UNSENDABLE = frozenset({1004, 1005, 1006, 1015})
"""Close codes that stand for something seen and never go on the wire."""


async def relay(incoming: Incoming, reply: Reply, connect: Connect) -> tuple[int, int]:
    """As `tunnel` promises."""
    over = asyncio.Event()
    try:
        return await _relay(incoming, reply, connect, over)
    finally:
        over.set()


async def _relay(incoming: Incoming, reply: Reply, connect: Connect, over: asyncio.Event) -> tuple[int, int]:
    upstream = await connect(offered(incoming.headers))
    passage = _Passage()
    try:
        caller = await _accept(incoming, reply, upstream.protocol, over)
    except BaseException:
        await _close(upstream, WSCloseCode.GOING_AWAY, b"")
        raise
    up = asyncio.create_task(_pump(passage, caller, upstream, "sent_bytes"))
    down = asyncio.create_task(_pump(passage, upstream, caller, "received_bytes"))
    left: asyncio.CancelledError | None = None
    try:
        await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError as error:
        left = error
    if passage.ending is None and caller.close_code not in (None, *UNSENDABLE):
        passage.ending = (int(caller.close_code or 0), b"")  # aiohttp has closed that side for a breach of rules
    cut = left is None and passage.ending is None and down.done() and not up.done()
    farewell = asyncio.create_task(_part(passage, (up, caller), (down, upstream)))
    try:
        await asyncio.shield(farewell)
    except asyncio.CancelledError as error:
        left = error
        await farewell
    if cut:
        raise StreamCut("the provider broke off the websocket")
    if left is not None and passage.ending is None:
        raise left
    # Hanging up after a goodbye cancels too: but then the other side has been told, and all is counted.
    return passage.sent_bytes, passage.received_bytes


async def _part(passage: _Passage, caller: _Side, upstream: _Side) -> None:
    """Closes the side that has not ended first: that wakes its pump. Bounded by `CLOSING_S` for each."""
    ending = passage.ending or (WSCloseCode.INTERNAL_ERROR, b"")
    first, second = (caller, upstream) if upstream[0].done() else (upstream, caller)
    for _, socket in (first, second):
        await _close(socket, *ending)
    for pump, _ in (first, second):
        pump.cancel()
    await asyncio.wait((first[0], second[0]))


def offered(headers: Headers) -> list[str]:
    """The subprotocols of the handshake, in order."""
    values = ",".join(value for name, value in headers if name.lower() == "sec-websocket-protocol")
    return [name for part in values.split(",") if (name := part.strip())]


@dataclass(slots=True)
class _Passage:
    """What both directions share: counts, and how the first of them ended, if it said so."""

    sent_bytes: int = 0
    received_bytes: int = 0
    ending: tuple[int, bytes] | None = None


async def _pump(passage: _Passage, source: Socket, sink: Socket, count: str) -> None:
    """One direction, until its source ends; the first end of both is the one that counts."""
    try:
        while True:
            message = await source.receive()
            if message.type is not WSMsgType.TEXT and message.type is not WSMsgType.BINARY:
                passage.ending = passage.ending or _ending(message)
                return
            data: str | bytes = message.data
            raw = data.encode("utf-8") if isinstance(data, str) else data
            await sink.send_frame(raw, message.type)
            setattr(passage, count, getattr(passage, count) + len(raw))
    except (ConnectionError, RuntimeError):  # RuntimeError: aiohttp's word for a socket that is closed already
        return


def _ending(message: aiohttp.WSMessage) -> tuple[int, bytes] | None:
    """The code and the reason that were given; None for a side that vanished without any."""
    if message.type is WSMsgType.CLOSE:
        code = int(message.data or WSCloseCode.OK)
        reason = (message.extra or "").encode("utf-8")[:REASON_BYTES]
        return (WSCloseCode.OK, b"") if code in UNSENDABLE else (code, reason)
    if isinstance(message.data, WebSocketError):  # a breach of rules: too long, not UTF-8, not a frame
        return int(message.data.code), b""
    return None


async def _close(socket: Socket, code: int, reason: bytes) -> None:
    try:
        async with asyncio.timeout(CLOSING_S):
            await socket.close(code=code, message=reason)
    except (ConnectionError, RuntimeError, TimeoutError):
        return


class _Upgrade(BaseRequest):
    """The request as aiohttp's websocket wants it, answered without banner."""

    async def _prepare_hook(self, resp: web.StreamResponse) -> None:
        for name in (hdrs.SERVER, hdrs.DATE, hdrs.CONTENT_TYPE):
            resp.headers.pop(name, None)


class _Line(RequestHandler):
    """aiohttp's connection, which tells the one before it when the caller has gone."""

    __slots__ = ("_before",)

    def __init__(self, server: web.Server, before: Connection) -> None:
        most = before.limits().header_bytes
        super().__init__(
            server,
            loop=before.loop,
            access_log=cast(Any, None),
            logger=log,
            max_line_size=most,
            max_field_size=most,
            lingering_time=before.patience.lingering_s,
        )
        self._before = before

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._before.connection_lost(exc)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """aiohttp's tracebacks quote headers; the kind of the error must do."""
        log.error("a websocket failed: %s", type(kw.get("exc_info")).__name__)


async def _accept(incoming: Incoming, reply: Reply, protocol: str | None, over: asyncio.Event) -> web.WebSocketResponse:
    """The caller's side. The handshake itself was judged before (`screen`). aiohttp's handler lasts until `over`."""
    before = cast(Connection, incoming.connection)
    loop = before.loop
    opened: asyncio.Future[web.WebSocketResponse] = loop.create_future()

    async def serve(request: BaseRequest) -> web.WebSocketResponse:
        caller = web.WebSocketResponse(
            timeout=CLOSING_S,
            autoclose=False,
            compress=False,
            max_msg_size=MESSAGE_BYTES,
            protocols=() if protocol is None else (protocol,),
        )
        try:
            await caller.prepare(request)
        except Exception as error:  # noqa: BLE001  # it is raised where the caller's side is waited for
            opened.set_exception(error)
        else:
            opened.set_result(caller)
            await over.wait()
        return caller

    def request(message: Any, payload: Any, line: Any, writer: Any, task: Any) -> BaseRequest:
        return _Upgrade(message, payload, line, writer, task, loop)

    server = web.Server(serve, request_factory=request, handler_cancellation=True)
    line = _Line(server, before)
    transport, held = before.hand_over()
    reply.taken()
    transport.set_protocol(line)
    line.connection_made(transport)
    line.data_received(_handshake(incoming, protocol) + held)
    return await opened


def _handshake(incoming: Incoming, protocol: str | None) -> bytes:
    """As it came. Only where none of the offered subprotocols is taken they are left out: aiohttp would log them all,
    and one of them may hold a key."""
    target = f"{incoming.path}?{incoming.query}" if incoming.query else incoming.path
    kept = [pair for pair in incoming.headers if protocol is not None or pair[0].lower() != "sec-websocket-protocol"]
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in kept)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"
