"""Framing: cut as one likes, refused where it is nonsense."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.channel.frames import (
    HEAD,
    BadFrame,
    Frames,
    Kind,
    ack_frame,
    batch_frame,
    frame,
    json_frame,
    read_batch,
    read_json,
    read_number,
)


@given(st.lists(st.tuples(st.sampled_from(list(Kind)), st.binary(max_size=40)), max_size=8), st.integers(1, 9))
def test_frames_come_out_as_they_went_in_however_the_stream_was_cut(sent: list[tuple[Kind, bytes]], step: int) -> None:
    stream = b"".join(frame(kind, payload) for kind, payload in sent)
    frames = Frames()
    found = [one for start in range(0, len(stream), step) for one in frames.feed(stream[start : start + step])]
    assert found == sent


def test_a_batch_keeps_its_number_and_lines() -> None:
    ((kind, payload),) = Frames().feed(batch_frame(7, b'{"a":1}\n{"b":2}'))
    assert kind is Kind.BATCH
    assert read_batch(payload) == (7, [b'{"a":1}', b'{"b":2}'])
    ((_, payload),) = Frames().feed(ack_frame(9))
    assert read_number(payload) == 9


def test_nonsense_is_refused() -> None:
    with pytest.raises(BadFrame, match="kind 99"):
        list(Frames().feed(HEAD.pack(0, 99)))
    with pytest.raises(BadFrame, match="bytes"):
        list(Frames(limit_bytes=10).feed(HEAD.pack(11, 1)))
    for raw in (b"[]", b"{", b"3"):
        with pytest.raises(BadFrame):
            read_json(raw)
    with pytest.raises(BadFrame):
        read_number(b"\0")
    ((_, payload),) = Frames().feed(json_frame(Kind.ASK, {"id": 1}))
    assert read_json(payload) == {"id": 1}
