"""Metering: what a call took, used and cost, as metrics and for the record. Changes nothing.

Usage is the provider's where it gives one; else tokens are counted (`usage_source: estimated`). A price that is not
known stays unknown and is counted, never taken for zero; what was never sent to a provider costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from proxy.exchange import RETRIEVED, Discarded, Exchange, Response, Target, Usage
from proxy.plugin import Kit, Plugin
from proxy.ports import Metrics

K = TypeVar("K")
V = TypeVar("V")
Add = Callable[[float], None]
Kind = tuple[str, str, str, bool, str, str, str]
"""Of calls that are counted alike: agent, surface, outcome, stream, upstream, model, whose usage it is."""
KINDS = 4096
"""Kinds of calls whose series are remembered."""
THREAD_CHARS = 8192
"""Counting longer texts than this goes to a thread: it would hold the loop for milliseconds."""


@dataclass(frozen=True, slots=True)
class MeteringOptions:
    """How calls are measured."""

    estimate: bool = True
    """Count tokens where the provider gives no usage (streams that broke off, callers that left)."""


class Metering(Plugin[MeteringOptions]):
    name = "metering"
    Options = MeteringOptions
    again = frozenset({"response", "finish"})

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self._series: dict[Kind, _Series] = {}
        self._plugins: dict[str, Callable[[float], None]] = {}
        self._outcomes: dict[tuple[str, str], Add] = {}
        self._savings: dict[tuple[str, str, str, str], tuple[Add, Add]] = {}

    async def response(self, exchange: Exchange) -> None:
        """Where the usage is known before the first byte, the cost can stand in a header."""
        if exchange.response is not None:
            self._price(exchange, exchange.response)

    def finish_waits(self, exchange: Exchange) -> bool:
        """Only tokens that have to be counted may take their time."""
        response = exchange.response
        if response is None or response.usage is None or not response.usage.total:
            return True
        if response.text_sample is not None and _cut_off(response):
            return True
        return bool(exchange.discarded) and any(one.response.usage is None for one in exchange.discarded)

    async def finish(self, exchange: Exchange) -> None:
        response = exchange.response
        if response is None and exchange.outcome == "cancelled" and exchange.timeline.sent:
            response = exchange.response = Response(status=0)  # nobody saw an answer, but a provider read the call
        if response is not None:
            unknown = response.usage is None or not response.usage.total or _cut_off(response)
            if unknown and self._billable(exchange, response):
                await self._estimate(exchange, response, exchange.target)
        for one in exchange.discarded:
            if one.response.usage is None and exchange.options(self).estimate:
                await self._estimate(exchange, one.response, one.target)
        if exchange.price_source == "none":
            if response is not None:
                self._price(exchange, response)
            if exchange.price_source == "none" and exchange.discarded:
                exchange.cost_nano_usd, exchange.price_source = self._with_discarded(exchange, 0, "none")
        self._count(exchange)

    def scan(self, row: dict[str, Any], options: MeteringOptions) -> dict[str, Any]:
        """`tokens` of the text for `model` (default gpt-4o), and whether that count is exact."""
        model = str(row.get("model") or "gpt-4o")
        return {"tokens": self.kit.tokens.count(str(row["text"]), model), "exact": self.kit.tokens.exact(model)}

    def _billable(self, exchange: Exchange, response: Response) -> bool:
        """The provider has worked for this call: it was sent, and not turned away."""
        request = exchange.request
        if not exchange.timeline.sent or response.source != "upstream" or request.dialect == "relay":
            return False
        if request.method != "POST" or RETRIEVED in exchange.notes:
            return False
        return response.status < 400 and exchange.options(self).estimate

    async def _estimate(self, exchange: Exchange, response: Response, target: Target | None) -> None:
        request, partial = exchange.request, response.usage
        model = target.model if target else request.model
        sent = [] if partial else [segment.text for segment in request.segments]
        if response.text_sample is not None:
            got, scale = response.text_sample()
        else:
            got, scale = "".join(segment.text for segment in response.segments), 1.0
        count = self.kit.tokens.count
        if sum(map(len, sent)) + len(got) > THREAD_CHARS or not self.kit.tokens.loaded(model):
            counts = await self.kit.tasks.in_thread(lambda: [count(text, model) for text in (*sent, got)])
        else:
            counts = [count(text, model) for text in (*sent, got)]
        overhead = 4 * len(sent) if request.dialect in ("chat", "messages", "responses") else 0
        output = round(counts[-1] * scale)
        if partial is None:
            response.usage = Usage(input=sum(counts[:-1]) + overhead, output=output)
        else:
            response.usage = replace(partial, output=max(partial.output, output))
        response.usage_source = "estimated"

    def _price(self, exchange: Exchange, response: Response) -> None:
        cost, source = self._cost(exchange, response, exchange.target)
        if source == "none":
            return
        if exchange.discarded:
            if None in [one.response.usage for one in exchange.discarded] and not exchange.timeline.ended:
                return  # before the first byte: what was not told is counted at the end
            cost, source = self._with_discarded(exchange, cost, source)
        exchange.cost_nano_usd, exchange.price_source = cost, source

    def _cost(self, exchange: Exchange, response: Response, target: Target | None) -> tuple[int | None, str]:
        """Of this answer alone. `none`: nobody knows what it used."""
        if not exchange.attempts or response.usage_source == "cached":
            return 0, "answered_by_weir"
        if response.usage is None or response.usage_source == "none":
            return None, "none"
        model = response.model or (target.model if target else exchange.request.model)
        upstream = target.upstream if target else ""
        cost, source = self.kit.prices.cost_nano_usd(upstream, model, response.usage, exchange.at_s)
        if cost is None and target is not None and model != target.model:
            cost, source = self.kit.prices.cost_nano_usd(upstream, target.model, response.usage, exchange.at_s)
        return cost, source

    def _with_discarded(self, exchange: Exchange, cost: int | None, source: str) -> tuple[int | None, str]:
        """The cost of an answer, and of those that were thrown away before it."""
        for one in exchange.discarded:
            one.cost_nano_usd, found = self._cost(exchange, one.response, one.target)
            if source in ("none", "answered_by_weir"):
                source = found
            cost = None if cost is None or one.cost_nano_usd is None else cost + one.cost_nano_usd
        return cost, source

    def _count(self, exchange: Exchange) -> None:
        line, request, response, target = exchange.timeline, exchange.request, exchange.response, exchange.target
        upstream, model = ("", request.model) if target is None else (target.upstream, target.model)
        source = "none" if response is None else response.usage_source
        kind = (exchange.caller.agent, request.dialect, exchange.outcome, request.stream, upstream, model, source)
        series = self._series.get(kind)
        if series is None:
            series = _kept(self._series, kind, _Series(self.kit.metrics, kind))
        series.ended()
        series.response(line.ended - line.start)
        if line.sent:
            series.queue(line.queue_s)
            if line.upstream_end and series.upstream is not None:
                series.upstream(line.upstream_end - line.sent)
        series.own(line.own_s)
        if request.stream and line.first:
            series.first(line.first - line.start)
        plugins = self._plugins
        for plugin, spent in line.plugins.items():
            observe = plugins.get(plugin)
            if observe is None:
                spread = self.kit.metrics.histogram("weir_plugin_seconds", plugin=plugin)
                observe = _kept(plugins, plugin, spread.observe)
            observe(spent)
        for step in exchange.steps:
            self._outcome(step.plugin, _word(step.what))
        for found in exchange.findings:
            self._add(
                "weir_findings_total",
                plugin=found.plugin,
                type=found.type,
                severity=found.severity,
                action=found.action,
            )
        for what in request.uninspected:
            self._add("weir_uninspected_total", what=what)
        if exchange.savings:
            self._saved(exchange)
        if response is not None and response.usage is not None and source not in ("none", "cached"):
            series.used(response.usage)
            cost = exchange.cost_nano_usd
            if exchange.discarded:
                cost = self._cost(exchange, response, target)[0]
            if cost is None:
                self._add("weir_unknown_price_total", model=model)
            elif cost:
                series.spent(cost / 1e9)
        for one in exchange.discarded:
            self._count_discarded(exchange, one)

    def _count_discarded(self, exchange: Exchange, one: Discarded) -> None:
        """Under the model that made it."""
        agent, model, used = exchange.caller.agent, one.target.model, one.response.usage
        if used is None:
            return
        counter, source = self.kit.metrics.counter, one.response.usage_source
        for kind in ("input", "output", "cache_read", "cache_write"):
            if tokens := getattr(used, kind):
                counter("weir_tokens_total", agent=agent, model=model, type=kind, source=source).add(tokens)
        if one.cost_nano_usd is None:
            self._add("weir_unknown_price_total", model=model)
        elif one.cost_nano_usd:
            counter("weir_cost_usd_total", agent=agent, model=model).add(one.cost_nano_usd / 1e9)

    def _saved(self, exchange: Exchange) -> None:
        """What plugins spared. Where a call cost more for them, that is in no counter, but in its record."""
        agent, counter = exchange.caller.agent, self.kit.metrics.counter
        for saving in exchange.savings:
            key = (agent, saving.plugin, saving.kind, saving.mode)
            adds = self._savings.get(key)
            if adds is None:
                labels = {"agent": agent, "plugin": saving.plugin, "kind": saving.kind, "mode": saving.mode}
                made = counter("weir_saved_tokens_total", **labels).add, counter("weir_saved_usd_total", **labels).add
                adds = _kept(self._savings, key, made)
            tokens = saving.input_tokens + saving.output_tokens
            if tokens > 0:
                adds[0](tokens)
            if saving.nano_usd is not None and saving.nano_usd > 0:
                adds[1](saving.nano_usd / 1e9)

    def _outcome(self, plugin: str, what: str) -> None:
        add = self._outcomes.get((plugin, what))
        if add is None:
            counter = self.kit.metrics.counter("weir_plugin_outcomes_total", plugin=plugin, what=what)
            add = _kept(self._outcomes, (plugin, what), counter.add)
        add(1)

    def _add(self, metric: str, **labels: str) -> None:
        self.kit.metrics.counter(metric, **labels).add()


class _Series:
    """The series of one kind of call, each looked up once: those that count every call at first, those of tokens and
    money when there is something to add."""

    __slots__ = ("_adds", "_cost", "_kind", "_metrics", "ended", "first", "own", "queue", "response", "upstream")

    def __init__(self, metrics: Metrics, kind: Kind) -> None:
        agent, surface, outcome, stream, upstream, _, _ = kind
        self._metrics, self._kind = metrics, kind
        self.ended = metrics.counter("weir_requests_total", agent=agent, surface=surface, outcome=outcome).add
        streams = "true" if stream else "false"
        self.response = metrics.histogram("weir_response_seconds", surface=surface, stream=streams).observe
        self.first = metrics.histogram("weir_time_to_first_token_seconds", surface=surface).observe
        self.queue = metrics.histogram("weir_queue_seconds").observe
        self.own = metrics.histogram("weir_overhead_seconds", surface=surface).observe
        self.upstream = metrics.histogram("weir_upstream_seconds", upstream=upstream).observe if upstream else None
        self._adds: dict[str, Add] = {}
        self._cost: Add | None = None

    def used(self, usage: Usage) -> None:
        adds = self._adds
        if usage.input:
            (adds.get("input") or self._tokens("input"))(usage.input)
        if usage.output:
            (adds.get("output") or self._tokens("output"))(usage.output)
        if usage.cache_read:
            (adds.get("cache_read") or self._tokens("cache_read"))(usage.cache_read)
        if usage.cache_write:
            (adds.get("cache_write") or self._tokens("cache_write"))(usage.cache_write)

    def spent(self, usd: float) -> None:
        if self._cost is None:
            agent, *_, model, _ = self._kind
            self._cost = self._metrics.counter("weir_cost_usd_total", agent=agent, model=model).add
        self._cost(usd)

    def _tokens(self, type: str) -> Add:
        agent, *_, model, source = self._kind
        counter = self._metrics.counter("weir_tokens_total", agent=agent, model=model, type=type, source=source)
        add = self._adds[type] = counter.add
        return add


def _kept(kept: dict[K, V], key: K, made: V) -> V:
    """Remembered; the names that callers give may be any number, so all are forgotten now and then."""
    if len(kept) >= KINDS:
        kept.clear()
    kept[key] = made
    return made


def _cut_off(response: Response) -> bool:
    """A stream that told its input at the start and was cut before it told its output."""
    return response.text_sample is not None and not response.complete and response.finish in ("", "content_filter")


def _word(what: str) -> str:
    """`edited 3` and `would edit 3` become one series each."""
    if " " not in what:
        return what
    words = what.split()
    return " ".join(words[:2]) if words[:1] == ["would"] else words[0]
