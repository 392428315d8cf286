"""Where texts stand, per surface and direction: what the codecs show to guards, and what they cannot read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from proxy.exchange import Dialect, Segment

_CALL = ("system", "history", "user", "tool_description", "tool_result", "tool_arguments")
_SAID = ("text", "tool_arguments", "reasoning")

REQUEST: Mapping[Dialect, tuple[str, ...]] = MappingProxyType(
    {"chat": _CALL, "responses": _CALL, "messages": _CALL, "completions": ("user",), "embeddings": ("user",)}
)
"""Of a call. `history` is what user and model said before the newest turn, reasoning included."""
_SCHEMA = (
    "tools: description", "tools: title", "tools: enum", "tools: default", "tools: const", "tools: examples",
    "schema of the answer: description", "schema of the answer: title", "schema of the answer: enum",
    "schema of the answer: default", "schema of the answer: const", "schema of the answer: examples",
)  # fmt: skip
"""Single words, and what is shorter than six characters, are no texts (but in a description)."""
_PLAIN: Mapping[str, tuple[str, ...]] = MappingProxyType({"user": ("text", "tokens")})
WHERE: Mapping[Dialect, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "chat": {
            "system": ("content", "parts", "name"),
            "history": ("content", "parts", "name", "refusal", "reasoning", "prediction"),
            "user": ("content", "parts", "name", "unknown part"),
            "tool_description": _SCHEMA,
            "tool_result": ("content", "parts", "name (read only)", "text file in base64", "documents"),
            "tool_arguments": ("arguments", "custom input"),
        },
        "responses": {
            "system": ("instructions", "content", "parts"),
            "history": ("content", "parts", "refusal", "reasoning"),
            "user": ("input", "content", "parts", "unknown part", "unknown item", "prompt variables"),
            "tool_description": _SCHEMA,
            "tool_result": ("output", "output parts", "text file in base64"),
            "tool_arguments": ("arguments", "custom input"),
        },
        "messages": {
            "system": ("system", "blocks"),
            "history": ("content", "blocks", "thinking"),
            "user": ("content", "blocks", "unknown block"),
            "tool_description": (*_SCHEMA, "tools: input examples"),
            "tool_result": ("content", "blocks", "text file in base64", "document", "document title",
                            "document context", "search result"),
            "tool_arguments": ("input",),
        },
        "completions": _PLAIN,
        "embeddings": _PLAIN,
    }
)  # fmt: skip
"""Of a call, what each position is made of."""
ANSWER: Mapping[Dialect, tuple[str, ...]] = MappingProxyType(
    {"chat": (*_SAID, "refusal"), "responses": (*_SAID, "refusal"), "messages": _SAID, "completions": ("text",),
     "embeddings": ()}
)  # fmt: skip
"""Of an answer, the same as JSON and as a stream, new or retrieved."""
UNINSPECTED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "image": ("request", "Images in a call."),
        "audio": ("request", "Audio in a call."),
        "file": ("request", "Files and ids of files in a call; documents that are not plain text."),
        "document": ("request", "Documents in a call that are not plain text."),
        "unknown": ("request", "Parts of a call of a kind that no codec knows."),
        "tokens": ("request", "Token arrays whose table is not known; others are read as the text they stand for."),
        "path": ("request", "Paths without a codec: files, batches and their uploads, images, audio, assistants."),
        "websocket": ("request", "Websockets (realtime)."),
        "answer": ("answer", "Answers that are none of the surface's dialect."),
    }
)
"""What no codec reads, by the word of record and metric: in which direction, and what it is."""


def place_of(segment: Segment, *, answer: bool) -> str:
    """The position of a text, in the words of `REQUEST` and `ANSWER`."""
    kind = segment.kind
    if answer:
        return "text" if kind in ("text", "document") else kind
    if kind in ("tool_description", "tool_arguments"):
        return kind
    if kind in ("tool_result", "document") or segment.role == "tool":
        return "tool_result"
    if segment.role == "system":
        return "system"
    return "user" if segment.role == "user" and segment.fresh else "history"
