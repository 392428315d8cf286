"""A stream that is skimmed: the same bytes and the same notes as if each of its events had been looked at alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy import wire
from proxy.errors import ProtocolViolation, WeirError
from proxy.wire.codec import Codec, Event, Stream
from proxy.wire.skim import skim
from proxy.wire.sse import Reader
from tests.streams import cut

GOLDEN = Path(__file__).parents[2] / "golden"
DIALECTS = ("chat", "completions", "responses", "messages")
USAGE = b'{"choices":[],"model":"m","usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}'
ODD = [
    b": keep-alive\n\n",
    b"\n",
    b"\n\n",
    b"\n\n\n",
    b"id: 4\nretry: 3\n\n",
    b"data: [DONE]\n\n",
    b"data:[DONE]\n\n",
    b"data: " + USAGE + b"\n\n",
    b"\ndata: " + USAGE + b"\n\n",
    b"data: " + USAGE.replace(b":", b":\ndata:") + b"\n\n",
    b"data: " + USAGE.replace(b"{", b"{\nid: 7\ndata: ") + b"\n\n",
    b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n',
    b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"no"}}\n\n',
    b'data: {"type":"error","code":"x","message":"no","sequence_number":9}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"usage error [DONE] \\"usage\\": 3"},"finish_reason":null}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason": null}],"usage": null,"error":null}\n\n',
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason" : "x"}],"usage":\nid: 1\ndata: {"total_tokens":4}}\n\n',
    b'data: {"choices":[{"index":1,"text":"x","finish_reason":"stop"}],"timings":{"prompt_n":3,"predicted_n":4}}\n\n',
    b"data: {not json, usage error}\n\n",
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"x"},"usage":{"output_tokens":9}}\n\n',
    b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}\n\n',
    b'event:message_stop\ndata: {"type":"message_stop"}\n\n',
    b'data: {"type":"content_block_stop","index":0}\n\n',
    b'data: {"type":"response.completed","sequence_number":7,"response":{"id":"r","usage":{"input_tokens":1}}}\n\n',
    b'data: {"type":"response.incomplete",\ndata: "response": {"id":"r2","incomplete_details":{"reason":"x"}}}\n\n',
    b"data: [DO",
]


def streams(dialect: str) -> list[list[bytes]]:
    """The golden streams of a dialect, as the bytes of their events."""
    found = []
    for path in sorted((GOLDEN / dialect).glob("*.sse")):
        reader = Reader()
        events = reader.feed(path.read_bytes())
        found.append([event.raw for event in [*events, *reader.close()]])
    assert found
    return found


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, bytes]:
    dialect = draw(st.sampled_from(DIALECTS))
    events = list(draw(st.sampled_from(streams(dialect))))
    for odd in draw(st.lists(st.sampled_from(ODD), max_size=4)):
        events.insert(draw(st.integers(0, len(events))), odd)
    if draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, len(events) - 1))
        end = draw(st.sampled_from([b"\r\n", b"\r"]))
        events[place:] = [event.replace(b"\n", end) for event in events[place:]]
    bom = b"\xef\xbb\xbf" if draw(st.integers(0, 9)) == 0 else b""
    data = bom + b"".join(events)
    return dialect, data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


def made(dialect: Any, withhold: bool) -> Stream:
    codec: Codec = wire.codec(dialect)
    stream = codec.stream({"model": "m", "stream": True})
    stream.withhold_usage = withhold
    return stream


def notes(stream: Stream) -> dict[str, Any]:
    names = ("usage", "model", "finish", "complete", "failed", "started")
    found = {name: getattr(stream, name) for name in names} | {"id": getattr(stream, "id", "")}
    return found | {"fault": stream.fault(WeirError("no"))}


def looked_at(dialect: str, withhold: bool, data: bytes) -> tuple[bytes, dict[str, Any]]:
    stream, reader = made(dialect, withhold), Reader()
    events: list[Event] = [*reader.feed(data), *reader.close()]
    return b"".join(stream.glance(event) for event in events), notes(stream)


def skimmed(dialect: str, withhold: bool, pieces: list[bytes]) -> tuple[bytes, dict[str, Any]]:
    stream, reader = made(dialect, withhold), Reader()
    out = [skim(stream, reader, piece) for piece in pieces]
    for piece in out:
        assert not piece or piece.endswith((b"\n", b"\r")), "what is written ends between two events"
    out += [stream.glance(event) for event in reader.close()]
    return b"".join(out), notes(stream)


@settings(max_examples=400, deadline=None)
@given(cases(), st.booleans(), st.lists(st.integers(1, 400), max_size=200))
def test_however_it_is_cut(case: tuple[str, bytes], withhold: bool, sizes: list[int]) -> None:
    dialect, data = case
    assert skimmed(dialect, withhold, cut(data, sizes)) == looked_at(dialect, withhold, data)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_golden_streams(dialect: str, size: int) -> None:
    for events in streams(dialect):
        data = b"".join(events)
        for withhold in (False, True):
            pieces = cut(data, [size] * (len(data) // size))
            assert skimmed(dialect, withhold, pieces) == looked_at(dialect, withhold, data)


def test_events_that_say_nothing_new_are_not_cut_out() -> None:
    class Counting(Reader):
        seen = 0

        def event(self, raw: bytes) -> Event:
            self.seen += 1
            return super().event(raw)

    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"word"},"finish_reason":null}],"usage":null}\n\n'
    stream, reader = made("chat", False), Counting()
    for _ in range(100):
        assert skim(stream, reader, chunk * 3) == chunk * 3
    assert reader.seen == 1


def test_no_event_is_larger_than_it_may_be() -> None:
    for pieces in (
        [b"data: " + b"x" * 200 + b"\n\n"],
        [b"data: "] + [b"x" * 50] * 4,
        [b"data: 1\n\n" * 20, b"y" * 120],
    ):
        stream, reader = made("chat", False), Reader(max_bytes=100)
        with pytest.raises(ProtocolViolation):
            for piece in pieces:
                skim(stream, reader, piece)
    stream, reader = made("chat", False), Reader(max_bytes=100)
    assert skim(stream, reader, b"data: 1\n\n" * 20) == b"data: 1\n\n" * 20
