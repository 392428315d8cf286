"""The end of a call: the `finish` hooks, then the record. The caller has everything and waits no more."""

from __future__ import annotations

import asyncio
import logging

from proxy import record
from proxy.chain import Chain
from proxy.coroutines import at_once
from proxy.exchange import Exchange
from proxy.house import House, watchers
from proxy.route import Route

log = logging.getLogger("weir")


class Settling:
    """One per worker."""

    def __init__(self, house: House) -> None:
        self._house = house

    def conclude(self, exchange: Exchange, chain: Chain, route: Route | None) -> None:
        """At once where no hook has to wait. Else beside: a caller that has everything may hang up, which ends the
        task of the call and must not end this. `route`: None for a call that never entered the chain."""
        waits = route is None or not route.prompt
        try:
            for member in route.lingering if route is not None else ():
                waits = waits or member.plugin.finish_waits(exchange)
        except Exception:  # noqa: BLE001  the chain comes upon it as well, and there it is reported
            waits = True
        if waits:
            self._house.tasks.spawn("settle", self._settle(exchange, chain, route))
            return
        try:
            at_once(self._settle(exchange, chain, route, waits=False))
        except asyncio.CancelledError:  # a hook's own: as where it runs beside
            pass
        except Exception:
            log.exception("settling a call failed", extra={"call": exchange.id})

    async def _settle(self, exchange: Exchange, chain: Chain, route: Route | None, *, waits: bool = True) -> None:
        house = self._house
        if not exchange.timeline.ended:
            exchange.timeline.ended = house.now()
        if route is None:
            route = chain.route(exchange.caller.agent, exchange.request.model, exchange.request.path)
            exchange.place = max(exchange.place, watchers(route))
        try:
            await chain.finish(exchange, route, waits=waits)
        finally:
            line = record.line(exchange)
            house.records.put(line)
            house.kept(exchange, line)
            if exchange.response is not None:
                exchange.response.text_sample = None  # it and the call would hold each other; so might what is left
            exchange.state.clear()
            exchange.notes.clear()
