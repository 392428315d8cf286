"""The main job: calls through Weir, byte for byte, recorded, timed and priced."""

import io

import aiohttp
import orjson

from benchmarks.provider import Provider
from tests.worker import weir

CALL = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "say something"}]}


async def test_a_json_call_reaches_the_provider_with_its_own_bytes_and_is_recorded() -> None:
    body = b'{ "model":"gpt-4o-mini",  "messages":[{"role":"user","content":"caf\\u00e9"}],"unknown":{"x":1.50} }'
    async with weir() as running, aiohttp.ClientSession() as session:
        answer = await session.post(
            running.url + "/chat/completions",
            data=body,
            headers={"content-type": "application/json", "authorization": "Bearer sk-x"},
        )
        got = await answer.json()
        await running.sink.wait_for(1)

        assert answer.status == 200
        assert got["object"] == "chat.completion"
        assert running.provider.requests[-1].body == body
        record = running.records[0]
        assert record["outcome"] == "ok"
        assert record["usage_source"] == "provider"
        assert record["cost_nano_usd"] > 0
        assert record["audit"]["plugins"].keys() >= {"audit", "metering"}
        assert answer.headers["x-weir-request-id"] == record["id"]
        assert float(answer.headers["x-weir-cost-usd"]) > 0


async def test_a_stream_reaches_the_caller_event_by_event_without_the_usage_event_it_did_not_ask_for() -> None:
    async with weir() as running, aiohttp.ClientSession() as session:
        answer = await session.post(running.url + "/chat/completions", json={**CALL, "stream": True})
        raw = await answer.read()
        await running.sink.wait_for(1)

        assert raw.endswith(b"data: [DONE]\n\n")
        assert b'"usage":{' not in raw
        assert orjson.loads(running.provider.requests[-1].body)["stream_options"] == {"include_usage": True}
        record = running.records[0]
        assert record["stream"] is True
        assert record["complete"] is True
        assert record["usage_source"] == "provider"
        assert record["output_tokens"] > 0
        assert record["ttft_ms"] > 0


async def test_an_error_of_the_provider_passes_as_it_is() -> None:
    async with weir() as running, aiohttp.ClientSession() as session:
        doc = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "[[sim status=429 retry_after=3]]"}]}
        answer = await session.post(running.url + "/chat/completions", json=doc)
        got = await answer.json()
        await running.sink.wait_for(1)
        assert answer.status == 429
        assert answer.headers["retry-after"] == "3"
        assert "error" in got
        assert running.records[0]["outcome"] == "provider_error"


async def test_an_upload_is_relayed_and_recorded_as_uninspected() -> None:
    async with weir(provider=Provider()) as running, aiohttp.ClientSession() as session:
        form = aiohttp.FormData()
        form.add_field("purpose", "batch")
        form.add_field("file", io.BytesIO(b"x" * 3_000_000), filename="a.jsonl")
        answer = await session.post(running.url + "/files", data=form)
        await answer.read()
        await running.sink.wait_for(1)
        assert answer.status == 200
        assert running.records[0]["uninspected"] == ["path"]
