"""The end of a call: the `finish` hooks, then the record. The caller has everything and waits no more."""

from __future__ import annotations

import asyncio
import logging

from proxy import record
from proxy.chain import Chain
from proxy.coroutines import at_once
from proxy.errors import Forbidden, Limited, Refused, Unauthorized
from proxy.exchange import Exchange
from proxy.house import House, watchers
from proxy.route import Route

log = logging.getLogger("weir")
REFUSALS = (Refused, Limited, Forbidden, Unauthorized)
LINES_PER_S = 20
"""Refusals that are logged; the next line says how many were not."""
AGENT_CHARS = 64


class Settling:
    """One per worker."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._second, self._lines, self._untold = 0, 0, 0

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
        if exchange.response is None or not exchange.response.complete:
            record.own_up(exchange)
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
            if exchange.error is not None and isinstance(exchange.error, REFUSALS):
                self._tell(exchange, exchange.error)

    def _tell(self, exchange: Exchange, refusal: Refused | Limited | Forbidden | Unauthorized) -> None:
        """A line without a word of the call's, and not more of them than anybody reads."""
        second = int(self._house.now())
        if second != self._second:
            self._second, self._lines = second, 0
        if self._lines >= LINES_PER_S:
            self._untold += 1
            return
        self._lines += 1
        by = [step.plugin for step in exchange.steps if step.what == f"refused {refusal.code}"]
        plugin = by[-1] if by else getattr(refusal, "plugin", "")
        more = {"not_logged": self._untold} if self._untold else {}
        self._untold = 0
        told = {"call": exchange.id, "agent": exchange.caller.agent[:AGENT_CHARS], "plugin": plugin}
        log.info(
            "a call was refused", extra={"fields": {**told, "code": refusal.code, "status": refusal.status, **more}}
        )
