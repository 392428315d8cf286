"""Of what each position of a call is made: a text in each of these places is seen by guards, at that position, and
leaves changed where it may be changed."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from proxy.live import Entry
from proxy.wire.positions import REQUEST, WHERE
from tests.asking import asking
from tests.probes import probing

MARK = "mark@here.example"
CODED = base64.b64encode(MARK.encode()).decode()
DATA = f"data:text/plain;base64,{CODED}"
SAYS: dict[str, dict[str, Any]] = {
    "description": {"type": "string", "description": MARK}, "title": {"type": "string", "title": MARK},
    "enum": {"type": "string", "enum": ["one", MARK]}, "default": {"type": "string", "default": MARK},
    "const": {"const": MARK}, "examples": {"type": "array", "examples": [["x", {"a": MARK}]]},
}  # fmt: skip
USER = {"role": "user", "content": "hello"}
Doc = dict[str, Any]


def chat(*messages: Doc, **more: Any) -> Doc:
    return {"messages": [*messages], **more}


def said(role: str, content: Any, **more: Any) -> Doc:
    return {"role": role, "content": content, **more}


def text(kind: str = "text") -> list[Doc]:
    return [{"type": kind, "text": MARK}]


def schema(how: str) -> Doc:
    return {"type": "object", "properties": {"q": SAYS[how]}}


def called(**call: Any) -> Doc:
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "c", **call}]}


def described(surface: str, how: str, where: str) -> Doc:
    """A call in which a tool, or the answer's schema, says it so."""
    others: dict[str, Doc] = {"responses": {"input": "hello"}, "messages": {"messages": [USER], "max_tokens": 9}}
    base = others.get(surface) or chat(USER)
    if where == "tools":
        function = {"name": "f", "parameters": schema(how)}
        tools: dict[str, Doc] = {
            "chat": {"type": "function", "function": function}, "responses": {"type": "function", **function},
            "messages": {"name": "f", "input_schema": schema(how)},
        }  # fmt: skip
        return {**base, "tools": [tools[surface]]}
    form = {"type": "json_schema", "name": "s", "schema": schema(how)}
    asked: dict[str, Doc] = {
        "chat": {"response_format": {"type": "json_schema", "json_schema": form}},
        "responses": {"text": {"format": form}}, "messages": {"output_config": {"format": form}},
    }  # fmt: skip
    return {**base, **asked[surface]}


FILE = {"type": "file", "file": {"filename": "a.txt", "file_data": DATA}}
CHAT: dict[tuple[str, str], Doc] = {
    ("system", "content"): chat(said("system", MARK), USER),
    ("system", "parts"): chat(said("developer", text()), USER),
    ("system", "name"): chat(said("system", "s", name=MARK), USER),
    ("history", "content"): chat(USER, said("assistant", MARK), USER),
    ("history", "parts"): chat(said("user", text()), said("assistant", "a"), USER),
    ("history", "name"): chat(said("user", "u", name=MARK), said("assistant", "a"), USER),
    ("history", "refusal"): chat(USER, said("assistant", None, refusal=MARK), USER),
    ("history", "reasoning"): chat(USER, said("assistant", "a", reasoning_content=MARK), USER),
    ("history", "prediction"): chat(USER, prediction={"type": "content", "content": MARK}),
    ("user", "content"): chat(said("user", MARK)),
    ("user", "parts"): chat(said("user", text())),
    ("user", "name"): chat(said("user", "u", name=MARK)),
    ("user", "unknown part"): chat(said("user", [{"type": "hologram", "text": MARK}])),
    ("tool_result", "content"): chat(USER, said("tool", MARK, tool_call_id="c")),
    ("tool_result", "parts"): chat(USER, said("tool", text(), tool_call_id="c")),
    ("tool_result", "name (read only)"): chat(USER, said("function", "r", name=MARK)),
    ("tool_result", "text file in base64"): chat(said("user", [FILE])),
    ("tool_result", "documents"): chat(USER, documents=[{"text": MARK}]),
    ("tool_arguments", "arguments"): chat(
        USER, called(type="function", function={"name": "f", "arguments": orjson.dumps({"q": MARK}).decode()}),
        said("tool", "r", tool_call_id="c")),
    ("tool_arguments", "custom input"): chat(
        USER, called(type="custom", custom={"name": "f", "input": MARK}), said("tool", "r", tool_call_id="c")),
}  # fmt: skip
ITEM = {"role": "user", "content": "hello"}
RESPONSES: dict[tuple[str, str], Doc] = {
    ("system", "instructions"): {"instructions": MARK, "input": "x"},
    ("system", "content"): {"input": [said("developer", MARK), ITEM]},
    ("system", "parts"): {"input": [said("system", text("input_text")), ITEM]},
    ("history", "content"): {"input": [said("assistant", MARK), ITEM]},
    ("history", "parts"): {"input": [said("assistant", text("output_text")), ITEM]},
    ("history", "refusal"): {"input": [said("assistant", [{"type": "refusal", "refusal": MARK}]), ITEM]},
    ("history", "reasoning"): {"input": [{"type": "reasoning", "summary": text("summary_text")}, ITEM]},
    ("user", "input"): {"input": MARK},
    ("user", "content"): {"input": [said("user", MARK)]},
    ("user", "parts"): {"input": [said("user", text("input_text"))]},
    ("user", "unknown part"): {"input": [said("user", [{"type": "hologram", "shape": {"said": MARK}}])]},
    ("user", "unknown item"): {"input": [{"type": "hologram", "shapes": [MARK]}, ITEM]},
    ("user", "prompt variables"): {"prompt": {"id": "p", "variables": {"who": MARK}}, "input": "x"},
    ("tool_result", "output"): {"input": [{"type": "function_call_output", "call_id": "c", "output": MARK}]},
    ("tool_result", "output parts"): {
        "input": [{"type": "function_call_output", "call_id": "c", "output": text("input_text")}]},
    ("tool_result", "text file in base64"): {"input": [said("user", [{"type": "input_file", "file_data": DATA}])]},
    ("tool_arguments", "arguments"): {
        "input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": orjson.dumps([MARK]).decode()}]},
    ("tool_arguments", "custom input"): {
        "input": [{"type": "custom_tool_call", "call_id": "c", "name": "f", "input": MARK}]},
}  # fmt: skip
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"q": "x"}}


def talk(*messages: Doc, **more: Any) -> Doc:
    return {"max_tokens": 9, "messages": [*messages], **more}


def result(content: Any) -> Doc:
    back = {"type": "tool_result", "tool_use_id": "toolu_1", "content": content}
    return talk(USER, said("assistant", [USE]), said("user", [back]))


def document(source: Doc, **more: Any) -> Doc:
    return talk(said("user", [{"type": "document", "source": source, **more}]))


PLAIN = {"type": "text", "media_type": "text/plain", "data": "x"}
MESSAGES: dict[tuple[str, str], Doc] = {
    ("system", "system"): talk(USER, system=MARK),
    ("system", "blocks"): talk(USER, system=text()),
    ("history", "content"): talk(USER, said("assistant", MARK), USER),
    ("history", "blocks"): talk(said("user", text()), said("assistant", "a"), USER),
    ("history", "thinking"): talk(USER, said("assistant", [{"type": "thinking", "thinking": MARK}]), USER),
    ("user", "content"): talk(said("user", MARK)),
    ("user", "blocks"): talk(said("user", text())),
    ("user", "unknown block"): talk(said("user", [{"type": "hologram", "shape": {"said": MARK}}])),
    ("tool_description", "tools: input examples"): talk(
        USER, tools=[{"name": "f", "input_schema": {"type": "object"}, "input_examples": [{"q": MARK}]}]),
    ("tool_result", "content"): result(MARK),
    ("tool_result", "blocks"): result(text()),
    ("tool_result", "text file in base64"): document(
        {"type": "base64", "media_type": "text/plain", "data": CODED}),
    ("tool_result", "document"): document({**PLAIN, "data": MARK}),
    ("tool_result", "document title"): document(PLAIN, title=MARK),
    ("tool_result", "document context"): document(PLAIN, context=MARK),
    ("tool_result", "search result"): talk(
        said("user", [{"type": "search_result", "title": "t", "source": "s", "content": text()}])),
    ("tool_arguments", "input"): talk(
        USER, said("assistant", [{**USE, "input": {"q": MARK}}]),
        said("user", [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "r"}])),
}  # fmt: skip
for surface, known in (("chat", CHAT), ("responses", RESPONSES), ("messages", MESSAGES)):
    for how in SAYS:
        known["tool_description", f"tools: {how}"] = described(surface, how, "tools")
        known["tool_description", f"schema of the answer: {how}"] = described(surface, how, "schema")
PLACES: dict[str, dict[tuple[str, str], Doc]] = {
    "chat": CHAT, "responses": RESPONSES, "messages": MESSAGES, "completions": {("user", "text"): {"prompt": MARK}},
    "embeddings": {("user", "text"): {"input": [MARK]}},
}  # fmt: skip
TOKENS = ("user", "tokens")


def test_every_place_that_is_told_is_shown_here() -> None:
    for surface, places in PLACES.items():
        told = {(position, where) for position, wheres in WHERE[surface].items() for where in wheres}  # type: ignore[index]
        assert told - {TOKENS} == set(places)
        assert set(WHERE[surface]) == set(REQUEST[surface])  # type: ignore[index]


@pytest.mark.parametrize("surface", PLACES)
async def test_a_text_is_seen_and_changed_in_every_place(surface: str) -> None:
    async with asking(probing(does="replace", word=MARK, side="request", by="PARROT")) as weir:
        for (position, where), doc in PLACES[surface].items():
            probe = weir.plugin("probe")
            probe.seen.clear()
            got = await weir.ask(surface, raw=orjson.dumps({"model": "gpt-4o-mini", **doc}))
            assert got.status in (200, 400), (where, got.text)  # (of the provider, who may not know the place)
            assert probe.saw("request", MARK) == {position}, where
            body = weir.provider.requests[-1].body
            if "read only" in where:
                assert MARK.encode() in body
                continue
            assert MARK.encode() not in body and CODED.encode() not in body, where
            assert b"PARROT" in body or base64.b64encode(b"PARROT") in body, where


async def test_a_file_that_nobody_changed_goes_as_it_came() -> None:
    odd = base64.b64encode(b"nothing of interest").decode().rstrip("=") + "=="
    doc = document({"type": "base64", "media_type": "text/plain", "data": odd})
    doc["messages"].append(said("user", MARK))
    async with asking(probing(does="replace", word=MARK, side="request")) as weir:
        await weir.ask("messages", raw=orjson.dumps({"model": "gpt-4o-mini", **doc}))
        sent = orjson.loads(weir.provider.requests[-1].body)
        assert sent["messages"][0]["content"][0]["source"]["data"] == odd


async def test_a_name_stays_one_that_providers_take() -> None:
    async with asking(probing(does="replace", word="ann", side="request", by="<two words>" + 80 * "x")) as weir:
        await weir.ask("chat", raw=orjson.dumps({"model": "gpt-4o-mini", **chat(said("user", "u", name="ann"))}))
        name = orjson.loads(weir.provider.requests[-1].body)["messages"][0]["name"]
        assert name.startswith("_two_words_x") and len(name) == 64


@pytest.mark.parametrize("surface", ["chat", "responses", "messages", "completions", "embeddings"])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_name_of_a_user_leaves_as_a_pseudonym(surface: str, stream: bool) -> None:
    base = {position: doc for (position, _), doc in PLACES[surface].items()}["user"]
    named: Doc = (
        {"metadata": {"user_id": "ann@user.example"}} if surface == "messages" else {"user": "ann@user.example"}
    )
    more = {"stream": True} if stream and surface != "embeddings" else {}
    async with asking(Entry("pii", "plugins.pii.plugin:Pii")) as weir:
        raw = orjson.dumps({"model": "gpt-4o-mini", **base, **named, **more})
        assert (await weir.ask(surface, raw=raw)).status in (200, 400)
        sent = weir.provider.requests[-1].body
        assert b"user.example" not in sent
        assert b'"user_' in sent
