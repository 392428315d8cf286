"""What an operator may say of compression: CompressionOptions, and Summarise for who sums old turns up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from proxy.exchange import Target

LEAST_CONTEXT = 256


@dataclass(frozen=True, slots=True)
class Summarise:
    """Old turns that have to go are summed up by a model."""

    target: str = ""
    """`upstream/model` that is asked, of the same dialect as the call; empty: nobody, old turns are dropped."""
    answer_tokens: int = 400
    """At most so long is a summary."""
    timeout_s: float = 20.0
    """Past that the turns are dropped without one; so they are when most of the plugin's `timeout_ms` is over."""

    def __post_init__(self) -> None:
        upstream, _, model = self.target.partition("/")
        if self.target and not (upstream and model):
            raise ValueError(f"target is `upstream/model`, such as openai/gpt-4o-mini, not {self.target!r}")
        if not 16 <= self.answer_tokens <= 8192:
            raise ValueError("answer_tokens must be from 16 to 8192")
        if not 0 < self.timeout_s <= 300:
            raise ValueError("timeout_s must be above 0 and at most 300")

    def asked(self) -> Target | None:
        upstream, _, model = self.target.partition("/")
        return Target(upstream, model) if model else None


@dataclass(frozen=True, slots=True)
class CompressionOptions:
    """What is made shorter, and how. Code, quotes, numbers and identifiers stay as they are in any case."""

    tool_results: bool = True
    """What tools gave back."""
    documents: bool = True
    """What was retrieved and given as a document."""
    user: bool = False
    """What the user says: JSON without blanks and lines without superfluous ones, nothing else."""
    system: bool = False
    """The system prompt, in the same careful way."""
    assistant: bool = False
    """What the model said before, in the same careful way."""
    json: bool = True
    """JSON without the blanks between its tokens."""
    tables: bool = True
    """JSON rows that are alike as a table."""
    logs: bool = True
    """Logs and stack traces as templates and values."""
    repeats: bool = True
    """Blocks of lines that stand twice in a text, and results that stand in the call already."""
    prose: bool = True
    """Superfluous blanks, empty lines and banners of web pages in prose."""
    tool_schemas: bool = False
    """Titles, examples, empty defaults and marks of the format out of the schemas of tools, and the null of arguments
    that may be left out; strict tools keep them."""
    min_tokens: int = 50
    """Shorter texts (about four characters a token) are left alone."""
    extract_above_tokens: int = 0
    """Of longer tool results and documents only what concerns the user's question is sent, with a note of what was left
    out; 0: never. It loses what the question does not ask for."""
    extract_to_tokens: int = 2000
    """How much of them is sent."""
    max_context_tokens: int | None = None
    """A longer call is made to fit: extracts, a summary of old turns (`summarise`), then the oldest turns are dropped;
    where that does not do, it is refused (400, context_too_long). Empty: calls are as long as they are."""
    summarise: Summarise = field(default_factory=Summarise)
    """By whom old turns are summed up before they are dropped."""
    cached_prefix: Literal["when_cheaper", "never"] = "when_cheaper"
    """Texts before a `cache_control` mark, or sent before as they were: left alone, unless that costs more in sum of
    prices and of what the provider has told of its cache; `never`: left alone always."""

    def __post_init__(self) -> None:
        if self.min_tokens < 0 or self.extract_above_tokens < 0:
            raise ValueError("min_tokens and extract_above_tokens are counts of tokens, 0 or more")
        if self.extract_to_tokens < 50:
            raise ValueError("extract_to_tokens must be at least 50")
        if 0 < self.extract_above_tokens < self.extract_to_tokens:
            raise ValueError("extract_above_tokens must not be below extract_to_tokens")
        if self.max_context_tokens is not None and self.max_context_tokens < LEAST_CONTEXT:
            raise ValueError(f"max_context_tokens must be at least {LEAST_CONTEXT}")
