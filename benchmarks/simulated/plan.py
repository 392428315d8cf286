"""What the simulated provider is about to do: Answer, Stream, Socket; plain values that `connection` carries out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import orjson

Flavour = Literal["openai", "anthropic"]
Headers = tuple[tuple[str, str], ...]
Json = Any

COMMON: dict[Flavour, bytes] = {
    "openai": b"openai-organization: org-simulated\r\nopenai-processing-ms: 12\r\nopenai-version: 2020-10-01\r\n"
    b"x-ratelimit-limit-requests: 10000\r\nx-ratelimit-limit-tokens: 2000000\r\n"
    b"x-ratelimit-remaining-requests: 9999\r\nx-ratelimit-remaining-tokens: 1999000\r\n"
    b"x-ratelimit-reset-requests: 6ms\r\nx-ratelimit-reset-tokens: 30ms\r\nx-request-id: ",
    "anthropic": b"anthropic-organization-id: 00000000-0000-4000-8000-000000000000\r\n"
    b"anthropic-ratelimit-requests-limit: 4000\r\nanthropic-ratelimit-requests-remaining: 3999\r\n"
    b"anthropic-ratelimit-requests-reset: 2026-01-01T00:00:00Z\r\nanthropic-ratelimit-tokens-limit: 400000\r\n"
    b"anthropic-ratelimit-tokens-remaining: 399000\r\nrequest-id: ",
}


@dataclass(slots=True)
class Answer:
    body: bytes
    status: int = 200
    flavour: Flavour = "openai"
    headers: Headers = ()
    kind: str = "application/json"


@dataclass(slots=True)
class Stream:
    """`frames` are whole events, `done` the last one (a wish may leave it out), `error` what a failure looks like."""

    frames: Iterable[bytes]
    done: bytes
    error: bytes
    flavour: Flavour = "openai"
    headers: Headers = ()
    kind: str = "text/event-stream; charset=utf-8"


@dataclass(slots=True)
class Socket:
    """The connection becomes a websocket that echoes; `hello` is said first."""

    hello: bytes | None = None


Plan = Answer | Stream | Socket


def json_answer(body: Json, status: int = 200, flavour: Flavour = "openai", headers: Headers = ()) -> Answer:
    return Answer(orjson.dumps(body), status, flavour, headers)


def event(body: Json, name: str | None = None) -> bytes:
    """One server-sent event."""
    if name is None:
        return b"data: %b\n\n" % orjson.dumps(body)
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(body))
