"""Keys: equal where nothing differs that could make answers differ, and different everywhere else."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import combinations
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.cache.key import Keys, canonical, heard, loses
from proxy.derived import derived
from proxy.exchange import Exchange, Target
from proxy.live import CallerKey, Identity, Upstream
from tests.plugins.cache.calls import BODIES, call, settings

DOC: dict[str, Any] = {
    "model": "m",
    "temperature": 0,
    "max_tokens": 100,
    "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hello"}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
    "stop": ["a", "b"],
}


def text(exchange: Exchange) -> bytes:
    return canonical(exchange, exchange.request.present(), heard(exchange.request.headers)[1])


def of(doc: dict[str, Any] | None = None, **more: Any) -> bytes:
    return text(call(doc or DOC, **more))


def changed(*path: Any, value: Any) -> dict[str, Any]:
    doc = copy.deepcopy(DOC)
    place: Any = doc
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return doc


DIFFERENT: dict[str, dict[str, Any]] = {
    "tenant": {"tenant": "other"},
    "agent": {"agent": "other"},
    "upstream": {"target": Target("other", "m")},
    "model": {"target": Target("sim", "other")},
    "path": {"path": "/v1/other"},
    "query": {"query": "api-version=2"},
    "a behaviour asked for by header": {"headers": (("Anthropic-Beta", "x"),)},
    "another of them": {"headers": (("OpenAI-Beta", "x"),)},
    "system prompt": {"doc": changed("messages", 0, "content", value="Be kind")},
    "user text": {"doc": changed("messages", 1, "content", value="hello ")},
    "case": {"doc": changed("messages", 1, "content", value="Hello")},
    "role": {"doc": changed("messages", 1, "role", value="assistant")},
    "order of messages": {"doc": changed("messages", value=DOC["messages"][::-1])},
    "order of a list": {"doc": changed("stop", value=["b", "a"])},
    "tools": {"doc": changed("tools", 0, "function", "name", value="g")},
    "a tool's parameters": {"doc": changed("tools", 0, "function", "parameters", "type", value="string")},
    "no tools": {"doc": {name: value for name, value in DOC.items() if name != "tools"}},
    "temperature written otherwise": {"doc": {**DOC, "temperature": 0.0}},
    "a parameter": {"doc": {**DOC, "max_tokens": 101}},
    "a number as text": {"doc": {**DOC, "top_p": "1"}},
    "true for 1": {"doc": {**DOC, "top_p": True}},
    "1": {"doc": {**DOC, "top_p": 1}},
    "1.0": {"doc": {**DOC, "top_p": 1.0}},
    "null": {"doc": {**DOC, "top_p": None}},
    "unknown parameter": {"doc": {**DOC, "x_new": 1}},
    "stream": {"doc": {**DOC, "stream": True}},
    "stream with usage": {"doc": {**DOC, "stream": True, "stream_options": {"include_usage": True}}},
    "a long integer": {"doc": {**DOC, "seed": 2**70}},
    "the next one": {"doc": {**DOC, "seed": 2**70 + 1}},
    "that as a number": {"doc": {**DOC, "seed": 1180591620717411303424.0}},
    "another credential scheme": {"doc": {**DOC, "response_format": {"type": "json_object"}}},
}


def test_whatever_may_make_answers_differ_makes_keys_differ() -> None:
    found = {name: of(**{"doc": DOC, **more}) for name, more in DIFFERENT.items()} | {"as it was": of()}
    same = [(one, other) for one, other in combinations(found, 2) if found[one] == found[other]]
    assert not same


def test_the_variant_is_part_of_the_key() -> None:
    exchange = call(DOC)
    before = text(exchange)
    exchange.variant = "b"
    assert text(exchange) != before


@pytest.mark.parametrize(
    "more",
    [
        {"user": "ann"}, {"session": "s"}, {"credential": "abc"}, {"priority": 3}, {"key": "none known"},
        {"doc": {**DOC, "user": "ann"}}, {"doc": {**DOC, "metadata": {"a": "b"}}},
        {"doc": {**DOC, "safety_identifier": "x"}}, {"doc": dict(reversed(DOC.items()))},
        {"doc": {**DOC, "stream": False}},
        {"headers": (("user-agent", "x"), ("x-weir-cache", "ttl=3"))}, {"at_s": 5.0},
        {"doc": {**DOC, "model": "an alias of m"}},
    ],
)  # fmt: skip
def test_what_cannot_make_answers_differ_leaves_the_key_alone(more: dict[str, Any]) -> None:
    assert of(**{"doc": DOC, **more}) == of()


def test_the_order_of_keys_does_not_matter_at_any_depth() -> None:
    turned = copy.deepcopy(DOC)
    turned["messages"] = [dict(reversed(message.items())) for message in turned["messages"]]
    turned["tools"][0]["function"] = dict(reversed(turned["tools"][0]["function"].items()))
    assert of(turned) == of()


def test_of_stream_options_only_what_is_set_matters() -> None:
    bare = of({**DOC, "stream": True})
    for options in ({"include_usage": False}, {}, {"include_usage": None}):
        assert of({**DOC, "stream": True, "stream_options": options}) == bare
    assert of({**DOC, "stream": True, "stream_options": {"include_obfuscation": True}}) != bare


def test_a_masked_text_is_what_counts() -> None:
    def masked(name: str) -> bytes:
        exchange = call(changed("messages", 1, "content", value=f"mail {name}"))
        exchange.request.segments[1].text = "mail [EMAIL_1]"
        return text(exchange)

    assert (
        masked("ann@example.org") == masked("bob@example.org") != of(changed("messages", 1, "content", value="mail "))
    )


def test_what_plugins_set_and_insert_counts() -> None:
    set_, inserted, bare = call(DOC), call(DOC), call(DOC)
    set_.request.set("top_p", 0.5)
    inserted.request.insert("system", "Be brief.", "fewshot")
    assert len({text(set_), text(inserted), text(bare)}) == 3


def test_an_upstream_that_moved_is_another() -> None:
    def at(url: str) -> bytes:
        return of(snapshot=replace(settings(), upstreams={"sim": Upstream("sim", url)}))

    assert at("http://one/v1") == at("http://one/v1") != at("http://two/v1")


def test_a_key_that_may_use_fewer_models_shares_with_its_like_only() -> None:
    keys = (
        CallerKey("all"),
        CallerKey("few", models=("m",)),
        CallerKey("also", models=("m",)),
        CallerKey("b", models=("x",)),
    )
    snapshot = replace(settings(), identity=Identity(keys=keys))
    found = {name: of(snapshot=snapshot, key=name) for name in ("all", "few", "also", "b")}
    assert found["few"] == found["also"]
    assert len({found["all"], found["few"], found["b"]}) == 3


TEXTS = st.text(max_size=20)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.none() | st.booleans() | NUMBERS | TEXTS
FIELDS = st.fixed_dictionaries(
    dict.fromkeys(("tenant", "agent", "variant", "system", "user", "tool"), TEXTS)
    | {"parameters": st.dictionaries(st.sampled_from(["top_p", "seed", "stop", "x"]), VALUES, max_size=3)}
)


def _of(fields: dict[str, Any]) -> bytes:
    doc = {
        "model": "m",
        "temperature": 0,
        "messages": [{"role": "system", "content": fields["system"]}, {"role": "user", "content": fields["user"]}],
        "tools": [{"type": "function", "function": {"name": fields["tool"]}}],
        **fields["parameters"],
    }
    exchange = call(doc, tenant=fields["tenant"], agent=fields["agent"])
    exchange.variant = fields["variant"]
    return text(exchange)


def _said(fields: dict[str, Any]) -> str:
    return repr(
        sorted((name, sorted(value.items()) if type(value) is dict else value) for name, value in fields.items())
    )


@given(FIELDS, FIELDS)
def test_keys_never_collide_across_tenant_agent_prompt_tools_parameters_and_variant(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert (_of(one) == _of(other)) == (_said(one) == _said(other))


@given(FIELDS, st.sampled_from(["tenant", "agent", "variant", "system", "user", "tool"]), TEXTS)
def test_one_field_that_differs_is_enough(fields: dict[str, Any], name: str, value: str) -> None:
    assert (_of({**fields, name: value}) == _of(fields)) == (fields[name] == value)


@given(st.text(max_size=30), st.integers(0, 30))
def test_what_moves_from_one_field_to_its_neighbour_makes_another_key(whole: str, cut: int) -> None:
    def of_(cut: int) -> bytes:
        return _of({"tenant": whole[:cut], "agent": whole[cut:], "variant": "", "system": "", "user": "", "tool": "",
                    "parameters": {}})  # fmt: skip

    at = cut % (len(whole) + 1)
    assert (of_(at) == of_(0)) == (at == 0)


@pytest.mark.parametrize("dialect", BODIES)
def test_no_two_surfaces_share_a_key(dialect: Any) -> None:
    others = {text(call(None, each)) for each in BODIES if each != dialect}  # type: ignore[arg-type]
    assert text(call(None, dialect)) not in others


def test_hashes_are_of_one_process_or_of_one_fleet() -> None:
    one, two, foreign = Keys(derived(b"a" * 32)), Keys(derived(b"a" * 32)), Keys(derived(b"b" * 32))
    assert one.local(b"call") != two.local(b"call"), "each process draws its own seed"
    assert one.shared(b"call") == two.shared(b"call") != foreign.shared(b"call")
    assert one.local(b"call") == one.local(b"call") != one.local(b"call ")
    assert (len(one.local(b"")), len(one.shared(b""))) == (16, 32)


def test_persons_are_hashes_too() -> None:
    keys = Keys(derived(b"a" * 32))
    assert keys.person(None) == b"" != keys.person("ann") == keys.person("ann") != keys.person("bob")
    assert b"ann" not in keys.person("ann")


def test_what_callers_say_of_the_cache_is_heard_and_is_no_part_of_the_key() -> None:
    headers = (("X-Weir-Cache", "no-cache"), ("anthropic-version", "2"), ("x-weir-cache", "ttl=3"), ("accept", "*/*"))
    assert heard(headers) == ("no-cache, ttl=3", ["anthropic-version: 2"])
    assert heard((("b", "1"),)) == ("", None)
    assert heard((("openai-beta", "b"), ("anthropic-beta", "a")))[1] == ["anthropic-beta: a", "openai-beta: b"]


def test_a_changed_body_with_integers_that_would_be_rounded_is_noticed() -> None:
    doc = {**DOC, "seed": 2**64 + 1}
    assert loses(orjson.dumps(DOC) + b" 18446744073709551617", doc)
    assert not loses(b"18446744073709551615", {**DOC, "seed": 2**64 - 1})
    assert not loses(b"1234567890123456789012", {**DOC, "user": "1234567890123456789012"})
