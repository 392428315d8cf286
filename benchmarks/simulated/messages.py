"""POST /v1/messages and /v1/messages/count_tokens, as Anthropic speaks."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import orjson

from benchmarks.simulated.call import Call, Misread, text_of
from benchmarks.simulated.faults import error_event
from benchmarks.simulated.plan import Plan, Stream, event, json_answer
from benchmarks.simulated.script import Script, Tool, Wanted, write

Json = Any
_STOP = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


def messages(call: Call) -> Plan:
    body = call.body
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        raise Misread("messages: Field required")
    if not isinstance(body.get("max_tokens"), int):
        raise Misread("max_tokens: Field required")
    script = write(call, _wanted(body))
    if not call.stream:
        return json_answer(_message(call, script, _blocks(call, script), whole=True), flavour="anthropic")
    done = event({"type": "message_stop"}, "message_stop")
    return Stream(_frames(call, script), done, error_event(call.path), "anthropic")


def count_tokens(call: Call) -> Plan:
    return json_answer({"input_tokens": -(-len(call.received.body) // 4)}, flavour="anthropic")


def _wanted(body: dict[str, Json]) -> Wanted:
    choice = body.get("tool_choice") or {}
    kind = choice.get("type", "auto")
    chosen = choice.get("name", "") if kind == "tool" else {"any": "required"}.get(kind, kind)
    shape = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    return Wanted(
        tools=[Tool(tool["name"], tool["input_schema"]) for tool in body.get("tools") or () if "input_schema" in tool],
        choice=chosen,
        parallel=not choice.get("disable_parallel_tool_use"),
        tool_text=_tool_text(body["messages"][-1]),
        schema=shape.get("schema") if shape.get("type") == "json_schema" else None,
        max_tokens=body.get("max_tokens"),
        stop=body.get("stop_sequences") or (),
        thinks=(body.get("thinking") or {}).get("type") in ("enabled", "adaptive"),
    )


def _tool_text(turn: Json) -> str | None:
    content = turn.get("content") if isinstance(turn, dict) else None
    if not isinstance(content, list):
        return None
    results = [part for part in content if isinstance(part, dict) and part.get("type") == "tool_result"]
    return "\n".join(text_of(part.get("content")) for part in results) if results else None


def _blocks(call: Call, script: Script) -> list[dict[str, Json]]:
    blocks: list[dict[str, Json]] = []
    if script.reasoning:
        signature = base64.b64encode(f"signed:{call.id}".encode()).decode()
        blocks.append({"type": "thinking", "thinking": script.reasoning, "signature": signature})
    if call.wish.redacted:
        blocks.append({"type": "redacted_thinking", "data": base64.b64encode(f"sealed:{call.id}".encode()).decode()})
    if script.calls:
        blocks.append({"type": "text", "text": "I'll use a tool.", "citations": None})
    elif script.text or script.refusal:
        blocks.append({"type": "text", "text": script.text or script.refusal, "citations": None})
    for made in script.calls:
        name = made.id.replace("call_", "toolu_")
        blocks.append({"type": "tool_use", "id": name, "name": made.name, "input": orjson.loads(made.arguments)})
    return blocks


def _stop_reason(script: Script) -> str:
    if script.refusal:
        return "refusal"
    return "stop_sequence" if script.stopped_by else _STOP.get(script.finish, script.finish)


def _usage(script: Script, output: int) -> Json:
    return {
        "input_tokens": script.prompt_tokens - script.cached_tokens - script.written_tokens,
        "cache_creation_input_tokens": script.written_tokens,
        "cache_read_input_tokens": script.cached_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": script.written_tokens, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "service_tier": "standard",
    }


def _message(call: Call, script: Script, blocks: list[dict[str, Json]], *, whole: bool) -> Json:
    return {
        "id": f"msg_{call.id}",
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": blocks,
        "stop_reason": _stop_reason(script) if whole else None,
        "stop_sequence": script.stopped_by or None if whole else None,
        "usage": _usage(script, script.output_tokens if whole else 1),
    }


def _frames(call: Call, script: Script) -> Iterator[bytes]:
    yield event({"type": "message_start", "message": _message(call, script, [], whole=False)}, "message_start")
    yield event({"type": "ping"}, "ping")
    for index, block in enumerate(_blocks(call, script)):
        opening = {"type": "content_block_start", "index": index, "content_block": _empty(block)}
        yield event(opening, "content_block_start")
        for delta in _deltas(script, block):
            yield event({"type": "content_block_delta", "index": index, "delta": delta}, "content_block_delta")
        yield event({"type": "content_block_stop", "index": index}, "content_block_stop")
    ending = {
        "type": "message_delta",
        "delta": {"stop_reason": _stop_reason(script), "stop_sequence": script.stopped_by or None},
        "usage": _usage(script, script.output_tokens),
    }
    yield event(ending, "message_delta")


def _empty(block: dict[str, Json]) -> Json:
    match block["type"]:
        case "text":
            return {"type": "text", "text": ""}
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "tool_use":
            return {**block, "input": {}}
        case _:
            return block


def _deltas(script: Script, block: dict[str, Json]) -> Iterator[Json]:
    match block["type"]:
        case "text":
            for piece in script.pieces(block["text"]):
                yield {"type": "text_delta", "text": piece}
        case "thinking":
            for piece in script.pieces(block["thinking"]):
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "tool_use":
            yield {"type": "input_json_delta", "partial_json": ""}
            arguments = orjson.dumps(block["input"]).decode()
            for start in range(0, len(arguments), 9):
                yield {"type": "input_json_delta", "partial_json": arguments[start : start + 9]}
