"""The fast provider: well-formed answers in every shape, however a call is cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from benchmarks.speed import answers
from benchmarks.speed.calls import Call, source
from benchmarks.speed.load import request
from benchmarks.speed.subjects import Subject
from benchmarks.speed.target import Target

SUBJECT = Subject("weir", "Weir", lambda port, work: ([], {}))


class Line:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return False


def target() -> tuple[Target, Line]:
    def now(_: float, call: Callable[..., Any], *arguments: Any) -> None:
        call(*arguments)

    line, made = Line(), Target(now)
    made.connection_made(line)
    return made, line


def events(pieces: bytes) -> list[dict[str, Any]]:
    lines = pieces.split(b"\n")
    return [orjson.loads(line[6:]) for line in lines if line.startswith(b"data: {")]


@pytest.mark.parametrize("surface", answers.SURFACES)
@pytest.mark.parametrize("size", [1500, 50_000])
def test_answers_have_the_size_that_was_asked_for(surface: str, size: int) -> None:
    made, line = target()
    made.data_received(source(Call(answer=f"json-{size}", surface=surface), SUBJECT)())
    head, _, body = line.written[0].partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert orjson.loads(body)["usage"]
    assert size * 0.8 <= len(body) <= size * 1.5


@pytest.mark.parametrize("surface", [name for name in answers.SURFACES if name != "embeddings"])
def test_streams_come_in_one_write_for_each_text(surface: str) -> None:
    for model in ("burst-50", "paced-50-10"):
        made, line = target()
        made.data_received(source(Call(answer=model, surface=surface, stream=True), SUBJECT)())
        assert len(line.written) == 52
        assert line.written[-1].endswith(b"\r\n0\r\n\r\n")
        assert len(events(b"".join(line.written))) >= 51


@pytest.mark.parametrize("step", [1, 7, 100, 10_000])
def test_a_call_may_come_in_pieces(step: int) -> None:
    made, line = target()
    call = source(Call(size=600), SUBJECT)()
    for _ in range(2):
        for at in range(0, len(call), step):
            made.data_received(call[at : at + step])
    assert len(line.written) == 2


def test_a_chunked_call_is_answered_at_its_end() -> None:
    made, line = target()
    made.data_received(b"POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
    assert line.written == []
    made.data_received(b"0\r\n\r\n")
    assert len(line.written) == 1


def test_what_is_not_posted_is_answered_too() -> None:
    made, line = target()
    made.data_received(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b'"object":"list"' in line.written[0]


def test_mute_answers_have_no_usage() -> None:
    made, line = target()
    made.data_received(request("/v1/chat/completions", b'{"model": "openai/mute-1500"}'))
    assert "usage" not in orjson.loads(line.written[0].partition(b"\r\n\r\n")[2])


def test_new_calls_differ_and_same_calls_do_not() -> None:
    new, same = source(Call(), SUBJECT), source(Call(sort="same"), SUBJECT)
    assert new() != new()
    assert same() == same()


def test_a_talk_repeats_what_was_said_and_adds_to_it() -> None:
    following = source(Call(sort="talk"), SUBJECT)
    said = [orjson.loads(following().partition(b"\r\n\r\n")[2])["messages"] for _ in range(13)]
    assert all(said[at][:-2] == said[at - 1] for at in range(1, 12))
    assert len(said[12]) == 2
    assert said[12] != said[0]
