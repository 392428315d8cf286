"""Calls that come in pieces behind others on one connection: in their order, and each with its own bytes."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from benchmarks.speed.load import request
from proxy.live import Entry
from tests.asking import asking, soon
from tests.scripted import Scripted


def asked(text: str, model: str = "gpt-4o-mini", **headers: str) -> bytes:
    doc = {"model": model, "temperature": 0, "messages": [{"role": "user", "content": text}]}
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return request("/v1/chat/completions", orjson.dumps(doc), told)


async def heard(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    size = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    return int(head.split()[1]), await reader.readexactly(size)


@pytest.mark.parametrize("known", [False, True])
async def test_a_call_of_which_a_part_came_behind_another_gets_the_rest_of_its_own_body(known: bool) -> None:
    async with asking() as weir:
        reader, writer = await asyncio.open_connection("127.0.0.1", weir.running.port)
        if known:
            writer.write(asked("first"))
            await heard(reader)
        before, second = weir.provider.total, asked("second " + "b" * 300)
        writer.write(asked("slow", "gpt-4o-mini[[sim delay=0.3]]") + second[:-100])
        await weir.provider.until(lambda: weir.provider.total > before)
        writer.write(second[-100:])
        assert (await heard(reader))[0] == 200
        writer.write(asked("third"))
        assert [(await heard(reader))[0] for _ in range(2)] == [200, 200]
        bodies = [orjson.loads(one.body)["messages"][0]["content"] for one in list(weir.provider.requests)[-2:]]
        assert bodies == ["second " + "b" * 300, "third"]
        writer.close()
        await writer.wait_closed()


async def test_who_hangs_up_after_an_answer_out_of_the_cache_ends_the_call_that_follows() -> None:
    async with asking(Entry("cache", "cache")) as weir:
        reader, writer = await asyncio.open_connection("127.0.0.1", weir.running.port)
        for _ in range(3):
            writer.write(asked("again"))
            await heard(reader)
        writer.write(asked("another", "gpt-4o-mini[[sim delay=30]]", x_weir_deadline_ms="60000"))  # (not the short way)
        await weir.provider.until(lambda: weir.provider.total == 2)
        writer.close()
        await writer.wait_closed()
        await soon(lambda: len(weir.running.records) == 4)
        assert weir.running.records[-1]["outcome"] == "cancelled"


EVENTS = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
    b'{"role":"assistant","content":"hello"},"finish_reason":null}]}\n\n'
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n'
)
LAST = b"data: [DONE]\n\n"


@pytest.mark.parametrize(("sent", "outcome"), [(EVENTS + LAST, "ok"), (EVENTS, "cancelled")])
async def test_who_hangs_up_behind_the_last_event_of_a_stream_has_had_it(sent: bytes, outcome: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    never = asyncio.Event()
    async with Scripted() as provider, asking(provider=provider) as weir:
        provider.scripts.append((head + b"%x\r\n%b\r\n" % (len(sent), sent), never))
        reader, writer = await asyncio.open_connection("127.0.0.1", weir.running.port)
        doc = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
        writer.write(request("/v1/chat/completions", orjson.dumps(doc)))
        await asyncio.wait_for(reader.readuntil(sent[-30:]), 5)
        writer.close()
        await writer.wait_closed()
        (record,) = await weir.running.sink.wait_for(1)
        assert (record["outcome"], record["input_tokens"], record["output_tokens"]) == (outcome, 3, 2)
