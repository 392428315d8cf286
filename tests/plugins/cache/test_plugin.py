"""The plugin's hooks: what is a hit, what is kept, for how long, and what never is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from plugins.cache.entry import Filter
from plugins.cache.options import CacheOptions
from plugins.cache.plugin import Cache
from plugins.cache.tape import Recorder
from proxy.errors import BadRequest, Refused, Unreachable, UpstreamFailed
from proxy.exchange import Exchange, Finding, Response, Target
from proxy.live import Agent, Snapshot
from proxy.plugin import HOOKS, overrides
from proxy.store.memory import MemoryStore
from tests import kit
from tests.plugins.cache.calls import BODIES, USAGE, answered, call, chat_answer, response, settings

NOW_S = 1000.0


def cache(snapshot: Snapshot | None = None, **parts: Any) -> Cache:
    live = kit.FixedLive(snapshot or settings())
    return Cache(replace(kit.kit(), live=live, **parts))


async def ask(made: Cache, exchange: Exchange, body: bytes | None = None, **changes: Any) -> Response | None:
    """A call and, where the cache has none, its answer."""
    found = await made.request(exchange)
    if found is None:
        answered(made, exchange, body, **changes)
        await made.finish(exchange)
    return found


def chat(**more: Any) -> dict[str, Any]:
    return {**BODIES["chat"], **more}


async def states(made: Cache, *exchanges: Exchange, **changes: Any) -> list[str]:
    for each in exchanges:
        await ask(made, each, **changes)
    return [each.cache for each in exchanges]


# --- hits


async def test_the_second_of_two_equal_calls_is_a_hit() -> None:
    made = cache()
    first, second = call(), call(at_s=1007.9)
    assert await ask(made, first) is None
    found = await ask(made, second)
    assert found is not None and found.body == chat_answer()
    assert (first.cache, second.cache) == ("MISS", "HIT")
    assert found.headers == [("age", "7")]
    assert (found.usage, found.usage_source, found.finish, found.model, found.id) == (
        USAGE, "cached", "stop", "m-1", "chatcmpl-1",
    )  # fmt: skip
    (saving,) = second.savings
    assert (saving.plugin, saving.kind, saving.input_tokens, saving.output_tokens) == ("cache", "hit", 10, 5)
    assert saving.nano_usd == 15_000 and saving.risk == ""


async def test_a_miss_may_share_its_call_with_its_like_and_nobody_else() -> None:
    made = cache()
    one, like, other = call(), call(user="ann"), call(tenant="other")
    for each in (one, like, other):
        await made.request(each)
    assert one.flight == like.flight != other.flight
    assert len(one.flight) == 32
    answered(made, one)
    hit = call()
    await made.request(hit)
    assert hit.flight == ""


async def test_two_users_share_an_answer() -> None:
    assert await states(cache(), call(user="ann"), call(user="bob")) == ["MISS", "HIT"]


async def test_what_follower_and_leader_got_is_kept_once() -> None:
    made = cache()
    exchange = call()
    await made.request(exchange)
    exchange.cache = "COALESCED"
    exchange.response = response()
    assert made.tape(exchange) is None


async def test_who_had_a_share_of_anothers_answer_and_asks_again_wants_another_try() -> None:
    made = cache()
    leader, follower = call(), call(session="s")
    for each in (leader, follower):
        await made.request(each)
    follower.cache, follower.response = "COALESCED", response()
    made.tape(follower)
    answered(made, leader)
    assert await states(made, call(session="s")) == ["BYPASS"]


async def test_a_stream_is_another_entry_than_a_whole_answer() -> None:
    made = cache()
    stream = b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    assert await states(made, call(), call(chat(stream=True))) == ["MISS", "MISS"]
    exchange = call(chat(stream=True, user="x"))
    await ask(made, exchange, stream)
    found = await ask(made, call(chat(stream=True, user="x")))
    assert found is not None and found.events is not None and found.body is None


async def test_long_streams_come_in_pieces_and_whole() -> None:
    made = cache()
    events = b'data: {"choices":[]}\n\n' * 10_000
    await ask(made, call(chat(stream=True)), events)
    found = await ask(made, call(chat(stream=True)))
    assert found is not None and found.events is not None
    assert b"".join(found.events) == events and max(map(len, found.events)) <= 65_536


async def test_an_answer_without_usage_saves_nothing_that_is_known() -> None:
    made = cache()
    await ask(made, call(), usage=None, usage_source="none")
    exchange = call()
    found = await ask(made, exchange)
    assert found is not None and (found.usage, found.usage_source) == (None, "none")
    assert exchange.savings[0].nano_usd is None


async def test_an_unknown_price_is_unknown() -> None:
    made = cache()
    target = Target("sim", "unpriced")
    await ask(made, call(target=target), model="unpriced")
    exchange = call(target=target)
    await ask(made, exchange)
    assert exchange.savings[0].nano_usd is None and exchange.savings[0].output_tokens == 5


# --- time


async def test_an_answer_is_given_as_long_as_its_time_lasts() -> None:
    made = cache(settings(ttl_s=60))
    assert await states(made, call(snapshot=settings(ttl_s=60))) == ["MISS"]
    for at_s, wanted in ((1059.9, "HIT"), (1060.0, "MISS"), (1100.0, "HIT")):
        assert await states(made, call(snapshot=settings(ttl_s=60), at_s=at_s)) == [wanted], at_s


async def test_a_clock_that_is_set_back_makes_nothing_older_than_it_is() -> None:
    made = cache()
    assert await states(made, call(at_s=5000.0), call(at_s=100.0)) == ["MISS", "HIT"]


async def test_without_time_there_is_no_cache() -> None:
    made, exchange = cache(), call(snapshot=settings(ttl_s=0))
    assert await states(made, exchange) == [""]
    assert (exchange.flight, exchange.steps) == ("", [])


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("no-cache", ["MISS", "BYPASS", "HIT"]),
        ("no-store", ["MISS", "HIT", "HIT"]),
        ("ttl=0", ["MISS", "MISS", "HIT"]),
        ("ttl=60", ["MISS", "HIT", "HIT"]),
        ("whatever", ["MISS", "HIT", "HIT"]),
    ],
)
async def test_callers_have_a_say(said: str, wanted: list[str]) -> None:
    told = call(headers=(("X-Weir-Cache", said),), at_s=1001.0)
    assert await states(cache(), call(), told, call(at_s=1002.0)) == wanted


async def test_no_store_is_neither_kept_nor_shared() -> None:
    made = cache()
    exchange = call(headers=(("x-weir-cache", "no-store"),))
    assert await states(made, exchange, call()) == ["MISS", "MISS"]
    assert exchange.flight == ""


async def test_a_callers_ttl_is_kept_for_so_long_and_takes_nothing_older() -> None:
    made, short = cache(), (("x-weir-cache", "ttl=10"),)
    assert await states(made, call(headers=short), call(at_s=1009.0), call(at_s=1011.0)) == ["MISS", "HIT", "MISS"]
    assert await states(made, call(at_s=1050.0), call(at_s=1051.0, headers=short)) == ["HIT", "MISS"]


async def test_no_cache_renews_what_is_kept() -> None:
    made = cache()
    await ask(made, call())
    await ask(made, call(headers=(("x-weir-cache", "no-cache"),), at_s=1005.0), chat_answer("new"))
    found = await ask(made, call(at_s=1006.0))
    assert found is not None and found.body == chat_answer("new") and found.headers == [("age", "1")]


# --- retries


async def test_an_identical_call_in_one_session_is_a_retry() -> None:
    made = cache()
    exchange = call(session="s")
    assert await states(made, call(session="s"), exchange) == ["MISS", "BYPASS"]
    assert exchange.steps[0].what == "bypass an identical call in its session: a retry"
    assert exchange.flight == ""


async def test_sessions_and_users_do_not_disturb_each_other() -> None:
    made = cache()
    assert await states(made, call(session="s"), call(session="t"), call(session="s", user="ann"), call()) == [
        "MISS", "HIT", "HIT", "HIT",
    ]  # fmt: skip
    assert await states(made, call(session="t"), call(), call()) == ["BYPASS", "HIT", "HIT"]


async def test_equal_calls_without_a_session_are_no_retries() -> None:
    made = cache()
    assert await states(made, call(user="ann"), call(user="ann"), call(user="ann")) == ["MISS", "HIT", "HIT"]


async def test_a_retry_is_one_only_soon_after_an_answer() -> None:
    clock = kit.FakeClock()
    made = cache(clock=clock)
    first, beside = call(session="s"), call(session="s")
    await made.request(first)
    await made.request(beside)
    assert (first.cache, beside.cache) == ("MISS", "MISS") and first.flight == beside.flight, "no answer was given yet"
    answered(made, first)
    clock.jump(119.0)
    assert await states(made, call(session="s")) == ["BYPASS"]
    clock.jump(121.0)
    assert await states(made, call(session="s")) == ["HIT"]


async def test_retries_may_be_answered_like_any_other_call() -> None:
    snapshot = settings(retry_s=0)
    made = cache(snapshot)
    assert await states(made, call(session="s", snapshot=snapshot), call(session="s", snapshot=snapshot)) == [
        "MISS", "HIT",
    ]  # fmt: skip


# --- what may not


async def test_what_is_not_deterministic_is_asked_each_time_unless_the_operator_says_so() -> None:
    warm = chat(temperature=0.7)
    made, exchange = cache(), call(warm)
    assert await states(made, call(warm), exchange) == ["BYPASS", "BYPASS"]
    assert exchange.steps[0].what == "bypass not deterministic" and exchange.flight == ""
    snapshot = settings(cacheable="all")
    made = cache(snapshot)
    assert await states(made, call(warm, snapshot=snapshot), call(warm, snapshot=snapshot)) == ["MISS", "HIT"]
    stored = {**BODIES["responses"], "store": True}
    assert await states(made, call(stored, "responses", snapshot=snapshot)) == ["BYPASS"], "no option allows that"


async def test_without_a_target_nothing_is_done() -> None:
    exchange = call()
    exchange.target = None
    assert await cache().request(exchange) is None and exchange.cache == ""


FLAGGED = Finding("output_filter", "secret", "high", "redact")
WOULD = Finding("output_filter", "secret", "high", "would redact")
ASKED = Finding("pii", "pii", "low", "mask")


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        (None, {"status": 500}),
        (None, {"status": 400}),
        (None, {"status": 206}),
        (None, {"complete": False}),
        (None, {"finish": "length"}),
        (None, {"finish": "content_filter"}),
        (None, {"finish": "max_tokens"}),
        (None, {"finish": "refusal"}),
        (None, {"finish": "pause_turn"}),
        (None, {"finish": ""}),
        (None, {"source": "fewshot"}),
        (chat_answer("", refusal="I cannot help with that."), {}),
        (chat_answer(finish="length"), {}),
        (chat_answer("x" * 1_100_000), {}),
        (b"", {}),
    ],
)
async def test_never_kept(body: bytes | None, changes: dict[str, Any]) -> None:
    made = cache()
    assert await states(made, call()) == ["MISS"]
    made = cache()
    first = call()
    await ask(made, first, body, **changes)
    assert len(made.memory) == 0
    assert await states(made, call()) == ["MISS"]


async def test_never_kept_where_something_went_wrong_on_the_way() -> None:
    for harm in ("tape", "error", "outcome", "finding", "other target"):
        made, exchange = cache(), call()
        await made.request(exchange)
        exchange.response = response()
        tape = made.tape(exchange)
        assert isinstance(tape, Recorder)
        tape.write(chat_answer())
        if harm == "error":
            exchange.error = Refused("pii", "no")
        elif harm == "outcome":
            exchange.outcome = "provider_error"
        elif harm == "finding":
            exchange.find(FLAGGED)
        elif harm == "other target":
            exchange.target = Target("sim", "fallback")
        tape.close(harm != "tape")
        assert len(made.memory) == 0, harm


async def test_what_guards_said_of_the_call_or_in_shadow_keeps_nothing_from_being_kept() -> None:
    made, exchange = cache(), call()
    exchange.find(ASKED)
    await made.request(exchange)
    exchange.response = response()
    tape = made.tape(exchange)
    assert tape is not None
    exchange.find(WOULD)
    tape.write(chat_answer())
    tape.close(True)
    assert len(made.memory) == 1


async def test_a_refused_call_with_quotes_of_refusals_is_none() -> None:
    made = cache()
    body = chat_answer('they said {"refusal": "no"} to me', refusal=None)
    assert await states(made, call()) == ["MISS"]
    await ask(made, call(chat(seed=1)), body)
    assert len(made.memory) == 2


async def test_one_letter_more_is_another_call() -> None:
    """Adversarial suffixes: whatever is put behind a known text makes another key."""
    made = cache()
    await ask(made, call())
    for suffix in ("", " ", "\u200b", "!", "\n", "hello", "\u0000", "a" * 5000, "\u0301"):
        doc = chat(messages=[{"role": "user", "content": "hello" + suffix}])
        exchange = call(doc)
        await made.request(exchange)
        assert exchange.cache == ("MISS" if suffix else "HIT"), repr(suffix)


# --- streams


async def test_usage_that_weir_asked_for_is_no_part_of_what_is_given_again() -> None:
    made = cache()
    said = b'data: {"choices":[{"index":0,"delta":{"content":"\\"usage\\""},"finish_reason":"stop"}]}\n\n'
    told = b'data: {"id":"x","choices": [],"usage":{"prompt_tokens":1}}\n\n'
    done = b"data: [DONE]\n\n"
    for asked, wanted in ((True, said + done), (False, said + told + done)):
        exchange = call(chat(stream=True, seed=int(asked)))
        await made.request(exchange)
        if asked:
            exchange.request.set("stream_options.include_usage", True)
        answered(made, exchange, said + told + done)
        found = await ask(made, call(chat(stream=True, seed=int(asked))))
        assert found is not None and found.events == [wanted]


def responses(**more: Any) -> dict[str, Any]:
    return {**BODIES["responses"], **more}


async def test_an_answer_that_repeats_its_user_is_told_to_another_with_theirs() -> None:
    made = cache()
    told: dict[str, Any] = {
        "id": "resp_1",
        "user": "ann",
        "metadata": {"team": "a"},
        "safety_identifier": None,
        "output": [],
    }
    first = call(responses(user="ann", metadata={"team": "a"}), "responses")
    await ask(made, first, orjson.dumps(told), finish="completed")
    same = await ask(made, call(responses(user="ann", metadata={"team": "a"}), "responses"))
    other = await ask(made, call(responses(user="bob"), "responses"))
    assert same is not None and same.body == orjson.dumps(told)
    assert other is not None and other.body is not None
    assert b"ann" not in other.body
    assert orjson.loads(other.body) == {**told, "user": "bob", "metadata": {}}


async def test_events_that_repeat_their_user_too() -> None:
    made = cache()
    events = (
        b'event: response.created\r\ndata: {"type":"response.created","response":{"user":"ann","metadata":{}}}\r\n\r\n'
        b'event: response.output_text.delta\r\ndata: {"type":"x","delta":"ann"}\r\n\r\n'
    )
    doc = responses(user="ann", stream=True)
    await ask(made, call(doc, "responses"), events, finish="completed")
    other = await ask(made, call(responses(stream=True, user="bob"), "responses"))
    assert other is not None and other.events is not None
    (told,) = other.events
    assert told.count(b"ann") == 1 and told.count(b'"bob"') == 1
    assert told.count(b"\r\n\r\n") == 2


async def test_an_answer_goes_by_its_own_id_and_by_that_of_its_call() -> None:
    said = b'data: {"id": "chatcmpl-77","choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'
    for named in ("chatcmpl-77", "wr_1"):
        made = cache()
        await ask(made, call(chat(stream=True)), said, id="")
        assert await made.ordered({"do": "invalidate", "id": "chatcmpl-7"}) == {"dropped": 0}
        assert await made.ordered({"do": "invalidate", "id": named}) == {"dropped": 1}


async def test_a_call_on_its_way_keeps_no_body_alive() -> None:
    made, miss, retry = cache(), call(), call(headers=(("x-weir-cache", "no-cache"),))
    for each in (miss, retry):
        await made.request(each)
        assert each.state["cache"].doc is None


async def test_very_long_calls_pass_by() -> None:
    exchange = call(chat(messages=[{"role": "user", "content": "x" * 4_200_000}]))
    assert await states(cache(), exchange) == ["BYPASS"]
    assert exchange.steps[0].what == "bypass too long a call"


# --- what is stale


def failing(at_s: float, **options: Any) -> Exchange:
    return call(snapshot=settings(ttl_s=60, **options), at_s=at_s)


@pytest.mark.parametrize(
    ("at_s", "status", "error", "given"),
    [
        (1100.0, 0, Unreachable("gone"), True),
        (1100.0, 503, UpstreamFailed("x", code="provider_503"), True),
        (1100.0, 429, UpstreamFailed("x", code="provider_429"), True),
        (1100.0, 400, UpstreamFailed("x", code="provider_400"), False),
        (1100.0, 401, UpstreamFailed("x", code="provider_401"), False),
        (1100.0, 0, Refused("pii", "no"), False),
        (1100.0, 0, None, False),
        (1360.5, 0, Unreachable("gone"), False),
    ],
)
async def test_when_the_provider_fails_an_old_answer_is_better_than_none(
    at_s: float, status: int, error: Exception | None, given: bool
) -> None:
    made = cache(settings(ttl_s=60, stale_if_error_s=300))
    await ask(made, failing(1000.0, stale_if_error_s=300))
    exchange = failing(at_s, stale_if_error_s=300)
    assert await made.request(exchange) is None and exchange.cache == "MISS"
    if status:
        exchange.response = Response(status)
    found = await made.answer(exchange, error)
    assert (found is not None) is given
    if isinstance(found, Response):
        assert found.headers == [("age", "100"), ("warning", '110 - "Response is Stale"')]
        assert found.body == chat_answer() and found.usage_source == "cached"
        assert str(exchange.cache) == "HIT"


def test_hooks_that_have_nothing_to_do_are_not_needed() -> None:
    made = cache()

    def needed(agent: Agent | None = None, **options: Any) -> set[str]:
        return {hook for hook in HOOKS if overrides(made, hook) and made.needed(hook, settings(**options), agent)}

    assert needed() == {"request", "tape", "finish"}
    assert needed(stale_if_error_s=9) == {"request", "tape", "answer", "finish"}
    assert needed(ttl_s=0) == set()
    assert needed(Agent(plugins={"cache": {"options": {"stale_if_error_s": 5}}})) >= {"request", "tape", "answer"}


# --- beside the calls


async def test_what_is_invalidated_is_asked_anew_also_what_was_under_way() -> None:
    made, under_way = cache(), call(chat(seed=2), at_s=NOW_S)
    await ask(made, call())
    await made.request(under_way)
    assert await made.ordered({"do": "invalidate", "agent": "default"}) == {"dropped": 1}
    answered(made, under_way)
    assert await states(made, call(), call(chat(seed=2))) == ["MISS", "MISS"]
    assert await made.ordered({"do": "invalidate", "agent": "nobody"}) == {"dropped": 0}


async def test_a_user_who_is_forgotten_leaves_no_answer() -> None:
    made = cache()
    await ask(made, call(user="ann"))
    await ask(made, call(chat(seed=1), user="bob"))
    assert await made.export("ann") == [{"answers": 1}] and await made.export("eve") == []
    assert await made.forget("ann") == 1
    assert await made.export("ann") == [] and len(made.memory) == 1
    assert await made.forget("ann") == 0


async def test_it_tells_how_it_does() -> None:
    made = cache()
    await states(made, call(), call(), call(chat(temperature=1)))
    told = await made.ordered({"do": "stats"})
    assert (told["hit"], told["miss"], told["bypass"], told["entries"]) == (1, 1, 1, 1)
    assert told["bytes"] == made.memory.used_bytes > 0 and told["shelves"] == []
    with pytest.raises(BadRequest):
        await made.ordered({"do": "anything"})


async def test_metrics_count_what_the_cache_had() -> None:
    metrics = kit.FakeMetrics()
    made = cache(metrics=metrics)
    await states(made, call(), call(agent="a"), call(agent="a"))
    found = {labels: value for (name, labels), value in metrics.values.items() if name == "weir_cache_lookups_total"}
    assert found == {
        (("agent", "default"), ("result", "miss")): 1,
        (("agent", "a"), ("result", "miss")): 1,
        (("agent", "a"), ("result", "hit")): 1,
    }
    assert metrics.total("weir_cache_bytes") == made.memory.used_bytes


async def test_what_another_process_has_renewed_is_found(tmp_path: Any) -> None:
    snapshot = settings(shared=True, ttl_s=60, stale_if_error_s=600)
    tasks = kit.FakeTasks()
    parts = {"store": MemoryStore(kit.FakeClock()), "tasks": tasks}
    one, two = cache(snapshot, **parts), cache(snapshot, **parts)
    for made, at_s, wanted in ((one, 1000.0, "MISS"), (two, 1100.0, "MISS"), (one, 1110.0, "HIT")):
        exchange = call(snapshot=snapshot, at_s=at_s)
        await ask(made, exchange)
        await tasks.settle()
        assert exchange.cache == wanted, at_s


async def test_new_settings_keep_what_is_kept() -> None:
    made = cache()
    await ask(made, call())
    new = replace(settings(strategy="lfu", memory_bytes=10**6), version=2)
    exchange = call(snapshot=new)
    assert await ask(made, exchange) is not None
    assert (made.memory.strategy, made.memory.most_bytes, len(made.memory)) == ("lfu", 10**6, 1)


async def test_answers_outlive_the_process_where_they_are_kept_elsewhere(tmp_path: Any) -> None:
    for options in ({"shared": True}, {"sqlite": str(tmp_path / "cache.sqlite")}):
        snapshot = settings(**options)
        tasks = kit.FakeTasks()
        parts = {"store": MemoryStore(kit.FakeClock()), "tasks": tasks}
        first, second = cache(snapshot, **parts), cache(snapshot, **parts)
        await first.start()
        await ask(first, call(snapshot=snapshot, at_s=1_700_000_990.0))
        await tasks.settle()
        await first.stop()
        await second.start()
        exchange = call(snapshot=snapshot, at_s=1_700_001_000.0)
        found = await ask(second, exchange)
        assert found is not None and found.headers == [("age", "10")], options
        other = call(snapshot=snapshot, at_s=1_700_001_000.0, tenant="other")
        assert await ask(second, other) is None
        await second.stop()
        await tasks.settle()


def test_options_are_plain_values() -> None:
    assert CacheOptions().ttl_s == 3600 and CacheOptions().cacheable == "deterministic"
    assert Filter() == Filter("", "", "", "", b"", 0.0)
