"""A whole worker with a test under way: header, target, body and record say the same."""

from __future__ import annotations

import orjson

from proxy.live import Alias, Entry
from tests.raw import post, say
from tests.worker import weir

TESTS = [
    {
        "name": "cheap",
        "unit": "user",
        "variants": [
            {"name": "as-is"},
            {"name": "small", "model": "little", "parameters": {"temperature": 0.5}, "system": "Be brief."},
        ],
    }
]
CHAIN = (Entry("metering", "metering"), Entry("variants", "variants", options={"tests": TESTS}))
BODY = orjson.dumps({"model": "json-20", "messages": [{"role": "user", "content": "hello"}]})


async def test_what_a_user_gets_stands_in_header_and_record_and_is_what_was_sent() -> None:
    async with weir(*CHAIN, aliases={"little": Alias("json-30")}) as running:
        seen = set()
        for number in range(16):
            user = b"x-weir-user: u%d" % (number // 2)
            answer = await say(running.port, post(BODY, user, path=b"/v1/chat/completions"))
            assert answer.status == 200
            sent = orjson.loads(running.provider.requests[-1].body)
            variant, model = answer.headers["x-weir-variant"], answer.headers["x-weir-model"]
            seen.add((number // 2, variant))
            small = variant == "cheap=small"
            assert (model, sent["model"]) == (("json-30", "json-30") if small else ("json-20", "json-20"))
            assert (sent.get("temperature"), len(sent["messages"])) == ((0.5, 2) if small else (None, 1))
        assert len(seen) == 8
        assert {variant for _, variant in seen} == {"cheap=as-is", "cheap=small"}
        records = await running.sink.wait_for(16)
        assert {record["variant"] for record in records} == {"cheap=as-is", "cheap=small"}
        assert all((record["target_model"] == "json-30") == (record["variant"] == "cheap=small") for record in records)
