"""Server-sent events: cut anywhere, any line end, bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ProtocolViolation
from proxy.wire import sse
from proxy.wire.codec import Event
from tests.streams import cut

LINES = st.sampled_from(
    ["data: {}", "data:x", "data", "data:  two", ": note", "event: a", "id: 7", "retry: 1", "", "odd", "data: é😀"]
)
STREAMS = st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r\n", "\r"])), max_size=30).map(
    lambda lines: "".join(line + end for line, end in lines).encode()
)


def read(chunks: list[bytes]) -> list[Event]:
    reader = sse.Reader()
    events = [event for chunk in chunks for event in reader.feed(chunk)]
    return events + reader.close()


@given(STREAMS, st.lists(st.integers(1, 9), max_size=60))
def test_events_do_not_depend_on_how_the_bytes_were_cut(data: bytes, sizes: list[int]) -> None:
    assert read(cut(data, sizes)) == read([data])


@given(STREAMS, st.lists(st.integers(1, 9), max_size=60))
def test_the_raw_events_joined_are_the_stream(data: bytes, sizes: list[int]) -> None:
    assert b"".join(event.raw for event in read(cut(data, sizes))) == data


@given(st.binary(max_size=200), st.lists(st.integers(1, 9), max_size=60))
def test_any_bytes_are_read_without_loss(data: bytes, sizes: list[int]) -> None:
    assert b"".join(event.raw for event in read(cut(data, sizes))) == data


def test_a_plain_event_has_its_data() -> None:
    assert sse.Reader().feed(b'data: {"a":1}\n\n') == [Event(b'data: {"a":1}\n\n', "", b'{"a":1}')]


def test_names_several_data_lines_and_unknown_fields() -> None:
    raw = b"event: delta\nid: 4\ndata: a\ndata:b\nretry: 3\n\n"
    assert sse.Reader().feed(raw) == [Event(raw, "delta", b"a\nb")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_is_understood(end: bytes) -> None:
    raw = b"event: x" + end + b"data: 1" + end + end
    events = read([raw * 2])
    assert [(event.name, event.data) for event in events] == [("x", b"1")] * 2


def test_comments_come_as_events_without_data() -> None:
    assert sse.Reader().feed(b": ping\n\n") == [Event(b": ping\n\n", "", b"")]


def test_a_byte_order_mark_belongs_to_the_first_event_only() -> None:
    events = read([b"\xef\xbb\xbfdata: 1\n\ndata: 2\n\n"])
    assert [event.data for event in events] == [b"1", b"2"]
    assert events[0].raw.startswith(b"\xef\xbb\xbf")


def test_a_last_event_without_blank_line_comes_at_the_end() -> None:
    reader = sse.Reader()
    assert reader.feed(b"data: [DONE]\n") == []
    assert reader.close() == [Event(b"data: [DONE]\n", "", b"[DONE]")]
    assert reader.close() == []


def test_an_event_in_crlf_is_given_at_once() -> None:
    assert len(sse.Reader().feed(b"data: 1\r\n\r\n")) == 1


@pytest.mark.parametrize("data", [b"data: " + b"x" * 100 + b"\n\n", b"data: " + b"x" * 100])
def test_an_event_over_the_bound_is_a_protocol_violation(data: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        sse.Reader(max_bytes=64).feed(data)


def test_the_bound_holds_over_many_small_pieces() -> None:
    reader = sse.Reader(max_bytes=64)
    with pytest.raises(ProtocolViolation):
        for _ in range(100):
            reader.feed(b"x")


def test_what_is_written_is_read_again() -> None:
    assert read([sse.write("a", {"b": "é\n"}) + sse.write("", 1) + sse.comment("hi") + sse.DONE]) == [
        Event(b'event: a\ndata: {"b":"\xc3\xa9\\n"}\n\n', "a", b'{"b":"\xc3\xa9\\n"}'),
        Event(b"data: 1\n\n", "", b"1"),
        Event(b": hi\n\n", "", b""),
        Event(b"data: [DONE]\n\n", "", b"[DONE]"),
    ]
