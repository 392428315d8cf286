"""What models can do, and what a call needs of one: context, tools, images, JSON schemas."""

from __future__ import annotations

from dataclasses import dataclass

from plugins.routing.options import Model
from proxy.exchange import Exchange, Request

CHARS_PER_TOKEN = 3
"""Where a call must surely fit, it is taken to be longer than it likely is."""
ANSWER_TOKENS = 1024
"""Room for the answer of a call that does not say how long it may be."""
ROOMS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_ROOMS = frozenset(ROOMS)
_DEMANDS = frozenset(("tools", "functions", "response_format", "text", "output_config"))
"""Parameters that may ask for what not every model has."""


@dataclass(frozen=True, slots=True)
class Able:
    """What a model can do."""

    context_tokens: int = 8192
    tools: bool = False
    images: bool = False
    json_schema: bool = False

    def lacks(self, needs: Needs) -> str:
        """What the call needs and the model has not; empty: nothing."""
        if needs.context_tokens > self.context_tokens:
            return "context"
        if needs.tools and not self.tools:
            return "tools"
        if needs.images and not self.images:
            return "images"
        return "json_schema" if needs.json_schema and not self.json_schema else ""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a call needs."""

    context_tokens: int
    tools: bool
    images: bool
    json_schema: bool


UNKNOWN = Able()
"""Of a model that the table has not: little is taken for granted, the options say more."""
KNOWN: tuple[tuple[str, Able], ...] = (
    ("gpt-5", Able(272_000, True, True, True)),
    ("gpt-4.1", Able(1_000_000, True, True, True)),
    ("gpt-4o", Able(128_000, True, True, True)),
    ("gpt-4-turbo", Able(128_000, True, True, False)),
    ("gpt-4", Able(8_192, True, False, False)),
    ("gpt-3.5", Able(16_385, True, False, False)),
    ("gpt-oss", Able(131_072, True, False, True)),
    ("chatgpt-4o", Able(128_000, False, True, False)),
    ("o1-mini", Able(128_000, False, False, False)),
    ("o3-mini", Able(200_000, True, False, True)),
    ("o1", Able(200_000, True, True, True)),
    ("o3", Able(200_000, True, True, True)),
    ("o4", Able(200_000, True, True, True)),
    ("claude-", Able(200_000, True, True, False)),
    ("gemini-", Able(1_000_000, True, True, True)),
    ("grok-", Able(128_000, True, False, True)),
    ("mistral-large", Able(128_000, True, False, True)),
    ("mistral-medium", Able(128_000, True, True, True)),
    ("mistral-small", Able(32_000, True, False, True)),
    ("ministral", Able(128_000, True, False, True)),
    ("mixtral", Able(32_000, True, False, False)),
    ("codestral", Able(32_000, True, False, True)),
    ("deepseek-", Able(64_000, True, False, False)),
    ("llama-4", Able(128_000, True, True, False)),
    ("llama-3.", Able(128_000, True, False, False)),
    ("llama3.", Able(128_000, True, False, False)),
    ("qwen2.5", Able(32_000, True, False, False)),
    ("qwen3", Able(32_000, True, False, False)),
    ("command-r", Able(128_000, True, False, False)),
    ("command-a", Able(256_000, True, False, True)),
)
"""By the beginning of the name (after its last slash), the first that fits. As published in autumn 2026; rather less
than more."""


def able(model: str, given: Model | None = None) -> Able:
    """What a model can do: what its options say, for the rest the table."""
    name = model.rsplit("/", 1)[-1].lower()
    known = next((found for start, found in KNOWN if name.startswith(start)), UNKNOWN)
    if given is None:
        return known
    return Able(
        known.context_tokens if given.context_tokens is None else given.context_tokens,
        known.tools if given.tools is None else given.tools,
        known.images if given.images is None else given.images,
        known.json_schema if given.json_schema is None else given.json_schema,
    )


def needs(exchange: Exchange) -> Needs:
    """What this call needs of a model."""
    request = exchange.request
    chars = sum([len(segment.text) for segment in request.segments])
    return Needs(
        chars // CHARS_PER_TOKEN + _room(exchange),
        bool(request.get("tools") or request.get("functions")),
        has_images(exchange),
        wants_json(exchange) == "schema",
    )


def modest(exchange: Exchange, context_tokens: int, *, walks: bool) -> bool:
    """Whether it is plain at once that a call asks for nothing but text, and no more of it than this. `walks`: its
    texts will be looked at anyway."""
    request = exchange.request
    doc = request.doc
    if request.edits or type(doc) is not dict or not _DEMANDS.isdisjoint(doc) or not _textual(request, walks):
        return False
    room = ANSWER_TOKENS if _ROOMS.isdisjoint(doc) else _room(exchange)
    return len(request.body) // CHARS_PER_TOKEN + room <= context_tokens  # no text is longer than the body it is in


def _textual(request: Request, walks: bool) -> bool:
    """Whether it is plain that all is text. A body that names no kind of part has none: then nobody has to walk it."""
    if walks or request.walked or b'"type"' in request.body or b'"audio"' in request.body:
        return not request.unread()
    return True


def _room(exchange: Exchange) -> int:
    """Tokens for the answer."""
    answers = [answer for name in ROOMS if (answer := exchange.request.get(name))]
    return answers[0] if answers and isinstance(answers[0], int) else ANSWER_TOKENS


def has_images(exchange: Exchange) -> bool:
    return "image" in exchange.request.unread()


def has_others(exchange: Exchange) -> bool:
    """Whether there is something in the call of which the table does not know who takes it: audio, files, ..."""
    unread = exchange.request.unread()
    return bool(unread) and any(part != "image" for part in unread)


def wants_json(exchange: Exchange) -> str:
    """What form of answer the call asks for: `object`, `schema`, or none."""
    request = exchange.request
    form = request.get("response_format")
    if form is None and isinstance(text := request.get("text"), dict):
        form = text.get("format")
    if form is None and isinstance(output := request.get("output_config"), dict):
        form = output.get("format")
    kind = form.get("type") if isinstance(form, dict) else None
    return {"json_schema": "schema", "json_object": "object"}.get(kind, "") if isinstance(kind, str) else ""
