"""Any text, in any place, however its answer is cut: exact for the caller, and no original at the provider."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugins.pii.mask import Numbers, keyed, look, masked
from plugins.pii.plugin import Pii
from plugins.pii.restore import Restore
from proxy import wire
from proxy.detection.finder import Finder
from proxy.exchange import Exchange, Segment
from proxy.live import Entry
from proxy.plugin import Filter
from proxy.registry import with_options
from proxy.wire.deltas import Arguments
from tests import kit
from tests.worker import settings as snapshot

VALUES = ("jane.doe@example.org", "JANE.DOE@example.org", "ab@cd.io", "123-45-6789", "4111-1111-1111-1111",
          "4111 1111 1111 1111", "(415) 555-2671", "+1 415-555-2671", "GB82 WEST 1234 5698 7654 32", "192.168.10.44",
          "2001:db8::8a2e:370:7334")  # fmt: skip
SEPARATED = VALUES[:7]
"""Found wherever they stand by themselves."""
SHAPES = ("[EMAIL_1]", "[EMAIL_2]", "(EMAIL_1)", "EMAIL_1", "email_1", "[Email 1]", "<SSN_1>", "［PHONE_1］", "[IP_1]",
          "CREDIT_CARD_1", "[credit card 1]", "\\[EMAIL\\_1\\]", "[EMAIL_kabcdefghij23]", "[EMAIL_1", "EMAIL_", "_1]",
          "[EMAIL", "email 1", "person 1", "[[", "]]", "[", "]", "(", ")", "\\", "1", "_", " ")  # fmt: skip
ODD = ('"', "\\", "\n", "\r\n", "\x00", "\x1f", "\u2028", "é", "日本", "🦊", "\u200b", "\\u00e9", "</script>")
pieces = st.one_of(
    st.sampled_from(VALUES), st.sampled_from(SHAPES), st.sampled_from(ODD), st.sampled_from(" ,.;:-x0"),
    st.text(max_size=8),
)  # fmt: skip
texts = st.lists(pieces, max_size=14).map("".join)
cuts = st.lists(st.integers(1, 9), min_size=1, max_size=8)


@cache
def finder() -> Finder:
    return Finder()


def through(filter_: Filter, text: str, sizes: list[int]) -> str:
    at, out, turn = 0, [], 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        out.append(filter_.feed(text[at : at + size]))
        at, turn = at + size, turn + 1
    return "".join([*map(str, out), str(filter_.close())])


def numbered(all_texts: list[str], how: str) -> tuple[list[str], Numbers]:
    found = [look(finder(), frozenset(), text) for text in all_texts]
    taken = [name for one in found for name in one.reserved]
    numbers = Numbers(taken, {}, keyed(b"k" * 32, "t") if how == "keyed" else None)
    return [masked(text, one.places, numbers.placeholder) for text, one in zip(all_texts, found, strict=True)], numbers


@settings(max_examples=6000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(texts, min_size=1, max_size=3), cuts, st.sampled_from(["numbered", "keyed"]))
def test_what_was_masked_comes_back_as_it_was(all_texts: list[str], sizes: list[int], how: str) -> None:
    told, numbers = numbered(all_texts, how)
    known = frozenset(name.rpartition("_")[0] for name in numbers.values) or frozenset({"EMAIL"})
    for text, one in zip(all_texts, told, strict=True):
        assert through(Restore(numbers.values, known), one, sizes) == text


@settings(max_examples=2500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.text(max_size=4), texts, max_size=3), cuts)
def test_arguments_of_tools_come_back_as_json_with_the_same_values(leaves: dict[str, str], sizes: list[int]) -> None:
    told, numbers = numbered(list(leaves.values()), "numbered")
    known = frozenset(name.rpartition("_")[0] for name in numbers.values) or frozenset({"EMAIL"})
    sent = orjson.dumps(dict(zip(leaves, told, strict=True))).decode() if all(map(_sayable, [*leaves, *told])) else "{}"
    arguments, opened = Arguments(0, lambda: 0), dict[int, tuple[Segment, Restore]]()

    def drive(steps: Any) -> str:
        try:
            piece = next(steps)
            while True:
                _, filter_ = opened.setdefault(id(piece.segment), (piece.segment, Restore(numbers.values, known)))
                text = filter_.feed(piece.text) + (filter_.close() if piece.final else "")
                piece = steps.send(text)
        except StopIteration as done:
            return str(done.value)

    out, at, turn = "", 0, 0
    while at < len(sent):
        size = sizes[turn % len(sizes)]
        out += drive(arguments.feed(sent[at : at + size]))
        at, turn = at + size, turn + 1
    out += drive(arguments.close())
    assert orjson.loads(out) == (leaves if sent != "{}" else {})


def _sayable(text: str) -> bool:
    return text.isprintable() or all(not "\ud800" <= letter <= "\udfff" for letter in text)


# --- whole calls, through the codecs


def place(surface: str, where: str, text: str) -> dict[str, Any]:
    if surface == "chat":
        arguments = orjson.dumps({"to": [text], "n": 1}).decode()
        return {"model": "m", "messages": {
            "system": [{"role": "system", "content": text}],
            "user": [{"role": "user", "content": text}],
            "parts": [{"role": "user", "content": [{"type": "text", "text": text}]}],
            "assistant": [{"role": "assistant", "content": text}, {"role": "user", "content": "go on"}],
            "tool": [{"role": "tool", "tool_call_id": "c", "content": text}],
            "arguments": [{"role": "assistant", "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}]}],
        }[where]}  # fmt: skip
    if surface == "messages":
        blocks = {
            "system": [{"role": "user", "content": "hi"}],
            "user": [{"role": "user", "content": text}],
            "parts": [{"role": "user", "content": [{"type": "text", "text": text}]}],
            "assistant": [{"role": "assistant", "content": [{"type": "text", "text": text}]}],
            "tool": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": text}]}],
            "arguments": [{"role": "assistant", "content": [
                {"type": "tool_use", "id": "c", "name": "f", "input": {"to": [text]}}]}],
        }[where]  # fmt: skip
        return {"model": "m", "max_tokens": 9, "messages": blocks, **({"system": text} if where == "system" else {})}
    items: Any = {
        "system": "hi",
        "user": text,
        "parts": [{"role": "user", "content": [{"type": "input_text", "text": text}]}],
        "assistant": [{"role": "assistant", "content": [{"type": "output_text", "text": text}]}],
        "tool": [{"type": "function_call_output", "call_id": "c", "output": text}],
        "arguments": [{"type": "function_call", "call_id": "c", "name": "f",
                       "arguments": orjson.dumps({"to": text}).decode()}],
    }[where]  # fmt: skip
    return {"model": "m", "store": False, "input": items, **({"instructions": text} if where == "system" else {})}


WHERE = ("system", "user", "parts", "assistant", "tool", "arguments")


@cache
def plugin() -> Pii:
    return Pii(kit.kit())


@cache
def settled() -> Any:
    return with_options(snapshot("http://127.0.0.1:9/v1", Entry("pii", "plugins.pii.plugin:Pii")))


def called(surface: Any, doc: dict[str, Any]) -> Exchange:
    call = kit.exchange(settled())
    codec = wire.codec(surface)
    call.request.dialect = surface
    call.request.body = orjson.dumps(doc)
    call.request.doc = codec.read(call.request.body)
    call.request.walked_by(codec.walk)
    return call


@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(["chat", "messages", "responses"]), st.sampled_from(WHERE), st.sampled_from(SEPARATED),
    texts.filter(_sayable), cuts,
)  # fmt: skip
def test_no_original_leaves_from_any_place_and_each_comes_back(
    surface: str, where: str, value: str, around: str, sizes: list[int]
) -> None:
    text = f"{around}\n\n; {value} ;\n"
    call = called(surface, place(surface, where, text))
    pii = plugin()
    asyncio.run(pii.request(call))
    sent = wire.codec(call.request.dialect).write(call.request)
    assert orjson.dumps(value)[1:-1] not in sent.replace(b"\\\\", b"\\")
    for segment in call.request.segments:
        if text not in segment.original:
            continue
        filter_ = pii.filter(call, Segment("assistant", "text", ""))
        assert filter_ is not None
        assert through(filter_, segment.text, sizes) == text
