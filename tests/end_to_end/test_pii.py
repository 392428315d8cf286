"""Personal data through a whole worker: never at the provider, exact for the caller, JSON and streams alike."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.live import Agent, Entry
from tests.asking import FORMS, SPEAKING, Asking, Came, asking
from tests.pairs import SURFACES

ANN, BOB, SSN, CARD, PHONE = (
    "ann.o'neill@example.org",
    "bob+x@example.org",
    "123-45-6789",
    "4111-1111-1111-1111",
    "(415) 555-2671",
)
SECRETS = (ANN, BOB, SSN, CARD, PHONE)
TEXT = f'He said: "mail {ANN}, or {BOB}\\n"\n{SSN}; {CARD} ☎ {PHONE} — and {ANN} again. 🦊'
TOOL = {
    "type": "object",
    "properties": {"to": {"type": "string"}, "more": {"type": "array", "items": {"type": "string"}}},
}


def pii(**options: Any) -> Entry:
    return Entry("pii", "plugins.pii.plugin:Pii", on_error="closed", options=options)


def body(surface: str, text: str, *, stream: bool = False, wish: str = "", **more: Any) -> bytes:
    texts: dict[str, dict[str, Any]] = {
        "chat": {"messages": [{"role": "user", "content": text}]},
        "responses": {"input": text},
        "completions": {"prompt": text},
        "embeddings": {"input": text},
        "messages": {"max_tokens": 900, "messages": [{"role": "user", "content": text}]},
    }
    model = f"gpt-4o-mini[[sim {wish}]]" if wish else "gpt-4o-mini"
    return orjson.dumps({"model": model, **({"stream": True} if stream else {}), **texts[surface], **more})


async def ask(weir: Asking, surface: str, text: str, **more: Any) -> Came:
    headers = dict(more.pop("headers", {}))
    if "]" in more.get("wish", ""):  # which would end it in a model's name
        headers["x-sim"] = more.pop("wish")
    return await weir.post(SURFACES[surface][0], body(surface, text, **more), surface, **headers)


def heard(weir: Asking) -> str:
    """All that the provider has ever received."""
    return "\n".join(orjson.dumps(orjson.loads(one.body)).decode() for one in weir.provider.requests if one.body)


def clean(weir: Asking) -> None:
    told = heard(weir) + orjson.dumps(weir.records).decode()
    assert not any(value in told for value in SECRETS)


@pytest.mark.parametrize(("surface", "stream"), FORMS)
async def test_no_surface_lets_it_out_and_each_that_speaks_gets_it_back(surface: str, stream: bool) -> None:
    async with asking(pii()) as weir:
        came = await ask(weir, surface, TEXT, stream=stream)
        assert came.status == 200
        if surface not in ("embeddings", "completions"):
            assert came.text == f"You said: {TEXT}"
        elif surface == "completions":
            assert TEXT in came.text
        marked = "[EMAIL_REDACTED]" if surface == "embeddings" else "[EMAIL_2]"
        assert marked in heard(weir)
        record = await weir.record()
        assert record["outcome"] == "ok"
        assert dict(record["findings"][0]["counts"]) == {"CREDIT_CARD": 1, "EMAIL": 3, "PHONE": 1, "SSN": 1}
        clean(weir)


MANGLED = "to (EMAIL_1), **[email_1]**, [Email 1], EMAIL_1, <EMAIL_1>, {EMAIL_1}; email 1, person 1, [EMAIL_9]"


@pytest.mark.parametrize("cut", ["split=1", "split=7", "chunks=60", "crlf=1 comments=1"])
@pytest.mark.parametrize(("surface", "stream"), SPEAKING)
async def test_what_the_model_mangles_comes_back_however_it_is_cut(surface: str, stream: bool, cut: str) -> None:
    async with asking(pii()) as weir:
        came = await ask(weir, surface, f"I am {ANN}", stream=stream, wish=f"{cut} text='{MANGLED}'")
        want = f"to {ANN}, **{ANN}**, {ANN}, {ANN}, {ANN}, {ANN}; email 1, person 1, [EMAIL_9]"
        assert came.text.startswith(want)
        assert not stream or came.complete
        clean(weir)


def arguments(surface: str, came: Came) -> list[Any]:
    """The arguments of all calls of tools in an answer, as their caller reads them."""
    if not came.streamed:
        doc = came.doc
        if surface == "chat":
            calls = doc["choices"][0]["message"]["tool_calls"]
            return [orjson.loads(one["function"]["arguments"]) for one in calls]
        if surface == "messages":
            return [one["input"] for one in doc["content"] if one["type"] == "tool_use"]
        return [orjson.loads(one["arguments"]) for one in doc["output"] if one["type"] == "function_call"]
    events = [orjson.loads(line[6:]) for line in came.raw.splitlines() if line.startswith(b"data: {")]
    if surface == "chat":
        deltas = [call for one in events for choice in one["choices"] for call in choice["delta"].get("tool_calls", ())]
        return [orjson.loads("".join(one["function"].get("arguments", "") for one in deltas))]
    if surface == "messages":
        return [orjson.loads("".join(one["delta"].get("partial_json", "") for one in events if "delta" in one))]
    deltas = [one["delta"] for one in events if one["type"] == "response.function_call_arguments.delta"]
    done = [one["arguments"] for one in events if one["type"] == "response.function_call_arguments.done"]
    assert ["".join(deltas)] == done
    return [orjson.loads(one) for one in done]


def tools(surface: str) -> dict[str, Any]:
    if surface == "chat":
        return {"tools": [{"type": "function", "function": {"name": "send", "parameters": TOOL}}]}
    if surface == "messages":
        return {"tools": [{"name": "send", "input_schema": TOOL}]}
    return {"tools": [{"type": "function", "name": "send", "parameters": TOOL}]}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("surface", ["chat", "messages", "responses"])
async def test_arguments_of_tools_get_the_values_back_as_json(surface: str, stream: bool) -> None:
    async with asking(pii()) as weir:
        came = await ask(weir, surface, TEXT, stream=stream, wish="tools=1 split=11", **tools(surface))
        assert arguments(surface, came) == [{"to": TEXT, "more": [TEXT]}]
        clean(weir)


# --- sealed


async def test_signed_thinking_and_encrypted_reasoning_come_back_byte_equal() -> None:
    """The caller sees placeholders there, sends them back as they are, and they mean what they meant."""
    async with asking(pii()) as weir:
        for stream in (False, True):
            doc: dict[str, Any]
            doc = {"model": "gpt-4o-mini[[sim reasoning=1]]", "max_tokens": 900, "stream": stream,
                   "thinking": {"type": "enabled", "budget_tokens": 1024},
                   "messages": [{"role": "user", "content": f"mail {ANN} or [email_7]"}]}  # fmt: skip
            first = await weir.post("/v1/messages", orjson.dumps(doc), "messages")
            blocks = content(first)
            [thinking] = [one for one in blocks if one["type"] == "thinking"]
            assert "[EMAIL_1]" in thinking["thinking"] and thinking["signature"]
            sealed = {**thinking, "thinking": f"{thinking['thinking']} (EMAIL_1) invented@example.org"}
            doc["messages"] += [{"role": "assistant", "content": [sealed, blocks[-1]]},
                                {"role": "user", "content": f"and {BOB}?"}]  # fmt: skip
            second = await weir.post("/v1/messages", orjson.dumps(doc), "messages")
            sent = orjson.loads(weir.provider.requests[-1].body)["messages"]
            assert sent[1]["content"][0] == sealed
            assert sent[0]["content"] == "mail [EMAIL_1] or [email_7]" and sent[2]["content"] == "and [EMAIL_2]?"
            assert content(second)[-1]["text"] == f"You said: and {BOB}?"
        doc = {"model": "gpt-4o-mini[[sim reasoning=1]]", "store": False, "include": ["reasoning.encrypted_content"],
               "input": [{"role": "user", "content": f"mail {ANN}"}]}  # fmt: skip
        reply = (await weir.post("/v1/responses", orjson.dumps(doc), "responses")).doc
        doc["input"] += [*reply["output"], {"role": "user", "content": "go on"}]
        await weir.post("/v1/responses", orjson.dumps(doc), "responses")
        sent = orjson.loads(weir.provider.requests[-1].body)["input"]
        made = [one for one in sent if one.get("type") == "reasoning"]
        assert made == [one for one in reply["output"] if one["type"] == "reasoning"] and made[0]["encrypted_content"]
        clean(weir)


def content(came: Came) -> list[Any]:
    """The blocks of an answer, put together from its events where it streamed."""
    if not came.streamed:
        return list(came.doc["content"])
    blocks: list[Any] = []
    for event in (orjson.loads(line[6:]) for line in came.raw.splitlines() if line.startswith(b"data: {")):
        if event["type"] == "content_block_start":
            blocks.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            for name, value in event["delta"].items():
                if name != "type":
                    blocks[-1][name] = blocks[-1].get(name, "") + value
    return blocks


# --- whose it is


async def test_nothing_crosses_between_calls_conversations_and_tenants() -> None:
    """Fifty callers at once, each with a person of their own, all told `[EMAIL_1]` by the provider."""
    async with asking(pii()) as weir:

        async def one(number: int) -> None:
            mine, surface = f"person{number}@example.org", ("chat", "messages", "responses")[number % 3]
            headers = {"authorization": f"Bearer sk-{number % 7}", "x-weir-session": f"s{number}"}
            for turn in range(3):
                text = f"turn {turn} of {mine}"
                came = await ask(weir, surface, text, stream=bool(turn % 2), headers=headers)
                assert came.text == f"You said: {text}"
                came = await ask(weir, surface, "nobody", headers=headers, wish="text='it is [EMAIL_1] or [EMAIL_2]'")
                assert came.text == "it is [EMAIL_1] or [EMAIL_2]"

        await asyncio.gather(*(one(number) for number in range(50)))
        assert "person" not in heard(weir)


async def test_a_conversation_keeps_its_placeholders_for_fifty_turns() -> None:
    async with asking(pii()) as weir:
        history: list[Mapping[str, Any]] = []
        before: list[Any] = []
        for turn in range(50):
            history.append({"role": "user", "content": f"{turn}: user{turn % 9}@example.org knows {ANN}"})
            sent = orjson.dumps({"model": "gpt-4o-mini", "messages": history, "stream": bool(turn % 2)})
            came = await weir.post("/v1/chat/completions", sent)
            assert came.text == f"You said: {history[-1]['content']}"
            history.append({"role": "assistant", "content": came.text})
            told = orjson.loads(weir.provider.requests[-1].body)["messages"]
            assert told[: len(before)] == before
            before = told
        assert "example.org" not in heard(weir)


# --- history that the provider keeps


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_builds_on_a_stored_one_is_restored_and_goes_on_counting(stream: bool) -> None:
    async with asking(pii()) as weir:
        first = await ask(weir, "responses", f"I am {ANN}", stream=stream)
        id_ = identity(first)
        for turn in range(3):
            more: dict[str, Any] = {"previous_response_id": id_, "stream": stream}
            came = await ask(
                weir, "responses", f"and {BOB}", wish="text='[EMAIL_1] and EMAIL_2, not [EMAIL_3]'", **more
            )
            assert came.text == f"{ANN} and {BOB}, not [EMAIL_3]"
            assert orjson.loads(weir.provider.requests[-1].body)["input"] == "and [EMAIL_2]"
            id_ = identity(came)
            again = await weir.get(f"/v1/responses/{id_}", "responses")
            assert again.text == came.text, turn
        sent = await weir.get(f"/v1/responses/{id_}/input_items", "responses")
        assert sent.doc["data"][0]["content"][0]["text"] == f"and {BOB}"
        other = await weir.get(f"/v1/responses/{id_}", "responses", authorization="Bearer sk-other")
        assert other.status == 404 or ANN not in other.raw.decode()
        clean(weir)


async def test_what_works_in_the_background_is_restored_when_it_is_fetched() -> None:
    async with asking(pii()) as weir:
        queued = await ask(weir, "responses", f"I am {ANN}", background=True)
        assert queued.doc["status"] == "queued"
        await weir.record()
        came = await weir.get(f"/v1/responses/{queued.doc['id']}", "responses")
        assert came.text == f"You said: I am {ANN}"
        clean(weir)


async def test_an_erased_person_has_no_maps() -> None:
    async with asking(pii()) as weir:
        first = await ask(weir, "responses", f"I am {ANN}", headers={"x-weir-user": "ann"})
        (held,) = await weir.plugin("pii").export("ann")
        assert (held["what"], held["maps"]) == ("encrypted maps of placeholders", 1)
        assert ANN not in str(held) and await weir.plugin("pii").export("bob") == []
        assert await weir.plugin("pii").forget("ann") == 1
        assert await weir.plugin("pii").export("ann") == []
        came = await weir.get(f"/v1/responses/{identity(first)}", "responses")
        assert came.text == "You said: I am [EMAIL_1]"


def identity(came: Came) -> str:
    if not came.streamed:
        return str(came.doc["id"])
    first = next(orjson.loads(line[6:]) for line in came.raw.splitlines() if line.startswith(b"data: {"))
    return str(first["response"]["id"])


# --- policy, and what it costs those who have nothing to hide


async def test_an_agent_may_have_it_off() -> None:
    free = Agent(plugins={"pii": {"options": {"operator": "off"}}})
    async with asking(pii(), agents={"free": free}) as weir:
        await ask(weir, "chat", TEXT, headers={"x-weir-agent": "free"})
        assert ANN in heard(weir)
        weir.provider.requests.clear()
        await ask(weir, "chat", TEXT)
        clean(weir)


async def test_in_shadow_nothing_is_touched_and_all_of_it_is_told() -> None:
    shadow = Entry("pii", "plugins.pii.plugin:Pii", mode="shadow")
    async with asking(shadow) as weir, asking() as plain:
        for stream in (False, True):
            mine, theirs = [await ask(one, "chat", TEXT, stream=stream) for one in (weir, plain)]
            assert mine.raw == theirs.raw
            assert weir.provider.requests[-1].body == plain.provider.requests[-1].body
        record = await weir.record(2)
        assert ["pii", "request", "would edit 1"] in record["steps"]
        assert [found["action"] for found in record["findings"]] == ["would mask"]
        assert not any(value in orjson.dumps(weir.records).decode() for value in SECRETS)


async def test_an_answer_to_a_call_without_personal_data_passes_untouched() -> None:
    async with asking(pii()) as weir, asking() as plain:
        for stream in (False, True):
            mine, theirs = [await ask(one, "chat", "hello there", stream=stream, wish="text='[EMAIL_1] é'")
                            for one in (weir, plain)]  # fmt: skip
            assert mine.raw == theirs.raw
        assert not (await weir.record()).get("steps")


async def test_a_stream_that_breaks_off_gives_what_was_held_back() -> None:
    async with asking(pii()) as weir:
        came = await ask(
            weir, "chat", f"I am {ANN}", stream=True, wish="text='so [EMAIL_1] and [EMAIL' chunks=5 no_done=1"
        )
        assert came.text == f"so {ANN} and [EMAIL"


async def test_no_log_has_an_original(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with asking(pii()) as weir:
        for surface, stream in FORMS:
            await ask(weir, surface, TEXT, stream=stream)
            await ask(weir, surface, TEXT, stream=stream, wish="status=500")
            await ask(weir, surface, TEXT, stream=stream, wish="cut=2")
        clean(weir)
        metrics: Any = weir.running.worker._parts.metrics
        told = caplog.text + repr(metrics.values) + repr(vars(weir.plugin("pii")))
        assert not any(value in told for value in SECRETS)


# --- any text


PARTS = st.lists(
    st.one_of(st.sampled_from(SECRETS), st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
              st.sampled_from(['"', "\\", "\n", "[EMAIL_1]", "email_1", "[", "]", " ", ", "])),
    max_size=10,
).map("".join)  # fmt: skip


async def test_any_text_comes_back_exactly_through_every_codec() -> None:
    asked: list[tuple[str, bool, str, str]] = []

    @settings(max_examples=240, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from([form for form in SPEAKING if form[0] != "completions"]), PARTS, st.sampled_from(SECRETS),
           st.sampled_from(["", "split=3", "split=40", "chunks=9"]))  # fmt: skip
    def draw(form: tuple[str, bool], around: str, value: str, cut: str) -> None:
        asked.append((*form, f"- {around}\n\n; {value} ;\nend", cut))

    draw()
    async with asking(pii()) as weir:
        for surface, stream, text, cut in asked:
            came = await ask(weir, surface, text, stream=stream, wish=cut)
            assert came.text.startswith(f"You said: {text}"), (surface, stream, cut)
            sent = orjson.dumps(orjson.loads(weir.provider.requests[-1].body)).decode()
            assert not any(f"; {value} ;" in sent for value in SECRETS)
