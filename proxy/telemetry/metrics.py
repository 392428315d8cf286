"""The table of every metric, and the definitions of the words that all figures of Weir use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

MetricKind = Literal["counter", "histogram", "gauge"]
Merge = Literal["sum", "max", "min"]

_CALL_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0)
_FIRST_S = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
_WAIT_S = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_OWN_S = (0.00005, 0.0001, 0.0002, 0.0003, 0.0005, 0.00075, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0)
_LAG_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `merge` says how the workers' gauges become one figure; counters and histograms are summed."""

    name: str
    kind: MetricKind
    unit: str
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()
    merge: Merge = "sum"
    otel: str = ""
    """The OpenTelemetry name of the same figure, where the semantic conventions have one."""


def _counter(name: str, labels: str, help: str, *, unit: str = "", otel: str = "") -> Metric:
    return Metric(name, "counter", unit, tuple(labels.split()), help, otel=otel)


def _seconds(name: str, labels: str, buckets: tuple[float, ...], help: str, *, otel: str = "") -> Metric:
    return Metric(name, "histogram", "seconds", tuple(labels.split()), help, buckets, otel=otel)


def _gauge(name: str, merge: Merge, help: str, *, unit: str = "") -> Metric:
    return Metric(name, "gauge", unit, (), help, merge=merge)


_TABLE = (
    _counter("weir_requests_total", "agent surface outcome", "Calls that ended, by how they ended."),
    _seconds(
        "weir_response_seconds",
        "surface stream",
        _CALL_S,
        "Response time: from the request line to the last byte for the caller.",
        otel="gen_ai.client.operation.duration",
    ),
    _seconds(
        "weir_time_to_first_token_seconds",
        "surface",
        _FIRST_S,
        "From the request line to the first content for the caller; streams only.",
        otel="gen_ai.server.time_to_first_token",
    ),
    _seconds("weir_overhead_seconds", "surface", _OWN_S, "Weir's own share of the response time."),
    _seconds("weir_queue_seconds", "", _WAIT_S, "Time a call waited for its turn to be sent to a provider."),
    _seconds(
        "weir_upstream_seconds",
        "upstream",
        _CALL_S,
        "From sending a call to a provider to the end of its answer.",
        otel="gen_ai.server.request.duration",
    ),
    _seconds("weir_plugin_seconds", "plugin", _OWN_S, "Time spent in all hooks of a plugin during one call."),
    _counter(
        "weir_findings_total",
        "plugin type severity action",
        "What guards found in calls and answers, by what was done about it; in shadow that begins with `would`.",
    ),
    _counter("weir_plugin_outcomes_total", "plugin what", "What a plugin did to a call: edited, refused, failed ..."),
    _counter(
        "weir_tokens_total",
        "agent model type source",
        "Tokens by type (input, cache_read, cache_write, output, reasoning, audio) and by who counted them.",
        unit="tokens",
        otel="gen_ai.client.token.usage",
    ),
    _counter("weir_cost_usd_total", "agent model", "Money spent on calls whose price is known.", unit="usd"),
    _counter(
        "weir_saved_tokens_total",
        "agent plugin kind mode",
        "Tokens that plugins spared, by how; in shadow: that they would have spared.",
        unit="tokens",
    ),
    _counter("weir_saved_usd_total", "agent plugin kind mode", "Money spared, where the price is known.", unit="usd"),
    _counter(
        "weir_cache_lookups_total", "agent result", "What the cache had: hit, semantic, coalesced, miss, bypass, stale."
    ),
    _counter("weir_cache_semantic_total", "agent result", "What the semantic cache had, and what comparisons said."),
    _counter(
        "weir_embeddings_inputs_total", "agent result", "Inputs of embeddings: known, shared, sent, sent together."
    ),
    _gauge("weir_cache_bytes", "sum", "Memory that kept answers take.", unit="bytes"),
    _counter("weir_unknown_price_total", "model", "Calls whose price is not known; their cost is in no other figure."),
    _counter("weir_variant_calls_total", "test variant outcome", "Calls of each variant of a test, by how they ended."),
    _counter(
        "weir_uninspected_total", "what", "Parts of calls and answers that passed without any plugin reading them."
    ),
    _seconds(
        "weir_loop_lag_seconds",
        "",
        _LAG_S,
        "How late a timer that is due ten times a second was served: for so long something held a worker's event loop.",
    ),
    _gauge("weir_store_away", "max", "1 while hot state is not reachable and limits are counted in local shares."),
    _counter("weir_store_outages_total", "", "Times hot state went away."),
    _counter("weir_records_dropped_total", "", "Records lost because the buffer to the control process was full."),
    _gauge("weir_records_held", "sum", "Records that the control process has not confirmed yet."),
    _counter(
        "weir_records_lost_total",
        "",
        "Records that a process which was killed held: at most so many are lost (the last may have been written).",
    ),
    _gauge("weir_in_flight", "sum", "Calls being served now."),
    _gauge(
        "weir_settings_version", "min", "Version of the settings in use; while a change spreads, the oldest in use."
    ),
    _counter("weir_settings_rejected_total", "", "Changed configurations that were wrong and therefore not taken."),
    _counter("weir_upstream_attempts_total", "upstream outcome", "Tries at a provider, retries included."),
    _counter(
        "weir_worker_restarts_total",
        "",
        "Workers that ended unasked and were started again; the calls they were serving leave no record.",
    ),
    _counter("weir_control_restarts_total", "", "Times the control process ended unasked and was started again."),
    _gauge("weir_workers", "sum", "Workers running now."),
    _counter("weir_task_failures_total", "task", "Background tasks that failed or were turned away."),
    _counter("weir_log_lines_dropped_total", "", "Log lines not written because their reader did not keep up."),
    _counter("weir_metrics_page_full_total", "", "Observations that no series could be made for: the page was full."),
)

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _TABLE})

PLUGIN_BUCKETS = _OWN_S
"""For histograms that a plugin defines itself."""


def metric_of(name: str, kind: MetricKind, labels: tuple[str, ...]) -> Metric:
    """The metric of this name. One that is not in the table is a plugin's own and is described from its use."""
    known = METRICS.get(name)
    if known is not None:
        return known
    buckets = PLUGIN_BUCKETS if kind == "histogram" else ()
    return Metric(name, kind, "", labels, "Defined by a plugin.", buckets)


WORDS: Mapping[str, str] = MappingProxyType(
    {
        "call": "One request of a caller on a model path, with its answer. Probes and Weir's own paths are not calls.",
        "response time": (
            "From the moment the request line was read to the last byte handed to the caller's connection. For streams "
            "this is the whole stream; time to first token stands beside it."
        ),
        "time to first token": (
            "Streams only: from the request line to the first content for the caller. Heartbeats and empty start-up "
            "events are not content."
        ),
        "queue time": "The part of the response time spent waiting for a turn at a provider's concurrency limit.",
        "upstream time": "From sending a call to a provider to the end of its answer; of several tries, the last.",
        "overhead": (
            "Response time less what was spent waiting: for the provider, for the caller's body, in the queue, for a "
            "caller who reads slowly. It is what Weir itself costs."
        ),
        "outcome": (
            "How a call ended: ok; refused (a plugin decided against it); limited (over a limit); caller_error (the "
            "call was wrong); provider_error (also where a stream ended before its end, or a 200 was no "
            "answer); weir_error; cancelled (the caller left)."
        ),
        "error": (
            "A call with outcome provider_error or weir_error. Refusals, limits, the caller's own mistakes and "
            "cancellations are not errors; each is counted apart."
        ),
        "error rate": "Errors divided by calls without caller_error and cancelled, over the same span of time.",
        "success rate": "Calls with outcome ok divided by all calls.",
        "availability": (
            "1 less the share of errors among calls that Weir accepted, counted by calls and not by minutes. A stream "
            "that broke off is an error even though its status was 200."
        ),
        "total agents": "Distinct agents that were configured, or seen in records that are still kept.",
        "active agents": "Distinct agents with at least one call in the last 24 hours.",
        "execution": "One recorded call, as the admin interface lists it. Sub-calls of plugins name their parent.",
        "tokens": (
            "As the provider reports them; counted by Weir where it reports none (source: estimated). Input excludes "
            "tokens read from or written to the provider's cache; reasoning is part of output and also shown alone."
        ),
        "cost": "Tokens at the price valid when the call began. An unknown price is counted; it gives no cost, not 0.",
        "uninspected": "A part of a call or answer that no codec reads: relayed or refused by policy, always counted.",
        "p50, p95, p99": "Of response time over all calls in the span, errors included, cancelled calls excluded.",
    }
)
