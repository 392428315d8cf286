"""Whether a shorter text goes out: once for each text of a conversation, so that its prefix stays the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plugins.compression.ledger import SEEN, Account, Ledger, Rates, net
from plugins.compression.plan import CHARS_PER_TOKEN
from plugins.compression.shrink import Shrunk
from plugins.compression.turns import DIGEST_BYTES, Key, Turn, Turns
from proxy.errors import StoreDown
from proxy.exchange import Exchange, Request, Segment

MARK = b'"cache_control"'


@dataclass(frozen=True, slots=True)
class Case:
    """A text that can be made shorter."""

    segment: Segment
    shrunk: Shrunk
    digest: bytes


@dataclass(slots=True)
class Decision:
    """What was decided of a call's texts."""

    chosen: list[Case]
    new: list[Case]
    """Those of them that go out shorter for the first time."""
    lost_nano_usd: float = 0.0
    """What the provider's cache cannot give any more, because they do."""

    def with_(self, other: Decision) -> Decision:
        lost = self.lost_nano_usd + other.lost_nano_usd
        return Decision([*self.chosen, *other.chosen], [*self.new, *other.new], lost)


def digest_of(secret: bytes, text: str) -> bytes:
    """Stands for a text wherever processes share what they decided."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=secret, digest_size=DIGEST_BYTES).digest()


class Decider:
    """Decides with what is known of the conversation, of the agent and of prices."""

    def __init__(self, ledger: Ledger, turns: Turns) -> None:
        self._ledger = ledger
        self._turns = turns

    async def decide(self, exchange: Exchange, cases: Sequence[Case], *, never: bool) -> Decision:
        """`never`: what the provider may have in its cache is left alone. Waits only for texts that were sent before
        and of which this process knows nothing."""
        if not cases:
            return Decision([], [])
        key = (exchange.caller.tenant, exchange.conversation)
        turn = self._turns.of(key)
        mark = last_mark(exchange.request)
        decision = Decision([], [])
        marked: list[Case] = []
        old: list[Case] = []
        edge = _edge(exchange.request) if any(case.segment.role == "assistant" for case in cases) else 0
        for case in cases:
            new = case.segment.fresh or (case.segment.role == "assistant" and case.segment.index > edge)
            if turn is not None and case.digest in turn.done:
                decision.chosen.append(case)
            elif turn is not None and case.digest in turn.kept:
                continue
            elif not new:
                old.append(case)
            elif case.segment.index <= mark:
                marked.append(case)
            else:
                decision.new.append(case)
        if old:
            old = await self._unknown(key, turn, old, decision)
        paying = [] if never else self._paying(exchange, [*old, *marked], decision)
        decision.new.extend(paying)
        decision.chosen.extend(decision.new)
        self._note(key, decision, [*old, *marked])
        return decision

    async def _unknown(self, key: Key, turn: Turn | None, old: list[Case], decision: Decision) -> list[Case]:
        """Texts of earlier turns: shorter where another process made them so. Gives those that nobody knows."""
        try:
            told = await self._turns.told(key)
        except StoreDown:
            told = frozenset()
        if told is None:
            return old if turn is None else self._keep(key, old)
        shorter = [case for case in old if case.digest in told]
        decision.chosen.extend(shorter)
        began = self._turns.begin(key)
        for case in shorter:
            began.do(case.digest)
        return self._keep(key, [case for case in old if case.digest not in told])

    def _keep(self, key: Key, cases: list[Case]) -> list[Case]:
        turn = self._turns.begin(key)
        for case in cases:
            turn.keep(case.digest)
        return []

    def _paying(self, exchange: Exchange, cases: list[Case], decision: Decision) -> list[Case]:
        """The last of these texts whose change pays together, net of the provider's cache."""
        account = self._ledger.account(exchange)
        if not cases or account.seen < SEEN:  # nothing is known of the provider's cache
            return []
        rates = self._ledger.rates(exchange)
        if rates is None:
            return []
        starts, whole, old = _places(exchange.request, cases)
        cached = _cached(account, whole, old)
        cases.sort(key=lambda case: starts[id(case.segment)])
        best, at_best, saved = 0.0, len(cases), 0
        for at in range(len(cases) - 1, -1, -1):
            saved += cases[at].shrunk.saved
            won = net(rates, cached, starts[id(cases[at].segment)], saved)
            if won > best:
                best, at_best = won, at
        chosen = cases[at_best:]
        if chosen:
            decision.lost_nano_usd = _lost(rates, cached, starts[id(chosen[0].segment)], chosen)
        return chosen

    def _note(self, key: Key, decision: Decision, doubtful: list[Case]) -> None:
        if not decision.new and not doubtful:
            return
        turn = self._turns.begin(key)
        for case in decision.new:
            turn.do(case.digest)
        for case in doubtful:
            if case.digest not in turn.done:
                turn.keep(case.digest)


def _edge(request: Request) -> int:
    """The last message that others than the model wrote and that was sent before: what the model said behind it is sent
    for the first time."""
    return max((one.index for one in request.segments if not one.fresh and one.role != "assistant"), default=-1)


def _places(request: Request, cases: Sequence[Case]) -> tuple[dict[int, float], float, float]:
    """Where each text begins, by the identity of its segment, the length of all and of those sent before: in tokens,
    by their characters where they were not counted."""
    counted = {id(case.segment): case.shrunk.before for case in cases}
    starts: dict[int, float] = {}
    at = old = 0.0
    for segment in request.segments:
        place = id(segment)
        starts[place] = at
        at += counted.get(place) or len(segment.text) / CHARS_PER_TOKEN
        if not segment.fresh:
            old = at
    return starts, at, old


def _cached(account: Account, whole: float, old: float) -> float:
    """How much of the prompt the provider has in its cache, in tokens."""
    return min(account.share * whole, old) if old else min(account.opening, whole)


def _lost(rates: Rates, cached: float, start: float, chosen: list[Case]) -> float:
    behind = max(0.0, cached - start)
    saved = sum(case.shrunk.saved for case in chosen)
    return max(0.0, behind - saved) * (rates.plain - rates.read) / 1_000_000


def last_mark(request: Request) -> int:
    """The last message that a `cache_control` mark stands in or behind; -1: none."""
    if MARK not in request.body or not isinstance(request.doc, dict):
        return -1
    items: Any = request.doc.get("messages") or request.doc.get("input")
    if request.doc.get("cache_control") is not None:
        return len(items) if isinstance(items, list) else 0
    for index in range(len(items) - 1, -1, -1) if isinstance(items, list) else ():
        if _marked(items[index]):
            return index
    return -1


def _marked(value: Any) -> bool:
    if isinstance(value, dict):
        return value.get("cache_control") is not None or any(_marked(inner) for inner in value.values())
    return isinstance(value, list) and any(_marked(inner) for inner in value)
