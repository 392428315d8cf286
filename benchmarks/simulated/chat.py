"""POST /v1/chat/completions and /v1/completions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from benchmarks.simulated.call import Call, Misread, text_of
from benchmarks.simulated.faults import error_event
from benchmarks.simulated.plan import Plan, Stream, event, json_answer
from benchmarks.simulated.script import Script, Tool, Wanted, write

Json = Any
CREATED = 1_767_225_600
DONE = b"data: [DONE]\n\n"


def chat(call: Call) -> Plan:
    body = call.body
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        raise Misread("Missing required parameter: 'messages'.", "messages")
    script = write(call, _wanted(body))
    count = _count(body)
    if not call.stream:
        return json_answer(_whole(call, script, count))
    return Stream(_frames(call, script, count), DONE, error_event(call.path))


def _wanted(body: dict[str, Json]) -> Wanted:
    last = body["messages"][-1]
    spoken = text_of(last.get("content")) if isinstance(last, dict) and last.get("role") == "tool" else None
    chosen = body.get("response_format") or {}
    stop = body.get("stop") or ()
    return Wanted(
        tools=[_tool(tool) for tool in body.get("tools") or () if tool.get("type") == "function"],
        choice=_choice(body.get("tool_choice")),
        parallel=body.get("parallel_tool_calls") is not False,
        tool_text=spoken,
        schema=(chosen.get("json_schema") or {}).get("schema") if chosen.get("type") == "json_schema" else None,
        json_mode=chosen.get("type") == "json_object",
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        stop=[stop] if isinstance(stop, str) else stop,
    )


def _tool(tool: Json) -> Tool:
    function = tool.get("function") or {}
    return Tool(str(function.get("name")), function.get("parameters") or {})


def _choice(choice: Json) -> str:
    if isinstance(choice, dict):
        return str((choice.get("function") or {}).get("name") or "required")
    return choice or "auto"


def _count(body: dict[str, Json]) -> int:
    count = body.get("n")
    return min(count, 128) if isinstance(count, int) and count > 0 else 1


def usage(script: Script, count: int) -> Json:
    completion = script.output_tokens * count
    return {
        "prompt_tokens": script.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": script.prompt_tokens + completion,
        "prompt_tokens_details": {"cached_tokens": script.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": script.reasoning_tokens * count,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _said(script: Script, index: int) -> str:
    """Each choice says something of its own."""
    return script.text if not index or not script.text else f"{script.text} ({index + 1})"


def _whole(call: Call, script: Script, count: int) -> Json:
    body = {
        "id": f"chatcmpl-{call.id}",
        "object": "chat.completion",
        "created": CREATED,
        "model": call.model,
        "choices": [_choice_of(call, script, index) for index in range(count)],
        "usage": usage(script, count),
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }
    if not call.wish.usage:
        del body["usage"]
    return body


def _choice_of(call: Call, script: Script, index: int) -> Json:
    text = _said(script, index)
    message: dict[str, Json] = {
        "role": "assistant",
        "content": text if not (script.calls or script.refusal) else None,
        "refusal": script.refusal or None,
        "annotations": [],
    }
    if script.reasoning:
        message["reasoning_content"] = script.reasoning
    if script.calls:
        message["tool_calls"] = [
            {"id": made.id, "type": "function", "function": {"name": made.name, "arguments": made.arguments}}
            for made in script.calls
        ]
    logprobs = {"content": _logprobs(call, script.pieces(text)), "refusal": None} if call.body.get("logprobs") else None
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": script.finish}


def _logprobs(call: Call, pieces: Iterator[str] | list[str]) -> list[Json]:
    many = call.body.get("top_logprobs") or 0
    return [{**_logprob(piece, 0), "top_logprobs": [_logprob(piece, rank) for rank in range(many)]} for piece in pieces]


def _logprob(piece: str, rank: int) -> dict[str, Json]:
    return {"token": piece, "logprob": -0.25 * (rank + 1), "bytes": list(piece.encode())}


def _frames(call: Call, script: Script, count: int) -> Iterator[bytes]:
    asked = (call.body.get("stream_options") or {}).get("include_usage") is True
    base = {
        "id": f"chatcmpl-{call.id}",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": call.model,
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }
    ends = b"," + orjson.dumps({"usage": None})[1:] if asked else b"}"
    opening = b"data: " + orjson.dumps(base)[:-1] + b',"choices":['

    def frame(index: int, delta: Json, finish: str | None = None, logprobs: Json = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return b"%b%b]%b\n\n" % (opening, orjson.dumps(choice), ends)

    for index in range(count):
        first: dict[str, Json] = {"role": "assistant", "content": None if script.calls else "", "refusal": None}
        yield frame(index, first)
    if script.reasoning:
        for index in range(count):
            for piece in script.pieces(script.reasoning):
                yield frame(index, {"reasoning_content": piece})
    for index in range(count):
        yield from _deltas(call, script, index, frame)
    for index in range(count):
        yield frame(index, {}, script.finish)
    if asked and call.wish.usage:
        yield event({**base, "choices": [], "usage": usage(script, count)})


def _deltas(call: Call, script: Script, index: int, frame: Any) -> Iterator[bytes]:
    if script.refusal:
        for piece in script.pieces(script.refusal):
            yield frame(index, {"refusal": piece})
    for place, made in enumerate(script.calls):
        function: dict[str, Json] = {"name": made.name, "arguments": ""}
        yield frame(index, {"tool_calls": [{"index": place, "id": made.id, "type": "function", "function": function}]})
        for fragment in made.fragments():
            yield frame(index, {"tool_calls": [{"index": place, "function": {"arguments": fragment}}]})
    if script.calls or script.refusal:
        return
    wants = call.body.get("logprobs")
    for piece in script.pieces(_said(script, index)):
        yield frame(
            index, {"content": piece}, None, {"content": _logprobs(call, [piece]), "refusal": None} if wants else None
        )


def completions(call: Call) -> Plan:
    body = call.body
    if "prompt" not in body:
        raise Misread("Missing required parameter: 'prompt'.", "prompt")
    stop = body.get("stop") or ()
    wanted = Wanted(max_tokens=body.get("max_tokens"), stop=[stop] if isinstance(stop, str) else stop)
    script, count = write(call, wanted), _count(body)
    base = {"id": f"cmpl-{call.id}", "object": "text_completion", "created": CREATED, "model": call.model}
    if not call.stream:
        choices = [_text_choice(index, _said(script, index), script.finish) for index in range(count)]
        totals = {"usage": usage(script, count)} if call.wish.usage else {}
        return json_answer({**base, "choices": choices, **totals})
    return Stream(_text_frames(call, script, count, base), DONE, error_event(call.path))


def _text_choice(index: int, text: str, finish: str | None) -> Json:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}


def _text_frames(call: Call, script: Script, count: int, base: dict[str, Json]) -> Iterator[bytes]:
    asked = (call.body.get("stream_options") or {}).get("include_usage") is True
    nothing = {"usage": None} if asked else {}
    for index in range(count):
        for piece in script.pieces(_said(script, index)):
            yield event({**base, "choices": [_text_choice(index, piece, None)], **nothing})
        yield event({**base, "choices": [_text_choice(index, "", script.finish)], **nothing})
    if asked and call.wish.usage:
        yield event({**base, "choices": [], "usage": usage(script, count)})
