"""A call that would take the short way, while the rest of its body is still to come: it costs a timer, and no task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from proxy import wire
from proxy.chain import Chain
from proxy.errors import Overloaded
from proxy.exchange import Exchange, Request
from proxy.house import Identified
from proxy.pipeline import Pipeline
from proxy.ports import Incoming, ShortReply

PATIENCE_S = 0.25
"""A body that takes longer is waited for by a task."""


class Leaving(Protocol):
    """The call on the short way."""

    def cancel(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Ticket:
    """What is known of the call before its body."""

    incoming: Incoming
    reply: ShortReply
    known: Identified
    chain: Chain
    at_s: float
    start: float


class Boarding:
    """`leave` takes the body, and gives None for what has to take the regular way."""

    __slots__ = ("_bell", "_leave", "_over", "_pipeline", "_ride", "_ticket")

    def __init__(self, ticket: Ticket, pipeline: Pipeline, leave: Callable[[bytes], Leaving | None]) -> None:
        self._ticket = ticket
        self._pipeline = pipeline
        self._leave = leave
        self._ride: Leaving | None = None
        self._over = False
        self._bell = asyncio.get_running_loop().call_later(PATIENCE_S, self._regularly)

    def came(self) -> None:
        """The rest of the body is there."""
        if self._over:
            return
        body = self._ticket.incoming.whole()
        if body is not None:
            self._ride = self._leave(body)
        if self._ride is None:
            self._regularly()
        self._over = True
        self._bell.cancel()

    def cancel(self) -> None:
        """The caller has gone, or Weir stops."""
        if self._ride is not None:
            self._ride.cancel()
        elif not self._over:
            self._over = True
            self._bell.cancel()
            with suppress(ConnectionError):
                self._ticket.reply.fail(Overloaded("Weir is shutting down"))
            self._left()

    def _regularly(self) -> None:
        self._over = True
        self._bell.cancel()
        ticket = self._ticket
        ticket.reply.go_on(self._pipeline.handle(ticket.incoming, ticket.reply, (ticket.at_s, ticket.start)))

    def _left(self) -> None:
        """There is a record of it all the same."""
        ticket, pipeline = self._ticket, self._pipeline
        incoming, known = ticket.incoming, ticket.known
        headers = tuple(incoming.headers)
        request = Request(wire.route(known.path) or "relay", incoming.method, known.path, incoming.query, headers, b"")
        exchange = Exchange(
            pipeline.call_id(ticket.at_s),
            known.caller,
            request,
            at_s=ticket.at_s,
            start=ticket.start,
            snapshot=ticket.chain.snapshot,
        )
        exchange.outcome = "cancelled"
        pipeline.began()
        pipeline.ended()
        pipeline.settling.conclude(exchange, ticket.chain, None)
