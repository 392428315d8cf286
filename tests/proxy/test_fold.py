"""A request whose parsed body was let go: whoever asks for it has it again."""

from __future__ import annotations

import pytest

from proxy.exchange import Request
from proxy.wire.chat import ChatCodec

BODY = b'{"model":"m","messages":[{"role":"user","content":"Hello"}]}'


def request() -> Request:
    codec = ChatCodec()
    return Request("chat", "POST", "/v1/chat/completions", "", [], BODY, doc=codec.read(BODY), walk=codec.walk)


def test_a_folded_body_is_read_again_when_asked_for() -> None:
    folded, reads = request(), list[bytes]()

    def read(body: bytes) -> object:
        reads.append(body)
        return ChatCodec().read(body)

    folded.fold(read)
    assert reads == []
    assert folded.doc == request().doc
    assert [segment.text for segment in folded.segments] == ["Hello"]
    assert folded.get("model") == "m"
    assert reads == [BODY]


def test_what_segments_point_into_stays() -> None:
    walked = request()
    doc, segments = walked.doc, walked.segments
    walked.fold(lambda body: pytest.fail("read again"))
    assert walked.doc is doc and walked.segments is segments


def test_names_that_are_not_there_are_errors_as_ever() -> None:
    folded = request()
    folded.fold(ChatCodec().read)
    with pytest.raises(AttributeError, match="nothing"):
        _ = folded.nothing  # type: ignore[attr-defined]
