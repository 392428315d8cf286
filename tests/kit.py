"""Fakes and builders for tests: a clock that jumps, a store and metrics in memory, snapshots and exchanges."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from proxy import wire
from proxy.derived import derived
from proxy.exchange import Caller, Exchange, Request, Response, Target
from proxy.live import Agent, Entry, Identity, Limits, Snapshot, Streams, Upstream
from proxy.memory import Memory
from proxy.plugin import Kit, NoOptions, Plugin
from proxy.store.memory import MemoryStore
from proxy.upstream import endpoint
from proxy.wire.body import encode

T = TypeVar("T")


class FakeClock:
    """Time that stands still until it is told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def wall_s(self) -> float:
        return 1_700_000_000.0 + self.now_s

    def monotonic_s(self) -> float:
        return self.now_s

    def jump(self, by_s: float) -> None:
        self.now_s += by_s


class FakeMetrics:
    """Counts in a dictionary: `(name, sorted labels) -> value`."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}

    def counter(self, name: str, **labels: str) -> _Cell:
        return _Cell(self.values, (name, tuple(sorted(labels.items()))))

    def histogram(self, name: str, **labels: str) -> _Cell:
        return _Cell(self.values, (name, tuple(sorted(labels.items()))))

    def gauge(self, name: str, **labels: str) -> Callable[[float], None]:
        return _Cell(self.values, (name, tuple(sorted(labels.items())))).put

    def total(self, name: str) -> float:
        return sum(value for (found, _), value in self.values.items() if found == name)


class _Cell:
    def __init__(self, values: dict[Any, float], key: Any) -> None:
        self._values = values
        self._key = key

    def add(self, amount: float = 1.0) -> None:
        self._values[self._key] = self._values.get(self._key, 0.0) + amount

    def observe(self, value: float) -> None:
        self.add(1.0)

    def put(self, value: float) -> None:
        self._values[self._key] = value


class FakeTokens:
    """A token is a word."""

    def count(self, text: str, model: str) -> int:
        return len(text.split())

    def exact(self, model: str) -> bool:
        return True

    def loaded(self, model: str) -> bool:
        return True


class FakePrices:
    """A thousand nano-dollars a token, of any model but `unpriced`."""

    def cost_nano_usd(self, upstream: str, model: str, usage: Any, at_s: float) -> tuple[int | None, str]:
        return (None, "unknown") if model == "unpriced" else (1000 * usage.total, "fake")


class FakeTasks:
    """Threads are the loop; spawned work is kept for the test to await."""

    def __init__(self) -> None:
        self.spawned: list[Coroutine[Any, Any, Any]] = []

    async def in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        return work(*arguments)

    def spawn(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        self.spawned.append(work)

    async def settle(self) -> None:
        while self.spawned:
            await self.spawned.pop(0)


class FixedLive:
    def __init__(self, current: Snapshot) -> None:
        self.current = current


async def no_ask(exchange: Exchange, target: Target, call: dict[str, Any], purpose: str) -> Response:
    raise AssertionError("this test asks no model")


def kit(clock: FakeClock | None = None, metrics: FakeMetrics | None = None) -> Kit:
    clock = clock or FakeClock()
    return Kit(
        clock=clock, store=MemoryStore(clock), tokens=FakeTokens(), prices=FakePrices(),
        metrics=metrics or FakeMetrics(), tasks=FakeTasks(), live=FixedLive(snapshot()), ask=no_ask, memory=Memory(),
        secret=derived(b"s" * 32), targets=endpoint.targets_of,
    )  # fmt: skip


def snapshot(*chain: Entry, agents: dict[str, Agent] | None = None, **other: Any) -> Snapshot:
    """One upstream for everything; options are the plugin's defaults unless `resolve` is given."""
    made = Snapshot(
        version=1,
        upstreams=other.pop("upstreams", {"sim": Upstream("sim", "http://127.0.0.1:9/v1")}),
        aliases=other.pop("aliases", {}),
        chain=chain,
        agents=agents or {},
        identity=other.pop("identity", Identity()),
        limits=other.pop("limits", Limits()),
        streams=other.pop("streams", Streams()),
        **other,
    )
    return made if made.resolve else replace(made, resolve=lambda plugin, agent, variant: NoOptions())


def entry(name: str, **envelope: Any) -> Entry:
    return Entry(name, name, **envelope)


def exchange(snapshot_: Snapshot | None = None, doc: dict[str, Any] | None = None, **caller: Any) -> Exchange:
    """A chat call."""
    codec = wire.codec("chat")
    body = encode(doc or {"model": "m", "messages": [{"role": "user", "content": "hello"}]})
    parsed = codec.read(body)
    request = Request(
        "chat", "POST", "/v1/chat/completions", "", [], body,
        doc=parsed, model=parsed.get("model", ""), stream=parsed.get("stream") is True,
        walk=codec.walk, write=codec.write,
    )  # fmt: skip
    return Exchange(
        "wr_test", Caller(**caller), request, at_s=0.0, start=0.0, snapshot=snapshot_ or snapshot()
    )  # fmt: skip


def scripted(name_: str, **hooks: Any) -> Plugin[NoOptions]:
    """`scripted("a", request=async_function)`: only the hooks given are overridden."""
    members: dict[str, Any] = {"name": name_}
    for hook, work in hooks.items():
        members[hook] = _method(work)
    cls = type(f"Scripted_{name_}", (Plugin,), members)
    return cls(kit())  # type: ignore[no-any-return]


def _method(work: Any) -> Any:
    def method(self: Any, *arguments: Any) -> Any:
        return work(*arguments)

    return method
