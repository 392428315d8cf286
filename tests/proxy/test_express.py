"""The short way is told from the regular way by nothing that a caller, a provider or an operator can see."""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass
from typing import Any, cast

import pytest

from proxy.clock import SystemClock
from proxy.live import Alias, CallerKey, Entry, Identity, Upstream
from proxy.store.memory import MemoryStore
from tests.prompt_plugins import filtering, prompt
from tests.raw import hear
from tests.scripted import Scripted, answer
from tests.short_calls import ANSWERS, BIG, ERROR, HEADERS, NOT_SHORT, STORED, STREAMS, SURFACES, WAITING, Case, call
from tests.worker import DEFAULT, Running, weir

KEY = "weir-key"
MASKS = (
    (rb"wr_[0-9a-f]{23}", b"ID"),
    (rb"x-weir-overhead-ms: [0-9.]+", b"x-weir-overhead-ms: N"),
    (rb"x-weir-debug: .*", b"x-weir-debug: ..."),
    (rb"127\.0\.0\.1:[0-9]+", b"HERE"),
)
TIMES = frozenset(
    {"id", "at", "total_ms", "queue_ms", "upstream_ms", "overhead_ms", "ttft_ms", "call", "timestamp", "worker"}
)


@dataclass
class Told:
    """Everything that came of it."""

    answers: list[tuple[bytes, bytes, bool]]
    asked: list[list[tuple[bytes, bytes]]]
    records: list[dict[str, Any]]
    metrics: dict[Any, float]
    rides: int
    kept: dict[str, Any]
    """Ids of stored answers."""
    logged: list[str]


def masked(data: bytes) -> bytes:
    for pattern, mask in MASKS:
        data = re.sub(pattern, mask, data)
    return data


def plain(value: Any, key: str = "") -> Any:
    """A record without what is never the same twice."""
    if isinstance(value, dict):
        return {name: sorted(one) if name == "plugins_us" else plain(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if key in TIMES:
        return value is not None
    return masked(value.encode()).decode() if isinstance(value, str) else value


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """By path, so that a difference names its place."""
    if isinstance(value, dict):
        pairs = [(f"{path}/{name}", one) for name, one in value.items()]
    elif isinstance(value, list):
        pairs = [(f"{path}/{at}", one) for at, one in enumerate(value)]
    else:
        return {path: value}
    return {key: one for name, inner in pairs for key, one in flat(inner, name).items()}


class Later(MemoryStore):
    """A store that has to be waited for."""

    at_once = False

    async def put(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        await asyncio.sleep(0)
        await super().put(key, value, ttl_s)


async def ran(case: Case, short: bool, caplog: pytest.LogCaptureFixture, slow: bool = False) -> Told:
    """`slow`: the store has to be waited for."""
    caplog.clear()
    async with Scripted() as one, Scripted() as two:
        other = Upstream("other", two.url, models=("n", "forbidden"), key="sk-other")
        changes = {"aliases": {"alias": Alias("m"), "m": Alias("m", "sim", ("n",))}, **case.changes}
        changes["upstreams"] = (other, *changes.get("upstreams", ()))
        if case.alone:
            del changes["aliases"], changes["upstreams"]
        async with weir(*(case.chain or DEFAULT), provider=cast(Any, one), **changes) as running:
            store = Later(SystemClock()) if slow else MemoryStore(SystemClock())
            running.worker.pipeline.house.held._store = store
            rides = counted(running, short)
            answers, sent = await spoken(running, case, one, two)
            await running.sink.wait_for(sent)
        assert running.worker.pipeline.running == 0
        await one.until_ended()
        await two.until_ended()
        records = [flat(plain(record)) for record in running.records]
        values = cast(Any, running.worker)._parts.metrics.values
        metrics = {key: value for key, value in values.items() if "lag" not in key[0]}
        asked = [[(masked(head), body) for head, body in each.asked] for each in (one, two)]
    kept = {key: entry.value for key, entry in store._entries.items() if key.startswith("held:")}
    return Told(answers, asked, records, metrics, len(rides), kept, [record.getMessage() for record in caplog.records])


def counted(running: Running, short: bool) -> list[Any]:
    """The calls that took the short way, where there is one."""
    server, rides = cast(Any, running.worker.front)._server, list[Any]()
    depart = server.express if short else lambda incoming, reply: None

    def express(incoming: Any, reply: Any) -> Any:
        ride = depart(incoming, reply)
        if ride is not None:
            rides.append(ride)
        return ride

    server.express = express
    return rides


async def spoken(running: Running, case: Case, one: Scripted, two: Scripted) -> tuple[list[Any], int]:
    answers, sent, left = list[Any](), 0, False
    calls = [case.first, case.first, case.first, *case.calls, case.first]
    one.scripts.extend([case.usual] * 3)
    one.scripts.extend(case.scripts)
    two.scripts.extend(case.second)
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        for data in calls:
            if left:
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(data)
            async with asyncio.timeout(2):
                heard = await hear(reader, more=True)
            sent += 1
            await running.sink.wait_for(sent, 2)
            left = heard.closed or b"connection: close" in heard.head.lower()
            left = left or b"shutting down" in heard.body  # what is cancelled ends its connection
            answers.append((masked(heard.head), masked(heard.body), left))
    finally:
        writer.close()
    return answers, sent


async def same(
    case: Case, caplog: pytest.LogCaptureFixture, rides: int | None = None, *, slow: bool = False
) -> tuple[Told, Told]:
    short, regular = await ran(case, True, caplog, slow), await ran(case, False, caplog, slow)
    assert short.asked == regular.asked
    assert short.answers == regular.answers
    for ours, theirs in zip(short.records, regular.records, strict=True):
        assert dict(ours.items() - theirs.items()) == dict(theirs.items() - ours.items())
    ours, theirs = short.metrics, regular.metrics
    assert dict(ours.items() - theirs.items()) == dict(theirs.items() - ours.items())
    assert short.logged == regular.logged
    assert short.kept == regular.kept
    assert regular.rides == 0
    if rides is not None:
        assert short.rides == rides
    return short, regular


@pytest.mark.parametrize("name", SURFACES)
async def test_calls_of_every_surface_are_the_same_on_both_ways(name: str, caplog: pytest.LogCaptureFixture) -> None:
    short, _ = await same(SURFACES[name], caplog)
    assert short.rides >= 2
    assert {head[:12] for head, _, _ in short.answers} == {b"HTTP/1.1 200"}


@pytest.mark.parametrize("name", NOT_SHORT)
async def test_what_is_not_for_the_short_way_never_knows_of_it(name: str, caplog: pytest.LogCaptureFixture) -> None:
    await same(NOT_SHORT[name], caplog, rides=0)


@pytest.mark.parametrize("name", ANSWERS)
async def test_answers_of_every_kind_are_the_same_on_both_ways(name: str, caplog: pytest.LogCaptureFixture) -> None:
    case = ANSWERS[name]
    short, _ = await same(case, caplog)
    assert short.rides >= 1 + len(case.calls)


@pytest.mark.parametrize("name", STREAMS)
async def test_streams_are_the_same_on_both_ways(name: str, caplog: pytest.LogCaptureFixture) -> None:
    case = STREAMS[name]
    short, _ = await same(case, caplog)
    assert short.rides >= 1 + len(case.calls)


@pytest.mark.parametrize(("name", "slow"), [*((name, False) for name in STORED), *((name, True) for name in WAITING)])
async def test_stored_answers_are_remembered_alike_on_both_ways(
    name: str, slow: bool, caplog: pytest.LogCaptureFixture
) -> None:
    case = STORED[name]
    short, _ = await same(case, caplog, slow=slow)
    assert short.rides >= 2
    assert bool(short.kept) is (name.removesuffix(", one upstream") not in ("do not store", "no id"))


@pytest.mark.parametrize("name", BIG)
async def test_long_bodies_are_the_same_on_both_ways(name: str, caplog: pytest.LogCaptureFixture) -> None:
    case = BIG[name]
    short, _ = await same(case, caplog)
    assert short.rides >= 3 + len(case.calls) - name.startswith("longer")


CLOSED = {"on_error": "closed"}
PLUGINS: dict[str, list[Entry]] = {
    **{
        f"request: {what}": [*DEFAULT, prompt(what)]
        for what in (
            "edit",
            "set",
            "set model",
            "insert",
            "text",
            "body",
            "target",
            "unknown target",
            "fallback",
            "headers",
            "find",
            "refuse",
            "refuse as answer",
            "limit",
            "fail",
            "cancel",
            "deaf",
        )
    },
    **{
        f"response: {what}": [*DEFAULT, prompt(response=what)]
        for what in (
            "header",
            "break",
            "texts",
            "refuse",
            "refuse as answer",
            "limit",
            "fail",
            "cancel",
            "deaf",
        )
    },
    **{f"finish: {what}": [*DEFAULT, prompt(finish=what)] for what in ("refuse", "fail", "limit", "deaf", "cancel")},
    "request: fail, closed": [*DEFAULT, prompt("fail", **CLOSED)],
    "response: fail, closed": [*DEFAULT, prompt(response="fail", **CLOSED)],
    "finish: fail, closed": [*DEFAULT, prompt(finish="fail", **CLOSED)],
    "request: fail, above all": [prompt("fail", **CLOSED), *DEFAULT],
    "request: too long": [*DEFAULT, prompt("find", timeout_ms=0.000001, **CLOSED)],
    **{
        f"filter: {what}": [*DEFAULT, filtering(what)]
        for what in (
            "none",
            "same",
            "change",
            "fail to begin",
            "refuse",
            "refuse as answer",
            "limit",
            "fail",
            "deaf",
            "hold",
            "hold, briefly",
            "hold, timed",
            "hold, refuse",
            "hold, refuse as answer",
            "hold, fail",
            "wait",
            "wait, refuse",
            "wait, fail",
        )
    },
    "filter: fail, closed": [*DEFAULT, filtering("fail", **CLOSED)],
    "filter: hold, fail, closed": [*DEFAULT, filtering("hold, fail", **CLOSED)],
    "filter: too long": [*DEFAULT, filtering("hold", timeout_ms=0.000001)],
    "filter: too long, closed": [*DEFAULT, filtering("hold", timeout_ms=0.000001, **CLOSED)],
    "filter: wait, too long": [*DEFAULT, filtering("wait", timeout_ms=0.000001, **CLOSED)],
    "filter: change, and a response hook": [*DEFAULT, prompt(response="texts"), filtering("change")],
    "no plugin": [Entry("audit", "audit", enabled=False)],
    "lingers": [*DEFAULT, Entry("lingers", "tests.prompt_plugins:Lingers")],
}


@pytest.mark.parametrize("script", ["ok", "500"])
@pytest.mark.parametrize("name", PLUGINS)
async def test_plugins_do_the_same_on_both_ways(name: str, script: str, caplog: pytest.LogCaptureFixture) -> None:
    key = CallerKey("k", hashlib.sha256(KEY.encode()).hexdigest(), models=("m", "n"))
    first = call(headers=(HEADERS[0], b"Authorization: Bearer %b" % KEY.encode()))
    case = Case(
        [first, first],
        [(answer(),), (answer() if script == "ok" else answer(ERROR, status=b"500 Oh"),)],
        first=first,
        chain=PLUGINS[name],
        changes={"identity": Identity(keys=(key,)), "upstream": {"key": "sk-theirs"}},
    )
    await same(case, caplog)


@pytest.mark.parametrize("what", ["none", "change", "hold, briefly"])
async def test_filters_keep_no_call_from_the_short_way(what: str, caplog: pytest.LogCaptureFixture) -> None:
    short, _ = await same(Case([call()], chain=[*DEFAULT, filtering(what)]), caplog)
    assert short.rides >= 3


async def test_a_judgement_on_the_short_way_may_use_time_outs(caplog: pytest.LogCaptureFixture) -> None:
    short, _ = await same(Case([call()], chain=[*DEFAULT, filtering("hold, timed", **CLOSED)]), caplog)
    assert all(b"200 OK" in head for head, _, _ in short.answers)
