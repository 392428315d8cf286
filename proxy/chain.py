"""Runs plugins out and back: short circuit, deadline, open or closed, shadow.

Theory of operation
-------------------
A `Chain` belongs to one snapshot. For each kind of call (`agent`, `model`, `path`) it compiles a `Route` once: the
members that are on, and for each hook those that override it, so a hook nobody overrides costs nothing.
Out runs top to bottom until someone answers; whoever was passed is `entered`, and only they see the way back, bottom
to top (`proxy.passage`). Each hook runs inside its plugin's envelope:

  decision (`Refused`, `Limited`)   enforce: goes to the caller          shadow: recorded as `would`, dropped
  failure (anything else, time-out) open: recorded, the call goes on     closed: `PluginFailed`

Synchronous code cannot be interrupted: a hook that overruns its time without awaiting is let through, and counts as
failed at the third time in a row.
"""

from __future__ import annotations

import asyncio
import dis
import inspect
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import xxhash

from proxy.coroutines import resumed
from proxy.errors import Limited, PluginFailed, Refused
from proxy.exchange import Exchange, Request, Response, Target
from proxy.live import Agent, Entry, Snapshot, When
from proxy.plugin import HOOKS, Plugin, overrides

T = TypeVar("T")
Now = Callable[[], float]

SHADOW: ContextVar[bool] = ContextVar("weir_shadow", default=False)
"""True while a shadow hook runs: the kit's store then writes to a namespace of its own, and `ask` is off."""

OVERRUNS = 3
_WAITING = frozenset({"GET_AWAITABLE", "SEND", "YIELD_FROM", "GET_AITER", "GET_ANEXT", "BEFORE_ASYNC_WITH", "ASYNC_GEN_WRAP"})
"""What the interpreter does where a coroutine may wait."""
FINISH_S = 30.0
BYPASSED = frozenset({"audit", "metering"})
"""What still runs while the break-glass bypass is on."""


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

    def __post_init__(self) -> None:
        self.name = self.entry.name
        self.shadow = self.entry.mode == "shadow"
        self.limit_s = self.entry.timeout_ms / 1000
        self.finish_limit_s = max(self.limit_s, FINISH_S) if self.limit_s else 0.0
        self.partial = self.entry.when.share < 1.0
        self.still = frozenset(hook for hook in self.hooks if _still(getattr(self.plugin, hook)))

    def limit_of(self, hook: str) -> float:
        return self.finish_limit_s if hook == "finish" else self.limit_s


@dataclass(frozen=True, slots=True)
class Route:
    """The chain as one kind of call meets it."""

    members: tuple[Member, ...]
    by_hook: dict[str, tuple[Member, ...]]
    """Top to bottom."""
    upward: dict[str, tuple[Member, ...]]
    """Bottom to top."""
    reads_answers: bool
    """Somebody looks into the texts or bytes of an answer on its way."""
    refuses_unread: bool
    """A guard that must not fail cannot let pass what it cannot read."""

    @classmethod
    def of(cls, members: list[Member]) -> Route:
        by_hook = {hook: tuple(member for member in members if hook in member.hooks) for hook in HOOKS}
        return cls(
            tuple(members),
            by_hook,
            {hook: found[::-1] for hook, found in by_hook.items()},
            reads_answers=bool(by_hook["filter"] or by_hook["tape"]),
            refuses_unread=any(
                member.plugin.positions and member.entry.on_error == "closed" and not member.shadow
                for member in members
            ),
        )


class Chain:
    """The plugins of one snapshot, compiled per kind of call."""

    ROUTES = 4096

    def __init__(self, snapshot: Snapshot, plugins: dict[str, Plugin[Any]], now: Now) -> None:
        self.snapshot = snapshot
        self._plugins = plugins
        self.now = now
        self._routes: dict[tuple[str, str, str], Route] = {}
        whens = [entry.when for entry in snapshot.chain]
        self._by_model = any(when.models for when in whens)
        self._by_path = any(when.paths for when in whens)
        self._agents = frozenset(snapshot.agents) | {
            agent for when in whens for agent in when.agents if not agent.endswith("*")
        }
        self._agent_patterns = any(agent.endswith("*") for when in whens for agent in when.agents)

    def route(self, agent: str, model: str, path: str) -> Route:
        known = self._agent_patterns or agent in self._agents
        key = (agent if known else "", model if self._by_model else "", path if self._by_path else "")
        found = self._routes.get(key)
        if found is None:
            if len(self._routes) >= self.ROUTES:
                self._routes.clear()
            found = self._routes[key] = self._compile(agent, model, path)
        return found

    def _compile(self, agent: str, model: str, path: str) -> Route:
        own = self.snapshot.agents.get(agent)
        members = []
        for place, listed in enumerate(self.snapshot.chain):
            entry = _for_agent(listed, own)
            plugin = self._plugins.get(entry.name)
            if plugin is None or not entry.enabled or not _applies(entry.when, agent, model, path):
                continue
            if self.snapshot.bypass and entry.name not in BYPASSED:
                continue
            hooks = frozenset(hook for hook in HOOKS if overrides(plugin, hook))
            members.append(Member(plugin, entry, place, hooks))
        return Route.of(members)

    async def out(self, exchange: Exchange, route: Route) -> tuple[Response | None, int]:
        """The `request` hooks, top to bottom. Returns who answered, if anyone, and the place below which the way
        back begins: that of the answering plugin, or below them all."""
        for member in route.by_hook["request"]:
            if member.partial and skipped(exchange, member):
                continue
            exchange.place = member.place
            if member.entry.overlap and not member.shadow and not acts(exchange.request):
                self._judge_beside(exchange, member)
                continue
            answer = await self.call(exchange, member, "request", member.plugin.request)
            if answer is not None:
                exchange.step(member.name, "request", "answered")
                answer.source = member.name
                return answer, member.place
        below = len(self.snapshot.chain)
        exchange.place = below
        return None, below

    def _judge_beside(self, exchange: Exchange, member: Member) -> None:
        verdict = asyncio.ensure_future(self.call(exchange, member, "request", member.plugin.request))
        verdict.add_done_callback(_look)
        exchange.verdicts.append(verdict)

    async def verdicts(self, exchange: Exchange) -> None:
        """Waits for the guards that judge while the upstream call is under way. Raises what they decided."""
        for verdict in exchange.verdicts:
            await verdict

    def drop_verdicts(self, exchange: Exchange) -> None:
        """The call has ended: nobody needs their judgement any more."""
        for verdict in exchange.verdicts:
            verdict.cancel()
        exchange.verdicts.clear()

    async def response(self, exchange: Exchange, route: Route, below: int) -> None:
        for member in route.upward["response"]:
            if member.place < below and not (member.partial and skipped(exchange, member)):
                await self.call(exchange, member, "response", member.plugin.response)

    async def answer(
        self, exchange: Exchange, route: Route, below: int, error: Exception | None
    ) -> tuple[Response | Target, int] | None:
        """The first replacement (and the place it came from) that a plugin has for a whole answer or a failure."""
        for member in route.upward["answer"]:
            if member.place >= below or (member.partial and skipped(exchange, member)):
                continue
            found = await self.call(exchange, member, "answer", partial(_ask_answer, member.plugin, error))
            if found is not None:
                exchange.step(member.name, "answer", "replaced" if isinstance(found, Response) else "moved")
                if isinstance(found, Response):
                    found.source = member.name
                return found, member.place
        return None

    async def finish(self, exchange: Exchange, route: Route) -> None:
        """Always, for whoever was entered, bottom to top. Failures are recorded; nobody is left to tell."""
        for member in route.upward["finish"]:
            if member.place <= exchange.place and not (member.partial and skipped(exchange, member)):
                try:
                    await self.call(exchange, member, "finish", member.plugin.finish)
                except (PluginFailed, Refused, Limited) as error:
                    exchange.step(member.name, "finish", f"failed {type(error).__name__}")

    async def call(
        self, exchange: Exchange, member: Member, hook: str, work: Callable[[Exchange], Coroutine[Any, Any, T]]
    ) -> T | None:
        """One hook inside its envelope. None where it failed open, or ran in shadow."""
        if member.shadow:
            await self._call_shadow(exchange, member, hook, work)
            return None
        result: T | None = None
        start = self.now()
        try:
            if hook in member.still:
                result = await work(exchange)
            else:
                result = await bounded(work(exchange), member.limit_of(hook))
        except (Refused, Limited) as decision:
            exchange.step(member.name, hook, f"refused {decision.code}")
            raise
        except Exception as error:  # noqa: BLE001  any failure of a plugin is its envelope's matter
            self.failed(exchange, member, hook, error)
        finally:
            spent = self.now() - start
            plugins = exchange.timeline.plugins
            plugins[member.name] = plugins.get(member.name, 0.0) + spent
        if member.overruns or spent > member.limit_s > 0:
            self.measure(exchange, member, hook, spent)
        return result

    async def _call_shadow(
        self, exchange: Exchange, member: Member, hook: str, work: Callable[[Exchange], Coroutine[Any, Any, T]]
    ) -> None:
        view = shadow_view(exchange)
        token = SHADOW.set(True)
        start = self.now()
        try:
            result = await bounded(work(view), member.limit_of(hook))
        except (Refused, Limited) as decision:
            exchange.step(member.name, hook, f"would refuse {decision.code}")
        except Exception as error:  # noqa: BLE001  a shadow plugin must never touch the call
            exchange.step(member.name, hook, f"would fail {type(error).__name__}")
        else:
            _note_would(exchange, view, member, hook, result)
        finally:
            SHADOW.reset(token)
            plugins = exchange.timeline.plugins
            plugins[member.name] = plugins.get(member.name, 0.0) + self.now() - start
        exchange.findings.extend(
            replace(finding, action=f"would {finding.action}") for finding in view.findings[len(exchange.findings) :]
        )

    def failed(self, exchange: Exchange, member: Member, hook: str, error: Exception) -> None:
        """A plugin broke: open lets the call go on, closed ends it. Raises PluginFailed."""
        what = "timeout" if isinstance(error, TimeoutError) else type(error).__name__
        exchange.step(member.name, hook, f"failed {what}")
        if member.entry.on_error == "closed":
            raise PluginFailed(member.name, f"plugin {member.name} failed and is set to refuse then") from error

    def measure(self, exchange: Exchange, member: Member, hook: str, spent_s: float) -> None:
        """Overruns of code that did not await. Raises PluginFailed at the third in a row, where set to closed."""
        limit = member.limit_of(hook)
        if not limit or spent_s <= limit:
            member.overruns = 0
            return
        member.overruns += 1
        if member.overruns >= OVERRUNS:
            member.overruns = 0
            self.failed(exchange, member, hook, TimeoutError())


def _look(verdict: asyncio.Future[Any]) -> None:
    """Takes note of a verdict that nobody waited for, so that it is not reported as lost."""
    if not verdict.cancelled():
        verdict.exception()


def acts(request: Request) -> bool:
    """Whether the provider would do or keep something that a later verdict could not undo: hosted tools, work in the
    background, stored answers (which Responses are unless they say no). Such calls wait for their guards."""
    store = request.get("store")
    if store is None:
        store = request.dialect == "responses"
    if store or any(request.get(name) for name in ("background", "web_search_options", "mcp_servers")):
        return True
    tools = request.get("tools")
    kinds = [tool.get("type", "custom") for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return any(kind not in ("function", "custom") for kind in kinds)


def _still(hook: Callable[..., Any]) -> bool:
    """Whether this is a coroutine function in which nothing is awaited: it ends as soon as it is begun."""
    if not inspect.iscoroutinefunction(hook):
        return False
    found = dis.get_instructions(inspect.unwrap(hook))
    return not any(instruction.opname in _WAITING for instruction in found)


async def _ask_answer(plugin: Plugin[Any], error: Exception | None, exchange: Exchange) -> Response | Target | None:
    return await plugin.answer(exchange, error)


def skipped(exchange: Exchange, member: Member) -> bool:
    """Whether `when.share` leaves this call out; the same for all hooks and for all turns of a conversation."""
    share = member.entry.when.share
    if share >= 1.0:
        return False
    unit = exchange.conversation or exchange.id
    return xxhash.xxh3_64_intdigest(f"{member.name}\0{unit}".encode()) / 2**64 >= share


def shadow_view(exchange: Exchange) -> Exchange:
    """A copy on which hooks may do what they like."""
    view = Exchange(
        exchange.id,
        exchange.caller,
        exchange.request.view(),
        at_s=exchange.at_s,
        start=exchange.timeline.start,
        snapshot=exchange.snapshot,
    )
    view.target = exchange.target
    view.conversation = exchange.conversation
    view.variant = exchange.variant
    view.notes.update(exchange.notes)
    view.state = exchange.state
    view.findings = list(exchange.findings)
    if exchange.response is not None:
        view.response = replace(exchange.response, said=[segment.copy() for segment in exchange.response.segments])
    return view


def _note_would(exchange: Exchange, view: Exchange, member: Member, hook: str, result: object) -> None:
    if result is not None:
        exchange.step(member.name, hook, "would answer")
    if hook != "request":
        return
    before = {id(segment.slot): segment.text for segment in exchange.request.segments}
    edited = sum(1 for segment in view.request.segments if before.get(id(segment.slot)) != segment.text)
    if edited:
        exchange.step(member.name, hook, f"would edit {edited}")
    changed = sorted(name for name, value in view.request.edits.items() if exchange.request.edits.get(name) != value)
    if changed:
        exchange.step(member.name, hook, f"would set {' '.join(changed)}")
    if len(view.request.inserts) > len(exchange.request.inserts):
        exchange.step(member.name, hook, f"would insert {len(view.request.inserts) - len(exchange.request.inserts)}")


def _for_agent(entry: Entry, agent: Agent | None) -> Entry:
    override = agent.plugins.get(entry.name) if agent else None
    if not override:
        return entry
    envelope = {name: value for name, value in override.items() if name not in ("options", "when", "uses", "name")}
    return replace(entry, **envelope)


def _applies(when: When, agent: str, model: str, path: str) -> bool:
    return _matches(when.agents, agent) and _matches(when.models, model) and _matches(when.paths, path)


def _matches(patterns: tuple[str, ...], value: str) -> bool:
    if not patterns:
        return True
    return any(value.startswith(p[:-1]) if p.endswith("*") else value == p for p in patterns)


async def bounded(work: Coroutine[Any, Any, T], limit_s: float) -> T:
    """Awaits `work`; TimeoutError when it has been suspended past `limit_s` (0: never)."""
    try:
        waiting = work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    return await suspended(work, waiting, limit_s)


async def suspended(work: Coroutine[Any, Any, T], waiting: Any, limit_s: float) -> T:
    """Goes on with `work`, which was started by hand and waits for `waiting`, as `bounded` does."""
    if not limit_s:
        return await resumed(work, waiting)
    task = asyncio.current_task()
    assert task is not None
    fired = False

    def fire() -> None:
        nonlocal fired
        fired = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(limit_s, fire)
    try:
        return await resumed(work, waiting)
    except asyncio.CancelledError:
        if fired and task.uncancel() == 0:
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
