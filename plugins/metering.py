"""Metering: what a call took, used and cost, as metrics and for the record. Changes nothing.

Usage is the provider's where it gives one; else tokens are counted (`usage_source: estimated`). A price that is not
known stays unknown and is counted, never taken for zero; what was never sent to a provider costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from proxy.exchange import Exchange, Response, Usage
from proxy.plugin import Plugin

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

    async def response(self, exchange: Exchange) -> None:
        """Where the usage is known before the first byte, the cost can stand in a header."""
        if exchange.response is not None:
            self._price(exchange, exchange.response)

    async def finish(self, exchange: Exchange) -> None:
        response = exchange.response
        if response is None and exchange.outcome == "cancelled" and exchange.timeline.sent:
            response = exchange.response = Response(status=0)  # nobody saw an answer, but a provider read the call
        if response is not None:
            unknown = response.usage is None or not response.usage.total or _cut_off(response)
            if unknown and self._billable(exchange, response):
                await self._estimate(exchange, response)
            if exchange.price_source == "none":
                self._price(exchange, response)
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
        if request.method != "POST":
            return False
        return response.status < 400 and exchange.options(self).estimate

    async def _estimate(self, exchange: Exchange, response: Response) -> None:
        request, partial = exchange.request, response.usage
        model = exchange.target.model if exchange.target else request.model
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
        if not exchange.attempts:
            exchange.cost_nano_usd, exchange.price_source = 0, "answered_by_weir"
            return
        if response.usage is None or response.usage_source == "none":
            return
        target = exchange.target
        model = response.model or (target.model if target else exchange.request.model)
        upstream = target.upstream if target else ""
        cost, source = self.kit.prices.cost_nano_usd(upstream, model, response.usage, exchange.at_s)
        if cost is None and target is not None and model != target.model:
            cost, source = self.kit.prices.cost_nano_usd(upstream, target.model, response.usage, exchange.at_s)
        exchange.cost_nano_usd, exchange.price_source = cost, source

    def _count(self, exchange: Exchange) -> None:
        line, request, agent = exchange.timeline, exchange.request, exchange.caller.agent
        surface = request.dialect
        self._add("weir_requests_total", agent=agent, surface=surface, outcome=exchange.outcome)
        stream = "true" if request.stream else "false"
        self._observe("weir_response_seconds", line.ended - line.start, surface=surface, stream=stream)
        if line.first and request.stream:
            self._observe("weir_time_to_first_token_seconds", line.first - line.start, surface=surface)
        if exchange.target is not None and line.upstream_end and line.sent:
            self._observe("weir_upstream_seconds", line.upstream_end - line.sent, upstream=exchange.target.upstream)
        if line.sent:
            self._observe("weir_queue_seconds", line.queue_s)
        self._observe("weir_overhead_seconds", line.own_s, surface=surface)
        for plugin, spent in line.plugins.items():
            self._observe("weir_plugin_seconds", spent, plugin=plugin)
        for step in exchange.steps:
            self._add("weir_plugin_outcomes_total", plugin=step.plugin, what=_word(step.what))
        for what in request.uninspected:
            self._add("weir_uninspected_total", what=what)
        self._count_usage(exchange)

    def _count_usage(self, exchange: Exchange) -> None:
        response = exchange.response
        if response is None or response.usage is None or response.usage_source == "none":
            return
        agent, usage, source = exchange.caller.agent, response.usage, response.usage_source
        model = exchange.target.model if exchange.target else exchange.request.model
        kinds = (
            ("input", usage.input), ("cache_read", usage.cache_read), ("cache_write", usage.cache_write),
            ("output", usage.output),
        )  # fmt: skip
        for kind, amount in kinds:
            if amount:
                self._add("weir_tokens_total", amount, agent=agent, model=model, type=kind, source=source)
        if exchange.cost_nano_usd is None:
            self._add("weir_unknown_price_total", model=model)
        elif exchange.cost_nano_usd:
            self._add("weir_cost_usd_total", exchange.cost_nano_usd / 1e9, agent=agent, model=model)

    def _add(self, metric: str, amount: float = 1.0, **labels: str) -> None:
        self.kit.metrics.counter(metric, **labels).add(amount)

    def _observe(self, metric: str, value: float, **labels: str) -> None:
        self.kit.metrics.histogram(metric, **labels).observe(value)


def _cut_off(response: Response) -> bool:
    """A stream that told its input at the start and was cut before it told its output."""
    return response.text_sample is not None and not response.complete and response.finish in ("", "content_filter")


def _word(what: str) -> str:
    """`edited 3` and `would edit 3` become one series each."""
    words = what.split()
    return " ".join(words[:2]) if words[:1] == ["would"] else words[0]
