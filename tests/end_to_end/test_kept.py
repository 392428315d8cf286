"""What a provider keeps is no way around the guards: whatever is read again passes them, or is refused."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest
from yarl import URL

from benchmarks.simulated.plan import Stream as Planned
from benchmarks.simulated.plan import json_answer
from proxy import wire
from proxy.exchange import KEEP, RETRIEVED, Exchange, Usage, kept_key
from proxy.live import CallerKey, Entry, Identity
from tests.asking import Asking, Came, asking
from tests.probes import Probe, probing
from tests.streams import docs

KEYS = Identity(
    keys=tuple(
        CallerKey(name, hashlib.sha256(name.encode()).hexdigest(), tenant=tenant)
        for name, tenant in (("key-a", "t1"), ("key-b", "t2"))
    )
)
ADDRESS = "ann.marker@mail-example.org"
PII = Entry("pii", "plugins.pii.plugin:Pii")
MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
    "content": [{"type": "output_text", "text": "a canary sings", "annotations": []}],
}  # fmt: skip
CALL = {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "f", "arguments": '{"q":"canary \\"x\\""}'}
COMPLETION = {
    "id": "chatcmpl_1", "object": "chat.completion", "created": 1, "model": "m", "metadata": {"a": "b"},
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "a canary sings"},
                 "logprobs": {"content": [{"token": "canary"}]}, "finish_reason": "stop"}],
}  # fmt: skip


def response(status: str = "completed", *items: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "status": status, "model": "m", "output": list(items)}


def listed(*items: Any) -> dict[str, Any]:
    return {"object": "list", "data": list(items), "first_id": "a", "last_id": "b", "has_more": False}


KEPT = {
    "GET /v1/responses/resp_1": response("completed", MESSAGE, CALL),
    "GET /v1/responses/resp_1/input_items?limit=5": listed(MESSAGE, CALL),
    "POST /v1/responses/resp_1/cancel": response("cancelled", MESSAGE),
    "GET /v1/conversations/conv_1/items": listed(MESSAGE),
    "GET /v1/conversations/conv_1/items/msg_1": MESSAGE,
    "GET /v1/chat/completions/chatcmpl_1": COMPLETION,
    "POST /v1/chat/completions/chatcmpl_1": COMPLETION,
    "GET /v1/chat/completions": listed(COMPLETION, COMPLETION),
    "GET /v1/chat/completions/chatcmpl_1/messages": listed(
        {"id": "m1", "role": "user", "content": "a canary sings"},
        {"id": "m2", "role": "assistant", "content": None, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"q":"canary"}'}}]},
    ),
}  # fmt: skip


async def ask(weir: Asking, way: str, body: bytes = b"{}", **headers: str) -> Came:
    method, path = way.split()
    if method == "POST":
        return await weir.post(path, body, "responses", **headers)
    return await weir.get(path, "responses", **headers)


def keeps(weir: Asking, doc: Any) -> None:
    """The provider gives this back, whatever it is asked."""
    weir.provider._route = lambda call: json_answer(doc)  # type: ignore[method-assign]


@pytest.mark.parametrize("way", KEPT)
async def test_what_is_read_again_passes_the_filters(way: str) -> None:
    async with asking(probing(does="replace", side="answer")) as weir:
        keeps(weir, KEPT[way])
        got = await ask(weir, way)
        assert got.status == 200
        assert b"canary" not in got.raw
        assert b"PARROT" in got.raw
        record = await weir.record()
        assert (record["uninspected"], record["attempts"], record["usage_source"]) == ([], 1, "none")
        assert {one["action"] for one in record["findings"]} == {"replace"}
        assert weir.plugin("probe").finished == 1


@pytest.mark.parametrize("way", KEPT)
async def test_what_nothing_changes_comes_with_its_own_bytes(way: str) -> None:
    async with asking(probing(does="see")) as weir:
        raw = b" " + orjson.dumps(KEPT[way])
        weir.provider._route = lambda call: json_answer(orjson.Fragment(raw))  # type: ignore[method-assign]
        got = await ask(weir, way)
        assert (got.status, got.raw) == (200, raw)
        assert weir.plugin("probe").saw("answer", "canary")


@pytest.mark.parametrize("way", KEPT)
@pytest.mark.parametrize("does", ["refuse", "answer"])
async def test_what_is_read_again_may_be_refused(way: str, does: str) -> None:
    async with asking(probing(does=does, side="answer")) as weir:
        keeps(weir, KEPT[way])
        got = await ask(weir, way)
        assert b"canary" not in got.raw
        assert got.status == (400 if does == "refuse" else 200)
        assert b"rule_9" in got.raw or b"content_filter" in got.raw
        assert (await weir.record())["outcome"] == "refused"


@pytest.mark.parametrize(
    "way", [way for way in KEPT if "completions?" not in way and way != "GET /v1/chat/completions"]
)
async def test_nobody_elses_is_found_where_callers_share_a_providers_key(way: str) -> None:
    async with asking(probing(), identity=KEYS, upstream={"key": "weirs-own"}) as weir:
        keeps(weir, KEPT[way])
        got = await ask(weir, way, authorization="Bearer key-a")
        assert (got.status, got.doc["error"]["code"]) == (404, "not_found")
        assert not weir.provider.requests


async def test_nobody_lists_what_all_have_stored_where_they_share_a_key() -> None:
    async with asking(identity=KEYS, upstream={"key": "weirs-own"}) as weir:
        keeps(weir, KEPT["GET /v1/chat/completions"])
        got = await weir.get("/v1/chat/completions", authorization="Bearer key-a")
        assert (got.status, got.doc["error"]["code"]) == (403, "forbidden")
        assert not weir.provider.requests


@pytest.mark.parametrize("guard", [(), (probing(),)])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_stored_completion_is_its_callers_own(stream: bool, guard: tuple[Entry, ...]) -> None:
    async with asking(*guard, identity=KEYS, upstream={"key": "weirs-own"}) as weir:
        raw = b'{"model":"gpt-4o-mini","store":true,"messages":[{"role":"user","content":"say something"}]}'
        made = await weir.ask(
            raw=raw[:-1] + b',"stream":true}' if stream else raw, authorization="Bearer key-a"
        )  # fmt: skip
        path = f"/v1/chat/completions/{docs(made.raw)[0]['id'] if stream else made.doc['id']}"
        keeps(weir, COMPLETION)
        assert (await weir.get(path, authorization="Bearer key-a")).status == 200
        assert (await weir.get(path, authorization="Bearer key-b")).status == 404
        assert (await weir.post(path, b"{}", authorization="Bearer key-b")).status == 404


async def test_work_in_the_background_is_polled_past_the_filters() -> None:
    async with asking(probing(does="replace", side="answer", word="something")) as weir:
        raw = b'{"model":"gpt-4o-mini","input":"say something","background":true}'
        made = await weir.ask("responses", raw=raw)
        assert made.doc["status"] == "queued"
        got = await weir.get(f"/v1/responses/{made.doc['id']}", "responses")
        assert (got.doc["status"], got.text) == ("completed", "You said: say PARROT")


def streams(weir: Asking, text: str, pieces: int = 7) -> list[str]:
    """The provider streams this response; the queries that it was asked with."""
    raw = wire.codec("responses").compose(text, model="m", id="r", stream=True, finish="stop", usage=Usage(1))
    events = raw.split(b"\n\n")
    delta = next(at for at, event in enumerate(events) if b"output_text.delta" in event)
    doc = orjson.loads(events[delta].partition(b"data: ")[2])
    cut = [text[at : at + pieces] for at in range(0, len(text), pieces)]
    deltas = [b"event: response.output_text.delta\ndata: " + orjson.dumps(doc | {"delta": one}) for one in cut]
    events[delta : delta + 1] = deltas
    numbered = []
    for number, event in enumerate(events[:-1]):
        name, _, data = event.partition(b"\ndata: ")
        numbered.append(name + b"\ndata: " + orjson.dumps(orjson.loads(data) | {"sequence_number": number}) + b"\n\n")
    queries: list[str] = []

    def route(call: Any) -> Planned:
        queries.append(call.received.target.partition("?")[2])
        return Planned(iter(numbered[:-1]), numbered[-1], b"")

    weir.provider._route = route  # type: ignore[method-assign]
    return queries


async def test_a_stream_from_its_middle_is_read_from_its_beginning() -> None:
    async with asking(probing(does="replace", side="answer")) as weir:
        queries = streams(weir, "my canary sings like a canary does", 4)
        whole = docs((await weir.get("/v1/responses/r?stream=true", "responses")).raw)
        numbers = [doc["sequence_number"] for doc in whole]
        assert numbers == sorted(set(numbers))
        for after in numbers[:-1]:
            got = await weir.get(f"/v1/responses/r?stream=true&starting_after={after}&x=1", "responses")
            assert docs(got.raw) == [doc for doc in whole if doc["sequence_number"] > after]
        assert set(queries[1:]) == {"stream=true&x=1"}
        text = "".join(doc["delta"] for doc in whole if doc["type"].endswith("delta"))
        assert text == "my PARROT sings like a PARROT does"


@pytest.mark.parametrize("does", ["refuse", "answer"])
async def test_a_stream_that_is_read_again_may_be_refused(does: str) -> None:
    async with asking(probing(does=does, side="answer")) as weir:
        streams(weir, "my canary sings")
        got = await weir.get("/v1/responses/r?stream=true", "responses")
        assert (got.status, got.complete, got.finish) == (200, True, "content_filter")
        assert "canary" not in got.text
        assert (await weir.record())["outcome"] == "refused"


# --- what is added


@pytest.mark.parametrize("path", ["/v1/conversations", "/v1/conversations/conv_1/items"])
async def test_what_is_added_to_a_conversation_passes_the_guards_of_calls(path: str) -> None:
    body = orjson.dumps({"items": [{"role": "user", "content": "hear the canary"}, CALL], "metadata": {"x": "1"}})
    async with asking(probing(does="replace", side="request")) as weir:
        keeps(weir, {"id": "conv_1", "object": "conversation", "metadata": {}})
        assert (await weir.post(path, body)).status == 200
        sent = orjson.loads(weir.provider.requests[-1].body)
        assert sent["items"][0]["content"] == "hear the PARROT"
        assert orjson.loads(sent["items"][1]["arguments"]) == {"q": 'PARROT "x"'}
        assert sent["metadata"] == {"x": "1"}
    async with asking(probing(does="refuse", side="request")) as weir:
        got = await weir.post(path, body)
        assert (got.status, got.doc["error"]["code"]) == (400, "rule_9")
        assert not weir.provider.requests


async def test_a_conversation_is_its_callers_own() -> None:
    async with asking(probing(), identity=KEYS, upstream={"key": "weirs-own"}) as weir:
        keeps(weir, {"id": "conv_9", "object": "conversation", "metadata": {}})
        assert (await weir.post("/v1/conversations", b"{}", authorization="Bearer key-a")).status == 200
        keeps(weir, listed(MESSAGE))
        for key, status in (("key-a", 200), ("key-b", 404)):
            got = await weir.get("/v1/conversations/conv_9/items", authorization=f"Bearer {key}")
            assert got.status == status
        raw = b'{"model":"gpt-4o-mini","input":"say something","conversation":"conv_9"}'
        weir.provider._route = type(weir.provider)._route.__get__(weir.provider)  # type: ignore[method-assign]
        assert (await weir.ask("responses", raw=raw, authorization="Bearer key-b")).status == 404
        assert (await weir.ask("responses", raw=raw, authorization="Bearer key-a")).status == 200


TOLD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "/v1/messages/count_tokens": ({"messages": [{"role": "user", "content": "hear the canary"}]}, {"input_tokens": 5}),
    "/v1/responses/input_tokens": ({"input": "hear the canary"}, {"object": "x", "input_tokens": 5}),
    "/v1/responses/compact": ({"input": "hear the canary"}, {"id": "c", "object": "response.compaction", "output": []}),
}  # fmt: skip


@pytest.mark.parametrize("path", TOLD)
async def test_texts_of_calls_that_are_only_counted_go_out_as_those_of_calls_do(path: str) -> None:
    doc, answer = TOLD[path]
    raw = orjson.dumps({"model": "gpt-4o-mini", **doc})
    async with asking(probing(does="replace", side="request"), identity=KEYS, upstream={"key": "k"}) as weir:
        keeps(weir, answer)
        got = await weir.post(path, raw, authorization="Bearer key-a")
        assert (got.status, got.doc) == (200, answer)
        assert b"hear the PARROT" in weir.provider.requests[-1].body
        record = await weir.record()
        assert (record["usage_source"], record["uninspected"], record["model"]) == ("none", [], "gpt-4o-mini")
    async with asking(PII) as weir:
        keeps(weir, answer)
        await weir.post(path, raw.replace(b"the canary", ADDRESS.encode()))
        assert ADDRESS.encode() not in weir.provider.requests[-1].body
    async with asking(probing(does="refuse", envelope={"on_error": "closed"})) as weir:
        keeps(weir, answer)
        assert (await weir.post(path, raw.replace(b"canary", b"robin"))).status == 200
        got = await weir.post(path, raw, "messages" if "messages" in path else "responses")
        assert got.status == 400
        assert len(weir.provider.requests) == 1


# --- no other way to write it


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1//responses/resp_1"), ("GET", "/v1/%72esponses/resp_1"), ("GET", "/V1/Responses/resp_1"),
        ("GET", "/v1/responses//resp_1"), ("GET", "/v1/chat/completions//x"), ("GET", "/v1/conversations%2fc/items"),
        ("POST", "/v1/chat/completions;x"), ("GET", "/v1/responses;x=1/resp_1"),
        ("POST", "/v1/chat/completions/"), ("POST", "/v1/chat//completions"), ("POST", "/v1/%63hat/completions"),
        ("POST", "/v1/messages/"), ("POST", "/v1/Embeddings"), ("POST", "/v1/responses//"),
    ],
)  # fmt: skip
async def test_no_other_spelling_of_a_path_gets_by_the_guards(method: str, path: str) -> None:
    async with asking(probing(does="refuse")) as weir:
        body = b'{"model":"m","messages":[{"role":"user","content":"canary"}]}' if method == "POST" else None
        headers = {"authorization": "Bearer sk-caller", "content-type": "application/json"}
        url = URL(weir.running.root + path, encoded=True)
        async with weir.session.request(method, url, data=body, headers=headers) as answer:
            assert answer.status in (400, 404)
        assert not weir.provider.requests


# --- with personal data


@pytest.mark.parametrize("stream", [False, True])
async def test_personal_data_comes_back_to_whom_it_belongs_and_never_reaches_the_provider(stream: bool) -> None:
    async with asking(PII, identity=KEYS, upstream={"key": "weirs-own"}) as weir:
        raw = orjson.dumps({"model": "gpt-4o-mini", "input": f"mail {ADDRESS}", "stream": stream})
        made = await weir.ask("responses", raw=raw, authorization="Bearer key-a")
        id_ = docs(made.raw)[0]["response"]["id"] if stream else made.doc["id"]
        for path in (f"/v1/responses/{id_}", f"/v1/responses/{id_}/input_items"):
            assert ADDRESS.encode() in (await weir.get(path, authorization="Bearer key-a")).raw
            assert (await weir.get(path, authorization="Bearer key-b")).status == 404
        raw = orjson.dumps({"model": "gpt-4o-mini", "input": "and bob@other-mail.org", "previous_response_id": id_})
        more = await weir.ask("responses", raw=raw, authorization="Bearer key-a")
        assert "bob@other-mail.org" in more.text
        assert not any(ADDRESS.encode() in call.body for call in weir.provider.requests)


# --- for plugins


async def test_a_plugin_keeps_beside_an_answer_what_it_needs_to_read_it_again() -> None:
    async with asking(probing()) as weir:
        probe: Probe = weir.plugin("probe")
        calls: list[tuple[str, str | None]] = []

        async def request(exchange: Exchange) -> None:
            calls.append((exchange.caller.tenant, exchange.notes.read(RETRIEVED)))
            exchange.notes[KEEP] = {"probe": b"the map"}

        probe.request = request  # type: ignore[method-assign]
        weir.running.worker.chains.current._routes.clear()  # it knew the hook that was there before
        made = await weir.ask("responses", raw=b'{"model":"gpt-4o-mini","input":"say something"}')
        id_ = made.doc["id"]
        await weir.get(f"/v1/responses/{id_}", "responses")
        assert [named for _, named in calls] == [None, id_]
        kept = kept_key(calls[0][0], id_, "probe")
        assert await probe.kit.store.get(kept) == b"the map"
