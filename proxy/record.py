"""What remains of an exchange: the Record, and the bounded queue that carries records to the cold path.

The words that every figure of Weir uses are defined by the fields of `Record` and by `telemetry.metrics.WORDS`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypedDict

import orjson

from proxy.errors import PluginFailed, ProtocolViolation, Refused, StreamCut, WeirError
from proxy.exchange import (
    LESSONS,
    NOTHING,
    RETRIEVED,
    Discarded,
    Exchange,
    Outcome,
    Response,
    Target,
    Usage,
    UsageSource,
    dumped,
)


class Record(TypedDict, total=False):
    """One call. Times in milliseconds, money in nano-dollars; None means not known, never zero."""

    id: str
    at: float
    """Start, seconds since the epoch."""
    agent: str
    tenant: str
    user: str | None
    session: str | None
    conversation: str
    key: str | None
    credential: str
    """Keyed fingerprint of the caller's credential: who may ask for this call at /weir/calls."""
    surface: str
    """chat, responses, completions, embeddings, messages, relay."""
    method: str
    path: str
    stream: bool
    model: str
    """As the caller asked."""
    upstream: str
    target_model: str
    served_model: str
    variant: str
    status: int
    outcome: str
    """ok, refused, limited, caller_error, provider_error, weir_error, cancelled."""
    error_code: str | None
    error: str | None
    attempts: int
    answered_by: str
    """`upstream` or the plugin that answered."""
    finish: str
    complete: bool
    total_ms: float
    """Response time: request line to the last byte for the caller."""
    ttft_ms: float | None
    """Time to first token, streams only: request line to the first content for the caller."""
    queue_ms: float
    upstream_ms: float | None
    overhead_ms: float
    """Weir's own share of the response time."""
    plugins_us: dict[str, int]
    input_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    usage_source: str
    cost_nano_usd: int | None
    price_source: str
    bytes_in: int
    bytes_out: int
    uninspected: list[str]
    findings: list[dict[str, Any]]
    steps: list[list[str]]
    """[plugin, hook, what] for every plugin that did more than let pass."""
    parent: str | None
    purpose: str
    cache: str
    """HIT, SEMANTIC, COALESCED, MISS, BYPASS; empty: no cache was asked."""
    savings: list[dict[str, Any]]
    """What plugins spared of this call: plugin, kind, tokens, money, what it risked, mode."""
    lessons: dict[str, Any]
    """What plugins are told with a verdict on this call, by plugin."""
    discarded: list[dict[str, Any]]
    """Answers that were thrown away before this one (a cascade, a fallback): upstream, model, tokens, usage_source,
    cost_nano_usd. The tokens and the cost of the call are the sum of all."""
    settings: int
    """Version of the settings snapshot."""
    audit: dict[str, Any]


HEAD = (
    "id", "at", "agent", "outcome", "model", "target_model", "served_model", "path", "error", "status", "total_ms",
    "cost_nano_usd", "input_tokens", "output_tokens", "user", "session",
)  # fmt: skip
"""What control looks at or searches by: the first part of a line, in this order."""
REST = (
    "tenant", "conversation", "key", "credential", "surface", "method", "stream", "upstream", "variant", "error_code",
    "attempts", "answered_by", "finish", "complete", "ttft_ms", "queue_ms", "upstream_ms", "overhead_ms",
    "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "usage_source", "price_source", "bytes_in",
    "bytes_out", "parent", "purpose", "settings", "plugins_us", "uninspected",
    "cache",
)  # fmt: skip
"""The second part of a line, behind an object of what has no place here (or null). Kept as it is: only ever append."""
KNOWN = frozenset((*HEAD, *REST, "audit"))
APART = frozenset(("seq", "worker", "call", "user", "session", "content"))
"""Of an audit entry: not in its manifest."""
_head, _rest = itemgetter(*HEAD), itemgetter(*REST)


@dataclass(frozen=True, slots=True)
class _Unused:
    """Usage that is not known."""

    input: None = None
    output: None = None
    cache_read: None = None
    cache_write: None = None
    reasoning: None = None


TRUNCATED = "The provider's stream ended before its end."
UNREADABLE = "What the provider answered is no answer of this dialect."
UNUSED, NOWHERE = _Unused(), Target("", "")


def _extra(exchange: Exchange) -> dict[str, Any]:
    """What most calls do not have. (JSON is made of the values themselves.)"""
    found: dict[str, Any] = {}
    if exchange.steps:
        found["steps"] = [[step.plugin, step.hook, step.what] for step in exchange.steps]
    if exchange.findings:
        found["findings"] = exchange.findings
    if exchange.savings:
        found["savings"] = exchange.savings
    if LESSONS in exchange.notes:
        found["lessons"] = exchange.notes[LESSONS]
    if exchange.discarded:
        found["discarded"] = [_thrown_away(one) for one in exchange.discarded]
    return found


def _thrown_away(one: Discarded) -> dict[str, Any]:
    response, used = one.response, one.response.usage or UNUSED
    return {
        "upstream": one.target.upstream, "model": one.model, "input_tokens": used.input,
        "cache_read_tokens": used.cache_read, "cache_write_tokens": used.cache_write, "output_tokens": used.output,
        "reasoning_tokens": used.reasoning, "usage_source": response.usage_source, "cost_nano_usd": one.cost_nano_usd,
    }  # fmt: skip


def _used(exchange: Exchange) -> tuple[Usage, UsageSource]:
    """What a call used in all, with what was thrown away, and how that is known."""
    response = exchange.response or NOTHING
    used, source = response.usage, response.usage_source
    if used is None or source in ("none", "cached"):  # (only what was thrown away is paid for)
        used, source = Usage(), "provider"
    for one in exchange.discarded:
        if one.response.usage is not None:
            used = used.plus(one.response.usage)
        if one.response.usage_source == "estimated":
            source = "estimated"
    return used, source


def outcome_of(error: WeirError) -> Outcome:
    """Whose fault an error is, in the word of the record."""
    if isinstance(error, Refused):
        return "refused"
    if isinstance(error, PluginFailed):
        return "weir_error"
    kinds: dict[str, Outcome] = {
        "caller": "caller_error", "policy": "limited", "provider": "provider_error", "weir": "weir_error",
    }  # fmt: skip
    return kinds[error.fault]


def outcome_of_status(status: int) -> Outcome:
    """Whose fault an error is that a provider answered with."""
    if status < 400:
        return "ok"
    return "provider_error" if status >= 500 or status in (408, 429) else "caller_error"


def own_up(exchange: Exchange) -> None:
    """At the end of a call, before anybody counts it: what looks well and is not.

    A stream that ended without a reason and without its dialect's end was cut off, and a body that is no answer is
    none, even with status 200: the provider's error, which the caller got as it came. And a stream that was answered
    before the provider was heard of, and then failed, began with a 200."""
    response, request = exchange.response, exchange.request
    if response is None:
        if exchange.error is not None and request.stream and exchange.outcome != "cancelled":
            exchange.response = Response(source="weir")
        return
    if exchange.outcome != "ok" or response.source != "upstream" or response.complete:
        return
    if request.stream and not response.finish and "answer" not in request.uninspected:
        exchange.error, exchange.outcome = StreamCut(TRUNCATED, code="stream_truncated"), "provider_error"
    elif "answer" in request.uninspected and request.method == "POST" and RETRIEVED not in exchange.notes:
        exchange.error, exchange.outcome = ProtocolViolation(UNREADABLE, code="unreadable_answer"), "provider_error"


def steps_line(exchange: Exchange) -> str:
    """What each plugin did and took, for the `x-weir-debug` header: JSON on one line, ASCII."""
    spent = {name: round(seconds * 1e6) for name, seconds in exchange.timeline.plugins.items()}
    steps = [f"{step.plugin} {step.hook} {step.what}" for step in exchange.steps]
    return json.dumps({"steps": steps, "plugins_us": spent, "attempts": exchange.attempts})


SUMMARY = (
    "id", "at", "agent", "surface", "model", "upstream", "target_model", "served_model", "status", "outcome", "stream",
    "finish", "complete", "total_ms", "ttft_ms", "queue_ms", "upstream_ms", "overhead_ms", "plugins_us", "input_tokens",
    "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "usage_source", "cost_nano_usd",
    "price_source", "cache",
)  # fmt: skip
"""What of a record its caller may see."""


def summary_of(found: Any) -> dict[str, Any]:
    """What `/weir/calls/{id}` tells of a record, or of a row of the history."""
    summary = {name: found.get(name) for name in SUMMARY}
    nano = found.get("cost_nano_usd")
    summary["cost_usd"] = None if nano is None else nano / 1e9
    return summary


def line(exchange: Exchange) -> bytes:
    """The record of an exchange that has ended, as it goes to control: JSON parts, separated by tabs, which JSON has
    none of. Head, rest; where there is an audit entry also its worker, its number and its manifest; where that has
    content, the content.

    Control reads the head and keeps the other parts as they are, so none of it is written twice."""
    line, caller, request = exchange.timeline, exchange.caller, exchange.request
    response, error = exchange.response or NOTHING, exchange.error
    target, usage, usage_source = exchange.target or NOWHERE, response.usage or UNUSED, response.usage_source
    if exchange.discarded:
        usage, usage_source = _used(exchange)
    head = (
        exchange.id, exchange.at_s, caller.agent, exchange.outcome, request.model, target.model, response.model,
        request.path, None if error is None else str(error), response.status,
        round((line.ended - line.start) * 1000, 3),
        exchange.cost_nano_usd, usage.input, usage.output, caller.user, caller.session,
    )  # fmt: skip
    rest = (
        _extra(exchange)
        if exchange.steps or exchange.findings or exchange.savings or exchange.discarded or LESSONS in exchange.notes
        else None,
        caller.tenant, exchange.conversation, caller.key, caller.credential, request.dialect, request.method,
        request.stream, target.upstream, exchange.variant, None if error is None else getattr(error, "code", None),
        exchange.attempts, response.source, response.finish, response.complete,
        round((line.first - line.start) * 1000, 3) if line.first and request.stream else None,
        round(line.queue_s * 1000, 3) if line.queue_s else 0.0,
        round((line.upstream_end - line.sent) * 1000, 3) if line.upstream_end else None, round(line.own_s * 1000, 3),
        usage.cache_read, usage.cache_write, usage.reasoning, usage_source, exchange.price_source,
        len(request.body), response.delivered_bytes, exchange.parent, exchange.purpose, exchange.snapshot.version,
        {name: round(spent * 1e6) for name, spent in line.plugins.items()}, request.uninspected,
        exchange.cache,
    )  # fmt: skip
    entry = exchange.audit
    try:
        written = b"%b\t%b" % (orjson.dumps(head, default=str), orjson.dumps(rest, default=str))
    except TypeError:
        written = b"%b\t%b" % (dumped(head), dumped(rest))
    if entry is None:
        return written
    worker, seq, manifest, content = entry
    written = b"%b\t%b\t%d\t%b" % (written, worker, seq, manifest)
    return written if content is None else b"%b\t%b" % (written, dumped(content))


def line_of(found: Record) -> bytes:
    """As `line`, of a record that is there already."""
    entry = found.get("audit")
    extra = {name: value for name, value in found.items() if name not in KNOWN} or None
    parts = [dumped(_head(found)), dumped((extra, *_rest(found)))]
    if entry is not None:
        manifest = {name: value for name, value in entry.items() if name not in APART}
        parts += (orjson.dumps(entry["worker"]), b"%d" % entry["seq"], dumped(manifest))
        if "content" in entry:
            parts.append(dumped(entry["content"]))
    return b"\t".join(parts)


def parsed(text: bytes) -> Record:
    """What `line` was given, for those who look into lines."""
    head, rest, *audit = text.split(b"\t")
    extra, *values = orjson.loads(rest)
    found: Any = {**dict(zip(HEAD, orjson.loads(head), strict=True)), **dict(zip(REST, values, strict=True))}
    found |= extra or {}
    if audit:
        worker, seq, manifest, *content = audit
        said = orjson.loads(content[0]) if content else None
        found["audit"] = _entry_of(found, worker, int(seq), manifest, said)
    return found  # type: ignore[no-any-return]  # names and order are those of `Record`


def _entry_of(found: Record, worker: bytes, seq: int, manifest: bytes, content: Any) -> dict[str, Any]:
    """An audit entry with the names that stand beside it."""
    person = {"call": found["id"], "user": found["user"], "session": found["session"]}
    entry = {"seq": seq, "worker": orjson.loads(worker), **person, **orjson.loads(manifest)}
    return entry if content is None else {**entry, "content": content}
