"""Bytes to exchange and back, pure: one file per dialect, no sockets, no clock."""

from __future__ import annotations

from importlib import import_module

from proxy.exchange import Dialect
from proxy.wire.codec import Codec

_ROUTES: dict[str, Dialect] = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "responses",
    "/v1/completions": "completions",
    "/v1/embeddings": "embeddings",
    "/v1/messages": "messages",
}
_CODECS: dict[Dialect, tuple[str, str]] = {
    "chat": ("proxy.wire.chat", "ChatCodec"),
    "responses": ("proxy.wire.responses", "ResponsesCodec"),
    "completions": ("proxy.wire.completions", "CompletionsCodec"),
    "embeddings": ("proxy.wire.embeddings", "EmbeddingsCodec"),
    "messages": ("proxy.wire.messages", "MessagesCodec"),
}

DIALECTS: tuple[Dialect, ...] = tuple(_CODECS)


def route(path: str) -> Dialect | None:
    """The dialect of a POST to this path (as sent, undecoded, without query); None where no codec reads it."""
    return _ROUTES.get(path)


def codec(dialect: Dialect, *, depth: int = 128) -> Codec:
    """A codec of this dialect that takes bodies nested up to `depth`. It keeps no state: one may serve all calls."""
    module, name = _CODECS[dialect]
    made: Codec = getattr(import_module(module), name)(depth=depth)
    return made
