"""The main job: calls through Weir, byte for byte, recorded, timed and priced."""

import contextlib
import io

import aiohttp
import orjson
import pytest

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


@pytest.mark.parametrize("model", ["a\r\nX-Evil: 1", "a\x00b", "m" * 600])
async def test_a_model_that_is_no_name_is_refused_and_nothing_is_sent(model: str) -> None:
    async with weir() as running, aiohttp.ClientSession() as session:
        answer = await session.post(running.url + "/chat/completions", json={**CALL, "model": model})
        got = await answer.json()
        assert (answer.status, got["error"]["param"]) == (400, "model")
        assert not running.provider.requests


async def test_a_models_name_in_the_header_is_what_a_header_may_hold() -> None:
    async with weir() as running, aiohttp.ClientSession() as session:
        answer = await session.post(running.url + "/chat/completions", json={**CALL, "model": "größe 1"})
        assert answer.status == 200
        assert answer.headers["x-weir-model"] == "gr%C3%B6%C3%9Fe%201"


async def test_a_key_of_weirs_that_is_not_known_any_more_goes_to_no_provider() -> None:
    async with weir() as running, aiohttp.ClientSession() as session:
        headers = {"authorization": "Bearer weir-H8xgone"}
        answer = await session.post(running.url + "/chat/completions", json=CALL, headers=headers)
        assert answer.status == 401
        assert not running.provider.requests


async def test_a_stream_past_its_deadline_ends_with_an_error_event_and_no_proper_end() -> None:
    doc = {**CALL, "stream": True, "messages": [{"role": "user", "content": "[[sim chunks=1000 interval=0.02]]"}]}
    async with weir() as running, aiohttp.ClientSession() as session:
        raw, headers = b"", {"x-weir-deadline-ms": "300"}
        async with session.post(running.url + "/chat/completions", json=doc, headers=headers) as answer:
            with contextlib.suppress(aiohttp.ClientPayloadError):
                async for chunk in answer.content.iter_any():
                    raw += chunk
            answer.close()
        (record,) = await running.sink.wait_for(1)
        assert orjson.loads(raw.strip().rpartition(b"data: ")[2])["error"]["code"] == "deadline_exceeded"
        assert b"[DONE]" not in raw
        assert record["outcome"] == "provider_error"
        assert record["error_code"] == "deadline_exceeded"
        assert len(running.records) == 1
