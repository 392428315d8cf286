"""Routing: which model answers a call. Rules first, then the cheapest model that is likely good enough.

Acts on calls for models that a rule or a pool names, and on no others. What a conversation was given it keeps; only a
rule, a failed check or a missing ability moves it. Nobody is sent to a model that its key may not use, or whose
upstream is not for its credential. In shadow nothing moves, and each call tells what it would have spared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from plugins.routing import cascade, ledger, targets
from plugins.routing.capabilities import has_others, modest, needs
from plugins.routing.choice import NOTHING, SIZE, Choice, Decision, choose, explored, ladder, traits, unlike
from plugins.routing.features import asked_text
from plugins.routing.idle import idle, named
from plugins.routing.learner import EACH, SAVE_AFTER, Learner, Traits
from plugins.routing.ledger import Account
from plugins.routing.options import ASKED, RoutingOptions
from plugins.routing.plans import Candidate, Plan, Ready, at, candidates, plan
from plugins.routing.quality import Prior, chance
from plugins.routing.reasons import reason
from plugins.routing.rules import Facts
from plugins.routing.sticky import Stay, Sticky
from plugins.routing.targets import barred, resolver
from proxy.errors import ConfigError, UpstreamFailed
from proxy.exchange import PINNED, RETRIEVED, Exchange, Response, Target
from proxy.plugin import Around, Kit, Named, Plugin, Verdict
from proxy.ports import Pairs

PLANS = 4096
OFF_HEADER = "x-weir-route"
HELD = frozenset(("previous_response_id", "conversation", "background"))
"""Of calls that belong to what a provider keeps: they go where that is, to the model that was asked."""
OUTCOME_WEIGHT = 0.25
"""What the mere end of an answer counts, beside somebody's own word or a failed check."""
AGAIN_S = 120.0
"""Who sends a call once more in its session so soon after it was answered wants another answer."""
STAYS = "stays"
"""Why a call goes where its conversation is."""
WORTH_ANOTHER = frozenset({"provider_400", "provider_404", "provider_413", "provider_422"})
"""Refusals of a provider that may be the model's alone."""


class Routing(Plugin[RoutingOptions]):
    name = "routing"
    Options = RoutingOptions

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self._prior = Prior.packaged()
        self._learner, self._words = Learner(kit.store), Learner(None)
        self._sticky = Sticky()
        self._plans: dict[tuple[Any, ...], Plan | None] = {}
        self._plans_of: Any = None

    @classmethod
    def named(cls, options: RoutingOptions) -> Iterable[Named]:
        return named(options)

    @classmethod
    def remarks(cls, options: RoutingOptions, around: Around) -> Iterable[tuple[tuple[str, ...], str]]:
        return idle(options, around.dialects)

    async def start(self) -> None:
        """Raises ConfigError where a target is served by nobody."""
        missing = targets.unserved(self.kit, [name for options in self.configured() for name in _named(options)])
        if missing:
            raise ConfigError(
                f"routing: no upstream serves {missing!r}; write upstream/model, or list the model at an upstream",
                key="plugins.routing",
            )

    async def stop(self) -> None:
        await self._learner.save_all()

    def needed(self, hook: str, snapshot: Any, agent: Any) -> bool:
        options = self.given(snapshot, agent)
        if hook == "answer":
            return any(pool.get("cascade") is not None for pool in options.get("pools") or ())
        return bool(options.get("pools") or options.get("rules"))

    async def request(self, exchange: Exchange) -> Response | None:
        asked = exchange.target
        if asked is None:
            return None
        found = self._plan(exchange, asked)
        pinned = found is not None and _pinned(exchange)
        if found is not None and not pinned:
            self._route(exchange, found, asked)
        if found is not None and found.barred and not pinned and exchange.tells:
            exchange.step(self.name, "request", f"rule out, not for this caller: {', '.join(found.barred)}")
        if exchange.target is asked and exchange.tells:
            why = reason(exchange, found, exchange.state.get(self.name), pinned=pinned)
            exchange.step(self.name, "request", f"stay: {why}")
        return None

    async def answer(self, exchange: Exchange, error: Exception | None) -> Response | Target | None:
        """The next model, where the answer fails a check of the cascade."""
        decision: Decision | None = exchange.state.get(self.name)
        shared = exchange.cache == "COALESCED"  # (in shadow nobody knows of it, nor of attempts)
        if decision is None or decision.plan.cascade is None or not (exchange.attempts or shared):
            return None
        if exchange.request.stream:
            return None
        served, given = decision.served(exchange.target), decision.plan.cascade
        if served is None or decision.moves >= given.most or not exchange.fallbacks:
            return None
        if error is None:
            failed = cascade.failed(exchange, given)
        else:
            failed = error.code if isinstance(error, UpstreamFailed) and error.code in WORTH_ANOTHER else ""
        if not failed:
            return None
        if not shared:  # else whoever asked for it counts it
            if error is None:
                ledger.tried(decision.account, exchange, self.kit.prices)
            self._observe(exchange, decision, served, 0.0, 1.0)
        decision.moves += 1
        following = exchange.fallbacks[0]
        exchange.step(self.name, "answer", f"escalated {failed} to {following.upstream}/{following.model}")
        return following

    async def finish(self, exchange: Exchange) -> None:
        decision: Decision | None = exchange.state.pop(self.name, None)
        if decision is None:
            return
        account = decision.account
        found = ledger.saving(account, exchange, self.kit.prices)
        if found is not None:
            exchange.savings.append(found)
        served = exchange.target if exchange.attempts or exchange.cache == "COALESCED" else account.chosen
        if decision.plan.sticky_s and exchange.conversation and served is not None:
            self._stay(exchange, decision, served)
        if decision.plan.learn and (exchange.attempts or exchange.response is not None):
            self._conclude(exchange, decision)

    def scan(self, row: dict[str, Any], options: RoutingOptions) -> dict[str, Any]:
        """`choice`, `score` (the probability that the cheap model suffices) and `reasons`, for the first pool."""
        judged = self._prior.judge(str(row["text"]), why=True)
        told: dict[str, Any] = {"choice": "", "score": round(judged.score, 4), "reasons": list(judged.reasons)}
        if not options.pools:
            return {**told, "choice": "cheap" if judged.score >= options.bar else "strong"}
        pool = options.pools[0]
        able = candidates(pool, self._prior.base, lambda name: Target("", name))
        bar = options.bar if pool.bar is None else pool.bar
        found = choose(able, [traits(one, judged, tools=False) for one in able], bar, None)
        return {**told, "choice": found.candidate.name}

    async def feedback(self, verdict: Verdict) -> None:
        """Somebody's own word on an answer. Of calls of another version nothing is learnt."""
        model, one = verdict.note
        if len(one) != SIZE + 1:
            return
        if verdict.before is None:
            self._words.learn(verdict.tenant, model, one, verdict.score)
        else:
            self._words.relearn(verdict.tenant, model, one, verdict.score, verdict.before)

    # On the way out

    def _plan(self, exchange: Exchange, asked: Target) -> Plan | None:
        """Found once for all calls that are alike in everything that it hangs on."""
        snapshot, request, caller = exchange.snapshot, exchange.request, exchange.caller
        if self._plans_of is not snapshot or len(self._plans) >= PLANS:
            self._plans_of = snapshot
            self._plans.clear()
        kept = request.dialect == "responses" and request.get("store") is not False
        key = (
            caller.agent, caller.key, caller.vouched, exchange.variant, request.dialect, request.model,
            asked.upstream, asked.model, kept,
        )  # fmt: skip
        try:
            return self._plans[key]
        except KeyError:
            resolve = resolver(self.kit, exchange)
            found = plan(exchange.options(self), exchange, self._prior.base, self.kit.prices, resolve)
            self._plans[key] = found
            return found

    def _route(self, exchange: Exchange, found: Plan, asked: Target) -> None:
        stay = None
        if found.sticky_s and exchange.conversation:
            stay = self._sticky.find(exchange.conversation, exchange.request.model, exchange.at_s, found.sticky_s)
            if stay is not None and stay.asked and found.learn:
                self._look_for_retry(exchange, found, stay)
        rule = self._rule(exchange, found, asked) if found.rules else None
        if rule is not None:
            decision = Decision(Account(asked, rule.target or asked, f"rule {rule.name}"), found, rule.name, NOTHING)
        else:
            chosen_by = self._choose(exchange, found, asked, stay)
            if chosen_by is None:
                return
            decision = chosen_by
        exchange.state[self.name] = decision
        chosen = decision.account.chosen
        if stay is not None:
            decision.stay = stay
            if stay.cached and stay.target != chosen:
                decision.account.left_tokens = stay.prompt_tokens
        stays = chosen is asked or chosen == asked
        if stays:
            decision.account.chosen = asked  # the same object is sooner known to be the same
            if found.cascade is None:
                return
        next_ones = [asked, *exchange.fallbacks]
        after = unlike(chosen, [*rule.fallbacks, *next_ones]) if rule is not None else ladder(found, chosen, next_ones)
        exchange.fallbacks = after
        if not stays:
            exchange.target = chosen
            exchange.step(self.name, "request", f"moved to {chosen.upstream}/{chosen.model}: {decision.why}")

    def _rule(self, exchange: Exchange, found: Plan, asked: Target) -> Ready | None:
        facts = Facts(exchange)
        for rule in found.rules:
            if rule.matcher.fits(facts):
                words = "" if rule.target is None else barred(exchange, rule.target, asked.upstream)
                if not words:
                    return rule
                exchange.step(self.name, "request", f"skipped {rule.name}: not for this caller ({words})")
        return None

    def _choose(self, exchange: Exchange, found: Plan, asked: Target, stay: Stay | None) -> Decision | None:
        """The model of the pool that the call goes to; None where none may serve it, or nobody knows."""
        able, tools = found.candidates, False
        if not able:
            return None
        if not modest(exchange, found.context_tokens, walks=stay is None):
            if has_others(exchange):
                return None
            wanted = needs(exchange)
            able, tools = tuple([one for one in able if not one.able.lacks(wanted)]), wanted.tools
            if not able:
                return None
        if stay is not None:
            one = at(able, stay.target)
            if one is not None:
                each = NOTHING if stay.traits is None else {one.name: stay.traits}
                return _decided(found, asked, Choice(one, stay.chance, STAYS), each)
        segments = exchange.request.segments
        if stay is None and True in [segment.sealed for segment in segments]:
            return None  # what another model has signed goes back to it
        judged = self._prior.judge(asked_text(segments))
        each = {one.name: traits(one, judged, tools=tools) for one in able}
        return _decided(found, asked, self._taken(exchange, found, able, each), each)

    def _taken(self, exchange: Exchange, found: Plan, able: Sequence[Candidate], each: Mapping[str, Traits]) -> Choice:
        tenant = exchange.caller.tenant
        correct = partial(self._correction, tenant) if self._bent(tenant, found, able) else None
        if found.explore > 0.0:
            drawn = explored(exchange.conversation or exchange.id, found.explore, able)
            if drawn is not None:
                return Choice(
                    drawn, chance(each[drawn.name][0] + self._correction(tenant, drawn, each[drawn.name])), "explores"
                )
        tries = found.cascade is not None and not exchange.request.stream
        bar = found.cascade.bar if tries and found.cascade is not None else found.bar
        return choose(able, [each[one.name] for one in able], bar, correct)

    def _correction(self, tenant: str, candidate: Candidate, one: Traits) -> float:
        by_outcome = self._learner.correction(tenant, candidate.name, one)
        return by_outcome + self._words.correction(tenant, candidate.name, one)

    def _bent(self, tenant: str, found: Plan, able: Sequence[Candidate]) -> bool:
        """Whether something of what is foretold is to be corrected. What the store knows of models that are met for the
        first time is looked up; the call does not wait for it."""
        bent, words = False, self._words if len(self._words) else None
        for one in able:
            said = words.known(tenant, one.name) if words is not None else None
            if said is not None and said.bent:
                bent = True
            known = self._learner.known(tenant, one.name)
            if known is not None:
                bent = bent or known.bent
            elif found.learn:
                self._learner.expect(tenant, one.name, SIZE)
                self.kit.tasks.spawn("routing learnt", self._learner.load(tenant, one.name, SIZE))
        return bent

    def _look_for_retry(self, exchange: Exchange, found: Plan, stay: Stay) -> None:
        """The answer to the same call, a moment ago, was none that its caller could use."""
        if exchange.at_s - stay.at_s < AGAIN_S and stay.asked == hash(exchange.request.body):
            stay.asked = 0
            answered = found.candidate(stay.target)
            if answered is not None and stay.traits is not None:
                self._learn(exchange.caller.tenant, answered.name, stay.traits, 0.0, OUTCOME_WEIGHT)

    # At the end

    def _stay(self, exchange: Exchange, decision: Decision, served: Target) -> None:
        usage = exchange.response.usage if exchange.response is not None else None
        prompt, cached = 0, False
        if usage is not None:
            prompt = usage.input + usage.cache_read + usage.cache_write
            cached = usage.cache_read > 0 or usage.cache_write > 0
        stay, model = decision.stay, exchange.request.model
        ended = exchange.outcome == "ok" and exchange.caller.session is not None
        said = hash(exchange.request.body) if ended else 0
        if stay is not None and decision.why == STAYS and served is decision.account.chosen:
            stay.asked = said
            stay.at_s, stay.prompt_tokens, stay.cached = exchange.at_s, prompt, cached
            self._sticky.touch(exchange.conversation, model)
            return
        candidate = decision.served(served)
        judged = None if candidate is None else decision.traits.get(candidate.name)
        stay = Stay(served, exchange.at_s, prompt, cached, decision.account.likely, judged, said)
        self._sticky.keep(exchange.conversation, model, stay)

    def _conclude(self, exchange: Exchange, decision: Decision) -> None:
        """What the end of the call says of the model that served. An answer that merely ended says that all is as
        foretold: what is learnt so is how often there is none."""
        served = decision.served(exchange.target)
        one = None if served is None else decision.traits.get(served.name)
        if served is None or one is None:
            return
        response = exchange.response
        if exchange.outcome == "provider_error":
            if exchange.attempts:
                self._observe(exchange, decision, served, 0.0, OUTCOME_WEIGHT)
        elif exchange.outcome == "ok" and response is not None and ledger.billed(exchange, response):
            exchange.lesson(self.name, (served.name, one))
            if cascade.cut_off(exchange, response) or cascade.nothing(exchange, response):
                self._observe(exchange, decision, served, 0.0, OUTCOME_WEIGHT)
            elif self._learner.ended(exchange.caller.tenant, served.name):
                self._observe(exchange, decision, served, chance(one[0]), OUTCOME_WEIGHT * EACH)

    def _observe(self, exchange: Exchange, decision: Decision, served: Candidate, good: float, weight: float) -> None:
        one = decision.traits.get(served.name)
        if one is not None and decision.plan.learn:
            self._learn(exchange.caller.tenant, served.name, one, good, weight)

    def _learn(self, tenant: str, model: str, one: Traits, good: float, weight: float) -> None:
        if self._learner.learn(tenant, model, one, good, weight).fresh % SAVE_AFTER == 0:
            self.kit.tasks.spawn("routing learnt", self._learner.save(tenant, model))


def _pinned(exchange: Exchange) -> bool:
    """The caller wants what it asked for, or the call belongs to what a provider keeps for it."""
    request = exchange.request
    if request.method != "POST" or PINNED in exchange.notes or RETRIEVED in exchange.notes:
        return True
    known = request.known
    off: bool | None = None if known is None else known.get(Routing.name)
    if off is None:
        off = _declined(request.headers)
        if known is not None:
            known[Routing.name] = off
    if off:
        return True
    doc = request.doc
    if type(doc) is dict and HELD.isdisjoint(doc) and not request.edits:
        return False
    return any(request.get(name) for name in HELD)


def _declined(headers: Pairs) -> bool:
    return any(name.lower() == OFF_HEADER and value.strip().lower() == "off" for name, value in headers)


def _decided(found: Plan, asked: Target, choice: Choice, each: Mapping[str, Traits]) -> Decision:
    candidate, likely, why = choice
    return Decision(Account(asked, candidate.target, "", candidate.name, likely), found, why, each, candidate)


def _named(options: RoutingOptions) -> list[str]:
    """All targets that options name."""
    rules = [name for rule in options.rules for name in (rule.target, *rule.fallbacks) if name != ASKED]
    return [*rules, *[model.target for pool in options.pools for model in pool.models]]
