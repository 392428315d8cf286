"""The front door of a worker: takes connections, answers probes, refuses what is not to be served, hands on the rest.

The listening socket belongs to the supervisor and is never closed: in a SO_REUSEPORT group a closed socket takes the
connections waiting on it along. A draining worker is not ready, answers what still comes with `Connection: close` until
what ran is done, then takes no more, and ends when what it took is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from ssl import CERT_NONE, SSLContext
from typing import Any

from proxy.cork import Cork
from proxy.errors import BadMethod, Overloaded, WeirError
from proxy.live import Limits
from proxy.ports import Headers
from proxy.server.connection import PAUSE_S
from proxy.server.incoming import Incoming
from proxy.server.probes import PATHS, Probes
from proxy.server.reply import JSON, Reply
from proxy.server.sharing import Express, Patience, Server

log = logging.getLogger("weir.server")

BACKLOG = 4096
"""A new worker's first calls have waited here for its start."""
LAST_S = 2.0
"""The end of a drain, where nothing more is taken."""
TICK_S = 0.01
Handle = Callable[[Incoming, Reply], Awaitable[None]]
PROBE_HEADERS: Headers = [*JSON, ("cache-control", "no-store")]


class Front:
    """One per worker. `handle` gets every request but probes; it answers through the reply and may raise WeirErrors."""

    def __init__(
        self,
        handle: Handle,
        *,
        limits: Callable[[], Limits],
        probes: Probes,
        patience: Patience | None = None,
        express: Express | None = None,
        cork: Cork | None = None,
    ) -> None:
        self._handle = handle
        self._probes = probes
        self._patience = patience or Patience()
        self._server = Server(self._answer, limits, self._patience, express, cork)
        self._listeners: list[asyncio.Server] = []
        self._handshakes = False

    @property
    def running(self) -> int:
        """Calls under way."""
        return len(self._server.busy)

    @property
    def connections(self) -> int:
        return len(self._server.connections)

    async def start(self, sock: socket.socket, ssl: SSLContext | None = None) -> None:
        """Serves on a bound socket; may be called for several."""
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # the connections inherit it
        loop, patience = asyncio.get_running_loop(), self._patience
        self._server.certified = ssl is not None and ssl.verify_mode is not CERT_NONE
        listener = await loop.create_server(
            self._server,
            sock=sock,
            ssl=ssl,
            backlog=BACKLOG,
            ssl_handshake_timeout=patience.header_s if ssl is not None else None,
            ssl_shutdown_timeout=patience.lingering_s if ssl is not None else None,
        )
        self._listeners.append(listener)
        self._handshakes = ssl is not None
        self._probes.started = True

    def unready(self) -> None:
        """The ready probe fails from here on; everything is still served as before."""
        self._probes.draining = True

    async def drain(self, cap_s: float) -> int:
        """Unready, and every answer is its connection's last. What comes is taken until the calls that run now have
        ended; then it is left for the next worker, and what was taken before is answered. At most `cap_s` altogether.
        Gives the number of calls still running."""
        self.unready()
        self._server.draining = True
        loop = asyncio.get_running_loop()
        end_s = loop.time() + cap_s
        running = [(connection, connection.at_hand) for connection in self._server.busy]
        last_s = end_s - min(LAST_S, cap_s / 2)
        while any(call is not None and one.at_hand is call for one, call in running) and loop.time() < last_s:  # noqa: ASYNC110 time passes
            await asyncio.sleep(min(TICK_S, max(last_s - loop.time(), 0)))
        self._deafen()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(end_s):
                await self._settled()
        if self.running:
            log.warning("%d calls were still running when draining ended", self.running)
        return self.running

    def _deafen(self) -> None:
        """What has not been accepted stays in the socket's queue: the supervisor keeps it open for the next worker."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    async def _settled(self) -> None:
        """Nothing runs, and nothing is likely to begin on the connections there are. A request that lies unread when
        its connection is closed would be answered by a reset."""
        await asyncio.sleep(PAUSE_S if self._handshakes else TICK_S)  # what was accepted last is no connection yet
        server = self._server
        while server.busy or any(connection.expecting for connection in server.connections):  # noqa: ASYNC110 time passes
            await asyncio.sleep(TICK_S)

    async def stop(self, grace_s: float = 2.0) -> None:
        """Ends what still runs (cancelled, with `grace_s` to settle), then closes every connection and the listener."""
        self._deafen()
        busy = [connection for connection in self._server.busy if connection.task is not asyncio.current_task()]
        running = [connection.task for connection in busy if connection.task is not None]
        for connection in busy:
            connection.cancel()
        if running:
            await asyncio.wait(running, timeout=grace_s)
        await self._server.shutdown(grace_s)

    async def _answer(self, incoming: Incoming, reply: Reply, rest: Coroutine[Any, Any, None] | None = None) -> None:
        """Whatever the handler does, the caller gets a whole answer or a cut connection. `rest` is of a call that has
        been begun on the short way."""
        try:
            if rest is not None:
                await rest
            elif incoming.path in PATHS:
                self._probe(incoming, reply)
            else:
                await self._handle(incoming, reply)
        except asyncio.CancelledError:
            if not reply.ended:
                _cut(reply, Overloaded("Weir is shutting down"))
            raise
        except WeirError as error:
            _cut(reply, error)
        except ConnectionError:
            reply.abort()
        except Exception as error:  # noqa: BLE001  # the last resort: the pipeline answers for its own errors
            log.error("a call failed in the server: %s at %s", type(error).__name__, _place(error))
            _cut(reply, WeirError("Weir failed on this call; its log says why"))
        if not reply.ended:
            _cut(reply, WeirError("Weir failed on this call; its log says why"))

    def _probe(self, incoming: Incoming, reply: Reply) -> None:
        if incoming.method not in ("GET", "HEAD"):
            reply.fail(BadMethod("a probe is asked with GET or HEAD", headers=[("allow", "GET, HEAD")]))
            return
        answer = self._probes.answer(incoming.path)
        assert answer is not None
        reply.put(answer[0], PROBE_HEADERS, answer[1])


def _cut(reply: Reply, error: WeirError) -> None:
    """The error, where nothing has been sent yet; else the end of the connection."""
    if reply.ended:
        return
    if reply.started:
        reply.abort()
        return
    try:
        reply.fail(error)
    except ConnectionError:
        reply.abort()


def _place(error: Exception) -> str:
    """Where it happened. The error's own text is left out: it may quote a body or a key."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
