"""What remains to be done after the answer is done, whatever the caller does meanwhile."""

import asyncio

import orjson

from tests.worker import weir

CALL = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "[[sim usage=0]]"}]}


async def test_a_caller_that_hangs_up_with_its_answer_leaves_record_usage_and_entry_whole() -> None:
    """Counting the tokens of the first such call loads a table in a thread: long enough to hang up before it ends."""
    body = orjson.dumps(CALL)
    async with weir() as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await reader.readuntil(b'"choices"')
        writer.close()
        await writer.wait_closed()

        (record,) = await running.sink.wait_for(1)
        assert record["outcome"] == "ok"
        assert record["usage_source"] == "estimated"
        assert record["audit"]["outcome"] == "ok"
