from __future__ import annotations

import asyncio
from typing import cast

import pytest
from aiohttp.http_exceptions import BadHttpMessage, BadStatusLine, LineTooLong

from proxy.server.connection import Connection, Framing, Patience, unparsable
from tests.raw import echo, get, hear, opened, post


class Line:
    """A connection as `Framing` sees it."""

    reading_held = False


class Broken:
    """A parser that fails as aiohttp's URL library can."""

    def feed_data(self, data: bytes) -> None:
        raise ValueError("not an IPv6 address")


class Silent:
    """A parser that is still waiting for the end of the head."""

    def feed_data(self, data: bytes) -> tuple[tuple[()], bool, bytes]:
        return (), False, b""


def test_what_the_parser_throws_is_a_bad_message_whatever_it_is() -> None:
    with pytest.raises(BadHttpMessage):
        Framing(Broken(), cast(Connection, Line()), 100).feed_data(b"x")


def test_a_head_is_bounded_as_a_whole_while_it_comes() -> None:
    framing = Framing(Silent(), cast(Connection, Line()), 100)
    for _ in range(10):
        framing.feed_data(b"x" * 10)
    with pytest.raises(LineTooLong):
        framing.feed_data(b"x")


def test_refusals_of_the_parser_have_status_and_code() -> None:
    told = [
        (error.status, error.code)
        for error in map(
            unparsable, (LineTooLong(b"x", 1), BadHttpMessage("Too many headers received"), BadStatusLine("x"), None)
        )
    ]
    assert told == [(431, "headers_too_large")] * 2 + [(400, "malformed_request")] * 2


async def test_time_for_a_head_does_not_run_between_calls() -> None:
    async with opened(echo, patience=Patience(header_s=0.05)) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        for _ in range(2):
            writer.write(post(b"{}"))
            assert (await hear(reader, more=True)).status == 200
            await asyncio.sleep(0.08)
        writer.close()


async def test_time_for_a_head_ends_with_the_head() -> None:
    async with opened(echo, patience=Patience(header_s=0.05)) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        whole = get(b"/v1/x")
        writer.write(whole[:10])
        await asyncio.sleep(0.01)
        writer.write(whole[10:])
        assert (await hear(reader, more=True)).status == 200
        await asyncio.sleep(0.08)
        writer.write(whole)
        assert (await hear(reader, more=True)).status == 200
        writer.close()


async def test_the_answer_to_broken_framing_survives_a_caller_that_goes_on_sending() -> None:
    """Closing at once would be a reset, and take the answer along."""
    async with opened(echo) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(b"nonsense\r\n\r\n")
        for _ in range(50):
            writer.write(bytes(10_000))
            await asyncio.sleep(0)
        async with asyncio.timeout(1):
            assert (await hear(reader)).status == 400
        writer.close()
