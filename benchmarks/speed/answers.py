"""What the fast provider says: whole HTTP answers and the writes of streams, in the shape of each surface."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson

Json = dict[str, Any]
Pieces = tuple[bytes, ...]
HEAD = (
    b"HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Type: %b\r\nopenai-processing-ms: 312\r\n"
    b"openai-version: 2020-10-01\r\nx-request-id: req_0123456789abcdef0123456789abcdef\r\n"
    b"x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\n%b\r\n\r\n"
)
WORD = "word "
MODEL = "gpt-4o-mini"
TOKENS = {"prompt_tokens": 300, "completion_tokens": 40, "total_tokens": 340}
FLOWS = {"input_tokens": 300, "output_tokens": 40}
SURFACES = ("chat/completions", "completions", "responses", "embeddings", "messages")


def surface(path: str) -> str:
    """`/v1/chat/completions` is `chat/completions`; what is not known is answered as a chat."""
    return next((name for name in SURFACES if path.endswith("/" + name)), SURFACES[0])


# ---- JSON ---------------------------------------------------------------------------------------------------------


@lru_cache
def whole(named: str, size: int, *, usage: bool = True) -> bytes:
    """A JSON answer of about `size` bytes, headers before it."""
    make = _WHOLE[named]
    room = max(0, size - len(orjson.dumps(make(""))))
    doc = make(WORD * (room // len(WORD)))
    if not usage:
        doc.pop("usage")
    return http(doc)


def http(doc: Json) -> bytes:
    body = orjson.dumps(doc)
    return HEAD % (b"application/json", b"Content-Length: %d" % len(body)) + body


def _chat(text: str) -> Json:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return _named("chatcmpl-1", "chat.completion", choices=[choice], usage=TOKENS)


def _completion(text: str) -> Json:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": "stop"}
    return _named("cmpl-1", "text_completion", choices=[choice], usage=TOKENS)


def _embeddings(text: str) -> Json:
    vector = [0.0123456] * max(1, len(text) // 10)
    data = [{"object": "embedding", "index": 0, "embedding": vector}]
    return {"object": "list", "data": data, "model": MODEL, "usage": {"prompt_tokens": 300, "total_tokens": 300}}


def _response(text: str, status: str = "completed") -> Json:
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    usage = {**FLOWS, "total_tokens": 340, "input_tokens_details": {"cached_tokens": 0}}
    ended = status == "completed"
    return {"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": MODEL,
            "output": [item] if ended else [], "usage": usage if ended else None}  # fmt: skip


def _message(text: str) -> Json:
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "usage": FLOWS,
            "content": [{"type": "text", "text": text}] if text else [], "stop_reason": "end_turn",
            "stop_sequence": None}  # fmt: skip


def _named(name: str, kind: str, **fields: Any) -> Json:
    return {"id": name, "object": kind, "created": 1, "model": MODEL, **fields}


# ---- streams ------------------------------------------------------------------------------------------------------


@lru_cache
def stream(named: str, count: int) -> Pieces:
    """The head with the first events, `count` texts and the end of a stream: each the bytes of one write."""
    opening, texts, closing = _STREAM[named](count)
    head = HEAD % (b"text/event-stream", b"Transfer-Encoding: chunked")
    return (head + opening, *texts, closing + b"0\r\n\r\n")


def _chunk(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)


def _data(doc: Json) -> bytes:
    return _chunk(b"data: " + orjson.dumps(doc) + b"\n\n")


def _event(kind: str, **fields: Any) -> bytes:
    return _chunk(b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **fields})))


DONE = _chunk(b"data: [DONE]\n\n")


def _named_chats(count: int) -> tuple[bytes, list[bytes], bytes]:
    """Every tenth text begins a placeholder, the next one ends it."""
    said = {8: "to [EMA", 9: "IL_1] "}
    return _chats(count, lambda at: said.get(at % 10, WORD))


def _chats(count: int, text: Callable[[int], str] = lambda at: WORD) -> tuple[bytes, list[bytes], bytes]:
    def event(delta: Json | None, finish: str | None = None, **more: Any) -> bytes:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        return _data(_named("chatcmpl-1", "chat.completion.chunk", choices=choices, **more))

    end = event({}, "stop") + event(None, usage=TOKENS) + DONE
    return event({"role": "assistant", "content": ""}), [event({"content": text(at)}) for at in range(count)], end


def _completions(count: int) -> tuple[bytes, list[bytes], bytes]:
    def event(text: str, finish: str | None = None) -> bytes:
        return _data(_named("cmpl-1", "text_completion", choices=[{"index": 0, "text": text, "finish_reason": finish}]))

    usage = _data(_named("cmpl-1", "text_completion", choices=[], usage=TOKENS))
    return event(""), [event(WORD)] * count, event("", "stop") + usage + DONE


def _responses(count: int) -> tuple[bytes, list[bytes], bytes]:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    last = count + 4
    opening = (
        _event("response.created", sequence_number=0, response=_response("", "in_progress"))
        + _event("response.output_item.added", sequence_number=1, output_index=0, item=item)
        + _event("response.content_part.added", sequence_number=2, part=part, **place)
    )
    texts = [_event("response.output_text.delta", sequence_number=3 + at, delta=WORD, **place) for at in range(count)]
    full = _response(WORD * count)
    closing = (
        _event("response.output_text.done", sequence_number=last - 1, text=WORD * count, **place)
        + _event("response.content_part.done", sequence_number=last, part=full["output"][0]["content"][0], **place)
        + _event("response.output_item.done", sequence_number=last + 1, output_index=0, item=full["output"][0])
        + _event("response.completed", sequence_number=last + 2, response=full)
    )
    return opening, texts, closing


def _messages(count: int) -> tuple[bytes, list[bytes], bytes]:
    start = {**_message(""), "stop_reason": None, "usage": {"input_tokens": 300, "output_tokens": 1}}
    block = {"type": "text", "text": ""}
    opening = _event("message_start", message=start) + _event("content_block_start", index=0, content_block=block)
    text = _event("content_block_delta", index=0, delta={"type": "text_delta", "text": WORD})
    closing = (
        _event("content_block_stop", index=0)
        + _event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 40})
        + _event("message_stop")
    )
    return opening, [text] * count, closing


_WHOLE: dict[str, Callable[[str], Json]] = {
    "chat/completions": _chat, "completions": _completion, "responses": _response, "embeddings": _embeddings,
    "messages": _message,
}  # fmt: skip
_STREAM: dict[str, Callable[[int], tuple[bytes, list[bytes], bytes]]] = {
    "chat/completions": _chats, "completions": _completions, "responses": _responses, "messages": _messages,
    "embeddings": _chats, "named": _named_chats,
}  # fmt: skip
