"""One call and the targets it may go to: send, judge, fall back, until one answers or none is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from proxy.errors import Unauthorized, UnknownModel, UpstreamFailed
from proxy.exchange import Exchange, Target
from proxy.live import Upstream
from proxy.ports import Clock, Counter, Headers, Metrics
from proxy.upstream import retry
from proxy.upstream.answer import Opened
from proxy.upstream.endpoint import may_use, takes_credential
from proxy.upstream.link import Answering, Link, Outgoing

Build = Callable[[Target, Upstream, bool], Outgoing]
"""Makes the request for one target; the last argument says whether to ask for usage in a stream. The upstream it is
given may be a copy that takes no credential: what it hands to `endpoint.headers` must be this one."""

COMPLAINT_BYTES = 64 * 1024
"""So much of a 400 is searched for a complaint about asking for usage."""
NO_USAGE = 1024
"""Targets remembered as not taking that question; the oldest is forgotten for a new one."""
NO_USAGE_S = 3600.0


@dataclass(slots=True)
class Way:
    """A target with its upstream, as it is and as the call may use it."""

    target: Target
    upstream: Upstream
    shown: Upstream


@dataclass(slots=True)
class Tried:
    """One attempt: an answer or an error."""

    answering: Answering | None
    error: UpstreamFailed | None
    repeatable: bool
    """The body can be sent again."""

    @property
    def status(self) -> int | None:
        return None if self.answering is None else self.answering.status


class Pool:
    """Keeps nothing of a call. What it learns of upstreams is bounded by their number, or by `NO_USAGE`."""

    def __init__(self, link: Link, clock: Clock, metrics: Metrics, policy: retry.Policy | None = None) -> None:
        self._link = link
        self._clock = clock
        self._metrics = metrics
        self._policy = policy or retry.Policy()
        self._counters: dict[tuple[str, str], Counter] = {}
        self._no_usage: dict[Target, float] = {}

    async def send(self, exchange: Exchange, build: Build) -> tuple[Answering, Target, Upstream]:
        """The first answer that no other target could better, with the target that gave it. An answer of 400 and more
        of the last target is returned like any other; where none answered, the last error is raised.
        Keeps `exchange.attempts` and the timeline's `sent` and `headers`."""
        way = _first(exchange)
        tried = await self._try(exchange, way, build)
        if tried.answering is not None and tried.answering.status not in retry.STATUSES:
            return tried.answering, way.target, way.upstream
        return await self._go_on(exchange, tried, build)

    def noted(self, upstream: str, outcome: str) -> None:
        """A try that was not made here: `ok`, or `cancelled`."""
        self._count(upstream, outcome)

    async def resume(
        self, exchange: Exchange, answering: Answering, build: Build
    ) -> tuple[Answering, Target, Upstream]:
        """As `send`, where the first try has been made already, and this came of it."""
        way, error = _first(exchange), None if answering.status else getattr(answering, "error", None)
        if error is None:
            self._count(way.upstream.name, _outcome(answering.status))
            tried = Tried(answering, None, True)
        elif isinstance(error, UpstreamFailed):
            self._count(way.upstream.name, error.code)
            tried = Tried(None, error, True)
        else:
            raise error
        return await self._go_on(exchange, tried, build)

    async def _go_on(self, exchange: Exchange, tried: Tried, build: Build) -> tuple[Answering, Target, Upstream]:
        """The first try has failed."""
        ways, at = _ways(exchange), 0
        tries = on_target = 1
        while True:
            way = ways[at]
            if tried.answering is not None and not retry.fails(tried.answering.status):
                return tried.answering, way.target, way.upstream
            left = len(ways) - at - 1
            verdict = self._judge(exchange, tried, retry.Counts(tries, on_target, left))
            if isinstance(verdict, retry.GiveUp):
                return _last(tried, verdict), way.target, way.upstream
            if tried.answering is not None:
                tried.answering.close()
            if isinstance(verdict, retry.Again):
                await asyncio.sleep(verdict.after_s)
            else:
                at, on_target = at + 1, 0
            tries, on_target = tries + 1, on_target + 1
            tried = await self._try(exchange, ways[at], build)

    def _judge(self, exchange: Exchange, tried: Tried, counts: retry.Counts) -> retry.Verdict:
        if not tried.repeatable:
            return retry.GiveUp(exhausted=False)
        failure = retry.Failure(
            status=tried.status,
            headers=tried.answering.headers if tried.answering else [],
            now_s=self._clock.monotonic_s(),
            wall_s=self._clock.wall_s(),
            deadline_s=exchange.until_s,
        )
        return retry.decide(failure, counts, self._policy)

    async def _try(self, exchange: Exchange, way: Way, build: Build) -> Tried:
        ask = self._asks(way)
        outgoing = build(way.target, way.shown, ask)
        repeatable = isinstance(outgoing.body, bytes)
        try:
            answering = await self._once(exchange, way.upstream, outgoing)
            if answering.status == 400 and ask and repeatable and way.upstream.ask_usage == "auto":
                answering = opened = Opened(answering)
                if _complains(await opened.peek(COMPLAINT_BYTES)):
                    answering = await self._without_usage(exchange, way, build, outgoing, opened)
        except UpstreamFailed as error:
            return Tried(None, error, repeatable)
        return Tried(answering, None, repeatable)

    async def _without_usage(
        self, exchange: Exchange, way: Way, build: Build, asked: Outgoing, complaint: Opened
    ) -> Answering:
        """The same call without the question that Weir added; the complaint itself, where it was the caller's own."""
        plain = build(way.target, way.shown, False)
        if plain.body == asked.body:
            return complaint
        self._no_usage.pop(way.target, None)
        if len(self._no_usage) >= NO_USAGE:
            del self._no_usage[next(iter(self._no_usage))]
        self._no_usage[way.target] = self._clock.monotonic_s() + NO_USAGE_S
        complaint.close()
        return await self._once(exchange, way.upstream, plain)

    def _asks(self, way: Way) -> bool:
        if way.upstream.ask_usage != "auto":
            return way.upstream.ask_usage == "always"
        until_s = self._no_usage.get(way.target)
        if until_s is None:
            return True
        if self._clock.monotonic_s() < until_s:
            return False
        del self._no_usage[way.target]
        return True

    async def _once(self, exchange: Exchange, upstream: Upstream, outgoing: Outgoing) -> Answering:
        exchange.attempts += 1
        timeline = exchange.timeline
        timeline.sent, timeline.headers = self._clock.monotonic_s(), 0.0
        try:
            answering = await self._link.send(upstream, outgoing)
        except UpstreamFailed as error:
            self._count(upstream.name, error.code)
            raise
        except asyncio.CancelledError:
            self._count(upstream.name, "cancelled")
            raise
        timeline.headers = self._clock.monotonic_s()
        self._count(upstream.name, _outcome(answering.status))
        return answering

    def _count(self, upstream: str, outcome: str) -> None:
        counter = self._counters.get((upstream, outcome))
        if counter is None:
            counter = self._metrics.counter("weir_upstream_attempts_total", upstream=upstream, outcome=outcome)
            self._counters[upstream, outcome] = counter
        counter.add()


def _first(exchange: Exchange) -> Way:
    """Where the call goes first. A caller who is not vouched for spends no key that Weir holds."""
    target = exchange.target
    upstream = None if target is None else exchange.snapshot.upstreams.get(target.upstream)
    if target is None or upstream is None:
        raise UnknownModel("No upstream serves this call.", param="model")
    if not may_use(exchange.caller, upstream):
        raise Unauthorized("A key is needed for this model.")
    return Way(target, upstream, upstream)


def _ways(exchange: Exchange) -> list[Way]:
    """The targets in order. A credential that the caller brought goes to the first target's upstream and to no other:
    there the call goes without."""
    first = _first(exchange)
    ways = [first]
    for target in exchange.fallbacks:
        upstream = exchange.snapshot.upstreams.get(target.upstream)
        if upstream is None or not may_use(exchange.caller, upstream):
            continue
        away = target.upstream != first.target.upstream and takes_credential(upstream)
        ways.append(Way(target, upstream, replace(upstream, auth="none") if away else upstream))
    return ways


def _last(tried: Tried, verdict: retry.GiveUp) -> Answering:
    """What the caller gets in the end. Where Weir has tried all there is, clients are told to let it be."""
    if tried.answering is None:
        assert tried.error is not None
        if verdict.exhausted:
            tried.error.headers = (*tried.error.headers, ("x-should-retry", "false"))
        raise tried.error
    if not verdict.exhausted:
        return tried.answering
    headers: Headers = [pair for pair in tried.answering.headers if pair[0].lower() != "x-should-retry"]
    return Opened(tried.answering, [*headers, ("x-should-retry", "false")])


def _complains(body: bytes) -> bool:
    return b"stream_options" in body or b"include_usage" in body


def _outcome(status: int) -> str:
    if status == 429:
        return "rate_limited"
    return "ok" if status < 400 else f"status_{status // 100}xx"
