"""HTTP on control's ports: aiohttp behind listening sockets. Loaded when control is ready, for it takes its time."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web

LOG = logging.getLogger("weir.control")
KEEPALIVE_S = 30.0


class Listener:
    """Ports with an application behind them. `start` once, then `stop`, also where `start` failed."""

    def __init__(self, app: web.Application) -> None:
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None)
        self._servers: list[asyncio.Server] = []

    async def start(self, doors: Sequence[socket.socket]) -> None:
        """On listening sockets, which it takes."""
        await self._runner.setup()
        manager, loop = self._runner.server, asyncio.get_running_loop()
        assert manager is not None
        options: dict[str, Any] = {"access_log": None, "keepalive_timeout": KEEPALIVE_S}
        for door in doors:
            self._servers.append(await loop.create_server(lambda: Speaker(manager, loop=loop, **options), sock=door))

    async def stop(self) -> None:
        """Takes no more calls, and ends those that are under way."""
        for server in self._servers:
            server.close()
        await self._runner.cleanup()


class Speaker(web.RequestHandler):
    """Speaks HTTP on one connection."""

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """What cannot be parsed (no Host, say) is its sender's fault: no line in the log is owed to it."""
        if status >= 500 or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        LOG.debug("what is no call came from %s: %s", request.remote, type(exc).__name__)
        said = {"message": "this is no HTTP call that can be understood", "type": "invalid_request_error"}
        error: dict[str, Any] = {"error": {**said, "param": None, "code": "malformed_request"}}
        answer = web.Response(body=orjson.dumps(error) + b"\n", status=status, content_type="application/json")
        answer.force_close()
        return answer
