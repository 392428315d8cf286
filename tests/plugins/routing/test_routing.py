from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.routing.capabilities import able
from plugins.routing.learner import EACH
from plugins.routing.options import Cascade, Condition, Model, Pool, RoutingOptions, Rule
from plugins.routing.plugin import Routing
from proxy.coroutines import at_once
from proxy.errors import ConfigError
from proxy.exchange import BUDGET_LEFT, LESSONS, PINNED, Exchange, Response, Segment, Target, Usage
from proxy.live import Alias, CallerKey, Entry, Identity, Upstream
from proxy.plugin import Verdict
from proxy.upstream.endpoint import resolve, targets_of
from tests import kit

EASY = "hi"
REFUSAL = Segment("assistant", "text", "I'm sorry, but I can't help with that.")
HARD = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. Each clip costs 3 "
    "dollars and she pays 20% of what she earns. How much money does Natalia have left altogether in April and May?"
)
CHEAP, STRONG = Target("sim", "cheap"), Target("sim", "strong")
TWO = (
    Model("sim/cheap", context_tokens=2000, tools=False),
    Model("sim/strong", context_tokens=100_000, tools=True, images=True, json_schema=True),
)
POOL = Pool(asked=("strong",), models=TWO, bar=0.8)


class Dear:
    """A strong token costs ten of a cheap one; one read from a cache a tenth."""

    def cost_nano_usd(self, upstream: str, model: str, usage: Any, at_s: float) -> tuple[int | None, str]:
        if model == "unpriced":
            return None, "unknown"
        each = {"cheap": 100, "middle": 300}.get(model, 1000)
        return each * (usage.input + usage.output + usage.cache_write) + each // 10 * usage.cache_read, "fake"


class AtOnce(kit.FakeTasks):
    """What is spawned is done at once: the store is in memory."""

    def spawn(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        at_once(work)


class Bench:
    """A plugin with its options; calls that go out and come back."""

    def __init__(self, *pools: Pool, rules: tuple[Rule, ...] = (), store: Any = None, **options: Any) -> None:
        made = RoutingOptions(rules, pools or (POOL,), **options)
        self.upstreams = {
            "sim": Upstream("sim", "http://sim.test/v1"),
            "keyed": Upstream("keyed", "http://k/v1", key="k"),
        }
        self.options = made
        keys = (CallerKey("small", models=("strong",)), CallerKey("all"))
        self.snapshot = self._snapshot(keys)
        found = replace(kit.kit(), prices=Dear(), tasks=AtOnce(), targets=targets_of, live=kit.FixedLive(self.snapshot))
        self.kit = found if store is None else replace(found, store=store)
        self.plugin = Routing(self.kit)

    def _snapshot(self, keys: tuple[CallerKey, ...]) -> Any:
        made = kit.snapshot(upstreams=self.upstreams, aliases={"auto": Alias("strong")}, identity=Identity(keys=keys))
        return replace(made, resolve=lambda plugin, agent, variant: self.options)

    def call(self, text: str = EASY, talk: str = "", at_s: float = 0.0, **doc: Any) -> Exchange:
        caller = doc.pop("caller", {})
        doc = {"model": "strong", "messages": [{"role": "user", "content": text}], **doc}
        exchange = kit.exchange(self.snapshot, doc, **caller)
        exchange.target, *exchange.fallbacks = resolve(self.snapshot, "chat", doc["model"])
        exchange.conversation, exchange.at_s = talk, at_s
        return exchange

    def out(self, exchange: Exchange) -> Target:
        at_once(self.plugin.request(exchange))
        assert exchange.target is not None
        return exchange.target

    def to(self, text: str = EASY, **doc: Any) -> str:
        """The model that such a call goes to."""
        return self.out(self.call(text, **doc)).model

    def back(self, exchange: Exchange, usage: Usage | None = None, outcome: Any = "ok", **response: Any) -> Exchange:
        exchange.attempts = 1
        exchange.outcome = outcome
        response = {"finish": "stop", **response}
        exchange.response = Response(usage=usage or Usage(input=100, output=10), usage_source="provider", **response)
        at_once(self.plugin.finish(exchange))
        return exchange


def test_easy_calls_go_to_the_cheap_model_and_hard_ones_stay() -> None:
    bench = Bench()
    assert (bench.to(EASY), bench.to(HARD)) == ("cheap", "strong")


def test_a_call_for_a_model_of_no_pool_is_left_alone() -> None:
    bench = Bench()
    exchange = bench.call(EASY, model="other")
    before = exchange.target
    assert bench.out(exchange) is before
    assert exchange.state == {}
    assert exchange.steps == []


def test_a_caller_who_says_so_gets_what_was_asked() -> None:
    bench = Bench()
    exchange = bench.call()
    exchange.request.headers = [("X-Weir-Route", "off")]
    assert bench.out(exchange) == STRONG


@pytest.mark.parametrize("held", [{"previous_response_id": "r"}, {"conversation": "c"}, {"background": True}])
def test_calls_that_belong_to_what_a_provider_keeps_are_left_alone(held: dict[str, Any]) -> None:
    assert Bench().to(EASY, **held) == "strong"


def test_what_another_plugin_has_chosen_stays() -> None:
    bench = Bench()
    exchange = bench.call()
    exchange.notes[PINNED] = "variants"
    assert bench.out(exchange) == STRONG


def test_the_call_keeps_its_target_object_where_nothing_changes() -> None:
    bench = Bench()
    exchange = bench.call(HARD)
    before = exchange.target
    assert bench.out(exchange) is before


def test_what_was_asked_is_what_is_tried_next() -> None:
    middle = Model("sim/middle", context_tokens=2000)
    bench = Bench(Pool(asked=("strong",), models=(TWO[0], middle, TWO[1]), bar=0.5))
    exchange = bench.call(EASY)
    assert bench.out(exchange) == CHEAP
    assert exchange.fallbacks == [Target("sim", "middle"), STRONG]


def test_an_alias_has_a_pool_of_its_own() -> None:
    bench = Bench(replace(POOL, asked=("auto",)))
    assert (bench.to(EASY, model="auto"), bench.to(EASY)) == ("cheap", "strong")


def test_a_higher_bar_sends_fewer_calls_to_the_cheap_model() -> None:
    assert [Bench(replace(POOL, bar=bar)).to(EASY) for bar in (0.0, 0.8, 0.99)] == ["cheap", "cheap", "strong"]


def test_known_prices_go_before_the_order_of_the_list() -> None:
    middle = Model("sim/middle", quality=0.99, context_tokens=2000)
    assert Bench(Pool(asked=("strong",), models=(middle, TWO[0], TWO[1]), bar=0.5)).to(EASY) == "cheap"


def test_without_a_price_the_order_of_the_list_counts() -> None:
    nameless = Model("sim/unpriced", quality=0.99, context_tokens=2000)
    assert Bench(Pool(asked=("strong",), models=(nameless, TWO[0], TWO[1]), bar=0.5)).to(EASY) == "unpriced"


# ---- what models can do ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "needs",
    [
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
        {"max_tokens": 5000},
        {"messages": [{"role": "user", "content": "x " * 2000}]},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": "hi"}],
                }
            ]
        },
    ],
)
def test_a_model_that_lacks_what_a_call_needs_does_not_get_it(needs: dict[str, Any]) -> None:
    assert Bench(replace(POOL, bar=0.0)).to(EASY, **needs) == "strong"


def test_where_no_model_of_the_pool_is_able_the_call_goes_as_asked() -> None:
    bench = Bench(Pool(asked=("other",), models=(TWO[0],), bar=0.0))
    assert bench.to(EASY, model="other", max_tokens=10**6) == "other"


def test_what_is_neither_text_nor_image_goes_as_asked() -> None:
    content = [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, {"type": "text", "text": "hi"}]
    assert Bench(replace(POOL, bar=0.0)).to(messages=[{"role": "user", "content": content}]) == "strong"


@pytest.mark.parametrize(
    ("model", "tokens", "sees"),
    [("gpt-4o-mini", 128_000, True), ("vendor/Mixtral-8x7B", 32_000, False), ("claude-sonnet-4-5", 200_000, True),
     ("nobody-knows", 8192, False)],
)  # fmt: skip
def test_what_models_can_do_is_known_by_their_names(model: str, tokens: int, sees: bool) -> None:
    assert (able(model).context_tokens, able(model).images) == (tokens, sees)
    assert able(model, Model(model, context_tokens=5, images=not sees)) == replace(
        able(model), context_tokens=5, images=not sees
    )


# ---- who may have what ----------------------------------------------------------------------------------------------


def test_nobody_is_sent_to_a_model_that_the_key_may_not_use() -> None:
    bench = Bench()
    assert bench.to(EASY, caller={"key": "small"}) == "strong"
    assert bench.to(EASY, caller={"key": "all"}) == "cheap"


def test_a_callers_own_credential_goes_to_no_other_upstream() -> None:
    bench = Bench(Pool(asked=("strong",), models=(Model("keyed/cheap"), TWO[1]), bar=0.0))
    assert bench.to(EASY, caller={"vouched": False}) == "strong"
    assert bench.to(EASY) == "cheap"


def test_an_upstream_without_a_key_is_only_for_calls_that_go_there_anyway() -> None:
    bench = Bench(Pool(asked=("keyed/strong",), models=(Model("sim/cheap"), Model("keyed/strong")), bar=0.0))
    assert bench.out(bench.call(EASY, model="keyed/strong")) == Target("keyed", "strong")


# ---- conversations --------------------------------------------------------------------------------------------------


def test_a_conversation_stays_with_its_model() -> None:
    bench = Bench()
    first = bench.call(EASY, "c1")
    bench.out(first)
    bench.back(first)
    assert bench.out(bench.call(HARD, "c1", at_s=60.0)) == CHEAP
    assert bench.out(bench.call(HARD, "c2", at_s=60.0)) == STRONG


def test_after_a_long_silence_it_is_judged_anew() -> None:
    bench = Bench(sticky_s=100.0)
    bench.back(_sent(bench, EASY, "c1"))
    assert bench.out(bench.call(HARD, "c1", at_s=101.0)) == STRONG


def test_a_process_that_knows_nothing_of_a_conversation_judges_by_how_it_began() -> None:
    turns = [
        {"role": "user", "content": EASY},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": HARD},
    ]
    assert Bench().to(messages=turns) == "cheap"


def test_a_conversation_whose_model_lacks_something_moves() -> None:
    bench = Bench()
    bench.back(_sent(bench, EASY, "c1"))
    assert bench.out(bench.call(EASY, "c1", max_tokens=50_000)) == STRONG


def test_a_rule_moves_a_conversation() -> None:
    bench = Bench(rules=(Rule("sim/strong", Condition(headers={"x-important": "yes"})),))
    bench.back(_sent(bench, EASY, "c1"))
    later = bench.call(EASY, "c1")
    later.request.headers = [("X-Important", "yes")]
    assert bench.out(later) == STRONG


def test_many_conversations_are_forgotten_one_by_one() -> None:
    bench = Bench()
    bench.plugin._sticky._most = 3
    for number in range(10):
        bench.back(_sent(bench, EASY, f"c{number}"))
    assert len(bench.plugin._sticky) == 3


def test_what_a_model_has_signed_goes_back_to_it() -> None:
    bench = Bench()
    exchange = bench.call(EASY)
    for segment in exchange.request.segments:
        segment.sealed = True
    assert bench.out(exchange) == STRONG


@given(st.text(min_size=1, max_size=20), st.floats(0.05, 0.95))
def test_who_explores_is_drawn_by_the_conversation(conversation: str, share: float) -> None:
    bench = Bench(replace(POOL, bar=1.0, explore=share), sticky_s=0.0, learn=False)
    assert {bench.out(bench.call(HARD, conversation)).model for _ in range(3)} <= {"cheap", "strong"}
    assert len({bench.out(bench.call(HARD, conversation)).model for _ in range(3)}) == 1


def test_so_many_explore_as_was_said() -> None:
    bench = Bench(replace(POOL, bar=1.0, explore=0.4), sticky_s=0.0, learn=False)
    went = [bench.out(bench.call(HARD, f"c{number}")).model for number in range(2000)]
    assert 0.16 < went.count("cheap") / len(went) < 0.24


# ---- rules ----------------------------------------------------------------------------------------------------------


def test_the_first_rule_that_fits_decides() -> None:
    rules = (
        Rule("sim/a", Condition(agents=("nobody",))),
        Rule("sim/b", Condition(agents=("coder*",))),
        Rule("sim/c", Condition(agents=("coder",))),
    )
    bench = Bench(rules=rules)
    assert bench.to(EASY, caller={"agent": "coder"}) == "b"
    assert bench.to(EASY) == "cheap"


def test_a_rule_may_leave_the_call_as_it_is() -> None:
    assert Bench(rules=(Rule("asked", Condition(tokens_below=1000)),)).to(EASY) == "strong"


def test_a_rule_that_names_models_needs_no_pool() -> None:
    bench = Bench(rules=(Rule("sim/b", Condition(models=("other",)), ("sim/c",)),))
    exchange = bench.call(EASY, model="other")
    assert bench.out(exchange).model == "b"
    assert [one.model for one in exchange.fallbacks] == ["c", "other"]


def test_a_rule_for_no_model_is_for_those_of_pools_alone() -> None:
    assert Bench(rules=(Rule("sim/b"),)).to(EASY, model="other") == "other"


def test_a_rule_sends_nobody_where_the_key_does_not_reach() -> None:
    bench = Bench(rules=(Rule("sim/b"),))
    exchange = bench.call(HARD, caller={"key": "small"})
    assert bench.out(exchange) == STRONG
    assert [step.what for step in exchange.steps] == ["skipped rule 1: not for this caller (its key may not use it)"]


def test_a_rule_may_ask_what_is_left_of_a_budget() -> None:
    bench = Bench(rules=(Rule("sim/cheap", Condition(budget_below=0.2)),))
    for left, model in ((0.1, "cheap"), (0.5, "strong"), (None, "strong")):
        exchange = bench.call(HARD)
        if left is not None:
            exchange.notes[BUDGET_LEFT] = left
        assert bench.out(exchange).model == model


# ---- what was spared ------------------------------------------------------------------------------------------------


def test_a_routed_call_tells_what_it_spared() -> None:
    bench = Bench()
    exchange = bench.back(_sent(bench, EASY), Usage(input=1000, output=100))
    (saving,) = exchange.savings
    assert (saving.plugin, saving.kind, saving.nano_usd) == ("routing", "routed", 1100 * 900)
    assert saving.risk.startswith("sim/cheap is good enough with ")


def test_a_call_that_stayed_spared_nothing() -> None:
    bench = Bench()
    assert bench.back(_sent(bench, HARD)).savings == []


def test_a_call_that_fell_back_to_what_was_asked_spared_nothing() -> None:
    bench = Bench()
    exchange = _sent(bench, EASY)
    exchange.target = STRONG
    assert bench.back(exchange).savings == []


def test_an_answer_out_of_a_cache_is_not_our_saving() -> None:
    bench = Bench()
    exchange = _sent(bench, EASY)
    exchange.cache = "HIT"
    assert bench.back(exchange).savings == []


def test_without_a_price_the_saving_is_not_known() -> None:
    bench = Bench(Pool(asked=("unpriced",), models=(TWO[0], Model("sim/unpriced")), bar=0.0))
    exchange = bench.call(EASY, model="unpriced")
    bench.out(exchange)
    (saving,) = bench.back(exchange).savings
    assert saving.nano_usd is None


def test_leaving_a_warm_cache_is_counted_against_the_saving() -> None:
    bench = Bench(rules=(Rule("sim/cheap", Condition(hours="12:00-13:00")),), sticky_s=86_400.0)
    morning = bench.call(HARD, "c1", at_s=0.0)
    bench.out(morning)
    bench.back(morning, Usage(input=1000, cache_read=9000, output=100))
    noon = bench.call(HARD, "c1", at_s=12 * 3600.0)
    bench.out(noon)
    (saving,) = bench.back(noon, Usage(input=11_000, output=100)).savings
    asked = 1000 * (1000 + 100) + 100 * 10_000
    assert saving.nano_usd == asked - 100 * 11_100


def test_in_shadow_it_tells_what_would_have_been_spared() -> None:
    """The chain gives a view of the call, which nobody has sent, to each hook."""
    bench = Bench()
    out, back = bench.call(EASY, "c1"), bench.call(EASY, "c1")
    bench.out(out)
    back.state, back.target = out.state, STRONG
    back.response = Response(usage=Usage(input=1000, output=100), usage_source="provider")
    at_once(bench.plugin.finish(back))
    (saving,) = back.savings
    assert saving.nano_usd == 1100 * 900
    assert bench.out(bench.call(HARD, "c1")) == CHEAP


# ---- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Pool(asked=(), models=TWO),
        lambda: Pool(asked=("m",), models=()),
        lambda: Pool(asked=("m",), models=(Model("m"),) * 17),
        lambda: Pool(asked=("m",), models=TWO, bar=1.5),
        lambda: RoutingOptions(explore=-0.1),
        lambda: RoutingOptions(sticky_s=-1),
        lambda: Rule(),
        lambda: Model(),
        lambda: Model("m", quality=0.0),
        lambda: Condition(hours="22-6"),
        lambda: Condition(budget_below=2.0),
        lambda: Condition(tokens_below=0),
        lambda: Cascade(most=9),
    ],
)
def test_wrong_options_say_what_is_wrong(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        wrong()


async def test_a_target_that_nobody_serves_is_told_at_start() -> None:
    bench = Bench(Pool(asked=("strong",), models=(Model("nowhere-at-all"), TWO[1])))
    strict = {"sim": Upstream("sim", "http://sim.test/v1", models=("strong",))}
    snapshot = replace(bench.snapshot, upstreams=strict)
    plugin = Routing(replace(bench.kit, live=kit.FixedLive(snapshot)))
    with pytest.raises(ConfigError, match="no upstream serves 'nowhere-at-all'"):
        await plugin.start()


async def test_what_is_served_starts() -> None:
    await Bench(rules=(Rule("asked"),)).plugin.start()


def test_without_rules_and_pools_no_hook_is_needed() -> None:
    plugin = Bench().plugin
    for options, hooks in (
        ({}, []),
        ({"rules": [{"target": "m"}]}, ["request", "finish"]),
        ({"pools": [{"asked": ["m"]}]}, ["request", "finish"]),
        ({"pools": [{"asked": ["m"], "cascade": {}}]}, ["request", "answer", "finish"]),
    ):
        snapshot = kit.snapshot(Entry("routing", "routing", options=options))
        assert [hook for hook in ("request", "answer", "finish") if plugin.needed(hook, snapshot, None)] == hooks


def test_scan_says_which_model_with_what_chance_and_why() -> None:
    plugin = Bench().plugin
    easy, hard = (plugin.scan({"text": text}, RoutingOptions(pools=(POOL,))) for text in (EASY, HARD))
    assert (easy["choice"], hard["choice"]) == ("sim/cheap", "sim/strong")
    assert easy["score"] > hard["score"]
    assert len(hard["reasons"]) == 5


def _sent(bench: Bench, text: str, conversation: str = "", at_s: float = 0.0, **doc: Any) -> Exchange:
    exchange = bench.call(text, conversation, at_s, **doc)
    bench.out(exchange)
    return exchange


def judged(bench: Bench, note: Any, score: float, tenant: str = "default", before: float | None = None) -> None:
    at_once(bench.plugin.feedback(Verdict("wr_1", "answer", score, before, tenant, "default", note)))


# ---- learning -------------------------------------------------------------------------------------------------------


def test_bad_words_about_the_cheap_model_keep_such_calls_from_it() -> None:
    bench = Bench(sticky_s=0.0)
    for number in range(40):
        exchange = bench.back(_sent(bench, EASY, f"c{number}"))
        judged(bench, exchange.notes[LESSONS]["routing"], 0.0)
    assert bench.to(EASY) == "strong"


def test_words_of_one_tenant_are_not_held_against_a_model_elsewhere() -> None:
    bench = Bench(sticky_s=0.0)
    note = bench.back(_sent(bench, EASY)).notes[LESSONS]["routing"]
    for _ in range(40):
        judged(bench, note, 0.0, tenant="another")
    assert bench.to(EASY) == "cheap"
    assert bench.to(EASY, caller={"tenant": "another"}) == "strong"


def test_a_word_that_takes_anothers_place_undoes_what_that_taught() -> None:
    bench, other = Bench(sticky_s=0.0), Bench(sticky_s=0.0)
    note = bench.back(_sent(bench, EASY)).notes[LESSONS]["routing"]
    for _ in range(40):
        judged(bench, note, 0.0)
    assert bench.to(EASY) == "strong"
    for _ in range(40):
        judged(bench, note, 1.0, before=0.0)
    assert bench.to(EASY) == "cheap"
    for _ in range(40):
        judged(other, note, 1.0)
    assert other.to(EASY) == "cheap"


def test_many_answers_that_merely_end_do_not_outvote_the_few_that_are_judged() -> None:
    bench = Bench(sticky_s=0.0)
    for number in range(400):
        note = bench.back(_sent(bench, EASY)).notes[LESSONS]["routing"]
        if number % 10 == 0 and note[0] == "sim/cheap":
            judged(bench, note, 0.0)
    assert bench.to(EASY) == "strong"


def test_a_note_of_another_version_teaches_nothing() -> None:
    bench = Bench(sticky_s=0.0)
    judged(bench, ["sim/cheap", [1.0]], 0.0)
    assert not len(bench.plugin._words)


def test_only_calls_that_a_provider_answered_are_to_be_judged() -> None:
    bench = Bench(sticky_s=0.0)
    failed = bench.back(_sent(bench, EASY), outcome="provider_error")
    hit = _sent(bench, EASY)
    hit.response = Response(source="cache", usage=Usage(1), usage_source="cached")
    at_once(bench.plugin.finish(hit))
    off = bench.back(_sent(Bench(learn=False), EASY))
    assert all(LESSONS not in one.notes for one in (failed, hit, off))


def test_good_words_bring_it_calls_that_it_did_not_have() -> None:
    bench = Bench(sticky_s=0.0)
    bench.out(bench.call(HARD))
    decision = _sent(bench, HARD).state["routing"]
    for _ in range(60):
        judged(bench, ("sim/cheap", decision.traits["sim/cheap"]), 1.0)
    assert bench.to(HARD) == "cheap"


def test_answers_that_are_cut_off_again_and_again_are_held_against_a_model() -> None:
    bench = Bench(sticky_s=0.0)
    for _ in range(200):
        exchange = _sent(bench, EASY)
        bench.back(exchange, finish="length" if exchange.target == CHEAP else "stop")
    assert bench.to(EASY) == "strong"


def test_answers_that_merely_end_change_nothing() -> None:
    bench = Bench(sticky_s=0.0)
    before = bench.plugin._prior.judge(HARD)
    for _ in range(200):
        bench.back(_sent(bench, EASY))
    assert bench.to(HARD) == "strong"
    assert bench.plugin._prior.judge(HARD) == before


def test_what_outcomes_taught_survives_a_restart() -> None:
    first = Bench(sticky_s=0.0)
    for _ in range(200):
        exchange = _sent(first, EASY)
        first.back(exchange, finish="length" if exchange.target == CHEAP else "stop")
    at_once(first.plugin.stop())
    second = Bench(sticky_s=0.0, store=first.kit.store)
    second.to(EASY)  # the first call asks the store, and does not wait for it
    assert second.to(EASY) == "strong"
    assert Bench(sticky_s=0.0).to(EASY) == "cheap"


def test_of_answers_that_merely_ended_one_of_four_teaches_for_all() -> None:
    bench = Bench(sticky_s=0.0)
    for _ in range(EACH * 5):
        bench.back(_sent(bench, EASY))
    known = bench.plugin._learner.known("default", "sim/cheap")
    assert known is not None
    assert (known.observed, known.bent) == (5, False)


def test_a_later_turn_of_plain_text_is_routed_without_a_look_at_its_texts() -> None:
    bench = Bench()
    bench.back(_sent(bench, EASY, "c1"))
    later = bench.call(HARD, "c1")
    assert bench.out(later) == CHEAP
    assert not later.request.walked


def test_a_later_turn_with_a_part_that_no_model_is_known_to_take_goes_as_asked() -> None:
    bench = Bench()
    bench.back(_sent(bench, EASY, "c1"))
    content = [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, {"type": "text", "text": "hi"}]
    assert bench.out(bench.call("", "c1", messages=[{"role": "user", "content": content}])) == STRONG


def test_without_learning_nothing_is_learnt_from_outcomes() -> None:
    bench = Bench(sticky_s=0.0, learn=False)
    for _ in range(200):
        bench.back(_sent(bench, EASY), finish="length")
    assert bench.to(EASY) == "cheap"


def test_where_all_models_fail_often_the_dearest_is_no_better() -> None:
    bench = Bench(sticky_s=0.0)
    traits = _sent(bench, EASY).state["routing"].traits
    for _ in range(400):
        for model in ("sim/cheap", "sim/strong"):
            judged(bench, (model, traits[model]), 0.0)
    assert bench.to(EASY) == "cheap"


@pytest.mark.parametrize(
    "given",
    [
        {"finish": "content_filter"},
        {"usage": Usage(input=100, output=0)},
        {"usage": Usage(input=100, output=12), "said": [REFUSAL]},
    ],
)
def test_answers_that_are_none_are_held_against_a_model(given: dict[str, Any]) -> None:
    bench = Bench(sticky_s=0.0)
    for _ in range(200):
        exchange = _sent(bench, EASY)
        bench.back(exchange, **(given if exchange.target == CHEAP else {}))
    assert bench.to(EASY) == "strong"


def test_a_call_that_is_sent_once_more_in_its_session_is_held_against_the_model_that_answered() -> None:
    bench = Bench(learn=True)
    session = {"session": "s1"}

    def observed() -> int:
        known = bench.plugin._learner.known("default", "sim/cheap")
        return 0 if known is None else known.observed

    for number in range(EACH - 1):  # answers that merely end teach once in so many times
        bench.back(_sent(bench, EASY, f"x{number}"))
    bench.back(_sent(bench, EASY, "c1", 0.0, caller=session))
    before = observed()
    known = bench.plugin._learner.known("default", "sim/cheap")
    assert known is not None
    assert not known.bent
    bench.out(bench.call(EASY, "c1", 10.0, caller=session))
    assert (observed(), known.bent) == (before + 1, True)
    bench.out(bench.call(EASY, "c1", 11.0, caller=session))  # nobody has answered that yet
    bench.out(bench.call("another", "c1", 11.0, caller=session))
    assert observed() == before + 1


@pytest.mark.parametrize(("later", "named"), [({"at_s": 500.0}, True), ({"text": "something else"}, True), ({}, False)])
def test_what_comes_later_or_asks_something_else_or_names_no_session_is_no_retry(
    later: dict[str, Any], named: bool
) -> None:
    bench = Bench()
    caller = {"session": "s1"} if named else {}
    bench.back(_sent(bench, EASY, "c1", 0.0, caller=caller))
    bench.out(bench.call(**{"text": EASY, "talk": "c1", "at_s": 10.0, "caller": caller, **later}))
    known = bench.plugin._learner.known("default", "sim/cheap")
    assert known is None or not known.bent


# ---- what is kept by a provider -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stored", "model"), [({}, "strong"), ({"store": False}, "small")])
async def test_answers_that_a_provider_keeps_are_kept_where_the_next_call_looks(stored: Any, model: str) -> None:
    bench = Bench(Pool(asked=("strong",), models=(Model("keyed/small", context_tokens=9000), TWO[1]), bar=0.0))
    exchange = bench.call(EASY, **stored)
    exchange.request.dialect = "responses"
    assert bench.out(exchange).model == model


# ---- whatever comes -------------------------------------------------------------------------------------------------

MODELS = st.builds(
    Model,
    target=st.sampled_from(["sim/cheap", "sim/middle", "sim/strong", "keyed/small", "keyed/big"]),
    quality=st.none() | st.floats(0.1, 1.0),
    context_tokens=st.sampled_from([1100, 3000, 100_000]),
    tools=st.booleans(),
    json_schema=st.booleans(),
)
CALLS = st.fixed_dictionaries(
    {},
    optional={
        "tools": st.just([{"type": "function", "function": {"name": "f"}}]),
        "response_format": st.just({"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}),
        "max_tokens": st.integers(1, 5000),
        "stream": st.booleans(),
    },
)


@given(
    st.lists(MODELS, min_size=1, max_size=5), st.lists(CALLS, min_size=1, max_size=4), st.text(max_size=50),
    st.floats(0, 1), st.floats(0, 1), st.booleans(),
)  # fmt: skip
def test_a_call_only_moves_to_a_model_that_is_able_and_open_to_its_caller(
    models: list[Model], calls: list[dict[str, Any]], text: str, bar: float, explore: float, vouched: bool
) -> None:
    pool = Pool(asked=("strong",), models=tuple(models), bar=bar, explore=explore)
    bench = Bench(pool)
    listed = {model.target: model for model in models}
    for doc in calls:
        exchange = bench.call(text, "talk", caller={"vouched": vouched}, **doc)
        went = bench.out(exchange)
        bench.back(exchange)
        assert len(set(exchange.fallbacks)) == len(exchange.fallbacks)
        assert went not in exchange.fallbacks
        assert went == STRONG or STRONG in exchange.fallbacks
        if went == STRONG:
            continue
        same = [model for model in models if model.target == f"{went.upstream}/{went.model}"]
        assert went.upstream == "sim" or vouched
        assert f"{went.upstream}/{went.model}" in listed
        assert any(model.tools for model in same) or "tools" not in doc
        assert any(model.json_schema for model in same) or "response_format" not in doc
        assert any((model.context_tokens or 0) >= doc.get("max_tokens", 1024) for model in same)
