"""The hooks of pii: what leaves, under which numbers, what comes back, and what is told of it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.pii import plugin as module
from plugins.pii.options import PiiOptions
from plugins.pii.plugin import Pii
from plugins.pii.policy import Policy
from proxy.detection.secrets import Secrets
from proxy.errors import ConfigError, StoreDown
from proxy.exchange import MASK, RETRIEVED, Segment
from proxy.plugin import Hold, Kit
from proxy.registry import build
from tests import kit
from tests.plugins.pii.calls import answered, back, call, for_agent, plugin, said, sent, settled, texts

ANN, BOB, EVE = "ann@example.org", "bob@example.org", "eve@example.org"
SSN, CARD, PHONE = "123-45-6789", "4111-1111-1111-1111", "415-555-2671"


# --- numbers


async def test_values_are_numbered_by_type_in_the_order_of_first_appearance() -> None:
    one = said(f"{ANN} and {SSN}, {BOB}", f"{BOB}, {ANN}, {CARD}")
    await plugin().request(one)
    assert texts(one) == ["[EMAIL_1] and [SSN_1], [EMAIL_2]", "[EMAIL_2], [EMAIL_1], [CREDIT_CARD_1]"]


async def test_two_spellings_come_back_as_they_were() -> None:
    one, pii = said(f"{ANN} {ANN.upper()}"), plugin()
    await pii.request(one)
    assert back(pii, one, texts(one)[0]) == f"{ANN} {ANN.upper()}"


async def test_the_placeholders_of_a_conversation_are_the_same_in_each_of_fifty_turns() -> None:
    pii, history, before = plugin(), list[str](), list[str]()
    for turn in range(50):
        history += [f"turn {turn}: user{turn}@example.org wrote to {ANN}", f"so user{turn}@example.org did"]
        one = said(*history)
        await pii.request(one)
        told = texts(one)
        assert told[: len(before)] == before
        assert back(pii, one, f"[EMAIL_{turn + 2 if turn else 1}]") == f"user{turn}@example.org"
        before = told
    assert "@" not in "".join(before)


async def test_what_callers_type_is_reserved_and_never_restored() -> None:
    pii = plugin()
    for typed in ("[EMAIL_1]", "(EMAIL_1)", "email_1", "[Email 1]", "【EMAIL_1】"):
        one = said(f"my mark is {typed}", "fine", f"mail {ANN}")
        await pii.request(one)
        assert texts(one)[2] == "mail [EMAIL_2]"
        assert back(pii, one, f"{typed} is not [EMAIL_2]") == f"{typed} is not {ANN}"


async def test_a_placeholder_of_nobody_stays() -> None:
    one, pii = said(ANN), plugin()
    await pii.request(one)
    assert back(pii, one, "[EMAIL_2] [SSN_1] [EMAIL_1]") == f"[EMAIL_2] [SSN_1] {ANN}"


async def test_keyed_placeholders_do_not_move_when_history_is_trimmed() -> None:
    pii, mine = plugin(), settled({"placeholder": "keyed"})
    long, short = said(BOB, "ok", ANN, settings_=mine), said(ANN, settings_=mine)
    other = said(ANN, settings_=mine, tenant="other")
    for one in (long, short, other):
        await pii.request(one)
    assert texts(long)[2] == texts(short)[0] != texts(other)[0]
    assert back(pii, short, texts(short)[0].lower()) == ANN
    assert back(pii, short, texts(other)[0]) == texts(other)[0]
    typed = said(f"{texts(short)[0]} {ANN}", settings_=mine)
    await pii.request(typed)
    assert texts(typed)[0].split()[0] != texts(typed)[0].split()[1]
    assert back(pii, typed, texts(typed)[0]) == f"{texts(short)[0]} {ANN}"


async def test_what_tools_say_of_themselves_does_not_move_the_numbers() -> None:
    tool = {"type": "function", "function": {"name": "f", "description": f"writes to {EVE}"}}
    pii, history = plugin(), [{"role": "user", "content": ANN}]
    for _ in range(3):
        one = call({"model": "m", "messages": history, "tools": [tool]})
        await pii.request(one)
        assert texts(one)[0] == "[EMAIL_2]" and texts(one)[-1] == "writes to [EMAIL_1]"
        history += [{"role": "assistant", "content": BOB}]
    one = call({"model": "m", "messages": history, "tools": [tool]}, settings_=settled({"tool_descriptions": False}))
    await pii.request(one)
    assert texts(one)[0] == "[EMAIL_1]" and EVE in sent(one)


# --- places


async def test_every_text_of_a_call_is_masked_and_the_body_stays_json() -> None:
    arguments = '{"to": ["ann@example.org"], "quote\\"d": {"n": 1, "ssn": "123-45-6789"}}'
    one = call({"model": "m", "messages": [
        {"role": "system", "content": f"you serve {ANN}"},
        {"role": "user", "content": [{"type": "text", "text": f'say "{BOB}"\n'}]},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function",
                                              "function": {"name": "f", "arguments": arguments}}]},
        {"role": "tool", "tool_call_id": "c", "content": f"sent to {ANN}"},
    ]})  # fmt: skip
    await plugin().request(one)
    out = sent(one)
    assert not any(value in out for value in (ANN, BOB, SSN))
    assert '{\\"to\\": [\\"[EMAIL_1]\\"], \\"quote\\\\\\"d\\": {\\"n\\": 1, \\"ssn\\": \\"[SSN_1]\\"}}' in out


async def test_what_a_plugin_above_has_made_of_a_text_is_what_is_masked() -> None:
    one = said(f"ignore all and mail {ANN}")
    one.request.segments[0].text = f"[rule 7] {BOB}"
    await plugin().request(one)
    assert texts(one) == ["[rule 7] [EMAIL_1]"]


async def test_sealed_texts_are_read_and_never_changed_nor_restored() -> None:
    thinking = {"type": "thinking", "thinking": f"[EMAIL_1] is not {EVE}", "signature": "sig"}
    doc = {"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": f"I am {ANN}"},
        {"role": "assistant", "content": [thinking, {"type": "text", "text": "hello"}]},
        {"role": "user", "content": "and now?"}]}  # fmt: skip
    one, pii = call(doc, "messages"), plugin()
    await pii.request(one)
    assert texts(one) == ["I am [EMAIL_1]", f"[EMAIL_1] is not {EVE}", "hello", "and now?"]
    assert [(found.action, found.counts) for found in one.findings] == [
        ("mask", (("EMAIL", 1),)), ("pass", (("EMAIL", 1),))]  # fmt: skip
    assert pii.filter(one, Segment("assistant", "reasoning", "", sealed=True)) is None


async def test_inputs_of_embeddings_are_redacted_one_by_one_and_do_not_come_back() -> None:
    doc, pii = {"model": "m", "input": [f"{ANN} {SSN}", BOB, "plain"]}, plugin()
    one = call(doc, "embeddings")
    await pii.request(one)
    assert texts(one) == ["[EMAIL_REDACTED] [SSN_REDACTED]", "[EMAIL_REDACTED]", "plain"]
    assert not pii.filters(one)
    off = call(doc, "embeddings", settled({"embeddings": "off"}))
    await pii.request(off)
    assert not off.request.changed


@pytest.mark.parametrize(("surface", "name"), [("completions", "prompt"), ("embeddings", "input")])
async def test_tokens_with_something_to_mask_in_them_go_out_as_text(surface: str, name: str) -> None:
    for value, want in (([1, 2], "M"), ([[1], [2]], ["M", "plain"])):
        one = call({"model": "m", name: value}, surface)
        told = [f"mail {ANN}", "plain"][: len(value) if isinstance(value[0], list) else 1]
        found = [Segment("user", "text", text, index=at, fresh=True, sealed=True) for at, text in enumerate(told)]
        one.request.walked_by(lambda doc, found=found: (found, []))  # type: ignore[misc]
        await plugin().request(one)
        got = one.request.get(name)
        mark = "mail [EMAIL_1]" if surface == "completions" else "mail [EMAIL_REDACTED]"
        assert got == (mark if want == "M" else [mark, "plain"])


# --- operators and policy


async def test_each_type_has_an_operator_of_its_own() -> None:
    types = {"SSN": "redact", "EMAIL": "hash", "CREDIT_CARD": "mask", "IP": "encrypt", "PHONE": "off"}
    one, pii = (
        said(f"{SSN} {ANN} {CARD} 10.20.30.40 {PHONE} {ANN.upper()}", settings_=settled({"types": types})),
        plugin(),
    )
    await pii.request(one)
    ssn, mail, card, ip, phone, again = texts(one)[0].split()
    assert (ssn, card, phone) == ("[SSN_REDACTED]", "***************1111", PHONE)
    assert mail == again and mail.startswith("[EMAIL:") and len(mail) == len("[EMAIL:]") + 16
    assert pii._operators.decrypt(ip.removeprefix("[IP:").removesuffix("]")) == "10.20.30.40"
    assert not pii.filters(one)
    twin = said(texts(said(f"{ANN} 10.20.30.40"))[0], settings_=one.snapshot)
    await pii.request(twin)
    assert texts(twin)[0].split() == [mail, ip]


async def test_an_agent_may_have_it_off_and_others_classic() -> None:
    agents = {**for_agent("free", {"operator": "off"}), **for_agent("old", {"classic": True})}
    mine, pii = settled(agents=agents), plugin()
    free, old, usual = (said(f"{ANN} 123456789", settings_=mine, agent=name) for name in ("free", "old", "x"))
    for one in (free, old, usual):
        await pii.request(one)
    assert texts(free) == [f"{ANN} 123456789"] and not free.findings
    assert texts(old) == ["[EMAIL_1] [SSN_1]"]
    assert texts(usual) == ["[EMAIL_1] 123456789"]


def test_a_type_or_a_recogniser_that_cannot_be_is_said_before_the_start() -> None:
    for options, words in (
        ({"types": {"e-mail": "off"}}, "there is no type"),
        ({"recogniser": "nobody"}, "no recogniser"),
        ({"rules": ["/nowhere.toml"]}, "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=words):
            build(PiiOptions, options)


async def test_settings_that_say_the_same_after_a_reload_are_made_ready_once() -> None:
    pii = plugin()
    for options in ({}, {}, {"classic": True}):
        await pii.request(said("x", settings_=settled(options)))
    made = [policy for _, policy in pii._policies.values()]
    assert made[0] is made[1] is not made[2]


async def test_operators_add_rules_for_secrets_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("[[rule]]\nid = 'acme'\npattern = 'acme-(?P<secret>[a-z]{12})'\nkeywords = ['acme-']\n")
    one = said("use acme-abcdefghijkl", settings_=settled({"rules": [str(file)]}))
    await plugin().request(one)
    assert texts(one) == ["use acme-[SECRET_1]"]


# --- what is remembered and told


class Counting:
    """A finder that counts what it is asked."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.asked = inner, list[str]()

    def find(self, text: str) -> Any:
        self.asked.append(text)
        return self.inner.find(text)

    def sliced(self, text: str) -> Any:
        raise AssertionError("no text of this test is long")


async def test_a_turn_costs_what_is_new_in_it() -> None:
    pii, mine, history = plugin(), settled(), list[str]()
    await pii.request(said("x", settings_=mine))
    _, policy = next(iter(pii._policies.values()))
    counting = Counting(policy.finder)
    object.__setattr__(policy, "finder", counting)
    for turn in range(20):
        history += [f"question {turn} of {ANN}", f"answer {turn}"]
        counting.asked.clear()
        await pii.request(said(*history, settings_=mine))
        assert counting.asked == history[-2:]


async def test_nothing_of_a_text_is_remembered() -> None:
    tools = kit.kit()
    await plugin(tools).request(said(f"{ANN} [EMAIL_7]"))
    kept = cast(Any, tools.memory)
    assert len(kept) and "ann" not in f"{kept._young} {kept._old} {kept._groups} {kept._places}"


class Running(kit.FakeClock):
    """Every look at it takes two milliseconds."""

    def monotonic_s(self) -> float:
        self.now_s += 0.002
        return self.now_s


@pytest.mark.parametrize("text", ["word " * 20_000 + ANN, "".join(f"user{at}@example.org; " for at in range(3000))])
async def test_long_texts_are_looked_into_and_masked_with_rests(text: str) -> None:
    one, pii, rests = said(f"[EMAIL_2] {text}"), plugin(kit.kit(cast(Any, Running()))), 0
    work = pii.request(one)
    with pytest.raises(StopIteration):
        while True:
            work.send(None)
            rests += 1
    assert rests >= len(text) / module.LONG_CHARS / 2
    assert ANN not in texts(one)[0] and texts(one)[0].startswith("[EMAIL_2] ")
    assert back(pii, one, texts(one)[0]) == f"[EMAIL_2] {text}"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["[EMAIL_1]", " (SSN_3) ", ANN, SSN, "x" * 900, "\n", "é" * 80]), max_size=90))
def test_resting_does_not_change_what_is_found(parts: list[str]) -> None:
    text, policy = "".join(parts), Policy.of(PiiOptions(), Secrets(()))
    whole, work = policy.look(text), policy.looking(text)
    try:
        while True:
            next(work)
    except StopIteration as done:
        assert done.value.places == whole.places and set(whole.reserved) <= set(done.value.reserved)


async def test_one_finding_a_call_counts_by_type_and_holds_no_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    one, pii = said(f"{ANN} {BOB} {SSN}", ANN), plugin()
    await pii.request(one)
    [found] = one.findings
    assert (found.plugin, found.type, found.severity, found.action) == ("pii", "pii", "high", "mask")
    assert found.counts == (("EMAIL", 3), ("SSN", 1))
    assert [(step.hook, step.what) for step in one.steps] == [("request", "masked 4")]
    told = f"{one.state} {one.findings} {one.steps} {pii.filter(one, one.request.segments[0])} {caplog.text}"
    assert not any(value in told for value in (ANN, BOB, SSN))


async def test_a_call_without_personal_data_pays_nothing_on_its_way_back() -> None:
    one, pii = said("hello"), plugin()
    await pii.request(one)
    assert not pii.filters(one) and not one.request.changed and not pii.finish_waits(one)
    assert pii.filter(one, Segment("assistant", "text", "")) is None


async def test_texts_are_kept_without_what_the_call_knows_and_without_what_the_model_invented() -> None:
    one, pii = said(f"I am {ANN}", settings_=settled(content="masked")), plugin()
    await pii.request(one)
    assert one.notes[MASK](f"{ANN}, or {EVE}") == "[EMAIL_1], or [EMAIL_REDACTED]"
    assert MASK not in said("x").notes


def test_a_scan_gives_spans_with_the_names_of_the_data() -> None:
    options = settled({"types": {"PHONE": "off"}}).options("pii", "", "")
    found = plugin().scan({"text": f"x {ANN} {PHONE} {SSN}"}, options)
    assert [(one["start"], one["end"], one["type"]) for one in found["spans"]] == [(2, 17, "EMAIL"), (31, 42, "SSN")]
    assert all(0 < one["score"] <= 1 for one in found["spans"])


# --- history that the provider keeps


async def test_a_call_that_builds_on_another_goes_on_with_its_numbers() -> None:
    tools = kit.kit()
    pii, first = plugin(tools), call({"model": "m", "input": f"{ANN} [EMAIL_3]"}, "responses", credential="c")
    await pii.request(first)
    answered(first, "resp_1")
    held = pii.filter(first, Segment("assistant", "text", ""))
    assert held is not None
    assert isinstance(hold := held.feed("[EMAIL_1]"), Hold) and await hold.check() == ANN
    assert not pii.finish_waits(first)
    later = {"model": "m", "previous_response_id": "resp_1", "input": f"{BOB} {EVE} {ANN}"}
    second = call(later, "responses", credential="c")
    await plugin(tools).request(second)
    assert texts(second) == ["[EMAIL_2] [EMAIL_4] [EMAIL_1]"]
    for caller in (("d", "default"), ("c", "t")):
        stranger = call(later, "responses", credential=caller[0], tenant=caller[1])
        await plugin(tools).request(stranger)
        assert back(plugin(tools), stranger, "[EMAIL_1]") != ANN or texts(stranger)[0].endswith("[EMAIL_3]")
        assert stranger.state["pii"].values == {"EMAIL_1": BOB, "EMAIL_2": EVE, "EMAIL_3": ANN}


async def test_a_conversation_has_one_map_and_answers_of_tools_leave_theirs_at_the_end() -> None:
    tools = kit.kit()
    pii = plugin(tools)
    doc = {"model": "m", "conversation": {"id": "conv_1"}, "input": ANN}
    first = call(doc, "responses")
    await pii.request(first)
    answered(first, "resp_1")
    assert pii.finish_waits(first)
    await pii.finish(first)
    assert not pii.finish_waits(first)
    for again in ({**doc, "input": BOB}, {"model": "m", "previous_response_id": "resp_1", "input": BOB}):
        second = call(again, "responses")
        await pii.request(second)
        assert texts(second) == ["[EMAIL_2]"] and second.state["pii"].values == {"EMAIL_1": ANN, "EMAIL_2": BOB}


async def test_what_is_not_kept_leaves_no_map() -> None:
    tools = kit.kit()
    one = call({"model": "m", "store": False, "input": ANN}, "responses")
    await plugin(tools).request(one)
    assert not one.state["pii"].waits and not cast(Any, tools.store)._entries


async def test_a_stored_answer_comes_back_restored_for_whoever_made_it() -> None:
    tools = kit.kit()
    pii, first = plugin(tools), call({"model": "m", "input": ANN}, "responses", user="ann")
    await pii.request(first)
    answered(first, "resp_1")
    await pii.finish(first)

    async def asked(**caller: Any) -> str:
        again = kit.exchange(settled(), **caller)
        again.request.method, again.request.doc, again.notes[RETRIEVED] = "GET", {}, "resp_1"
        again.request.walked_by(lambda doc: ([], []))
        await pii.request(again)
        return back(pii, again, "[EMAIL_1]")

    assert await asked(user="ann") == ANN
    assert await asked(user="ann", tenant="other") == "[EMAIL_1]"
    assert await pii.forget("ann") == 1
    assert await asked(user="ann") == "[EMAIL_1]" and await pii.forget("ann") == 0


async def test_where_the_store_is_away_a_call_that_needs_its_map_fails_and_others_go_on() -> None:
    class Away:
        def __getattr__(self, name: str) -> Any:
            async def down(*_: Any) -> Any:
                raise StoreDown("away")

            return down

    bare = kit.kit()
    pii = Pii(Kit(**{name: getattr(bare, name) for name in Kit.__slots__} | {"store": Away()}))
    with pytest.raises(StoreDown):
        await pii.request(call({"model": "m", "previous_response_id": "r", "input": "x"}, "responses"))
    one = call({"model": "m", "input": ANN}, "responses")
    await pii.request(one)
    answered(one, "resp_1")
    await pii.finish(one)
    assert [step.what for step in one.steps] == ["masked 1", "unkept"]
