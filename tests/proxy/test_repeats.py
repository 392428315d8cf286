"""Calls that repeat one another: answered, counted, limited and recorded like the first, and not looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, ClassVar, cast

import orjson
import pytest

from proxy.exchange import Exchange, Request, Response
from proxy.live import Entry, When
from proxy.plugin import NoOptions, Plugin
from proxy.repeats import BESIDE_BYTES, LONGEST_BYTES, MOST, MOST_BYTES, Repeats
from proxy.route import Route
from proxy.tracks import Standing, Track
from tests.asking import Asking, Came, asking
from tests.pairs import SURFACES, body

HERE = "tests.proxy.test_repeats"
CACHE = Entry("cache", "cache")
GUARDS = tuple(Entry(name, name) for name in ("injection", "pii", "output_filter", "variants"))
OF_A_CALL = ("id", "at", "total_ms", "overhead_ms", "ttft_ms", "plugins_us", "audit")
"""What differs in the records of equal calls."""


class Watching(Plugin[NoOptions]):
    """Counts the calls that it sees, and says that equal ones need not be shown."""

    name = "watching"
    again = frozenset()
    seen: ClassVar[list[str]] = []

    async def request(self, exchange: Exchange) -> Response | None:
        self.seen.append(exchange.id)
        return None


class Wary(Watching):
    """Another's hook, of which nothing was said."""

    async def request(self, exchange: Exchange) -> Response | None:
        self.seen.append(exchange.id)
        return None


class Noting(Watching):
    """Has a word to say of every call."""

    again = frozenset()

    async def request(self, exchange: Exchange) -> Response | None:
        self.seen.append(exchange.id)
        exchange.step(self.name, "request", "noted")
        return None


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    Watching.seen.clear()


def watching(cls: type[Watching] = Watching, **envelope: Any) -> Entry:
    return Entry(cls.name, f"{HERE}:{cls.__name__}", **envelope)


def asked(surface: str = "chat", stream: bool = False, **more: Any) -> bytes:
    doc = orjson.loads(body(surface, "gpt-4o-mini", stream=stream))
    if stream and surface in ("chat", "completions"):
        doc["stream_options"] = {"include_usage": True}
    if surface == "responses":
        doc["store"] = False
    return orjson.dumps({**doc, **({} if surface == "embeddings" else {"temperature": 0}), **more})


@asynccontextmanager
async def weir(*above: Entry, cache: Entry = CACHE, **changes: Any) -> AsyncIterator[Asking]:
    async with asking(*above, cache, **changes) as found:
        yield found


async def ask(weir: Asking, count: int, raw: bytes | None = None, stream: bool = False, **headers: str) -> list[Came]:
    raw = asked(stream=stream) if raw is None else raw
    return [await weir.ask("chat", stream, raw=raw, **headers) for _ in range(count)]


def states(came: list[Came]) -> list[str | None]:
    return [each.headers.get("x-weir-cache") for each in came]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("surface", sorted(SURFACES))
async def test_a_repeated_call_is_recorded_and_counted_like_the_one_it_repeats(surface: str, stream: bool) -> None:
    if stream and surface == "embeddings":
        return
    async with weir(watching()) as running:
        raw = asked(surface, stream)
        came = [await running.ask(surface, stream, raw=raw) for _ in range(5)]
        assert states(came) == ["MISS", "HIT", "HIT", "HIT", "HIT"]
        assert {each.raw for each in came} == {came[0].raw}
        assert len(Watching.seen) == 2, "it saw the first, and the first that was answered"
        records = (await running.running.sink.wait_for(5))[1:]
        said = [{name: value for name, value in one.items() if name not in OF_A_CALL} for one in records]
        assert said == [said[0]] * 4
        assert len({one["id"] for one in records}) == 4
        assert [one["audit"]["seq"] for one in records] == [2, 3, 4, 5]
        manifests = [{**one["audit"], "seq": 0, "at": 0, "call": "", "plugins": None} for one in records]
        assert manifests == [manifests[0]] * 4
        assert running.counted("weir_requests_total") == 5
        assert running.counted("weir_cache_lookups_total", result="hit") == 4
        saved = records[0]["input_tokens"] + records[0]["output_tokens"]
        assert running.counted("weir_saved_tokens_total", plugin="cache", kind="hit") == 4 * saved


@pytest.mark.parametrize("stream", [False, True])
async def test_guards_are_spared_what_they_have_seen(stream: bool) -> None:
    async with weir(watching(), *GUARDS) as running:
        came = await ask(running, 4, stream=stream)
        assert states(came) == ["MISS", "HIT", "HIT", "HIT"] and {each.raw for each in came} == {came[0].raw}
        if not stream:
            assert len(Watching.seen) == 2


async def test_what_a_guard_had_a_word_to_say_of_takes_the_whole_way() -> None:
    raw = asked(messages=[{"role": "user", "content": "Write to ann@example.org."}])
    async with weir(watching(), *GUARDS) as running:
        came = await ask(running, 4, raw)
        assert states(came) == ["MISS", "HIT", "HIT", "HIT"] and all("ann@example.org" in one.text for one in came)
        assert len(Watching.seen) == 4
    Watching.seen.clear()
    async with weir(watching(Noting)) as running:
        await ask(running, 4)
        records = await running.running.sink.wait_for(4)
        assert len(Watching.seen) == 4 and all(["watching", "request", "noted"] in one["steps"] for one in records)


@pytest.mark.parametrize("entry", [watching(Wary), watching(mode="shadow"), watching(when=When(share=0.99))])
async def test_who_says_nothing_of_it_or_is_not_always_there_sees_every_call(entry: Entry) -> None:
    async with weir(entry) as running:
        await ask(running, 4)
        assert len(Watching.seen) in (0, 4)
        assert not any(route.again for route in running.running.worker.chains.current._routes.values())


async def test_a_limit_counts_repeated_calls_and_ends_them() -> None:
    limits = [{"by": "agent", "requests_per_day": 3}]
    async with weir(watching(), Entry("ratelimit", "ratelimit", options={"limits": limits})) as running:
        came = await ask(running, 5)
        assert [one.status for one in came] == [200, 200, 200, 429, 429]
        assert orjson.loads(came[-1].raw)["error"]["type"]
        records = await running.running.sink.wait_for(5)
        assert [one["outcome"] for one in records] == ["ok"] * 3 + ["limited"] * 2
        assert [one["cache"] for one in records[3:]] == ["", ""]
        assert not any(one.get("savings") for one in records[3:])
        assert len(Watching.seen) == 2


async def test_an_answer_that_is_gone_or_past_its_time_is_asked_for_anew() -> None:
    async with weir(cache=replace(CACHE, options={"ttl_s": 100})) as running:
        assert states(await ask(running, 3)) == ["MISS", "HIT", "HIT"]
        await running.running.worker.registry.order({"plugin": "cache", "do": "invalidate"})
        assert states(await ask(running, 3)) == ["MISS", "HIT", "HIT"]
        for _, entry in running.plugin("cache").memory.entries():
            entry.made_s -= 101
        assert states(await ask(running, 2)) == ["MISS", "HIT"]
        assert running.provider.total == 3


async def test_age_grows_from_one_repeated_call_to_the_next() -> None:
    async with weir() as running:
        await ask(running, 3)
        for _, entry in running.plugin("cache").memory.entries():
            entry.made_s -= 30
        (came,) = await ask(running, 1)
        assert came.headers["age"] == "30" and came.headers["x-weir-cost-usd"] == "0.000000000"


async def test_new_settings_are_asked_what_they_think_of_it() -> None:
    async with weir() as running:
        await ask(running, 3)
        now = running.running.worker.live.current
        chain = (watching(), *now.chain)
        await running.running.worker.swap(replace(now, version=now.version + 1, chain=chain, resolve=None))
        assert states(await ask(running, 3)) == ["HIT"] * 3 and len(Watching.seen) == 1


async def test_another_caller_or_another_wish_is_no_repeat() -> None:
    async with weir(watching()) as running:
        await ask(running, 3)
        assert states(await ask(running, 1, x_weir_agent="other")) == ["MISS"]
        assert states(await ask(running, 1, x_weir_cache="no-cache")) == ["BYPASS"]
        assert states(await ask(running, 3, x_weir_session="s")) == ["HIT", "BYPASS", "BYPASS"]
        assert states(await ask(running, 1, asked(seed=1))) == ["MISS"]
        assert states(await ask(running, 1)) == ["HIT"]


def answered(number: int, size: int = 100) -> Exchange:
    """As it is when a plugin has answered."""
    sent = (b"%d " % number).ljust(size)
    request = Request("chat", "POST", "/v1/chat/completions", "", (), sent, doc={})
    exchange = Exchange("", cast(Any, None), request, at_s=0.0, start=0.0, snapshot=None)
    exchange.response = Response(source="made", body=b"{}", again=lambda exchange: Response)
    exchange.step("made", "request", "answered")
    return exchange


def known() -> tuple[Repeats, Standing, Track]:
    made: Any = Track(cast(Any, replace(Route.of([]))), cast(Any, None), (), cast(Any, None), False)
    return Repeats(), Standing(cast(Any, object()), cast(Any, None), None), made


def test_what_is_known_is_bounded_in_number_and_in_bytes() -> None:
    repeats, standing, track = known()
    for number in range(MOST + 10):
        repeats.learn(standing, track, answered(number), b"{}")
    assert len(repeats.kept) == MOST
    assert repeats.find(standing, answered(9).request.body) is None
    assert repeats.find(standing, answered(10).request.body) is not None
    for number in range(100):
        repeats.learn(standing, track, answered(number, LONGEST_BYTES), b"{}")
    assert len(repeats.kept) == MOST_BYTES // (LONGEST_BYTES + BESIDE_BYTES + 2)
    repeats.learn(standing, track, answered(7, LONGEST_BYTES + 1), b"{}")
    assert repeats.find(standing, answered(7, LONGEST_BYTES + 1).request.body) is None


def test_what_was_learned_under_other_settings_is_forgotten() -> None:
    repeats, standing, track = known()
    repeats.learn(standing, track, answered(1), b"{}")
    _, other, _ = known()
    repeats.learn(other, track, answered(2), b"{}")
    assert len(repeats.kept) == 1 and repeats.find(standing, answered(1).request.body) is None


class Answering(Noting):
    """Answers itself, or breaks, when the call comes again."""

    again = frozenset({"request"})
    does: ClassVar[str] = ""

    async def request(self, exchange: Exchange) -> Response | None:
        self.seen.append(exchange.id)
        if self.does == "answers":
            return Response(text="enough")
        if self.does == "breaks":
            raise RuntimeError("broken")
        return None


async def test_a_hook_that_answers_when_a_call_comes_again_is_heard() -> None:
    async with weir(watching(Answering)) as running:
        await ask(running, 2)
        Answering.does = "answers"
        try:
            (came,) = await ask(running, 1)
        finally:
            Answering.does = ""
        assert came.text == "enough" and "x-weir-cache" not in came.headers
        record = (await running.running.sink.wait_for(3))[-1]
        assert (record["answered_by"], record["cache"], record.get("savings")) == ("watching", "", None)


async def test_a_hook_that_breaks_when_a_call_comes_again_is_passed_or_ends_it_as_it_is_told() -> None:
    for on_error, status in (("open", 200), ("closed", 503)):
        async with weir(watching(Answering, on_error=on_error)) as running:
            await ask(running, 2)
            Answering.does = "breaks"
            try:
                (came,) = await ask(running, 1)
            finally:
                Answering.does = ""
            assert came.status == status


class Doubting(Noting):
    """Answers, and breaks when it is asked whether that stands."""

    async def request(self, exchange: Exchange) -> Response | None:
        return Response(body=b'{"id":"x","object":"chat.completion","choices":[]}', again=_broken)


def _broken(exchange: Exchange) -> None:
    raise RuntimeError("broken")


async def test_an_answer_of_which_nobody_can_say_whether_it_stands_is_asked_for_anew() -> None:
    async with weir(watching(Doubting)) as running:
        came = await ask(running, 4)
        assert [one.status for one in came] == [200] * 4
        assert len(await running.running.sink.wait_for(4)) == 4


async def test_a_limited_repeat_counts_as_no_hit() -> None:
    limits = [{"by": "agent", "requests_per_day": 2}]
    async with weir(Entry("ratelimit", "ratelimit", options={"limits": limits})) as running:
        await ask(running, 4)
        records = await running.running.sink.wait_for(4)
        assert running.counted("weir_cache_lookups_total", result="hit") == 1
        assert records[-1]["steps"] == [["ratelimit", "request", "refused rate_limit_exceeded"]]
        assert "cache" not in records[-1]["plugins_us"]


async def test_an_erasure_leaves_nothing_of_an_answered_call() -> None:
    async with weir() as running:
        await ask(running, 3)
        express = running.running.worker.express
        assert express._repeats.kept
        express.forget()
        assert not express._repeats.kept
        assert states(await ask(running, 2)) == ["HIT", "HIT"]
