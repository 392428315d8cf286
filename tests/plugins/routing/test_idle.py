"""Rules and pools that no call ever reaches are told, and no other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.routing.idle import covers, idle, named
from plugins.routing.language import SCRIPTS, SMALL
from plugins.routing.options import LANGUAGES, Condition, Model, Pool, RoutingOptions, Rule, fits
from plugins.routing.rules import within
from proxy.exchange import Dialect


def dialects(name: str) -> frozenset[Dialect]:
    return frozenset({"messages"}) if "claude" in name else frozenset({"chat", "responses"})


def told(*rules: Rule, pools: tuple[Pool, ...] = ()) -> list[tuple[tuple[str, ...], str]]:
    return list(idle(RoutingOptions(rules=rules, pools=pools), dialects))


def rule(target: str = "openai/gpt-4o", name: str = "", **when: Any) -> Rule:
    return Rule(target=target, name=name, when=Condition(**when))


ALL = ("*",)
POOL = Pool(asked=("gpt-4o",), models=(Model(target="a"), Model(target="b")))


def test_a_rule_under_a_broader_one_is_never_reached() -> None:
    assert told(rule(models=ALL), rule("a/b", "cheap", models=("gpt-4o",), tools=True)) == [
        (
            ("rules", "1"),
            "rule 2 (cheap) is never reached: rule 1 above it takes all of its calls, where the caller may use "
            "openai/gpt-4o; move it up, or narrow the one above",
        )
    ]
    found = told(rule("asked", "stay", models=ALL), rule(models=ALL))
    assert found[0][1].startswith("rule 2 is never reached: rule 1 (stay) above it takes all of its calls; move it up")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (rule(models=("gpt-4o",)), rule(models=ALL)),
        (rule(models=ALL, tools=True), rule(models=ALL)),
        (rule(models=ALL, tools=True), rule(models=ALL, tools=False)),
        (rule(models=ALL, tokens_from=500), rule(models=ALL, tokens_from=100)),
        (rule(models=ALL, tokens_below=500), rule(models=ALL)),
        (rule(models=ALL, tags=("a",)), rule(models=ALL, tags=("a", "b"))),
        (rule(models=ALL, hours="22:00-06:00"), rule(models=ALL, hours="21:00-05:00")),
        (rule(models=ALL, days=("mon",)), rule(models=ALL, days=("mon", "tue"))),
        (rule(models=ALL, budget_below=0.1), rule(models=ALL, budget_below=0.5)),
        (rule(models=ALL, headers={"x-a": "1"}), rule(models=ALL, headers={"x-b": "1"})),
        (rule(models=ALL, languages=("de",)), rule(models=ALL)),
        (rule(models=ALL, agents=("tax",)), rule(models=ALL)),
        (rule("anthropic/claude-3", models=ALL), rule("openai/gpt-4o", models=ALL)),  # another dialect
        (rule("openai/gpt-4o", models=ALL), rule("asked", models=ALL)),  # which may be of any
    ],
)
def test_a_rule_that_is_for_other_calls_too_is_not_spoken_of(first: Rule, second: Rule) -> None:
    assert told(first, second) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"tokens_from": 100}, {"tokens_from": 500}),
        ({"tokens_below": 500}, {"tokens_below": 100}),
        ({"tags": ("a", "b")}, {"tags": ("a",)}),
        ({"hours": "20:00-08:00"}, {"hours": "22:00-06:00"}),
        ({"hours": "00:00-00:00"}, {}),
        ({"days": ("mon", "tue")}, {"days": ("mon",)}),
        ({"budget_below": 0.5}, {"budget_below": 0.1}),
        ({"headers": {"X-A": "1*"}}, {"headers": {"x-a": "12", "x-b": "2"}}),
        ({"languages": ("de", "fr")}, {"languages": ("de",)}),
        ({"agents": ("tax-*",)}, {"agents": ("tax-a", "tax-b*")}),
    ],
)
def test_each_condition_is_compared(first: Any, second: Any) -> None:
    assert covers(Condition(**first), Condition(**second))
    assert not covers(Condition(**second), Condition(**first)) or second == {}


def test_rules_without_models_are_for_those_of_the_pools() -> None:
    assert told(rule(tools=True)) == [
        (
            ("rules", "0"),
            "rule 1 is for no call: without `when.models` a rule is for the models of the pools, and there is none; "
            'write when: {models: ["*"]} for every model, or name them',
        )
    ]
    assert told(rule(tools=True), pools=(POOL,)) == []
    assert "never reached" in told(rule(), rule(models=("gpt-4o",)), pools=(POOL,))[0][1]
    assert told(rule(), rule(models=("o3",)), pools=(POOL,)) == []


def test_a_rule_that_contradicts_itself_and_takes_nothing_from_others() -> None:
    found = told(rule(models=ALL, tokens_from=500, tokens_below=500), rule(models=ALL, tokens_from=600))
    assert found == [(("rules", "0"), "rule 1 is for no call: tokens_from 500 is not below tokens_below 500")]


def test_a_pool_under_a_broader_one_is_never_reached() -> None:
    broad = Pool(asked=("gpt-*",), models=(Model(target="a"),), name="all")
    assert told(pools=(broad, POOL)) == [
        (("pools", "1"), "pool 1 (all) takes all that this pool is for before it; move it up, or take it out")
    ]
    assert told(pools=(POOL, broad)) == []


def test_all_models_are_named_with_their_place() -> None:
    options = RoutingOptions(
        rules=(
            Rule(target="a/b", when=Condition(models=("x",)), fallbacks=("c", "d")), Rule(target="asked"),
        ),
        pools=(POOL,),
    )  # fmt: skip
    assert [(".".join(one.path), one.name, one.how) for one in named(options)] == [
        ("rules.0.target", "a/b", "target"), ("rules.0.fallbacks.0", "c", "target"),
        ("rules.0.fallbacks.1", "d", "target"), ("rules.0.when.models.0", "x", "asked"),
        ("pools.0.asked.0", "gpt-4o", "asked"), ("pools.0.models.0.target", "a", "target"),
        ("pools.0.models.1.target", "b", "target"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("german", "languages has 'german', which is none; write de"),
        ("DE", "write de"), ("de-AT", "write de"), ("Engish", "write en"), ("pt_BR", "write pt"),
        ("klingon", "there are ar, de, el"),
    ],
)  # fmt: skip
def test_a_language_that_is_none_is_refused_with_its_code(word: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Condition(languages=("en", word))


def test_the_languages_are_those_that_are_told_apart() -> None:
    assert set(LANGUAGES) == {code for code, _ in SCRIPTS} | set(SMALL)


PATTERNS = st.lists(st.sampled_from(["a", "a*", "ab", "ab*", "b", "*"]), max_size=2).map(tuple)
CONDITIONS = st.builds(
    Condition,
    agents=PATTERNS,
    models=PATTERNS,
    tags=st.lists(st.sampled_from("xyz"), max_size=2).map(tuple),
    tokens_from=st.sampled_from([None, 0, 1, 2]),
    tokens_below=st.sampled_from([None, 1, 2, 3]),
    tools=st.sampled_from([None, True, False]),
    hours=st.sampled_from(["", "00:00-12:00", "06:00-09:00", "22:00-06:00"]),
    budget_below=st.sampled_from([None, 0.3, 0.7]),
)
CALLS = st.fixed_dictionaries(
    {
        "agent": st.sampled_from(["a", "ab", "abc", "b"]), "model": st.sampled_from(["a", "ab", "abc", "b"]),
        "tag": st.sampled_from("xyz"), "tokens": st.integers(0, 4), "tools": st.booleans(),
        "minute": st.sampled_from([0, 400, 700, 1380]), "left": st.sampled_from([0.1, 0.5, 0.9]),
    }
)  # fmt: skip


def suits(when: Condition, call: dict[str, Any]) -> bool:
    """As the rules decide it, of one call."""
    return (
        (not when.agents or fits(when.agents, call["agent"]))
        and (not when.models or fits(when.models, call["model"]))
        and (not when.tags or call["tag"] in when.tags)
        and call["tokens"] >= (when.tokens_from or 0)
        and (when.tokens_below is None or call["tokens"] < when.tokens_below)
        and when.tools in (None, call["tools"])
        and (not when.hours or within(when.hours, call["minute"]))
        and (when.budget_below is None or call["left"] < when.budget_below)
    )


@settings(deadline=None, max_examples=400)
@given(CONDITIONS, CONDITIONS, CALLS)
def test_what_is_covered_takes_no_call_of_its_own(broad: Condition, narrow: Condition, call: dict[str, Any]) -> None:
    if covers(broad, narrow) and suits(narrow, call):
        assert suits(broad, call)
