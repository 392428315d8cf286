"""The codec of OpenAI's Responses API: `/v1/responses`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, ClassVar

from proxy.exchange import Dialect, Insert, Request, Segment, Usage
from proxy.ports import Json
from proxy.wire import marks
from proxy.wire.body import encode_with
from proxy.wire.codec import Answer
from proxy.wire.coding import encode
from proxy.wire.dialect import DialectCodec, expect, expect_objects, named, wrong
from proxy.wire.responses_items import content, is_assistants, is_system, part, type_of, unknown, walk
from proxy.wire.responses_stream import ResponsesStream
from proxy.wire.responses_whole import compose_events, compose_response, finish_of, joined_text, usage_of
from proxy.wire.splice import splice
from proxy.wire.spots import Found, Spot, of_tools, search, segments

ABOVE = -1
"""The index of what stands above the items: instructions, prompt variables, the answer's schema."""

_TOOLS = (
    Spot("*", "tool_description", "system", "descriptions"),
    Spot("*.server_description", "tool_description", "system"),
)
_FORMAT = (Spot("text.format", "tool_description", "system", "descriptions"),)


class ResponsesCodec(DialectCodec):
    """Reads and writes calls and answers of `/v1/responses`."""

    dialect: ClassVar[Dialect] = "responses"

    def check(self, doc: dict[str, Json]) -> None:
        for name in ("model", "previous_response_id"):
            expect(doc, name, str)
        for name in ("prompt", "text"):
            expect(doc, name, dict)
        expect(doc, "instructions", str, list)
        expect(doc, "stream", bool)
        expect(doc, "max_output_tokens", int)
        expect_objects(doc, "tools")
        if type(doc.get("input")) is not str:
            expect(doc, "input", str, list)
            expect_objects(doc, "input")
            for number, item in enumerate(doc.get("input") or ()):
                _check_message(item, f"input[{number}]")

    def walk(self, doc: Json) -> tuple[list[Segment], list[str]]:
        items = doc.get("input")
        turn = _last_turn(items) if type(items) is list else -1
        unread: list[str] = []
        found = segments(_instructions(doc, unread), index=ABOVE, fresh=turn < 0)
        found += segments(_variables(doc, unread), index=ABOVE, fresh=True, part=len(found))
        if type(items) is str:
            found += segments(content(doc, "input", "text", "user", unread), index=0, fresh=True)
        for index, item in enumerate(items if type(items) is list else ()):
            found += segments(chain(walk(item, unread), unknown(item)), index=index, fresh=index > turn)
        found += of_tools(doc, _TOOLS, fresh=turn < 0)
        found += segments(search(doc, _FORMAT), index=ABOVE, fresh=turn < 0, part=len(found))
        return found, unread

    def write(self, request: Request) -> bytes:
        changed = [one for one in request.segments if one.changed] if request.walked else []
        also = marks.of_changed(changed)  # logprobs of history spell a text out once more
        if not also:
            return super().write(request)
        raw = encode_with(request.doc, changed, also=also, shape=lambda doc: self.placed(doc, request.inserts))
        return splice(raw, request.edits) if request.edits else raw

    def placed(self, doc: Json, inserts: Sequence[Insert]) -> Json:
        doc = dict(doc)
        system = [one.text for one in inserts if one.role == "system"]
        others = [one for one in inserts if one.role != "system"]
        if system:
            doc["instructions"] = _extended(doc.get("instructions"), system)
        if others:
            doc["input"] = _spread(doc.get("input"), others)
        return doc

    def opening(self, doc: Json) -> Json:
        unread: list[str] = []
        texts = [[one.role, one.text] for one in _instructions(doc, unread)]
        items = doc.get("input")
        if type(items) is str:
            return [*texts, ["user", items]]
        for item in items if type(items) is list else ():
            texts += [[one.role, one.text] for one in walk(item, unread)]
            if type_of(item) == "message" and item.get("role") == "user":
                break
        return texts

    def understood(self, body: bytes, doc: Json) -> Answer | None:
        items = _output(doc)
        if items is None:
            return None
        return Answer(body, doc, partial(_texts, items), usage_of(doc), named(doc), finish_of(doc))

    def write_answer(self, answer: Answer) -> bytes:
        answer = self.exact(answer)
        changed = [one for one in answer.segments if one.changed]
        if not changed:
            return answer.raw
        return encode_with(answer.doc, changed, also=marks.of_changed(changed), shape=_rejoined)

    def stream(self, doc: Json) -> ResponsesStream:
        return ResponsesStream(doc)

    def compose(self, text: str, *, model: str, id: str, stream: bool, finish: str, usage: Usage | None) -> bytes:
        response = compose_response(text, model=model, id=id, finish=finish, usage=usage)
        return compose_events(response, text) if stream else encode(response)


def _texts(items: list[Json]) -> list[Segment]:
    """Of an answer."""
    found: list[Segment] = []
    for index, item in enumerate(items):
        found += segments(walk(item, []), index=index)
    return found


def _check_message(item: dict[str, Any], where: str) -> None:
    if type_of(item) != "message":
        return
    expect(item, "role", str, where=where)
    expect(item, "content", str, list, where=where)
    parts = item.get("content")
    for number, entry in enumerate(parts if type(parts) is list else ()):
        if type(entry) is not dict:
            wrong(f"{where}.content[{number}]", entry, dict)


def _last_turn(items: list[Any]) -> int:
    """The last item that the model made, not counting a begun answer at the very end, which the call asks to go on."""
    last = len(items) - 1
    while last >= 0 and is_assistants(items[last]):
        last -= 1
    while last >= 0 and not is_assistants(items[last]):
        last -= 1
    return last


def _instructions(doc: Json, unread: list[str]) -> Iterator[Found]:
    value = doc.get("instructions")
    if type(value) is str:
        yield from content(doc, "instructions", "text", "system", unread)
    for number, item in enumerate(value if type(value) is list else ()):
        for one in walk(item, unread, role="system"):
            yield one._replace(path=("instructions", number, *one.path))


def _variables(doc: Json, unread: list[str]) -> Iterator[Found]:
    prompt = doc.get("prompt")
    values = prompt.get("variables") if type(prompt) is dict else None
    for name, value in (values if type(values) is dict else {}).items():
        if type(value) is str and value:
            yield Found(("prompt", name), values, name, "text", "user")
        elif type(value) is dict:
            yield from part(value, ("prompt", name), "text", "user", unread)


def _output(doc: Json) -> list[Any] | None:
    """The items of an answer, or of a list of stored ones."""
    if type(doc) is not dict:
        return None
    items = doc.get("output")
    if items is None and doc.get("object") == "list":
        items = doc.get("data")
        if type(items) is not list or not all(type_of(item) for item in items):
            return None
    return items if type(items) is list else None


def _rejoined(doc: Json) -> Json:
    """Some servers give the text of all messages once more, beside the items."""
    if type(doc.get("output_text")) is not str:
        return doc
    return {**doc, "output_text": joined_text(doc["output"])}


def _extended(value: Json, texts: list[str]) -> Json:
    if type(value) is list:
        return [*value, *({"role": "developer", "content": text} for text in texts)]
    return "\n\n".join([value, *texts] if value else texts)


def _spread(value: Json, inserts: list[Insert]) -> list[Any]:
    items = [{"role": "user", "content": value}] if type(value) is str else list(value or ())
    first = 0
    while first < len(items) and is_system(items[first]):
        first += 1
    last = len(items)
    placed = sorted(((min(max(first, one.index), last), one) for one in inserts), key=lambda pair: pair[0])
    for at, one in reversed(placed):  # backwards, so that positions stay those of the caller's items
        items.insert(at, {"role": "assistant" if one.role == "assistant" else "user", "content": one.text})
    return items
