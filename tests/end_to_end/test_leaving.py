"""A caller that leaves takes the provider's call along at once, and what was said is still counted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.pairs import JSON, SURFACES, Opened, Pair, wished
from tests.raw import post

SOON_S = 0.1
ATTEMPTS = 4
AUTHORIZED = [f"{name}: {value}".encode() for name, value in JSON]


async def leave(pair: Pair, request: bytes, *, after: int, abort: bool) -> dict[str, Any]:
    """Leaves once the provider works on the call and so many events have come; gives the record. A machine that is
    busy with something else gets another chance, but no longer limit."""
    for attempt in range(1, ATTEMPTS + 1):
        took_s = await leave_once(pair, request, after=after, abort=abort)
        *_, record = await pair.sink.wait_for(attempt)
        assert record["outcome"] == "cancelled"
        if took_s < SOON_S:
            return record
    raise AssertionError(f"the provider was left {took_s:.3f} s after its caller had gone")


async def leave_once(pair: Pair, request: bytes, *, after: int, abort: bool) -> float:
    """Seconds from the caller's leaving until the provider noticed."""
    pair.provider.cancelled.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", pair.running.port)
    writer.write(request)
    await pair.provider.until(lambda: pair.provider.running == 1)
    for _ in range(after):
        await reader.readuntil(b"\n\n")
    left_s = asyncio.get_running_loop().time()
    if abort:
        writer.transport.abort()
    else:
        writer.close()
    await pair.provider.until(lambda: bool(pair.provider.cancelled))
    return pair.provider.cancelled[0].at_s - left_s


@pytest.mark.parametrize("abort", [False, True], ids=["fin", "reset"])
@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
@pytest.mark.parametrize("surface", SURFACES)
async def test_while_it_waits_for_an_answer(opened: Opened, surface: str, stream: bool, abort: bool) -> None:
    if stream and surface == "embeddings":
        stream = False
    request = post(wished(surface, "hang=1", stream=stream), *AUTHORIZED, path=SURFACES[surface][0].encode())
    async with opened() as pair:
        record = await leave(pair, request, after=0, abort=abort)
        assert record["complete"] is False


@pytest.mark.parametrize("surface", ["chat", "responses", "completions", "messages"])
async def test_in_the_middle_of_a_stream(opened: Opened, surface: str) -> None:
    sent = wished(surface, "chunks=2000 size=20000 interval=0.01")
    async with opened() as pair:
        record = await leave(pair, post(sent, *AUTHORIZED, path=SURFACES[surface][0].encode()), after=9, abort=False)
        assert record["complete"] is False
        assert record["usage_source"] in ("estimated", "provider")
        assert record["input_tokens"] > 0
        assert record["output_tokens"] > 0
        assert record["cost_nano_usd"] > 0


async def test_while_it_reads_nothing_of_a_long_stream(opened: Opened) -> None:
    sent = wished("chat", "size=20000000")
    async with opened() as pair:
        await leave(pair, post(sent, *AUTHORIZED), after=1, abort=True)


async def test_in_the_middle_of_what_nobody_reads(opened: Opened) -> None:
    speech = post(
        b'{"model":"tts-1","input":"x"}', *AUTHORIZED, b"x-sim: size=4000000 interval=0.01", path=b"/v1/audio/speech"
    )
    async with opened() as pair:
        await leave(pair, speech, after=0, abort=False)


async def test_others_go_on_while_one_leaves(opened: Opened) -> None:
    async with opened() as pair:
        staying = asyncio.create_task(pair.through("/v1/chat/completions", wished("chat", "chunks=20 interval=0.01")))
        await pair.provider.until(lambda: pair.provider.running == 1)
        _, writer = await asyncio.open_connection("127.0.0.1", pair.running.port)
        writer.write(post(wished("chat", "hang=1"), *AUTHORIZED))
        await pair.provider.until(lambda: pair.provider.running == 2)
        writer.close()
        await pair.provider.until(lambda: len(pair.provider.cancelled) == 1)
        got = await staying
        assert not got.cut
        assert got.body.endswith(b"data: [DONE]\n\n")
