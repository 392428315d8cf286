"""Filters at work on one text of an answer: what each of them holds, where it is awaited, and how it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import xxhash

from proxy.chain import SHADOW, Chain, bounded
from proxy.coroutines import in_a_task
from proxy.errors import Limited, Refused
from proxy.exchange import Exchange
from proxy.findings import shadowed
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

    __slots__ = ("_chain", "_exchange", "_now", "_plugins", "_running")

    def __init__(self, chain: Chain, exchange: Exchange, running: list[Running], now: Now) -> None:
        self._chain = chain
        self._exchange = exchange
        self._running = running
        self._now = now
        self._plugins = exchange.timeline.plugins

    def pass_on(self, text: str, final: bool, index: int = 0) -> str | Coroutine[Any, Any, str]:
        """What to deliver for this piece, from the filter of `index` on; with `final` also what was held back. To be
        awaited only where a filter has its text judged first. Raises Refused, PluginFailed."""
        if not final and not index:
            index, text, held = self._quickly(text)
            if held is not None:
                return self._judged(index, held, text, final)
        while index < len(self._running):
            running = self._running[index]
            try:
                got = self._through(running, text, final)
            except _Removed as gone:
                text = str(gone)
                self._running.remove(running)
                continue
            if isinstance(got, _Held):
                return self._judged(index, got, text, final)
            text, index = got, index + 1
        return text

    def _quickly(self, text: str) -> tuple[int, str, _Held | None]:
        """A piece that is not the last, as `_through` has it, through all filters in one go: each piece of each stream
        comes here. Up to which filter it came, and what that is to go on with."""
        now, plugins = self._now, self._plugins
        start = now()
        for index, running in enumerate(self._running):
            member = running.member
            try:
                out = running.filter.feed(text)
            except Exception as error:
                plugins[member.name] = plugins.get(member.name, 0.0) + now() - start
                try:
                    self._failed(running, text, error)
                except _Removed as gone:
                    self._running.remove(running)
                    return index, str(gone), None
                raise
            ended = now()
            spent, start = ended - start, ended
            plugins[member.name] = plugins.get(member.name, 0.0) + spent
            if isinstance(out, Hold):
                return index, text, _Held(out, "", closing=False)
            if running.fed or out != text:
                running.note(text, out)
            if running.fed or member.overruns or spent > member.limit_s:
                try:
                    out = self._bounded(running, out, spent)
                except _Removed as gone:
                    self._running.remove(running)
                    return index, str(gone), None
            text = out
        return len(self._running), text, None

    def _through(self, running: Running, text: str, final: bool) -> str | _Held:
        start = self._now()
        try:
            out = ""
            if text or not final:
                fed = running.filter.feed(text)
                if isinstance(fed, Hold):
                    return _Held(fed, "", closing=False)
                out = fed
                if out != text or running.fed:
                    running.note(text, out)
            if final:
                rest = running.filter.close()
                if isinstance(rest, Hold):
                    return _Held(rest, out, closing=True)
                out += rest
        except Exception as error:
            self._failed(running, text, error)
            raise
        finally:
            spent = self._spent(running, start)
        return self._bounded(running, out, spent)

    async def _judged(self, index: int, held: _Held, text: str, final: bool) -> str:
        """Goes on where the filter of this index has a text judged."""
        running = self._running[index]
        start = self._now()
        try:
            out = await self._released(running, held, text, final)
            out = self._bounded(running, out, self._now() - start)
            index += 1
        except _Removed as gone:
            out = str(gone)
            self._running.remove(running)
        got = self.pass_on(out, final, index)
        return got if isinstance(got, str) else await got

    async def _released(self, running: Running, held: _Held, text: str, final: bool) -> str:
        start = self._now()
        try:
            out = held.before + await self._take(running, held.hold)
            if not held.closing:
                running.note(text, out)
                rest = running.filter.close() if final else ""
                out += await self._take(running, rest) if isinstance(rest, Hold) else rest
        except Exception as error:
            self._failed(running, text, error)
            raise
        finally:
            self._spent(running, start)
        return out

    def _failed(self, running: Running, text: str, error: Exception) -> None:
        """Records it. Raises _Removed, or PluginFailed where the filter fails closed; returns for what was decided."""
        member = running.member
        if isinstance(error, (Refused, Limited)):
            self._exchange.step(member.name, "filter", f"refused {error.code}")
            return
        self._chain.failed(self._exchange, member, "filter", error)
        raise _Removed(running.held() + text) from error

    def _spent(self, running: Running, start: float) -> float:
        spent = self._now() - start
        plugins, name = self._exchange.timeline.plugins, running.member.name
        plugins[name] = plugins.get(name, 0.0) + spent
        return spent

    def _bounded(self, running: Running, out: str, spent_s: float) -> str:
        """Raises _Removed where the filter holds back too much, PluginFailed where it fails closed."""
        member = running.member
        if member.overruns or spent_s > member.limit_s > 0:
            self._chain.measure(self._exchange, member, "filter", spent_s)
        if len(running.fed) - running.given > HELD_CHARS:
            self._chain.failed(self._exchange, member, "filter", BufferError())
            raise _Removed(out + running.held())
        return out

    async def _take(self, running: Running, out: Hold) -> str:
        if asyncio.current_task() is None:  # a judgement may use whatever asyncio has, a store's time-outs too
            await in_a_task()
        try:
            return await bounded(_checked(out), running.member.limit_s)
        except TimeoutError as error:
            self._chain.failed(self._exchange, running.member, "filter", error)
            return out.text


@dataclass(frozen=True, slots=True)
class _Held:
    """A filter wants `hold` judged; `before` comes before it. `closing`: it was the text's end that brought it."""

    hold: Hold
    before: str
    closing: bool


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
        token, findings = SHADOW.set(True), self._exchange.findings
        found = len(findings)
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
            shadowed(findings, found)
            SHADOW.reset(token)
