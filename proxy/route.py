"""Whom of the chain a kind of call meets: members at their places, their envelopes, and which hooks they have."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import xxhash

from proxy.exchange import Exchange
from proxy.live import Agent, Entry, When
from proxy.plugin import HOOKS, Plugin

FINISH_S = 30.0
_WAITING = frozenset({"GET_AWAITABLE", "SEND", "YIELD_FROM", "GET_AITER", "GET_ANEXT", "BEFORE_ASYNC_WITH"})
"""What the interpreter does where a coroutine may wait."""


@dataclass(slots=True)
class Member:
    """A plugin at its place, with its envelope."""

    plugin: Plugin[Any]
    entry: Entry
    place: int
    hooks: frozenset[str]
    overruns: int = 0
    name: str = field(init=False)
    shadow: bool = field(init=False)
    limit_s: float = field(init=False)
    """Seconds for a hook; 0 for no limit."""
    finish_limit_s: float = field(init=False)
    """At the end nobody waits, and a busy machine must not cost a call its figures."""
    partial: bool = field(init=False)
    """Only a share of the calls is for it."""
    still: frozenset[str] = field(init=False)
    """Hooks that cannot wait: there is no `await` in them."""
    brief: dict[str, Callable[[Exchange], Coroutine[Any, Any, Any]]] = field(init=False)
    """Those of them that need no look at anything but the clock: always on, enforcing, before all that is below."""

    prompt: bool = field(init=False)
    """Always on and enforcing: a `finish` that has nothing to wait for needs no envelope but the clock."""

    def __post_init__(self) -> None:
        self.name = self.entry.name
        self.shadow = self.entry.mode == "shadow"
        self.limit_s = self.entry.timeout_ms / 1000
        if self.limit_s:
            self.limit_s = max(self.limit_s, self.plugin.patience_s)
        self.finish_limit_s = max(self.limit_s, FINISH_S) if self.limit_s else 0.0
        self.partial = self.entry.when.share < 1.0
        self.still = frozenset(hook for hook in self.hooks if _still(getattr(self.plugin, hook)))
        always = not (self.shadow or self.partial or self.entry.overlap)
        self.prompt = always
        self.brief = {hook: getattr(self.plugin, hook) for hook in self.still if always}

    @property
    def short(self) -> bool:
        """It keeps no call from the short way."""
        known = self.hooks <= {"request", "response", "filter", "tape", "finish"}
        plain = known and self.hooks - {"filter", "tape", "finish"} <= self.still | self.plugin.seldom
        return plain and not (self.shadow or self.partial or self.entry.overlap)

    def stop(self, hook: str) -> Stop:
        """`request` hooks that seldom wait are called in brief, too: where one waits, its envelope goes on."""
        brief = self.brief.get(hook)
        if brief is None and hook == "request" and self.prompt and hook in self.plugin.seldom:
            brief = getattr(self.plugin, hook)
        return self, self.place, self.name, brief, self.limit_of(hook)

    def limit_of(self, hook: str) -> float:
        return self.finish_limit_s if hook == "finish" else self.limit_s


Stop = tuple[Member, int, str, Callable[[Exchange], Coroutine[Any, Any, Any]] | None, float]
"""A member where one of its hooks is called: place, name, the hook where it is called in brief, limit (s)."""


@dataclass(frozen=True, slots=True)
class Route:
    """The chain as one kind of call meets it."""

    members: tuple[Member, ...]
    by_hook: dict[str, tuple[Member, ...]]
    """Top to bottom."""
    answering: tuple[Member, ...]
    """Those that may replace an answer, bottom to top."""
    stops: dict[str, tuple[Stop, ...]]
    """`request` top to bottom, `response` and `finish` bottom to top."""
    reads_answers: bool
    """Somebody looks into the texts or bytes of an answer on its way."""
    readers: tuple[Member, ...]
    """Those who do, bottom to top."""
    tapes: tuple[Member, ...]
    """Those that take answers down, bottom to top, where nobody else looks into them."""
    refuses_unread: bool
    """A guard of calls that must not fail cannot let pass what it cannot read."""
    refuses_answers: bool
    """The same of a guard of answers."""
    short: bool
    """Hooks on the way of a JSON answer hardly ever wait: the short way is open (`proxy.express`)."""
    prompt: bool
    """Nothing but its own waiting keeps a `finish` from running at once."""
    lingering: tuple[Member, ...]
    """Those whose `finish` may wait."""
    again: Route | None
    """What runs for a call that repeats one that was answered (`proxy.repeats`); None: it takes the whole way."""

    @classmethod
    def of(cls, members: list[Member]) -> Route:
        """Top to bottom."""
        return replace(cls._of(members), again=_again(members))

    @classmethod
    def _of(cls, members: list[Member]) -> Route:
        by_hook = {hook: tuple(member for member in members if hook in member.hooks) for hook in HOOKS}
        return cls(
            tuple(members),
            by_hook,
            by_hook["answer"][::-1],
            {
                "request": tuple(member.stop("request") for member in by_hook["request"]),
                "response": tuple(member.stop("response") for member in by_hook["response"][::-1]),
                "finish": tuple(member.stop("finish") for member in by_hook["finish"][::-1]),
            },
            reads_answers=bool(by_hook["filter"] or by_hook["tape"]),
            readers=tuple(member for member in members[::-1] if member.hooks & {"filter", "tape"}),
            tapes=() if by_hook["filter"] else by_hook["tape"][::-1],
            refuses_unread=_strict(members, "request"),
            refuses_answers=_strict(members, "answer"),
            short=all(member.short for member in members),
            prompt=all(member.prompt for member in by_hook["finish"]),
            lingering=tuple(member for member in by_hook["finish"] if "finish" not in member.still),
            again=None,
        )


def _again(members: list[Member]) -> Route | None:
    once_more = []
    for member in members:
        hooks = _told_again(member.plugin) if member.hooks else frozenset()
        if hooks is None or member.shadow or member.partial or member.entry.overlap:
            return None
        once_more.append(Member(member.plugin, member.entry, member.place, member.hooks & hooks))
    return Route._of(once_more)


def _told_again(plugin: Plugin[Any]) -> frozenset[str] | None:
    """What the plugin says of it, if that was said of the hooks it has: those of a class made from it are another's."""
    line = type(plugin).__mro__
    told = next(place for place, one in enumerate(line) if "again" in vars(one))
    made = (next(place for place, one in enumerate(line) if hook in vars(one)) for hook in HOOKS)
    return plugin.again if all(place >= told for place in made) else None


def _strict(members: list[Member], side: str) -> bool:
    """Whether one of them inspects this side (or a position of it) and must not fail."""
    return any(
        member.entry.on_error == "closed"
        and not member.shadow
        and any(one.partition(".")[0] == side for one in member.plugin.positions)
        for member in members
    )


def skipped(exchange: Exchange, member: Member) -> bool:
    """Whether `when.share` leaves this call out; the same for all hooks and for all turns of a conversation."""
    share = member.entry.when.share
    if share >= 1.0:
        return False
    unit = exchange.conversation or exchange.id
    return xxhash.xxh3_64_intdigest(f"{member.name}\0{unit}".encode()) / 2**64 >= share


def for_agent(entry: Entry, agent: Agent | None) -> Entry:
    override = agent.plugins.get(entry.name) if agent else None
    if not override:
        return entry
    envelope = {name: value for name, value in override.items() if name not in ("options", "when", "uses", "name")}
    return replace(entry, **envelope)


def applies(when: When, agent: str, model: str, path: str) -> bool:
    return _matches(when.agents, agent) and _matches(when.models, model) and _matches(when.paths, path)


def _matches(patterns: tuple[str, ...], value: str) -> bool:
    if not patterns:
        return True
    return any(value.startswith(p[:-1]) if p.endswith("*") else value == p for p in patterns)


def _still(hook: Callable[..., Any]) -> bool:
    """Whether this is a coroutine function in which nothing is awaited: it ends as soon as it is begun."""
    if not inspect.iscoroutinefunction(hook):
        return False
    code = getattr(hook, "__code__", None)
    return code is not None and not any(found.opname in _WAITING for found in dis.get_instructions(code))
