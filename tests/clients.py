"""The official clients fed with a recorded stream, and the filters and files that tests of such streams share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai

from proxy.exchange import Segment
from proxy.wire.codec import Event, Stream
from proxy.wire.sse import Reader
from tests.streams import Forbid, Make, Pass, Swap, drive

GOLDEN = Path(__file__).parent / "golden"
WORD, BY = "Paris", '[CITY_"1"]'
"""The word that filters look for in the golden streams, and what they put in its place."""


def untouched(segment: Segment) -> Pass:
    return Pass()


def swap(segment: Segment) -> Swap:
    return Swap(WORD, BY)


def forbid(segment: Segment) -> Forbid | Pass:
    return Pass() if segment.sealed else Forbid(WORD)


def through(stream: Stream, raw: bytes, make: Make = untouched, size: int = 1 << 20) -> bytes:
    """What the caller gets, where the bytes come in chunks of `size`."""
    return drive(stream, (raw[at : at + size] for at in range(0, len(raw), size)), make)[0]


def events(raw: bytes) -> list[Event]:
    reader = Reader()
    return [*reader.feed(raw), *reader.close()]


def glanced(stream: Stream, came: Iterable[Event]) -> bytes:
    return b"".join(stream.glance(event) for event in came)


def openai_stream(raw: bytes) -> tuple[Any, list[Any]]:
    """What the official client makes of a Responses stream: the final response (None without one), and its events."""
    client = openai.OpenAI(api_key="k", base_url="http://weir.test/v1", http_client=_transport(raw))
    with client, client.responses.stream(model="m", input="x") as stream:
        seen = list(stream)
        final = stream.get_final_response() if seen and seen[-1].type == "response.completed" else None
    return final, seen


def anthropic_stream(raw: bytes) -> tuple[Any, list[Any]]:
    """What the official client makes of a Messages stream: the final message, and its events."""
    client = anthropic.Anthropic(api_key="k", base_url="http://weir.test", http_client=_transport(raw))
    asked = client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}])
    with client, asked as stream:
        seen = list(stream)
        return stream.get_final_message(), seen


def _transport(raw: bytes) -> httpx2.Client:
    headers = {"content-type": "text/event-stream"}
    return httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=raw)))
