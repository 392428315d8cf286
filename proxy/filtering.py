"""Filters at work on one text of an answer: what each of them holds, where it is awaited, and how it fails."""

from __future__ import annotations

from dataclasses import dataclass

import xxhash

from proxy.chain import SHADOW, Chain, bounded
from proxy.errors import Limited, Refused
from proxy.exchange import Exchange
from proxy.plugin import Filter, Hold
from proxy.ports import Now
from proxy.route import Member

HELD_CHARS = 64 * 1024
"""A filter that holds back more than this is taken for broken."""


@dataclass(slots=True)
class Running:
    """One filter at work on one text, and what it may still hold (so that failing open loses nothing)."""

    member: Member
    filter: Filter
    fed: str = ""
    given: int = 0

    def note(self, piece: str, out: str) -> None:
        if out == piece and len(self.fed) == self.given:
            return
        self.fed += piece
        self.given += len(out)
        if self.given >= len(self.fed) or out.endswith(self.fed):
            self.fed, self.given = "", 0

    def held(self) -> str:
        return self.fed[self.given :] if self.given < len(self.fed) else ""


class Filtered:
    """The filters of one stage on one text, bottom to top."""

    __slots__ = ("_chain", "_exchange", "_now", "_running")

    def __init__(self, chain: Chain, exchange: Exchange, running: list[Running], now: Now) -> None:
        self._chain = chain
        self._exchange = exchange
        self._running = running
        self._now = now

    async def pass_on(self, text: str, final: bool) -> str:
        """What to deliver for this piece; with `final` also what was held back. Raises Refused, PluginFailed."""
        index = 0
        while index < len(self._running):
            running = self._running[index]
            try:
                text = await self._through(running, text, final)
                index += 1
            except _Removed as gone:
                text = str(gone)
                self._running.remove(running)
        return text

    async def _through(self, running: Running, text: str, final: bool) -> str:
        member = running.member
        start = self._now()
        try:
            out = ""
            if text or not final:
                out = await self._take(running, running.filter.feed(text))
                running.note(text, out)
            if final:
                out += await self._take(running, running.filter.close())
        except (Refused, Limited) as decision:
            self._exchange.step(member.name, "filter", f"refused {decision.code}")
            raise
        except Exception as error:
            self._chain.failed(self._exchange, member, "filter", error)
            raise _Removed(running.held() + text) from error
        finally:
            spent = self._now() - start
            plugins = self._exchange.timeline.plugins
            plugins[member.name] = plugins.get(member.name, 0.0) + spent
        self._chain.measure(self._exchange, member, "filter", spent)
        if len(running.fed) - running.given > HELD_CHARS:
            self._chain.failed(self._exchange, member, "filter", BufferError())
            raise _Removed(out + running.held())
        return out

    async def _take(self, running: Running, out: str | Hold) -> str:
        if not isinstance(out, Hold):
            return out
        try:
            return await bounded(_checked(out), running.member.limit_s)
        except TimeoutError as error:
            self._chain.failed(self._exchange, running.member, "filter", error)
            return out.text


class _Removed(Exception):
    """A filter failed open: it is taken out, and `str` of this is the text it held."""


async def _checked(hold: Hold) -> str:
    return await hold.check()


class Reading:
    """A filter on a sealed text: it may refuse, what it would change is dropped."""

    __slots__ = ("_filter",)

    def __init__(self, filter_: Filter) -> None:
        self._filter = filter_

    def feed(self, piece: str) -> str:
        self._filter.feed(piece)
        return piece

    def close(self) -> str:
        self._filter.close()
        return ""


class Shadowed:
    """A filter in shadow: fed, its output compared and dropped."""

    __slots__ = ("_exchange", "_filter", "_in", "_member", "_out")

    def __init__(self, exchange: Exchange, member: Member, filter_: Filter) -> None:
        self._exchange = exchange
        self._member = member
        self._filter: Filter | None = filter_
        self._in = xxhash.xxh3_64()
        self._out = xxhash.xxh3_64()

    def feed(self, piece: str) -> str:
        self._run(piece, final=False)
        return piece

    def close(self) -> str:
        self._run("", final=True)
        return ""

    def _run(self, piece: str, *, final: bool) -> None:
        if self._filter is None:
            return
        token = SHADOW.set(True)
        try:
            out = self._filter.close() if final else self._filter.feed(piece)
            self._in.update(piece.encode("utf-8", "surrogatepass"))
            self._out.update((out.text if isinstance(out, Hold) else out).encode("utf-8", "surrogatepass"))
            if final and self._in.digest() != self._out.digest():
                self._exchange.step(self._member.name, "filter", "would edit")
        except (Refused, Limited) as decision:
            self._exchange.step(self._member.name, "filter", f"would refuse {decision.code}")
            self._filter = None
        except Exception as error:  # noqa: BLE001  a shadow plugin must never touch the call
            self._exchange.step(self._member.name, "filter", f"would fail {type(error).__name__}")
            self._filter = None
        finally:
            SHADOW.reset(token)
