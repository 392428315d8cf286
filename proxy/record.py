"""What remains of an exchange: the Record, and the bounded queue that carries records to the cold path.

The words that every figure of Weir uses are defined by the fields of `Record` and by `telemetry.metrics.WORDS`.
"""

from __future__ import annotations

from typing import Any, TypedDict


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
    """Time to first token: request line to the first content for the caller."""
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
    settings: int
    """Version of the settings snapshot."""
    audit: dict[str, Any]
