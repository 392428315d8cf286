"""Cache: identical calls are answered once. What one is: `key`; which may: `eligible`; which answers are kept: `tape`.

Below all that chooses and above what only shrinks, so that masked texts are kept and every guard above sees a hit on
its way back. An answer is looked for in memory, then on the shelves beyond the process, where there are any.

  HIT      an answer that was kept, with its usage (`cached`), its `age` and no cost
  MISS     the provider is asked; calls under way with the same `exchange.flight` may share its answer
  BYPASS   the provider is asked, for a reason that the steps of the call tell
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any, Final

from plugins.cache import echo, replay, seen
from plugins.cache.control import PLAIN, Control, control, insist
from plugins.cache.eligible import deterministic, why_not
from plugins.cache.entry import Entry, Filter
from plugins.cache.far import Far
from plugins.cache.key import Keys, canonical, loses, told
from plugins.cache.memory import Memory
from plugins.cache.options import CacheOptions
from plugins.cache.retries import Retries
from plugins.cache.seam import Neighbour, Ticket
from plugins.cache.seen import Seen
from plugins.cache.tally import Tally
from plugins.cache.tape import Recorder, answered, events, named_in, worth
from proxy.errors import BadRequest, UpstreamFailed
from proxy.exchange import Exchange, Json, Response, Target
from proxy.plugin import Kit, Named, Plugin, Tape, Verdict

DEFAULTS: Final = CacheOptions()
LONGEST_BYTES: Final = 4 * 1024 * 1024
"""A call; one that is longer would hold the loop while its key is made."""
AT_ONCE: Final = 512
"""Entries that are looked at in one go."""


class Cache(Plugin[CacheOptions]):
    name = "cache"
    Options = CacheOptions
    after = frozenset({"injection", "pii", "output_filter", "variants", "fewshot", "routing"})
    seldom = frozenset({"request"})
    again = frozenset()
    rows = ("a", "b")
    whole = frozenset({"memory_bytes", "strategy", "shared", "sqlite", "sqlite_bytes"})

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self.keys = Keys(kit.secret)
        self.memory = Memory(DEFAULTS.memory_bytes)
        self.far = Far(kit, self._forgotten)
        self.semantic: Neighbour | None = None
        self._retries = Retries()
        self._seen, self._watching = Seen(), False
        self._version = -1
        self._tally = Tally(kit.metrics)
        self._count = self._tally.count
        self._bytes = kit.metrics.gauge("weir_cache_bytes")

    def needed(self, hook: str, snapshot: Any, agent: Any) -> bool:
        given = self.given(snapshot, agent)
        if given.get("ttl_s", DEFAULTS.ttl_s) == 0:
            return False
        return hook != "answer" or bool(given.get("stale_if_error_s"))

    @classmethod
    def named(cls, options: CacheOptions) -> Iterable[Named]:
        embedder = options.semantic.embedder
        if "/" in embedder:
            yield Named(("semantic", "embedder"), embedder, "upstream", ("embeddings",))

    async def start(self) -> None:
        self._follow(self.kit.live.current)
        await self.far.start()
        if self.semantic is not None:
            await self.semantic.start([options.semantic for options in self.configured()])

    async def stop(self) -> None:
        await self.far.stop()

    # --- out

    async def request(self, exchange: Exchange) -> Response | None:
        snapshot = exchange.snapshot
        if snapshot.version > self._version:
            self._follow(snapshot)
        options, request, target = exchange.options(self), exchange.request, exchange.target
        if target is None or not options.ttl_s:
            return None
        if len(request.body) > LONGEST_BYTES:
            self._bypass(exchange, "too long a call", told(request)[0])
            return None
        said, chosen = told(request)
        doc = request.present()
        why = why_not(request, doc, target.model)
        if not why and options.cacheable == "deterministic" and not deterministic(request.dialect, doc):
            why = "not deterministic"
        if not why and doc is not request.doc and loses(request.body, request.doc):
            why = "integers too long"
        if why:
            self._bypass(exchange, why, said)
            return None
        asked = control(said, options) if said else PLAIN
        ticket = self._ticket(exchange, doc, chosen, asked)
        if asked.ignored:
            exchange.step(self.name, "request", f"ignored x-weir-cache: {asked.ignored}")
        why = "no-cache" if asked.fresh else ""
        if not why and exchange.caller.session is not None and self._is_retry(exchange, ticket):
            why = "an identical call in its session: a retry"
        if why:
            ticket.doc = None
            self._bypass(exchange, why)
            return None
        entry = self.memory.find(ticket.key)
        if self.far.there:
            self.far.look_round(exchange.timeline.start)
            if entry is None or entry.age_s(exchange.at_s) >= entry.ttl_s:
                entry = await self._fetched(exchange, ticket) or entry
        if entry is not None:
            found = self._found(exchange, ticket, entry)
            if found is not None:
                if exchange.caller.session is None:
                    found.again = partial(self._again, ticket.key, entry, ticket.within_s)
                return found
        if self.semantic is not None:
            answer = await self.semantic.look(exchange, ticket)
            if answer is not None:
                return answer
        if self._seen and (would := self._would(exchange, ticket)) is not None:
            return would
        ticket.doc = None  # (a stream that takes long does not keep it alive)
        exchange.cache = "MISS"
        if not asked.unkept:
            exchange.flight = self._flight(ticket)
        ticket.missed = True
        return None

    def _ticket(self, exchange: Exchange, doc: Json, chosen: list[str] | None, asked: Control) -> Ticket:
        options: CacheOptions = exchange.options(self)
        assert exchange.target is not None
        text = canonical(exchange, doc, chosen)
        ttl_s = options.ttl_s if asked.ttl_s is None else asked.ttl_s
        ticket = exchange.state[self.name] = Ticket(
            self.keys.local(text), exchange.target, doc, echo.named(exchange.request.dialect, doc), options,
            0.0 if asked.unkept else ttl_s,
            len(exchange.findings), text if self.far.there else b"", None, asked.ttl_s,
        )  # fmt: skip
        return ticket

    def _flight(self, ticket: Ticket) -> str:
        """Calls under way share the provider's bytes as they come: what these tell of one call is no other's."""
        if not ticket.named or not any(ticket.named):
            return ticket.key.hex()
        return ticket.key.hex() + self.keys.local(repr(ticket.named).encode("utf-8", "surrogatepass")).hex()

    def _bypass(self, exchange: Exchange, why: str, said: str = "") -> None:
        """`said`: what its caller says of the cache, where no answer to it could be kept."""
        exchange.cache = "BYPASS"
        exchange.step(self.name, "request", f"bypass {why}")
        self._count(exchange, "bypass")
        insist(self.name, said, why)

    def _is_retry(self, exchange: Exchange, ticket: Ticket) -> bool:
        within_s = ticket.options.retry_s
        now_s = self.kit.clock.monotonic_s()
        return within_s > 0 and self._retries.again(ticket.key, exchange.conversation, now_s, within_s)

    def _found(self, exchange: Exchange, ticket: Ticket, entry: Entry, result: str = "hit") -> Response | None:
        """The answer, if its time is not over."""
        age_s, within_s = entry.age_s(exchange.at_s), ticket.within_s
        if age_s < (entry.ttl_s if within_s is None else min(entry.ttl_s, within_s)):
            return self._hit(exchange, ticket, entry, age_s, result)
        window_s = ticket.options.stale_if_error_s
        if result != "hit":  # (of another call's answer nothing more is wanted)
            return None
        if age_s >= entry.ttl_s + window_s:
            self.memory.drop(ticket.key)
        elif window_s:
            ticket.stale = entry
        return None

    def _would(self, exchange: Exchange, ticket: Ticket) -> Response | None:
        """In shadow nothing is kept; that an answer would have been there is told all the same."""
        if not seen.of_call(self.name, exchange):
            return None
        saving = self._seen.find(ticket.key, exchange.at_s, ticket.ttl_s)
        if saving is None:
            return None
        exchange.savings.append(saving)
        return Response(text="")

    def _hit(self, exchange: Exchange, ticket: Ticket, entry: Entry, age_s: float, result: str = "hit") -> Response:
        exchange.cache = "HIT"
        exchange.savings.append(replay.saved(entry, self.kit.prices, exchange.at_s, self.name))
        self._count(exchange, result)
        if exchange.caller.session is not None:
            self._retries.given(ticket.key, exchange.conversation, self.kit.clock.monotonic_s())
        return replay.replayed(entry, ticket.named, age_s)

    def _again(
        self, key: bytes, entry: Entry, within_s: float | None, exchange: Exchange
    ) -> Callable[[], Response] | None:
        """For a call that repeats one which got `entry` (and would be no retry: it is in no session)."""
        if self.far.there:
            self.far.look_round(exchange.timeline.start)
        age_s = entry.age_s(exchange.at_s)
        left_s = entry.ttl_s if within_s is None else min(entry.ttl_s, within_s)
        if age_s >= left_s or self.memory.find(key) is not entry:
            return None
        return partial(self._give_again, exchange, entry, age_s)

    def _give_again(self, exchange: Exchange, entry: Entry, age_s: float) -> Response:
        exchange.cache = "HIT"
        exchange.savings.append(replay.saved(entry, self.kit.prices, exchange.at_s, self.name))
        self._count(exchange, "hit")
        return replay.head(entry, age_s)

    async def _fetched(self, exchange: Exchange, ticket: Ticket) -> Entry | None:
        entry = await self.far.get(self.keys.shared(ticket.canonical))
        if entry is None or entry.stream is not exchange.request.stream:
            return None
        self.memory.keep(ticket.key, entry)
        return entry

    # --- back

    def tape(self, exchange: Exchange) -> Tape | None:
        ticket: Ticket | None = exchange.state.get(self.name)
        if ticket is None or not answered(exchange):
            return None
        if exchange.cache == "COALESCED":  # (who made the call keeps its answer)
            if exchange.caller.session is not None:
                self._retries.given(ticket.key, exchange.conversation, self.kit.clock.monotonic_s())
            return None
        ticket.findings = len(exchange.findings)
        return Recorder(ticket.options.entry_bytes, partial(self._keep, exchange, ticket))

    def _keep(self, exchange: Exchange, ticket: Ticket, body: bytes) -> None:
        """A complete answer has passed."""
        response, caller, target = exchange.response, exchange.caller, exchange.target
        if response is None or target != ticket.target or not worth(exchange, body, ticket.findings):
            return
        if caller.session is not None and ticket.options.retry_s:
            self._retries.given(ticket.key, exchange.conversation, self.kit.clock.monotonic_s())
        if ticket.ttl_s <= 0:
            return
        entry = Entry(
            body=events(exchange, body) if exchange.request.stream else body,
            stream=exchange.request.stream,
            made_s=exchange.at_s,
            ttl_s=ticket.ttl_s,
            tenant=caller.tenant,
            agent=caller.agent,
            upstream=target.upstream,
            model=target.model,
            served=response.model or target.model,
            finish=response.finish,
            id=response.id or named_in(body),
            call=exchange.id,
            person=self.keys.person(caller.user),
            usage=response.usage if response.usage_source == "provider" else None,
            named=ticket.named,
        )
        if self.far.marks.cover(entry):
            return
        self.memory.keep(ticket.key, entry)
        self._bytes(self.memory.used_bytes)
        if ticket.canonical:
            self.far.put(self.keys.shared(ticket.canonical), entry, entry.ttl_s + ticket.options.stale_if_error_s)
        if self.semantic is not None:
            self.semantic.kept(exchange, ticket, entry)

    async def answer(self, exchange: Exchange, error: Exception | None) -> Response | Target | None:
        """When the provider fails for good: an answer whose time is over, if there is one that is not too old."""
        ticket: Ticket | None = exchange.state.get(self.name)
        if (
            ticket is None
            or ticket.stale is None
            or not isinstance(error, UpstreamFailed)
            or not replay.passes(exchange)
        ):
            return None
        entry = ticket.stale
        found = self._hit(exchange, ticket, entry, entry.age_s(exchange.at_s))
        found.headers.append(replay.STALE)
        exchange.step(self.name, "answer", "stale")
        self._count(exchange, "stale")
        return found

    async def finish(self, exchange: Exchange) -> None:
        """What a shared answer spared; in shadow, what would have been kept."""
        ticket: Ticket | None = exchange.state.get(self.name)
        response = exchange.response
        if ticket is not None and ticket.missed:
            self._count(exchange, "coalesced" if exchange.cache == "COALESCED" else "miss")
        if self.semantic is not None and exchange.cache == "SEMANTIC":
            exchange.lesson(self.name, self.semantic.lesson(exchange))
        if ticket is not None and exchange.cache == "COALESCED" and response is not None and response.usage is not None:
            served = exchange.target or ticket.target
            models, upstream = (response.model, served.model), served.upstream
            spared = replay.saving_of(self.kit.prices, response.usage, upstream, models, exchange.at_s, self.name)
            exchange.savings.append(replace(spared, kind="coalesced"))
            return
        if not self._watching or ticket is None or response is None or not answered(exchange):
            return
        if not seen.of_call(self.name, exchange):
            return
        if exchange.target == ticket.target and worth(exchange, response.body or b"", len(exchange.findings)):
            models, upstream = (response.model, ticket.target.model), ticket.target.upstream
            saving = replay.saving_of(self.kit.prices, response.usage, upstream, models, exchange.at_s, self.name)
            self._seen.note(ticket.key, exchange.at_s, saving)

    # --- beside the calls

    def scan(self, row: dict[str, Any], options: CacheOptions) -> dict[str, Any]:
        """`hit`, `similarity`, `reason` and `embedder` for the last user texts `a` and `b` of otherwise equal calls."""
        if self.semantic is None:
            self.semantic = self._neighbour()
        return self.semantic.scan(row, options.semantic)

    def _neighbour(self) -> Neighbour:
        """Loaded where it is wanted: it takes a tenth of a second and some megabytes."""
        made, give = import_module("plugins.cache.semantic.semantic").Semantic, partial(self._found, result="semantic")
        found: Neighbour = made(self.kit, self.keys.shared, lambda key: self.memory.find(key), give)
        return found

    async def feedback(self, verdict: Verdict) -> None:
        if self.semantic is not None:
            self.semantic.judged(verdict)

    async def forget(self, user: str) -> int:
        """Answers to calls of this user, here and on the shelves beyond."""
        return await self.invalidate(Filter(person=self.keys.person(user)))

    async def export(self, user: str) -> list[dict[str, Any]]:
        person = self.keys.person(user)
        held = sum(entry.person == person for _, entry in self.memory.entries())
        return [{"answers": held}] if held else []

    async def invalidate(self, wanted: Filter) -> int:
        """Drops all that `wanted` describes and was made up to now, wherever it lies, and what is under way; gives how
        many there were, as far as that is known."""
        wanted = replace(wanted, before_s=wanted.before_s or self.kit.clock.wall_s())
        self.far.marks.add((wanted,))
        here = await self._forgotten(wanted)
        return max(here, await self.far.forget(wanted))

    async def ordered(self, order: dict[str, Any]) -> dict[str, Any]:
        """`invalidate` with `tenant`, `agent`, `model`, `id`; `stats`."""
        if order.get("do") == "invalidate":
            tenant, agent, model, named = (str(order.get(name, "")) for name in ("tenant", "agent", "model", "id"))
            return {"dropped": await self.invalidate(Filter(tenant, agent, model, named))}
        if order.get("do") != "stats":
            raise BadRequest("the cache knows the orders invalidate and stats")
        memory = self.memory
        return {
            "entries": len(memory), "bytes": memory.used_bytes, "most_bytes": memory.most_bytes,
            "evicted": memory.evicted, "strategy": memory.strategy, "shelves": self.far.names, **self._tally.totals,
            "in_other_words": None if self.semantic is None else self.semantic.report(),
        }  # fmt: skip

    async def _forgotten(self, wanted: Filter) -> int:
        """Drops it here. There may be many: the loop is let go in between."""
        here, memory = 0, self.memory
        entries = memory.entries()
        for start in range(0, len(entries), AT_ONCE):
            here += sum(entry.matches(wanted) and memory.drop(key) for key, entry in entries[start : start + AT_ONCE])
            await asyncio.sleep(0)
        self._bytes(self.memory.used_bytes)
        if self.semantic is not None:
            self.semantic.prune()
        return here

    def _follow(self, snapshot: Any) -> None:
        """New settings: how much memory there is, what goes first, which shelves there are."""
        self._version = snapshot.version
        try:
            options = snapshot.options(self.name, "", "")
        except KeyError:
            return
        if not isinstance(options, CacheOptions):
            return
        if (options.memory_bytes, options.strategy) != (self.memory.most_bytes, self.memory.strategy):
            before, self.memory = self.memory, Memory(options.memory_bytes, options.strategy)
            for key, entry in before.entries():
                self.memory.keep(key, entry)
        agents = (None, *snapshot.agents.values())
        self._watching = any(seen.in_shadow(self.name, snapshot, agent) for agent in agents)
        if not self._watching:
            self._seen.clear()
        self.far.follow(options)
        if self.semantic is None and any(each.semantic.on for each in self.configured()):
            self.semantic = self._neighbour()
