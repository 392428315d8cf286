from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from plugins.variants.options import Trial, Variant, VariantsOptions
from plugins.variants.plugin import Variants
from proxy import wire
from proxy.coroutines import at_once
from proxy.exchange import PINNED, RETRIEVED, Dialect, Exchange, Request, Target
from proxy.live import Agent, Alias, CallerKey, Entry, Identity, Upstream
from proxy.route import Member
from proxy.upstream import endpoint
from proxy.wire.body import encode
from tests import kit

SYSTEM = {"role": "system", "content": "You are terse."}
USER = {"role": "user", "content": "hello"}
UPSTREAMS = {
    "one": Upstream("one", "http://127.0.0.1:9/v1", models=("m*", "spare")),
    "two": Upstream("two", "http://127.0.0.1:8/v1", models=("big",)),
}


class Bench:
    """A plugin with tests; calls that go out."""

    def __init__(self, *tests: Trial, **snapshot: Any) -> None:
        self.metrics = kit.FakeMetrics()
        self.plugin = Variants(kit.kit(metrics=self.metrics))
        made = VariantsOptions(tests)
        self.snapshot = replace(
            kit.snapshot(upstreams=UPSTREAMS, **snapshot), resolve=lambda plugin, agent, variant: made
        )  # fmt: skip

    def out(self, doc: dict[str, Any] | None = None, *, dialect: Dialect = "chat", **caller: Any) -> Exchange:
        exchange = kit.exchange(self.snapshot, **caller)
        if doc is not None or dialect != "chat":
            exchange.request = asked(dialect, doc or {"model": "m", "messages": [USER]})
        exchange.target, *exchange.fallbacks = endpoint.targets_of(exchange, exchange.request.model)
        exchange.conversation = exchange.conversation or "c1"
        at_once(self.plugin.request(exchange))
        return exchange


def asked(dialect: Dialect, doc: dict[str, Any]) -> Request:
    codec, body = wire.codec(dialect), encode(doc)
    parsed = codec.read(body)
    return Request(
        dialect, "POST", "/v1/x", "", [], body, doc=parsed, model=parsed.get("model", ""), walk=codec.walk,
        write=codec.write,
    )  # fmt: skip


def only(**variant: Any) -> Trial:
    """Everybody is in it, and gets this."""
    return Trial("t", (Variant("b", **variant),))


def sent(exchange: Exchange) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(wire.codec(exchange.request.dialect).write(exchange.request))
    return found


def test_a_call_gets_a_variant_of_each_test_it_is_in() -> None:
    exchange = Bench(only(), Trial("other", (Variant("x"),))).out(user="ann")
    assert exchange.variant == "t=b,other=x"


def test_where_no_test_applies_there_is_no_variant_and_nothing_is_touched() -> None:
    bench = Bench(
        Trial("agents", (Variant("b", model="big"),), agents=("sales-*",)),
        Trial("models", (Variant("b", model="big"),), models=("gpt-4",)),
        Trial("surfaces", (Variant("b", model="big"),), surfaces=("messages",)),
        Trial("idle", (Variant("b", model="big"),), active=False),
        Trial("nobody", (Variant("b", model="big"),), share=0),
    )
    exchange = bench.out()
    assert exchange.variant == ""
    assert exchange.target == Target("one", "m")
    assert not exchange.request.changed


@pytest.mark.parametrize(("agent", "assigned"), [("sales-eu", "t=b"), ("sales", ""), ("ops", "t=b")])
def test_a_test_is_for_the_agents_it_names(agent: str, assigned: str) -> None:
    bench = Bench(Trial("t", (Variant("b"),), agents=("sales-*", "ops")))
    assert bench.out(agent=agent).variant == assigned


def test_embeddings_are_in_no_test_unless_it_says_so() -> None:
    doc = {"model": "m", "input": "hello"}
    assert Bench(only()).out(doc, dialect="embeddings").variant == ""
    assert Bench(Trial("t", (Variant("b"),), surfaces=("embeddings",))).out(doc, dialect="embeddings").variant == "t=b"


def test_what_is_read_again_from_a_provider_is_in_no_test() -> None:
    bench = Bench(only(parameters={"temperature": 1}))
    exchange = kit.exchange(bench.snapshot)
    exchange.notes[RETRIEVED] = "resp_1"
    at_once(bench.plugin.request(exchange))
    assert exchange.variant == ""


def test_a_user_gets_the_same_in_every_conversation_and_a_conversation_for_every_user() -> None:
    halves = (Variant("a"), Variant("b"))
    users, conversations = Bench(Trial("t", halves, unit="user")), Bench(Trial("t", halves))

    def variants(bench: Bench, names: list[str], users: list[str]) -> set[str]:
        found = set()
        for conversation in names:
            for user in users:
                exchange = kit.exchange(bench.snapshot, user=user)
                exchange.conversation = conversation
                at_once(bench.plugin.request(exchange))
                found.add(exchange.variant)
        return found

    many = [f"n{number}" for number in range(30)]
    assert len(variants(users, many, ["ann"])) == 1
    assert len(variants(users, ["c"], many)) == 2
    assert len(variants(conversations, ["c"], many)) == 1
    assert len(variants(conversations, many, ["ann"])) == 2


def test_without_a_user_or_session_it_is_the_conversation() -> None:
    halves = (Variant("a"), Variant("b"))
    plain, user, session = (Bench(Trial("t", halves, unit=unit)) for unit in ("conversation", "user", "session"))
    for number in range(20):
        found = set()
        for bench in (plain, user, session):
            exchange = kit.exchange(bench.snapshot)
            exchange.conversation = f"c{number}"
            at_once(bench.plugin.request(exchange))
            found.add(exchange.variant)
        assert len(found) == 1


def test_a_turn_whose_conversation_cannot_be_told_is_in_no_test_by_conversation() -> None:
    doc = {"model": "m", "input": "and then?", "previous_response_id": "resp_1"}
    bench = Bench(only())
    assert bench.out(doc, dialect="responses").variant == ""
    assert bench.out(doc, dialect="responses", session="s").variant == "t=b"
    assert Bench(Trial("t", (Variant("b"),), unit="user")).out(doc, dialect="responses", user="ann").variant == "t=b"


def test_a_model_goes_where_it_is_served_and_is_told_to_those_below() -> None:
    exchange = Bench(only(model="big")).out()
    assert (exchange.target, exchange.fallbacks) == (Target("two", "big"), [])
    assert exchange.notes[PINNED] == "variants"


def test_a_model_may_be_an_alias_with_fallbacks_of_its_own() -> None:
    exchange = Bench(only(model="best"), aliases={"best": Alias("big", fallbacks=("spare",))}).out()
    assert (exchange.target, exchange.fallbacks) == (Target("two", "big"), [Target("one", "spare")])


def test_the_model_that_is_asked_anyway_changes_nothing() -> None:
    exchange = Bench(only(model="m")).out()
    assert exchange.variant == "t=b"
    assert exchange.target == Target("one", "m")
    assert not exchange.request.changed


def test_a_model_that_nobody_serves_leaves_the_call_out_of_the_test_and_says_so() -> None:
    exchange = Bench(only(model="gone", parameters={"temperature": 1}), Trial("other", (Variant("x"),))).out()
    assert exchange.variant == "other=x"
    assert not exchange.request.changed
    assert [(step.plugin, step.what) for step in exchange.steps] == [("variants", "unserved t=b")]


@pytest.mark.parametrize(
    ("models", "variant"), [(("m",), "other=x"), (("m", "big"), "t=b,other=x"), ((), "t=b,other=x")]
)
def test_a_model_that_the_key_may_not_use_leaves_the_call_out_of_the_test(
    models: tuple[str, ...], variant: str
) -> None:
    identity = Identity(keys=(CallerKey(name="k", sha256="", models=models),))
    exchange = Bench(only(model="big"), Trial("other", (Variant("x"),)), identity=identity).out(key="k")
    assert exchange.variant == variant
    assert exchange.target == (Target("one", "m") if variant == "other=x" else Target("two", "big"))
    assert [step.what for step in exchange.steps] == (["not allowed t=b"] if variant == "other=x" else [])


def test_a_call_that_builds_on_what_a_provider_keeps_stays_with_that_provider() -> None:
    doc = {"model": "m", "input": "and then?", "conversation": "conv_1"}
    exchange = Bench(only(model="big")).out(doc, dialect="responses")
    assert (exchange.variant, exchange.target) == ("", Target("one", "m"))
    exchange = Bench(only(model="spare")).out(doc, dialect="responses")
    assert (exchange.variant, exchange.target) == ("t=b", Target("one", "spare"))


def test_parameters_are_set_and_taken_out() -> None:
    doc = {"model": "m", "messages": [USER], "temperature": 0.2, "top_p": 0.5}
    exchange = Bench(only(parameters={"temperature": 1.0, "top_p": None, "seed": 7})).out(doc)
    assert sent(exchange) == {"model": "m", "messages": [USER], "temperature": 1.0, "seed": 7}


@pytest.mark.parametrize(
    ("has", "wants", "becomes"),
    [
        ({"max_tokens": 100}, {"max_tokens": 50}, {"max_tokens": 50}),
        ({"max_tokens": 100}, {"max_tokens": 500}, {"max_tokens": 100}),
        ({"max_completion_tokens": 100}, {"max_tokens": 50}, {"max_completion_tokens": 50}),
        ({}, {"max_tokens": 50}, {"max_tokens": 50}),
        ({"max_tokens": 100}, {"max_tokens": None}, {"max_tokens": 100}),
    ],
)
def test_the_limit_of_an_answer_is_lowered_and_never_raised(
    has: dict[str, int], wants: dict[str, Any], becomes: dict[str, int]
) -> None:
    exchange = Bench(only(parameters=wants)).out({"model": "m", "messages": [USER], **has})
    assert sent(exchange) == {"model": "m", "messages": [USER], **becomes}


def test_where_two_tests_change_the_same_the_later_one_does() -> None:
    first = Trial("first", (Variant("x", model="big", parameters={"temperature": 0.1}),))
    exchange = Bench(first, only(model="spare", parameters={"temperature": 0.9})).out()
    assert exchange.target == Target("one", "spare")
    assert sent(exchange)["temperature"] == 0.9


def test_calls_are_counted_by_variant_and_outcome() -> None:
    bench = Bench(only())
    for outcome in ("ok", "ok", "refused"):
        exchange = bench.out()
        exchange.outcome = outcome
        at_once(bench.plugin.finish(exchange))
    at_once(bench.plugin.finish(kit.exchange()))
    labels = {dict(key[1])["outcome"]: value for key, value in bench.metrics.values.items()}
    assert labels == {"ok": 2, "refused": 1}
    assert dict(next(iter(bench.metrics.values))[1]).keys() == {"test", "variant", "outcome"}


def test_no_hook_waits_so_that_calls_keep_the_short_way() -> None:
    bench = Bench(only())
    member = Member(bench.plugin, Entry("variants", "variants"), 0, frozenset({"request", "finish"}))
    assert member.short
    assert member.still == {"request", "finish"}


def test_without_tests_no_hook_is_called() -> None:
    plugin = Variants(kit.kit())
    written = {"tests": [{"name": "t", "variants": [{"name": "b"}]}]}
    assert not plugin.needed("request", kit.snapshot(Entry("variants", "variants")), None)
    assert plugin.needed("request", kit.snapshot(Entry("variants", "variants", options=written)), None)
    own = Agent(plugins={"variants": {"options": written}})
    assert plugin.needed("request", kit.snapshot(Entry("variants", "variants")), own)


def test_scan_shows_what_a_unit_gets() -> None:
    tests = (Trial("t", (Variant("a"), Variant("b")), unit="user"), Trial("off", (Variant("x"),), share=0.5))
    plugin, options = Variants(kit.kit()), VariantsOptions(tests)
    for number in range(20):
        row = plugin.scan({"unit": f"u{number}"}, options)
        assert row["assigned"].keys() == {"t", "off"}
        assert row["variant"] == ",".join(f"{test}={variant}" for test, variant in row["assigned"].items() if variant)
        assert row["variant"].split(",")[0] == Bench(tests[0]).out(user=f"u{number}").variant


# ---- system prompts


@pytest.mark.parametrize(
    ("mode", "messages", "becomes"),
    [
        ("replace", [SYSTEM, USER], ["New."]),
        ("replace", [USER], ["New."]),
        ("prepend", [SYSTEM, USER], ["New.\n\nYou are terse."]),
        ("prepend", [USER], ["New."]),
        ("append", [SYSTEM, USER], ["You are terse.\n\nNew."]),
        ("append", [USER], ["New."]),
        ("replace", [SYSTEM, {"role": "developer", "content": "More."}, USER], ["New.", ""]),
        ("replace", [SYSTEM, USER, {"role": "system", "content": "Later."}], ["New.", "Later."]),
    ],
)
def test_chat_gets_a_version_of_the_system_prompt(mode: Any, messages: list[Any], becomes: list[str]) -> None:
    exchange = Bench(only(system="New.", system_mode=mode)).out({"model": "m", "messages": messages})
    body = sent(exchange)["messages"]
    assert [one["content"] for one in body if one["role"] in ("system", "developer")] == becomes
    assert [one for one in body if one["role"] == "user"] == [USER]


MARK = {"type": "ephemeral"}


@pytest.mark.parametrize(
    ("mode", "system", "becomes"),
    [
        ("replace", "Old.", "New."),
        ("replace", None, "New."),
        ("prepend", "Old.", "New.\n\nOld."),
        ("append", "Old.", "Old.\n\nNew."),
        ("replace", [{"type": "text", "text": "Old.", "cache_control": MARK}],
         [{"type": "text", "text": "New.", "cache_control": MARK}]),
        ("replace", [{"type": "text", "text": "A"}, {"type": "text", "text": "B", "cache_control": MARK}],
         [{"type": "text", "text": "New.", "cache_control": MARK}]),
        ("replace", [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}], [{"type": "text", "text": "New."}]),
        ("prepend", [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}],
         [{"type": "text", "text": "New.\n\nA"}, {"type": "text", "text": "B"}]),
    ],
)  # fmt: skip
def test_messages_get_a_version_of_the_system_prompt(mode: Any, system: Any, becomes: Any) -> None:
    doc = {"model": "m", "max_tokens": 9, "messages": [USER]} | ({} if system is None else {"system": system})
    exchange = Bench(only(system="New.", system_mode=mode)).out(doc, dialect="messages")
    assert sent(exchange) == doc | {"system": becomes}


@pytest.mark.parametrize(
    ("mode", "has", "becomes"),
    [
        ("replace", {"instructions": "Old."}, {"instructions": "New."}),
        ("replace", {}, {"instructions": "New."}),
        ("prepend", {"instructions": "Old."}, {"instructions": "New.\n\nOld."}),
        ("append", {"instructions": "Old."}, {"instructions": "Old.\n\nNew."}),
    ],
)
def test_responses_get_a_version_of_the_system_prompt(mode: Any, has: dict[str, Any], becomes: dict[str, Any]) -> None:
    exchange = Bench(only(system="New.", system_mode=mode)).out(
        {"model": "m", "input": "hi", **has}, dialect="responses"
    )
    assert sent(exchange) == {"model": "m", "input": "hi", **becomes}


def test_dialects_without_a_system_prompt_are_left_alone() -> None:
    exchange = Bench(only(system="New.")).out({"model": "m", "prompt": "hi"}, dialect="completions")
    assert exchange.variant == "t=b"
    assert sent(exchange) == {"model": "m", "prompt": "hi"}
