"""Whatever goes wrong, callers learn no path, host, key or traceback; and guards fail as they are told."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import orjson
import pytest

from proxy.errors import StoreDown
from proxy.live import Entry, Timeouts, Upstream
from proxy.wire import DIALECTS
from tests.asking import Asking, Came, asking
from tests.plugins_for_tests import Breaks, listed
from tests.sources import ROOT

KEY = "weirs-own-key-1234567890"
WRONG = {
    "garbage": "garbage=1", "a bad status": "garbage=status", "cut": "cut=0",
    "cut in the middle": "cut=3", "an error event": "error=2", "noise": "junk=2",
    "silence": "hang=1", "an early end": "no_done=1",
}  # fmt: skip
TELLING = (KEY, "127.0.0.1", "localhost", "Traceback", "File \"", ".py", "site-packages", str(ROOT), os.sep + "tmp",
           "aiohttp", "Errno", "object at 0x", "ConnectionRefused", "RuntimeError", "ValueError")  # fmt: skip


def tells_nothing(weir: Asking, got: Came) -> None:
    said = got.raw.decode(errors="replace") + str({k: v for k, v in got.headers.items() if k.startswith("x-weir")})
    port = weir.provider.url.rpartition(":")[2].partition("/")[0]
    assert [word for word in (*TELLING, f":{port}") if word in said] == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("what", WRONG)
async def test_a_provider_that_fails_is_not_described(what: str, stream: bool) -> None:
    quick = {"key": KEY, "timeouts": Timeouts(first_byte_s=0.3, idle_s=0.3)}
    async with asking(upstream=quick) as weir:
        tells_nothing(weir, await weir.ask(stream=stream, x_sim=WRONG[what]))


@pytest.mark.parametrize("surface", DIALECTS)
async def test_an_address_that_nobody_answers_at_is_not_told(surface: str) -> None:
    nobody = Upstream("gone", "http://127.0.0.1:9/v1", key=KEY)
    async with asking(upstreams=[nobody], upstream={"models": ("x",)}) as weir:
        got = await weir.ask(surface)
        assert got.status == 502
        tells_nothing(weir, got)


@pytest.mark.parametrize("on_error", ["open", "closed"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_plugin_that_breaks_is_not_described(stream: bool, on_error: Any) -> None:
    async with asking(listed(Breaks, on_error=on_error), upstream={"key": KEY}) as weir:
        tells_nothing(weir, await weir.ask(stream=stream))


@pytest.mark.parametrize("stream", [False, True])
async def test_what_breaks_inside_weir_is_not_described(stream: bool) -> None:
    async with asking(upstream={"key": KEY}) as weir:
        pipeline: Any = weir.running.worker.pipeline

        def broken(*_: Any) -> Any:
            raise RuntimeError(f"canary of {ROOT} with {KEY}")

        pipeline.delivery.upstream = pipeline.resolve = broken
        got = await weir.ask(stream=stream)
        assert (got.status, got.doc["error"]["code"]) == (500, "internal_error")
        tells_nothing(weir, got)


@pytest.mark.parametrize("raw", [b"{", b"[]", b'"x"', b"\xff", b'{"model":5}', b'{"model":"m","messages":7}', b"nul"])
async def test_what_cannot_be_read_is_told_in_sentences(raw: bytes) -> None:
    async with asking(upstream={"key": KEY}) as weir:
        got = await weir.ask(raw=raw)
        assert got.status == 400
        tells_nothing(weir, got)


@pytest.mark.parametrize(
    "text",
    ["{{7*7}} {% set x = 1 %}", "${7*7} #{7*7} <%= 7*7 %>", "{0.__class__.__mro__} {exchange}",
     "%(x)s %s %n $x `id` $(id)",
     "\\1 \\g<0> \\u0041 &#65; &lt;", "'; DROP TABLE executions; -- \r\n\u2028"],
)  # fmt: skip
async def test_text_of_callers_is_text_and_nothing_else(text: str) -> None:
    async with asking() as weir:
        raw = orjson.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], "user": text})
        got = await weir.ask(raw=raw, x_weir_agent="a")
        assert got.text == f"You said: {text}"
        assert weir.provider.requests[-1].body == raw
        record = await weir.record()
        assert record["user"] == text
    async with asking(upstream={"models": ("only",)}) as weir:
        model = "".join(one for one in text if one.isprintable())
        got = await weir.ask(raw=orjson.dumps({"model": model, "messages": []}))
        assert (got.status, got.doc["error"]["code"]) == (404, "model_not_found")
        assert repr(model[:60]) in got.doc["error"]["message"]


# --- how guards fail


USES = {
    "ratelimit": "plugins.ratelimit.plugin:RateLimit", "injection": "plugins.injection.plugin:Injection",
    "pii": "plugins.pii.plugin:Pii", "output_filter": "plugins.output_filter.plugin:OutputFilter",
    "refuses": "tests.plugins_for_tests:Refuses",
}  # fmt: skip


@pytest.mark.parametrize(
    "failure", [StoreDown("the store is away"), RuntimeError("the model is missing")], ids=["store", "model"]
)
@pytest.mark.parametrize("on_error", ["open", "closed"])
@pytest.mark.parametrize("name", USES)
async def test_a_guard_that_fails_lets_pass_or_refuses_as_it_is_told_and_is_counted(
    name: str, on_error: Any, failure: Exception
) -> None:
    async with asking(Entry(name, USES[name], on_error=on_error)) as weir:
        guard: Any = weir.plugin(name)

        async def fails(exchange: Any) -> None:
            await asyncio.sleep(0)
            raise failure

        def breaks(exchange: Any, segment: Any) -> None:
            raise failure

        guard.request, guard.filter, guard.needed = fails, breaks, lambda *_: True
        weir.running.worker.chains.current._routes.clear()
        got = await weir.ask()
        assert got.status == (200 if on_error == "open" else 503)
        if on_error == "closed":
            assert got.doc["error"]["code"] == "plugin_failed"
        await weir.record()
        assert weir.counted("weir_plugin_outcomes_total", plugin=name, what="failed") >= 1
        tells_nothing(weir, got)
