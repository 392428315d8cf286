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
failed at the third time in a row. Nor is work that only rests (`sleep(0)`) cut off, as long as it ends at all: else who
sends much, or many at once, would get by a guard that fails open. For the same reason a long call has more time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

from proxy import view
from proxy.coroutines import Watched, in_a_task, resumed
from proxy.errors import Limited, PluginFailed, Refused
from proxy.exchange import Exchange, Request, Response, Target
from proxy.live import Snapshot
from proxy.plugin import Plugin
from proxy.ports import Now
from proxy.route import Member, Route, applies, for_agent, skipped
from proxy.wanted import Wanted

T = TypeVar("T")
SHADOW: ContextVar[bool] = ContextVar("weir_shadow", default=False)
"""True while a shadow hook runs: the kit's store then writes to a namespace of its own, and `ask` is off."""
OVERRUNS = 3
TELL_S = 60.0
LOG = logging.getLogger("weir.chain")
RESTING = 60
"""So many times its time a hook may take that does nothing but work and rest."""
AMPLE_BYTES = 128 * 1024
"""For each so many of a call a `request` hook has its time once more."""
BYPASSED = frozenset({"audit", "metering"})
"""What still runs while the break-glass bypass is on."""


class Chain:
    """The plugins of one snapshot, compiled per kind of call."""

    ROUTES = 4096

    def __init__(self, snapshot: Snapshot, plugins: dict[str, Plugin[Any]], now: Now) -> None:
        self.snapshot = snapshot
        self._plugins = plugins
        self.now = now
        self._told: dict[tuple[str, str, str], float] = {}
        self._routes: dict[tuple[str, str, str], Route] = {}
        whens = [entry.when for entry in snapshot.chain]
        self._by_model = any(when.models for when in whens)
        self._by_path = any(when.paths for when in whens)
        self._paths = frozenset().union(*(plugin.paths for plugin in plugins.values()))
        """Paths for which some plugins are alone."""
        self._agents = frozenset(snapshot.agents) | {
            agent for when in whens for agent in when.agents if not agent.endswith("*")
        }
        self._agent_patterns = any(agent.endswith("*") for when in whens for agent in when.agents)

    def route(self, agent: str, model: str, path: str) -> Route:
        known = self._agent_patterns or agent in self._agents
        told = self._by_path or path in self._paths
        key = (agent if known else "", model if self._by_model else "", path if told else "")
        found = self._routes.get(key)
        if found is None:
            if len(self._routes) >= self.ROUTES:
                self._routes.clear()
            found = self._routes[key] = self._compile(agent, model, path)
        return found

    def _compile(self, agent: str, model: str, path: str) -> Route:
        own = self.snapshot.agents.get(agent)
        wanted = Wanted(self.snapshot, self._plugins, agent)
        members = []
        for place, listed in enumerate(self.snapshot.chain):
            entry = for_agent(listed, own)
            plugin = self._plugins.get(entry.name)
            if plugin is None or not entry.enabled or not applies(entry.when, agent, model, path):
                continue
            if plugin.paths and path not in plugin.paths:
                continue
            if self.snapshot.bypass and entry.name not in BYPASSED:
                continue
            members.append(Member(plugin, entry, place, wanted.hooks(plugin)))
        return Route.of(members)

    async def out(self, exchange: Exchange, route: Route) -> tuple[Response | None, int]:
        """The `request` hooks, top to bottom. Returns who answered, if anyone, and the place below which the way
        back begins: that of the answering plugin, or below them all."""
        now, plugins = self.now, exchange.timeline.plugins
        start = now()
        for member, place, name, brief, limit_s in route.stops["request"]:
            if brief is not None:
                exchange.place = place
                work = brief(exchange)
                try:
                    waiting = work.send(None)
                except StopIteration as done:
                    answer = done.value
                except Exception as error:  # noqa: BLE001  any failure of a plugin is its envelope's matter
                    answer = None
                    self._stumbled(exchange, member, "request", start, error)
                else:  # one that seldom waits does
                    answer = await self.call(exchange, member, "request", partial(_rest, work, waiting))
                end = now()
                plugins[name] = spent = end - start
                start = end  # of the next one
                if spent > limit_s > 0 or member.overruns:
                    self.measure(exchange, member, "request", spent)
            else:
                if member.partial and skipped(exchange, member):
                    continue
                exchange.place = place
                if member.entry.overlap and not member.shadow and not acts(exchange.request):
                    self._judge_beside(exchange, member)
                    continue
                answer = await self.call(exchange, member, "request", member.plugin.request)
                start = now()
            if answer is not None:
                exchange.step(name, "request", "answered")
                answer.source = name
                return answer, place
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
        now, plugins = self.now, exchange.timeline.plugins
        start = now()
        for member, place, name, brief, limit_s in route.stops["response"]:
            if place >= below:
                continue
            if brief is not None:
                try:
                    await brief(exchange)
                except Exception as error:  # noqa: BLE001  any failure of a plugin is its envelope's matter
                    self._stumbled(exchange, member, "response", start, error)
                end = now()
                spent = end - start
                plugins[name] = plugins.get(name, 0.0) + spent
                start = end  # of the next one
                if spent > limit_s > 0 or member.overruns:
                    self.measure(exchange, member, "response", spent)
            elif not (member.partial and skipped(exchange, member)):
                await self.call(exchange, member, "response", member.plugin.response)
                start = now()

    async def answer(
        self, exchange: Exchange, route: Route, below: int, error: Exception | None
    ) -> tuple[Response | Target, int] | None:
        """The first replacement (and the place it came from) that a plugin has for a whole answer or a failure."""
        for member in route.answering:
            if member.place >= below or (member.partial and skipped(exchange, member)):
                continue
            found = await self.call(exchange, member, "answer", partial(_ask_answer, member.plugin, error))
            if found is not None:
                exchange.step(member.name, "answer", "replaced" if isinstance(found, Response) else "moved")
                if isinstance(found, Response):
                    found.source = member.name
                return found, member.place
        return None

    async def finish(self, exchange: Exchange, route: Route, *, waits: bool = True) -> None:
        """Always, for whoever was entered, bottom to top. Failures are recorded; nobody is left to tell. `waits`: False
        where all were asked and none has to wait."""
        now, plugins, entered = self.now, exchange.timeline.plugins, exchange.place
        start = now()
        for member, place, name, brief, _ in route.stops["finish"]:
            if place > entered:
                continue
            hook = brief
            if hook is None and member.prompt and not (waits and member.plugin.finish_waits(exchange)):
                hook = member.plugin.finish
            if hook is not None:
                try:
                    await hook(exchange)
                except Exception as error:  # noqa: BLE001  nobody is left to tell
                    exchange.step(name, "finish", f"failed {type(error).__name__}")
                end = now()
                plugins[name] = plugins.get(name, 0.0) + end - start
                start = end  # of the next one
            elif not (member.partial and skipped(exchange, member)):
                try:
                    await self.call(exchange, member, "finish", member.plugin.finish)
                except (PluginFailed, Refused, Limited) as error:
                    exchange.step(name, "finish", f"failed {type(error).__name__}")
                start = now()

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
                result = await bounded(work(exchange), limit_of(exchange, member, hook))
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

    def _stumbled(self, exchange: Exchange, member: Member, hook: str, start: float, error: Exception) -> None:
        """A hook that was called in brief has raised. Raises what is to be raised of it."""
        plugins = exchange.timeline.plugins
        plugins[member.name] = plugins.get(member.name, 0.0) + self.now() - start
        if isinstance(error, (Refused, Limited)):
            exchange.step(member.name, hook, f"refused {error.code}")
            raise error
        self.failed(exchange, member, hook, error)

    async def _call_shadow(
        self, exchange: Exchange, member: Member, hook: str, work: Callable[[Exchange], Coroutine[Any, Any, T]]
    ) -> None:
        seen = view.of(exchange)
        token = SHADOW.set(True)
        start = self.now()
        try:
            result = await bounded(work(seen), limit_of(exchange, member, hook))
        except (Refused, Limited) as decision:
            exchange.step(member.name, hook, f"would refuse {decision.code}")
        except Exception as error:  # noqa: BLE001  a shadow plugin must never touch the call
            exchange.step(member.name, hook, f"would fail {type(error).__name__}")
        else:
            view.note(exchange, seen, member.name, hook, result)
        finally:
            SHADOW.reset(token)
            plugins = exchange.timeline.plugins
            plugins[member.name] = plugins.get(member.name, 0.0) + self.now() - start
        view.carry_over(exchange, seen)

    def failed(self, exchange: Exchange, member: Member, hook: str, error: Exception) -> None:
        """A plugin broke: open lets the call go on, closed ends it. Raises PluginFailed."""
        what = "timeout" if isinstance(error, TimeoutError) else type(error).__name__
        exchange.step(member.name, hook, f"failed {what}")
        self._tell(exchange, member, hook, what)
        if member.entry.on_error == "closed":
            raise PluginFailed(member.name, f"plugin {member.name} failed and is set to refuse then") from error

    def _tell(self, exchange: Exchange, member: Member, hook: str, what: str) -> None:
        """A line a minute for each way in which a plugin breaks, without the error's own words, which may quote."""
        now, way = self.now(), (member.name, hook, what)
        if now >= self._told.get(way, now):
            self._told[way] = now + TELL_S
            follows = "the call is refused" if member.entry.on_error == "closed" else "the call passes without it"
            LOG.error("plugin %s failed (%s, %s): %s", member.name, hook, what, follows, extra={"call": exchange.id})

    def measure(self, exchange: Exchange, member: Member, hook: str, spent_s: float) -> None:
        """Overruns of code that did not await. Raises PluginFailed at the third in a row, where set to closed."""
        limit = limit_of(exchange, member, hook)
        if not limit or spent_s <= limit:
            member.overruns = 0
            return
        member.overruns += 1
        if member.overruns >= OVERRUNS:
            member.overruns = 0
            self.failed(exchange, member, hook, TimeoutError())


def limit_of(exchange: Exchange, member: Member, hook: str) -> float:
    """How long this hook may take with this call, in seconds; 0: for ever."""
    limit_s = member.limit_of(hook)
    return limit_s * (1 + len(exchange.request.body) // AMPLE_BYTES) if hook == "request" else limit_s


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


async def _rest(work: Coroutine[Any, Any, T], waiting: Any, exchange: Exchange) -> T:
    return await resumed(work, waiting)


async def _ask_answer(plugin: Plugin[Any], error: Exception | None, exchange: Exchange) -> Response | Target | None:
    return await plugin.answer(exchange, error)


async def bounded(work: Coroutine[Any, Any, T], limit_s: float) -> T:
    """Awaits `work`; TimeoutError when it has been suspended past `limit_s` (0: never)."""
    try:
        waiting = work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    return await suspended(work, waiting, limit_s)


async def suspended(work: Coroutine[Any, Any, T], waiting: Any, limit_s: float) -> T:
    """Goes on with `work`, which was started by hand and waits for `waiting`, as `bounded` does."""
    if asyncio.current_task() is None:
        await in_a_task()
    if not limit_s:
        return await resumed(work, waiting)
    task = asyncio.current_task()
    assert task is not None
    loop, steps = asyncio.get_running_loop(), Watched(work, waiting)
    fired, rests = False, 0
    timer: asyncio.TimerHandle

    def fire() -> None:
        nonlocal fired, rests, timer
        if steps.waiting is None and rests < RESTING:
            rests += 1
            timer = loop.call_later(limit_s, fire)
            return
        fired = True
        task.cancel()

    timer = loop.call_later(limit_s, fire)
    try:
        return await resumed(steps, waiting)
    except asyncio.CancelledError:
        if fired and task.uncancel() == 0:
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
