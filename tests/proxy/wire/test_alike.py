"""Events that are recognised by their bytes come out as if they had been read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import wire
from proxy.chain import Chain
from proxy.exchange import Exchange, Response
from proxy.passage import Passage
from proxy.wire.alike import TRIES, Alike
from proxy.wire.deltas import Text
from tests.kit import FakeClock, entry, exchange, scripted, snapshot
from tests.streams import Hold, Pass, Swap

DIALECTS = ("chat", "completions", "responses", "messages")
PADDED = st.sampled_from(["", "xyz", "0123456789abcdef"])
PIECES = st.lists(
    st.tuples(
        st.one_of(
            st.sampled_from(["foo", "fo", "o", " ", "é", "\n", '"', "\\", "日本", "\u200b", "{", "a" * 50]),
            st.text(max_size=12),
        ),
        PADDED,
        st.booleans(),
    ),
    max_size=30,
)


def event(dialect: str, number: int, text: str, pad: str, other: bool) -> bytes:
    """A delta; `other`: of another kind than the ones before."""
    if dialect == "chat":
        delta: Any = {"content": text} if not other else {"reasoning_content": text}
        return _data({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": None}], "obfuscation": pad})
    if dialect == "completions":
        choice = {"text": text, "index": int(other), "logprobs": None, "finish_reason": None}
        return _data({"id": "c", "choices": [choice], "model": "m"})
    if dialect == "messages":
        doc: Any = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
        return b"event: ping\n" + _data({"type": "ping"}) if other else b"event: content_block_delta\n" + _data(doc)
    doc = {"type": "response.output_text.delta", "sequence_number": number, "item_id": f"m{int(other)}",
           "output_index": int(other), "content_index": 0, "delta": text, "logprobs": [],
           "obfuscation": pad}  # fmt: skip
    return b"event: response.output_text.delta\n" + _data(doc)


def _data(doc: Any) -> bytes:
    return b"data: " + orjson.dumps(doc) + b"\n\n"


def _passage(dialect: Any, filter_: Any) -> Passage:
    made = snapshot(entry("f"))
    plugin = scripted("f", filter=lambda _, segment: filter_())
    chain = Chain(made, {"f": plugin}, FakeClock().monotonic_s)
    call = exchange(made, {"model": "m", "stream": True, "messages": []})
    call.response = Response()
    found = Passage(chain, call, chain.route("default", "m", "/v1"), 1, wire.codec(dialect))
    found.open_stream(False)
    return found


async def _through(dialect: str, sent: bytes, filter_: Any) -> bytes:
    found = _passage(dialect, filter_)
    return await found.feed(sent) + await found.drain()


@pytest.mark.parametrize("dialect", DIALECTS)
@given(pieces=PIECES, filter_=st.sampled_from([Pass, Hold, lambda: Swap("foo", "long er"), lambda: Swap("foo", '"')]))
def test_what_comes_out_is_what_reading_each_event_gives(dialect: str, pieces: Any, filter_: Any) -> None:
    try:
        sent = b"".join(event(dialect, number, *piece) for number, piece in enumerate(pieces))
    except TypeError:  # half a character
        return
    ours = asyncio.run(_through(dialect, sent, filter_))
    with patch.object(Alike, "of", lambda self, raw: None):
        theirs = asyncio.run(_through(dialect, sent, filter_))
    assert ours == theirs


@pytest.mark.parametrize("dialect", DIALECTS)
def test_most_events_of_a_stream_are_recognised(dialect: str) -> None:
    fitted = 0
    of = Alike.of

    def counted(self: Alike, raw: bytes) -> Any:
        nonlocal fitted
        found = of(self, raw)
        fitted += found is not None
        return found

    sent = b"".join(event(dialect, number, f"word {number} ", "x" * (number % 9), False) for number in range(50))
    with patch.object(Alike, "of", counted):
        asyncio.run(_through(dialect, sent, Pass))
    assert fitted == 49


def _events(fragments: Iterator[str] | list[str], frame: str) -> list[bytes]:
    return [frame.replace("TEXT", fragment).encode() for fragment in fragments]


def _text() -> Text:
    from proxy.exchange import Segment

    return Text(Segment("assistant", "text", ""))


FRAME = 'data: {"choices":[{"delta":{"content":"TEXT"}}],"obfuscation":"ab"}\n\n'


@pytest.mark.parametrize(
    "other",
    [
        'data: {"choices":[{"delta":{"content":"b"}}],"obfuscation":"a","x":1}\n\n',
        'data: {"choices":[{"delta":{"content":"b\\"}}],"obfuscation":"ab"}\n\n',
        'data: {"choices":[{"delta":{"content":"b","content":"c"}}],"obfuscation":"ab"}\n\n',
        'data: {"choices":[{"delta":{"content":"b"}}],"obfuscation":"a","content":"c"}\n\n',
        'data: {"choices":[{"delta":{"content":""}}],"obfuscation":"ab"}\n\n',
        'data: {"choices":[{"delta":{"content":"a\tb"}}],"obfuscation":"ab"}\n\n',
        'data: {"choices":[{"delta":{"content":null}}],"obfuscation":"ab"}\n\n',
        'data: {"choices":[{"delta":{"content":"b"}}],"obfuscation":"ab"}\n\ndata: 1\n\n',
    ],
)
def test_an_event_of_another_shape_does_not_fit(other: str) -> None:
    alike, text = Alike(), _text()
    alike.learn(_events(["a"], FRAME)[0], b"content", text, "a")
    assert alike.of(_events(["other"], FRAME)[0]) is not None
    assert alike.of(other.encode()) is None


def test_an_event_with_bytes_that_are_no_text_does_not_fit() -> None:
    alike = Alike()
    alike.learn(_events(["a"], FRAME)[0], b"content", _text(), "a")
    assert alike.of(FRAME.encode().replace(b"TEXT", b"\xff\xfe")) is None
    assert alike.of(FRAME.encode().replace(b"TEXT", b"\xed\xa0\x80")) is None


def test_a_key_that_stands_twice_is_learned_nothing_from() -> None:
    alike = Alike()
    raw = b'data: {"content":"a","delta":{"content":"a"}}\n\n'
    alike.learn(raw, b"content", _text(), "a")
    assert alike.of(raw) is None


def test_a_text_that_is_not_the_one_that_was_read_is_learned_nothing_from() -> None:
    alike = Alike()
    raw = b'data: {"x":{"content":"seen"},"delta":{"\\u0063ontent":"read"}}\n\n'
    alike.learn(raw, b"content", _text(), "read")
    assert alike.of(raw) is None


def test_a_stream_whose_events_are_never_alike_is_left_alone_after_some_tries() -> None:
    alike = Alike()
    for number in range(TRIES + 5):
        alike.learn(b'data: {"id":%d,"content":"a"}\n\n' % number, b"content", _text(), "a")
    alike.forget()
    raw = b'data: {"content":"a"}\n\n'
    alike.learn(raw, b"content", _text(), "a")
    assert alike.of(raw) is None


async def test_texts_are_collected_where_a_record_wants_them() -> None:
    found = _passage("chat", Pass)
    found.collect = True
    await found.feed(b"".join(event("chat", number, f"{number} ", "", False) for number in range(5)))
    call: Exchange = found._exchange
    assert call.response is not None
    assert [segment.text for segment in call.response.segments] == ["0 1 2 3 4 "]
