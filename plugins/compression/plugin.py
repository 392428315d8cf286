"""Compression: what tools and documents say goes out shorter, decided once for each text, reported net in money.

Theory of operation
-------------------
Each text that is long enough and stands where the options allow it is made shorter by what suits its content
(`shrink`), a pure function of text and options: every worker and every turn makes the same bytes of the same text. What
came of it is remembered (`shelf`), so a turn costs what is new in it. Whether it is used depends on when the text was
first seen (`decision`). One that is new in the call was never sent to the provider: its shorter form goes out, now
and in all later turns. One that was sent as it was stays as it was, unless prices and what the provider told of its
cache say that a change pays (`ledger`). What is decided of a conversation is kept (`turns`), and told to other workers
through the store. Over `max_context_tokens` a call is made to fit (`fit`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Any, cast

import orjson

from plugins.compression import schema
from plugins.compression.budget import cut, within
from plugins.compression.decision import Case, Decider, Decision, digest_of
from plugins.compression.fit import Fitter, Task
from plugins.compression.ledger import Ledger
from plugins.compression.options import CompressionOptions
from plugins.compression.plan import Plan, plan_of
from plugins.compression.question import question_of
from plugins.compression.repeats import again, note
from plugins.compression.shelf import NOTHING, Known, Shelf, settled
from plugins.compression.shrink import Count, Rules, Shrunk, shrunk
from plugins.compression.summary import OWN_SHARE
from plugins.compression.turns import Turns
from proxy.errors import StoreDown
from proxy.exchange import Exchange, Response, Saving, Segment
from proxy.plugin import Around, Kit, Named, Plugin

LOOP_CHARS = 6_000
"""More new text than this is worked on in a thread."""
PLANS = 256
SUMMARY_MS = 5000
"""Of the plugin's `timeout_ms`: with less there will hardly ever be one."""
USUAL_MODEL = "gpt-4o"
DATA_ROLES = frozenset({"tool", "document"})
"""Of a row that is scanned: what may be cut to what concerns a question."""
TOOLS = ("tools", "functions")
MARKS = MappingProxyType(
    {
        "chat": (b'"tool"', b"documents", b"file_data"),
        "messages": (b"_result", b"document"),
        "responses": (b"output", b'results"', b"file_data", b'"error"'),
    }
)
"""By the dialects of conversations (what is embedded or completed stays as it is): where none of these stands in a
body, no tool and no document says anything in it."""
ACTS = MappingProxyType(
    {
        name: getattr(CompressionOptions(), name)
        for name in (
            "tool_results", "documents", "user", "system", "assistant", "tool_schemas", "max_context_tokens",
        )
    }
)  # fmt: skip
"""Options of which one must be on, by what they are where nothing is written."""
Asked = list[tuple[Segment, Rules]]


class Compression(Plugin[CompressionOptions]):
    name = "compression"
    Options = CompressionOptions
    after = frozenset({"pii"})
    seldom = frozenset({"request"})
    again = frozenset()

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self._secret = kit.secret("compression")
        self._plans: dict[int, Plan] = {}
        """By the identity of the options, which they hold."""
        self._shelf = Shelf(kit.memory, self.name)
        self._ledger = Ledger(kit.prices)
        self._turns = Turns(kit.store)
        self._decider = Decider(self._ledger, self._turns)
        self._fitter = Fitter(kit)

    @classmethod
    def named(cls, options: CompressionOptions) -> Iterable[Named]:
        target = options.summarise.target
        if target:
            yield Named(("summarise", "target"), target, "upstream", ("chat", "messages", "responses"))

    @classmethod
    def remarks(cls, options: CompressionOptions, around: Around) -> Iterable[tuple[tuple[str, ...], str]]:
        if not options.summarise.target:
            return
        if options.max_context_tokens is None:
            yield ("summarise",), "does nothing without max_context_tokens, above which calls lose turns: set it too"
            return
        if 0 < around.timeout_ms < SUMMARY_MS:
            yield (
                ("summarise",),
                f"a summary takes a model seconds, and the plugin's timeout_ms, {around.timeout_ms:g}, leaves it "
                f"{OWN_SHARE * around.timeout_ms:g} ms: old turns will mostly be dropped without one; write "
                f"timeout_ms: {SUMMARY_MS} or more beside the options",
            )

    async def request(self, exchange: Exchange) -> Response | None:
        options = exchange.options(self)
        plan = self._plans.get(id(options)) or self._plan(options)
        body, marks = exchange.request.body, MARKS.get(exchange.request.dialect)
        if marks is None:
            return None
        if plan.data_only:  # (a look at the bytes spares most calls the walk to their texts)
            for mark in marks:
                if mark in body:
                    break
            else:
                return None
        rules, least = plan.rules, plan.least_chars
        asked: Asked = []
        for segment in exchange.request.segments:
            if len(segment.text) >= least and not segment.sealed:
                found = rules.get((segment.kind, segment.role))
                if found is not None:
                    asked.append((segment, found))
        if plan.options.tool_schemas:
            await self._trim_tools(exchange, plan)
        if asked:
            exchange.state[self.name] = []
        sources = await self._shorten(exchange, plan, asked) if asked else {}
        most = plan.options.max_context_tokens
        if most is not None and len(body) > most:
            await self._fit(exchange, plan, sources, most)
        return None

    # --- texts

    async def _shorten(self, exchange: Exchange, plan: Plan, asked: Asked) -> dict[int, str]:
        """Gives what texts were that are now shorter, by the identity of their segment."""
        known = await self._known(exchange, plan, asked)
        cases = {
            id(segment): Case(segment, one.shrunk, one.digest)
            for (segment, _), one in zip(asked, known, strict=True)
            if one.digest
        }
        repeated = again([segment for segment, _ in asked]) if plan.options.repeats and len(asked) > 1 else []
        if not cases and not repeated:
            return {}
        never = plan.options.cached_prefix == "never"
        later = {id(segment) for segment, _ in repeated}
        firsts = [case for place, case in cases.items() if place not in later]
        decision = await self._decider.decide(exchange, firsts, never=never)
        sources = _applied(decision)
        if repeated:
            notes = self._notes(exchange, repeated, sources)
            told = await self._decider.decide(exchange, notes, never=never)
            sources |= _applied(told)
            rest = [case for place, case in cases.items() if place in later and place not in sources]
            others = await self._decider.decide(exchange, rest, never=never)
            sources |= _applied(others)
            decision = decision.with_(told).with_(others)
        if decision.chosen:
            self._report(exchange, decision)
        return sources

    def _notes(
        self, exchange: Exchange, repeated: list[tuple[Segment, Segment]], sources: dict[int, str]
    ) -> list[Case]:
        """What is said instead of texts that stand in the call before."""
        count, secret = self._count(exchange), self._secret
        found = [
            note(segment, sources.get(id(earlier), earlier.text), earlier.text, secret, count)
            for segment, earlier in repeated
        ]
        return [one for one in found if one is not None]

    async def _known(self, exchange: Exchange, plan: Plan, asked: Asked) -> list[Known]:
        """What becomes of each text: remembered, or found out now."""
        fingerprint, shelf = f"{plan.name} {_model(exchange)}", self._shelf
        questions = [self._question(exchange, plan, segment) for segment, _ in asked]
        places = [settled(segment, question) for (segment, _), question in zip(asked, questions, strict=True)]
        known = [shelf.recall(fingerprint, exchange, place) for place in places]
        new = [at for at, one in enumerate(known) if one is None]
        if not new:
            return [one for one in known if one is not None]
        count, secret, options = self._count(exchange), self._secret, plan.options

        def work() -> list[Known]:
            return [_made(asked[at][0].text, asked[at][1], questions[at], options, (count, secret)) for at in new]

        much = sum(len(asked[at][0].text) for at in new) > LOOP_CHARS or any(questions[at] for at in new)
        slow = much or not self.kit.tokens.loaded(_model(exchange))
        made = await self.kit.tasks.in_thread(work) if slow else work()
        for at, one in zip(new, made, strict=True):
            known[at] = one
            shelf.remember(fingerprint, exchange, places[at], one)
        return [one for one in known if one is not None]

    def _question(self, exchange: Exchange, plan: Plan, segment: Segment) -> str:
        """For texts that may be cut to what concerns it; empty for others."""
        above = plan.options.extract_above_tokens
        if not above or len(segment.text) < above or segment.kind == "text":
            return ""
        return question_of(exchange.request, segment)

    def _report(self, exchange: Exchange, decision: Decision) -> None:
        rates, account = self._ledger.rates(exchange), self._ledger.account(exchange)
        sums: dict[str, list[int]] = {}
        for case in decision.chosen:
            of = sums.setdefault(case.shrunk.techniques[0], [0, 0, 0])
            of[0 if case.segment.fresh else 1] += case.shrunk.saved
            of[2] += 1
        lost = round(decision.lost_nano_usd)
        for kind, (fresh, old, _) in sums.items():
            money = self._ledger.spared(rates, fresh, old, account)
            if money is not None:
                borne = min(money, lost)
                money, lost = money - borne, lost - borne
            risk = "passages that do not concern the question" if kind == "extract" else ""
            exchange.savings.append(Saving(self.name, kind, input_tokens=fresh + old, nano_usd=money, risk=risk))
        told = ", ".join(f"{kind} {texts}" for kind, (_, _, texts) in sums.items())
        exchange.step(self.name, "request", f"edited {len(decision.chosen)} ({told})")
        if decision.new:
            exchange.state[self.name] = [case.digest for case in decision.new]

    # --- tools, and calls that are too long

    async def _trim_tools(self, exchange: Exchange, plan: Plan) -> None:
        request = exchange.request
        name = next((name for name in TOOLS if request.get(name)), None)
        if name is None:
            return
        tools = request.present()[name]
        try:
            place = Segment("system", "tool_description", orjson.dumps(tools).decode())
        except TypeError:  # numbers that no schema has
            return
        fingerprint = f"{plan.name} {_model(exchange)} schema"
        known = self._shelf.recall(fingerprint, exchange, place)
        if known is None:
            known = await self.kit.tasks.in_thread(_trimmed, tools, place.text, self._count(exchange))
            self._shelf.remember(fingerprint, exchange, place, known)
        if known.digest:
            request.set(name, orjson.loads(known.shrunk.text))
            money = self._ledger.spared(
                self._ledger.rates(exchange), 0, known.shrunk.saved, self._ledger.account(exchange)
            )
            exchange.savings.append(Saving(self.name, "schema", input_tokens=known.shrunk.saved, nano_usd=money))
            exchange.step(self.name, "request", "edited tools")

    async def _fit(self, exchange: Exchange, plan: Plan, sources: dict[int, str], most: int) -> None:
        turn = self._turns.begin((exchange.caller.tenant, exchange.conversation))
        turn.user = exchange.caller.user or ""
        task = Task(exchange, plan, turn, self._count(exchange), sources, most)
        rates, account = self._ledger.rates(exchange), self._ledger.account(exchange)
        for saving in await self._fitter.fit(task):
            money = self._ledger.spared(rates, 0, saving.input_tokens, account)
            exchange.savings.append(
                Saving(self.name, saving.kind, input_tokens=saving.input_tokens, nano_usd=money, risk=saving.risk)
            )
            exchange.step(self.name, "request", f"edited to fit ({saving.kind})")

    # --- afterwards

    async def finish(self, exchange: Exchange) -> None:
        digests = exchange.state.get(self.name)
        if digests is None:
            return  # nothing in this call concerned compression
        response = exchange.response
        if response is not None and response.usage is not None and response.usage_source == "provider":
            request = exchange.request
            opening = request.walked and bool(request.segments) and request.segments[0].fresh
            self._ledger.account(exchange).learn(response.usage, opening)
        if digests:
            try:
                await self._turns.tell((exchange.caller.tenant, exchange.conversation), digests)
            except StoreDown:
                return  # another worker leaves these texts as they come: dearer, not wrong

    def finish_waits(self, exchange: Exchange) -> bool:
        """Only what was made shorter for the first time has to be told."""
        return bool(exchange.state.get(self.name))

    def needed(self, hook: str, snapshot: Any, agent: Any) -> bool:
        given = self.given(snapshot, agent)
        return any(given.get(name, default) for name, default in ACTS.items())

    async def forget(self, user: str) -> int:
        """Also forgets all texts that were made shorter, whosesoever they are: they are made anew when they come."""
        self._shelf.clear()
        return self._turns.forget(user) + self._fitter.forget(user)

    def scan(self, row: dict[str, Any], options: CompressionOptions) -> dict[str, Any]:
        """Adds `text_out`, `tokens_before`, `tokens_after` and `techniques`. A row without `role` is taken for what a
        tool says, and so is a document; with `question` and `budget_tokens` it is cut to what concerns the question.
        `model`: whose tokens are counted (default gpt-4o)."""
        text, model, role = row["text"], str(row.get("model") or USUAL_MODEL), row.get("role") or "tool"
        data = role in DATA_ROLES
        plan = self._plan(options)

        def count(told: str) -> int:
            return self.kit.tokens.count(told, model)

        before = count(text)
        kind = "document" if role == "document" else "tool_result" if data else "text"
        rules = plan.rules.get(cast(Any, (kind, "user" if role == "document" else role)))
        if rules is None:
            return _row(text, before, before, ())
        found = (
            shrunk(text, Rules.of(options) if data else rules, count) if len(text) >= plan.least_chars else Shrunk(text)
        )
        after = found.after if found.techniques else before
        budget, question = row.get("budget_tokens"), str(row.get("question") or "")
        if data and isinstance(budget, (int, float)) and after > (most := max(1, int(budget))):
            less = within(text, question, most, Rules.of(options), count)
            if less is not None and less.after < after:
                found, after = less, less.after
        return _row(found.text, before, after, found.techniques)

    def _plan(self, options: CompressionOptions) -> Plan:
        found = self._plans.get(id(options))
        if found is None:
            if len(self._plans) >= PLANS:
                self._plans.clear()
            found = self._plans[id(options)] = plan_of(options)
        return found

    def _count(self, exchange: Exchange) -> Count:
        model, count = _model(exchange), self.kit.tokens.count
        return lambda text: count(text, model)


def _applied(decision: Decision) -> dict[int, str]:
    """Writes what was decided; gives what the texts were, by the identity of their segment."""
    sources: dict[int, str] = {}
    for case in decision.chosen:
        sources[id(case.segment)] = case.segment.text
        case.segment.text = case.shrunk.text
    return sources


def _model(exchange: Exchange) -> str:
    return exchange.request.model if exchange.target is None else exchange.target.model


def _made(text: str, rules: Rules, question: str, options: CompressionOptions, by: tuple[Count, bytes]) -> Known:
    """What becomes of one text."""
    count, secret = by
    found = shrunk(text, rules, count)
    if question:
        tokens = found.after if found.techniques else count(text)
        if tokens > options.extract_above_tokens:
            found = cut(text, question, options.extract_to_tokens, rules, count) or found
    return Known(found, digest_of(secret, text)) if found.techniques else NOTHING


def _trimmed(tools: Any, text: str, count: Count) -> Known:
    made = schema.trimmed_tools(tools)
    if made is tools:
        return NOTHING
    told = orjson.dumps(made).decode()
    before, after = count(text), count(told)
    return Known(Shrunk(told, ("schema",), before, after), b"schema") if after < before else NOTHING


def _row(text: str, before: int, after: int, techniques: Sequence[str]) -> dict[str, Any]:
    return {"text_out": text, "tokens_before": before, "tokens_after": after, "techniques": list(techniques)}
