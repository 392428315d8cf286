"""What the connections of a worker share: who answers, how long they may take, which of them are at work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from proxy.cork import Cork
from proxy.live import Limits
from proxy.server.certified import Certified
from proxy.server.connection import Connection
from proxy.server.heads import Known
from proxy.server.incoming import Incoming
from proxy.server.reply import Reply

Serve = Callable[[Incoming, Reply, "Coroutine[Any, Any, None] | None"], Coroutine[Any, Any, None]]
"""Answers a call; or goes on with one that the short way has begun."""


class Ride(Protocol):
    """A call that no task serves."""

    def came(self) -> None:
        """The rest of its body is there."""
        ...

    def cancel(self) -> None: ...


Express = Callable[[Incoming, Reply], Ride | None]


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a connection may take, each with its own end."""

    header_s: float = 30.0
    """From a request's first byte to the end of its headers; then 408."""
    keepalive_s: float = 75.0
    """Without a request."""
    lingering_s: float = 5.0
    """For the rest of a body that nobody wants, so that the answer is not lost to a reset."""
    stall_s: float = 300.0
    """For a caller that does not read its answer."""


class Server:
    """What the connections of a worker share; called for each new one."""

    def __init__(
        self,
        serve: Serve,
        limits: Callable[[], Limits],
        patience: Patience,
        express: Express | None = None,
        cork: Cork | None = None,
    ) -> None:
        self.serve = serve
        self.express = express
        """The short way, where there is one: gives None for what is not for it."""
        self.limits = limits
        self.patience = patience
        self.draining = False
        self.certified = False
        """Callers may show certificates."""
        self.heads = Known()
        self.connections: set[Connection] = set()
        self.busy: set[Connection] = set()
        """Those that answer a call, also when its caller has gone."""
        self.cork = Cork() if cork is None else cork
        self.cork.calls, self.cork.callers = self.busy, self.connections
        self.empty = asyncio.Event()
        """No connection is left."""
        self.empty.set()

    def __call__(self) -> Connection:
        return (Certified if self.certified else Connection)(self, asyncio.get_running_loop())

    async def shutdown(self, grace_s: float) -> None:
        """Closes every connection behind what was written, and resets those that still stand after `grace_s`."""
        for connection in list(self.connections):
            connection.cut()
        try:
            async with asyncio.timeout(grace_s):
                await self.empty.wait()
        except TimeoutError:
            for connection in list(self.connections):
                connection.drop()
            await asyncio.sleep(0)
