"""The cache in a whole worker: what is asked once is answered from then on, byte for byte, on every surface."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import aiohttp
import orjson
import pytest

from plugins.cache.plugin import Cache
from proxy.errors import ConfigError
from proxy.exchange import Target
from proxy.live import Agent, CallerKey, Entry, Identity, Streams
from proxy.plugin import Plugin
from proxy.registry import check_order
from tests import kit
from tests.asking import FORMS, Asking, asking, soon
from tests.pairs import body
from tests.plugins.cache.calls import call
from tests.scripted import Scripted
from tests.scripted import answer as whole
from tests.worker import DEFAULT, weir


def cache(**options: Any) -> Entry:
    return Entry("cache", "plugins.cache.plugin:Cache", options=options)


def asked(surface: str, stream: bool = False, model: str = "gpt-4o-mini", **more: Any) -> bytes:
    """A call that may share its answer."""
    doc = orjson.loads(body(surface, model, stream=stream))
    if surface != "embeddings":
        doc["temperature"] = 0
    if surface == "responses":
        doc["store"] = False
    return orjson.dumps({**doc, **more})


@asynccontextmanager
async def caching(*above: Entry, agents: dict[str, Agent] | None = None, **options: Any) -> AsyncIterator[Asking]:
    async with asking(*above, cache(**options), agents=agents or {}) as weir:
        yield weir


@pytest.mark.parametrize(("surface", "stream"), FORMS)
async def test_an_identical_call_is_answered_byte_for_byte_and_the_provider_hears_of_it_once(
    surface: str, stream: bool
) -> None:
    async with caching() as weir:
        first = await weir.ask(surface, stream, raw=asked(surface, stream))
        second = await weir.ask(surface, stream, raw=asked(surface, stream))
        assert (first.status, second.status) == (200, 200)
        assert first.headers["x-weir-cache"] == "MISS"
        assert second.headers["x-weir-cache"] == "HIT"
        assert second.raw == first.raw
        assert weir.provider.total == 1
        assert second.headers["age"] == "0"
        assert second.headers["content-type"].split(";")[0] == first.headers["content-type"].split(";")[0]
        before, after = (await weir.running.sink.wait_for(2))[-2:]
        assert (before["cache"], after["cache"]) == ("MISS", "HIT")
        assert (after["cost_nano_usd"], after["price_source"]) == (0, "answered_by_weir")
        assert after["usage_source"] == "cached"
        assert (after["input_tokens"], after["output_tokens"]) == (before["input_tokens"], before["output_tokens"])
        (saving,) = after["savings"]
        assert (saving["plugin"], saving["kind"]) == ("cache", "hit")
        assert saving["nano_usd"] == before["cost_nano_usd"] > 0


@pytest.mark.parametrize("stream", [False, True])
async def test_calls_on_the_short_way_are_kept_and_answered_too(stream: bool) -> None:
    more: dict[str, Any] = {"stream_options": {"include_usage": True}} if stream else {}
    async with caching() as weir:
        states = []
        for letter in "aabbccabc":
            messages = [{"role": "user", "content": letter}]
            came = await weir.ask("chat", stream, raw=asked("chat", stream, messages=messages, **more))
            states.append(came.headers["x-weir-cache"])
        assert states == ["MISS", "HIT"] * 3 + ["HIT"] * 3
        assert weir.provider.total == 3


BROKEN = ("status=500", "status=429", "cut=2", "garbage=1", "refusal=1")
CUT_SHORT = {"chat": "length", "completions": "length", "responses": "length", "messages": "max_tokens"}


@pytest.mark.parametrize(("surface", "stream"), [form for form in FORMS if form[0] != "embeddings"])
async def test_what_went_wrong_was_refused_or_cut_short_is_never_kept(surface: str, stream: bool) -> None:
    wishes = [*BROKEN, f"finish={CUT_SHORT[surface]}", *(("error=3", "no_done=1") if stream else ())]
    async with caching() as weir:
        for wish in wishes:
            if wish == "refusal=1" and surface == "completions":
                continue
            for _ in range(2):
                await weir.ask(surface, stream, raw=asked(surface, stream, f"gpt-4o-mini[[sim {wish}]]"))
            records = await weir.running.sink.wait_for(2)
            assert [record["cache"] for record in records] == ["MISS", "MISS"], wish
            records.clear()


@pytest.mark.parametrize(("surface", "stream"), [form for form in FORMS if form[0] != "embeddings"])
async def test_answers_of_every_kind_come_again_as_they_came(surface: str, stream: bool) -> None:
    wishes = ["tools=2", "reasoning=1", "size=200000", "usage=0"]
    wishes += ["split=7", "crlf=1", "comments=1"] if stream else ["gzip=1", "chunked=1"]
    more = {"max_tokens": 100_000} if surface == "messages" else {}
    async with caching() as weir:
        for wish in wishes:
            before = weir.provider.total
            sent = asked(surface, stream, f"gpt-4o-mini[[sim {wish}]]", **more)
            first, second = [await weir.ask(surface, stream, raw=sent) for _ in range(2)]
            assert second.headers["x-weir-cache"] == "HIT", wish
            assert second.raw == first.raw, wish
            assert weir.provider.total == before + 1


@pytest.mark.parametrize("surface", ["chat", "completions"])
async def test_usage_is_given_again_to_who_asked_for_it_and_to_nobody_else(surface: str) -> None:
    """Also where a filter stands above, so that the cache sees what Weir alone asked the provider for."""
    for above in ((), (Entry("pii", "pii"),)):
        async with caching(*above) as weir:
            choices: list[dict[str, Any]] = [{}, {"stream_options": {"include_usage": True}}]
            for options in choices:
                first, second = [await weir.ask(surface, True, raw=asked(surface, True, **options)) for _ in range(2)]
                assert (first.headers["x-weir-cache"], second.headers["x-weir-cache"]) == ("MISS", "HIT")
                assert second.raw == first.raw
                assert (b'"prompt_tokens"' in second.raw) == bool(options)
                assert (await weir.running.sink.wait_for(1))[-1]["input_tokens"] > 0


async def test_what_one_caller_gets_differs_from_anothers_in_their_own_values_only() -> None:
    """Masked calls are equal, so they share an answer; each caller finds their own address in it."""
    async with caching(Entry("pii", "pii")) as weir:
        came = []
        for name in ("ann", "bob"):
            text = f"Write to {name}@example.org."
            sent = asked("chat", messages=[{"role": "user", "content": text}])
            came.append(await weir.ask("chat", raw=sent))
        assert [each.headers["x-weir-cache"] for each in came] == ["MISS", "HIT"]
        assert "ann@example.org" in came[0].text and "bob" not in came[0].text
        assert came[1].text == came[0].text.replace("ann", "bob")
        memory = weir.plugin("cache").memory
        assert not any(b"ann@" in entry.body for _, entry in memory.entries())


async def test_agents_and_tenants_never_meet() -> None:
    async with caching() as weir:
        states = []
        callers: list[dict[str, Any]] = [
            {"x_weir_agent": "a"}, {"x_weir_agent": "b"}, {"x_weir_agent": "a"},
            {"x_weir_agent": "a", "authorization": "Bearer sk-another"},
        ]  # fmt: skip
        for headers in callers:
            came = await weir.ask("chat", raw=asked("chat"), **headers)
            states.append(came.headers["x-weir-cache"])
        assert states == ["MISS", "MISS", "HIT", "MISS"]


async def test_an_agent_may_have_options_of_its_own() -> None:
    agents = {
        "warm": Agent(plugins={"cache": {"options": {"cacheable": "all"}}}),
        "off": Agent(plugins={"cache": {"enabled": False}}),
    }
    async with caching(agents=agents) as weir:
        sent = asked("chat", temperature=0.9)
        for agent, wanted in (("warm", ["MISS", "HIT"]), ("cool", ["BYPASS", "BYPASS"]), ("off", [None, None])):
            came = [await weir.ask("chat", raw=sent, x_weir_agent=agent) for _ in range(2)]
            assert [each.headers.get("x-weir-cache") for each in came] == wanted


async def test_a_bypass_says_why() -> None:
    async with caching() as weir:
        await weir.ask("chat", raw=asked("chat", temperature=0.9))
        record = await weir.record()
        assert record["cache"] == "BYPASS"
        assert ["cache", "request", "bypass not deterministic"] in record["steps"]


async def test_a_session_that_asks_again_gets_another_answer() -> None:
    async with caching() as weir:
        sent = asked("chat")
        states = [
            (await weir.ask("chat", raw=sent, x_weir_session=session)).headers["x-weir-cache"]
            for session in ("s", "s", "t", "t")
        ]
        assert states == ["MISS", "BYPASS", "HIT", "BYPASS"]


async def test_tokens_and_money_of_a_hit_are_saved_and_not_spent() -> None:
    limits = [{"by": "agent", "tokens": 10_000, "per": "day"}]
    ratelimit = Entry("ratelimit", "ratelimit", options={"limits": limits})
    async with caching(ratelimit) as weir:
        await weir.ask("chat", raw=asked("chat"))
        await weir.running.sink.wait_for(1)
        spent = weir.counted("weir_tokens_total"), weir.counted("weir_cost_usd_total")
        for _ in range(3):
            came = await weir.ask("chat", raw=asked("chat"))
            assert came.headers["x-weir-cost-usd"] == "0.000000000"
        records = await weir.running.sink.wait_for(4)
        assert (weir.counted("weir_tokens_total"), weir.counted("weir_cost_usd_total")) == spent
        first = records[0]
        tokens = first["input_tokens"] + first["output_tokens"]
        assert weir.counted("weir_saved_tokens_total", plugin="cache", kind="hit") == 3 * tokens
        assert weir.counted("weir_saved_usd_total") == pytest.approx(3 * first["cost_nano_usd"] / 1e9)
        assert weir.counted("weir_cache_lookups_total", result="hit") == 3


@pytest.mark.parametrize("stream", [False, True])
async def test_when_the_provider_fails_an_answer_past_its_time_is_given(stream: bool) -> None:
    async with caching(stale_if_error_s=10_000) as weir:
        sent = asked("chat", stream)
        first = await weir.ask("chat", stream, raw=sent)
        await weir.running.sink.wait_for(1)
        for _, entry in weir.plugin("cache").memory.entries():
            entry.made_s -= 4000.0
        came = await weir.ask("chat", stream, raw=sent, x_sim="status=503")
        assert (came.status, came.raw) == (200, first.raw)
        assert came.headers["warning"] == '110 - "Response is Stale"' and int(came.headers["age"]) >= 4000
        record = (await weir.running.sink.wait_for(2))[-1]
        assert (record["cost_nano_usd"], record["usage_source"], record["outcome"]) == (0, "cached", "ok")
        refused = await weir.ask("chat", stream, raw=sent, x_sim="status=400")
        assert refused.status == 400, "what is wrong with the call stays wrong"
        renewed = await weir.ask("chat", stream, raw=sent)
        assert (renewed.headers["x-weir-cache"], "warning" in renewed.headers) == ("MISS", False)


async def test_a_key_reads_no_answer_of_a_model_that_it_may_not_use() -> None:
    open_key, closed = "weir-" + "o" * 43, "weir-" + "c" * 43
    keys = (
        CallerKey("open", sha256=hashlib.sha256(open_key.encode()).hexdigest()),
        CallerKey("closed", sha256=hashlib.sha256(closed.encode()).hexdigest(), models=("gpt-5",)),
    )
    chain = (*DEFAULT, cache())
    whole = weir(*chain, identity=Identity(keys=keys), upstream={"key": "sk-ours"})
    async with whole as running, aiohttp.ClientSession() as session:
        found = Asking(running, session)
        first = await found.ask("chat", raw=asked("chat"), authorization=f"Bearer {open_key}")
        second = await found.ask("chat", raw=asked("chat"), authorization=f"Bearer {closed}")
        assert (first.status, second.status) == (200, 403)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_official_client_reads_what_is_given_again(stream: bool) -> None:
    openai = pytest.importorskip("openai")
    async with (
        caching() as weir,
        openai.AsyncOpenAI(base_url=weir.running.url, api_key="sk-x", max_retries=0) as client,
    ):
        texts = []
        for _ in range(2):
            call = client.chat.completions.create(
                model="gpt-4o-mini", temperature=0, messages=[{"role": "user", "content": "hello"}], stream=stream
            )
            answer = await call
            if stream:
                pieces = [chunk.choices[0].delta.content or "" async for chunk in answer if chunk.choices]
                texts.append("".join(pieces))
            else:
                texts.append(answer.choices[0].message.content)
        assert texts[0] == texts[1] != ""
        assert weir.provider.total == 1


async def test_a_user_who_is_forgotten_is_asked_for_anew() -> None:
    async with caching() as weir:
        for _ in range(2):
            await weir.ask("chat", raw=asked("chat"), x_weir_user="ann")
        registry = weir.running.worker.registry
        assert await registry.export("ann") == [{"plugin": "cache", "answers": 1}]
        assert await registry.forget("ann") == 1
        assert (await weir.ask("chat", raw=asked("chat"), x_weir_user="ann")).headers["x-weir-cache"] == "MISS"
        assert await registry.order({"plugin": "cache", "do": "invalidate"}) == {"dropped": 1}
        assert await registry.order({"plugin": "nobody"}) is None


@pytest.mark.parametrize("above", ["pii", "injection", "output_filter", "routing", "variants", "fewshot"])
def test_it_stands_below_what_masks_judges_and_chooses(above: str) -> None:
    wrong = kit.snapshot(cache(), kit.entry(above))
    with pytest.raises(ConfigError, match=f"below {above}"):
        check_order(wrong, {"cache": Cache, above: Plugin})


async def test_in_shadow_nothing_is_given_and_what_would_have_been_is_told() -> None:
    shadow = replace(cache(), mode="shadow")
    async with asking(shadow) as weir:
        for _ in range(2):
            await weir.ask("chat", raw=asked("chat"))
            await weir.ask("chat", True, raw=asked("chat", True))
        await weir.ask("chat", raw=asked("chat", temperature=1))
        records = await weir.running.sink.wait_for(5)
        assert weir.provider.total == 5
        assert [record.get("savings", []) == [] for record in records] == [True, True, False, False, True]
        (saving,) = records[2]["savings"]
        assert (saving["kind"], saving["mode"], saving["nano_usd"]) == ("hit", "shadow", records[0]["cost_nano_usd"])
        assert ["cache", "request", "would answer"] in records[2]["steps"]
        assert len(weir.plugin("cache").memory) == 0


async def test_what_a_cache_saw_in_shadow_is_no_answer_once_it_acts() -> None:
    agents = {"watched": Agent(plugins={"cache": {"mode": "shadow"}})}
    async with caching(agents=agents) as weir:
        for _ in range(2):
            await weir.ask("chat", raw=asked("chat"), x_weir_agent="watched")
        plugin = weir.plugin("cache")
        assert plugin._seen
        exchange = call(agent="watched", snapshot=replace(weir.running.worker.live.current, agents={}, version=2))
        exchange.target = Target("sim", "gpt-4o-mini")
        assert await plugin.request(exchange) is None and exchange.cache == "MISS"
        assert not plugin._seen


async def test_calls_under_way_whose_answers_repeat_something_of_their_own_share_none() -> None:
    """Responses tell `user` and `metadata` again; what is shared are the provider's bytes."""
    async with caching() as weir:
        own: list[dict[str, Any]] = [
            {"metadata": {"k": "ann"}}, {"metadata": {"k": "bob"}}, {"user": "ann"}, {}, {"metadata": {}},
        ]  # fmt: skip
        sent = [asked("responses", model="gpt-4o-mini[[sim delay=0.5]]", **more) for more in own]
        came = await asyncio.gather(*(weir.ask("responses", raw=raw) for raw in sent))
        assert [each.headers["x-weir-cache"] for each in came].count("COALESCED") == 1
        assert weir.provider.total == 4


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("surface", ["chat", "messages", "responses", "completions"])
async def test_callers_who_share_an_answer_under_way_find_their_own_values_in_it(surface: str, stream: bool) -> None:
    async with caching(Entry("pii", "pii")) as weir:
        names, sent = ("ann", "bob", "carla.with.a.longer.name"), []
        for name in names:
            text = f"[[sim delay=0.5 split=5]]Write to {name}@example.org."
            said: Any = [{"role": "user", "content": text}]
            place = {"responses": {"input": text}, "completions": {"prompt": text}}.get(surface, {"messages": said})
            sent.append(asked(surface, stream, **place))
        came = await asyncio.gather(*(weir.ask(surface, stream, raw=raw) for raw in sent))
        came += [await weir.ask(surface, stream, raw=raw) for raw in sent]
        states = [each.headers["x-weir-cache"] for each in came]
        assert sorted(states) == ["COALESCED"] * 2 + ["HIT"] * 3 + ["MISS"]
        await weir.record(6)
        counted = [weir.counted("weir_cache_lookups_total", result=one) for one in ("coalesced", "hit", "miss")]
        assert counted == [2, 3, 1]
        for name, each in zip(names * 2, came, strict=True):
            assert f"{name}@example.org" in each.text and not any(f"{one}@" in each.text for one in {*names} - {name})


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_forbidden_meanwhile_is_taken_out_of_a_kept_answer(stream: bool) -> None:
    secret = "AKIA" + "QZ7XN4PLM2RT8VWB"
    async with caching() as weir:
        sent = asked("chat", stream, f"gpt-4o-mini[[sim text='the key is {secret}']]")
        first, second = [await weir.ask("chat", stream, raw=sent) for _ in range(2)]
        assert secret in first.text and second.headers["x-weir-cache"] == "HIT"
        now = weir.running.worker.live.current
        chain = (*DEFAULT, Entry("output_filter", "output_filter"), *now.chain[len(DEFAULT) :])
        await weir.running.worker.swap(replace(now, version=now.version + 1, chain=chain, resolve=None))
        third = await weir.ask("chat", stream, raw=sent)
        assert third.headers["x-weir-cache"] == "HIT" and secret.encode() not in third.raw


async def test_settings_that_change_while_calls_share_an_answer_leave_each_the_form_it_asked_for() -> None:
    async with asking(cache(), streams=Streams(streaming="auto")) as weir:
        sent = asked("chat", model="gpt-4o-mini[[sim delay=0.5]]")
        first = asyncio.ensure_future(weir.ask("chat", raw=sent))
        await weir.provider.until(lambda: weir.provider.total == 1)
        now = weir.running.worker.live.current
        await weir.running.worker.swap(replace(now, version=now.version + 1, streams=Streams(), resolve=None))
        second = await weir.ask("chat", raw=sent)
        assert second.headers["x-weir-cache"] == "COALESCED" and weir.provider.total == 1
        assert second.headers["content-type"] == "application/json" and second.text == (await first).text


async def test_who_asks_for_itself_after_all_pays_for_it() -> None:
    """`streaming: auto`, and a provider that does not stream: what was shared is a refusal."""
    provider, refused = Scripted(), asyncio.Event()
    chain: Any = {"provider": provider, "streams": Streams(streaming="auto")}
    async with provider, asking(cache(), **chain) as weir:
        no = whole(b'{"error":{"message":"no streams"}}', status=b"400 Bad Request")
        provider.scripts.append((refused, no))
        calls = [asyncio.ensure_future(weir.ask("chat", raw=asked("chat"))) for _ in range(4)]
        flights = weir.running.worker.pipeline.flights._open
        await soon(lambda: any(flight._aboard == 4 for flight in flights.values()))
        refused.set()
        assert {(await call).status for call in calls} == {200}
        records = await weir.running.sink.wait_for(4)
        assert [(record["cache"], record["usage_source"]) for record in records] == [("MISS", "provider")] * 4
        assert len(provider.asked) == 1 + 4 and not flights


async def test_a_shadow_is_watched_beside_agents_for_which_the_cache_acts() -> None:
    async with caching(agents={"watched": Agent(plugins={"cache": {"mode": "shadow"}})}) as weir:
        for _ in range(3):
            await weir.ask("chat", raw=asked("chat"), x_weir_agent="watched")
            await weir.ask("chat", raw=asked("chat"), x_weir_agent="other", x_weir_cache="ttl=0")
        records = await weir.running.sink.wait_for(6)
        assert sum(bool(record.get("savings")) for record in records if record["agent"] == "watched") == 2


@pytest.mark.parametrize(
    "answer",
    [{"data": []}, {"object": "list"}, {"data": [{"index": 0, "embedding": None}]}, {"data": [{"embedding": []}]}],
)
async def test_embeddings_without_their_vectors_are_not_kept(answer: Any) -> None:
    provider = Scripted()
    async with provider, asking(cache(), provider=cast(Any, provider)) as weir:
        provider.scripts += [(whole(orjson.dumps(answer)),)] * 2
        states = [(await weir.ask("embeddings", raw=asked("embeddings"))).headers["x-weir-cache"] for _ in range(2)]
        assert states == ["MISS", "MISS"] and len(provider.asked) == 2


async def test_accounts_that_headers_name_share_no_answer() -> None:
    async with caching() as weir:
        keys = ("a", "b", "a")
        came = [await weir.ask("chat", raw=asked("chat"), x_goog_api_key=key) for key in keys]
        assert [each.headers["x-weir-cache"] for each in came] == ["MISS", "MISS", "HIT"]


@pytest.mark.parametrize("surface", ["chat", "messages"])
async def test_who_wants_only_what_can_be_kept_spends_on_nothing_else(surface: str) -> None:
    async with caching() as weir:
        said: dict[str, Any] = {"x_weir_cache": "only-if-kept"}
        came = await weir.ask(surface, raw=asked(surface, temperature=0.7), **said)
        assert (came.status, came.headers["x-weir-cache"]) == (400, "BYPASS")
        assert "not deterministic" in str(came.doc)
        assert weir.provider.total == 0
        states = [(await weir.ask(surface, raw=asked(surface), **said)).headers["x-weir-cache"] for _ in range(2)]
        assert states == ["MISS", "HIT"]
        again = await weir.ask(surface, raw=asked(surface), x_weir_cache="no-cache, only-if-kept")
        assert (again.status, again.headers["x-weir-cache"]) == (200, "BYPASS")
