"""POST /v1/responses and what can be done with stored ones: get, delete, list the input, cancel."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from benchmarks.simulated.call import Call, Misread, text_of
from benchmarks.simulated.chat import CREATED
from benchmarks.simulated.faults import body_of, error_event
from benchmarks.simulated.memory import Memory, Stored
from benchmarks.simulated.plan import Answer, Plan, Stream, event, json_answer
from benchmarks.simulated.script import Script, Tool, Wanted, write

Json = Any
Item = dict[str, Json]


def create(call: Call, memory: Memory) -> Plan:
    body = call.body
    if "input" not in body and "prompt" not in body and "previous_response_id" not in body:
        raise Misread("Missing required parameter: 'input'.", "input")
    earlier = body.get("previous_response_id")
    if earlier is not None and memory.responses.get(str(earlier)) is None:
        said = f"Previous response with id '{earlier}' not found."
        return _not_found(said, "previous_response_id", "previous_response_not_found")
    script = write(call, _wanted(body))
    output = _items(call, script)
    response = _response(call, script, output)
    if body.get("store") is not False:
        memory.responses.put(response["id"], Stored(response, _input_items(call)))
    if call.stream:
        running = {**response, "status": "in_progress", "output": [], "usage": None, "completed_at": None}
        running["incomplete_details"] = None
        events = list(_numbered(_events(call, script, response, running, output)))
        return Stream(events[:-1], events[-1], error_event(call.path))
    if body.get("background"):
        return json_answer({**response, "status": "queued", "output": [], "usage": None, "completed_at": None})
    return json_answer(response)


def stored(call: Call, memory: Memory) -> Plan:
    """/v1/responses/{id}, /v1/responses/{id}/input_items, /v1/responses/{id}/cancel"""
    name, _, what = call.path.removeprefix("/v1/responses/").partition("/")
    found = memory.responses.get(name)
    if found is None:
        return _not_found(f"Response with id '{name}' not found.", None, None)
    if call.received.method == "DELETE" and not what:
        memory.responses.drop(name)
        return json_answer({"id": name, "object": "response", "deleted": True})
    if what == "input_items":
        ids = [item["id"] for item in found.items]
        ends = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None, "has_more": False}
        return json_answer({"object": "list", "data": found.items, **ends})
    if what == "cancel":
        return json_answer({**found.response, "status": "cancelled"})
    return json_answer(found.response)


def _not_found(message: str, param: str | None, code: str | None) -> Answer:
    body = body_of(404, "openai", message=message, param=param)
    body["error"]["code"] = code
    return json_answer(body, 404)


def _wanted(body: dict[str, Json]) -> Wanted:
    given = body.get("input")
    last = given[-1] if isinstance(given, list) and given else {}
    chosen = (body.get("text") or {}).get("format") or {}
    choice = body.get("tool_choice") or "auto"
    output = last.get("output") if last.get("type") == "function_call_output" else None
    return Wanted(
        tools=[Tool(tool["name"], tool.get("parameters") or {}) for tool in body.get("tools") or ()
               if tool.get("type") == "function"],
        choice=str(choice.get("name") or "required") if isinstance(choice, dict) else choice,
        parallel=body.get("parallel_tool_calls") is not False,
        tool_text=output if isinstance(output, str) or output is None else text_of(output),
        schema=chosen.get("schema") if chosen.get("type") == "json_schema" else None,
        json_mode=chosen.get("type") == "json_object",
        max_tokens=body.get("max_output_tokens"),
        thinks=body.get("reasoning") is not None,
    )  # fmt: skip


def _input_items(call: Call) -> list[Json]:
    given = call.body.get("input") or []
    if isinstance(given, str):
        given = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": given}]}]
    return [
        {"id": f"msg_{call.id}in{index}", "type": "message", "status": "completed", **item}
        for index, item in enumerate(given)
        if isinstance(item, dict)
    ]


def _items(call: Call, script: Script) -> list[Item]:
    items: list[Item] = []
    if script.reasoning:
        reasoning: Item = {
            "id": f"rs_{call.id}",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": script.reasoning}],
        }
        if "reasoning.encrypted_content" in (call.body.get("include") or ()):
            reasoning["encrypted_content"] = base64.b64encode(f"sealed:{call.id}".encode()).decode()
        items.append(reasoning)
    for index, made in enumerate(script.calls):
        items.append(
            {
                "id": f"fc_{call.id}{index:02d}",
                "type": "function_call",
                "status": "completed",
                "call_id": made.id,
                "name": made.name,
                "arguments": made.arguments,
            }
        )
    if not script.calls:
        items.append(
            {
                "id": f"msg_{call.id}",
                "type": "message",
                "status": "incomplete" if _reason(script) else "completed",
                "role": "assistant",
                "content": [_part(call, script, script.text)],
            }
        )
    return items


def _part(call: Call, script: Script, text: str) -> Item:
    if script.refusal:
        return {"type": "refusal", "refusal": script.refusal}
    part: Item = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    if text and "message.output_text.logprobs" in (call.body.get("include") or ()):
        part["logprobs"] = [_logprob(piece) for piece in script.pieces(text)]
    return part


def _logprob(piece: str) -> Item:
    return {"token": piece, "logprob": -0.25, "bytes": list(piece.encode()), "top_logprobs": []}


def _reason(script: Script) -> str | None:
    return {"length": "max_output_tokens", "content_filter": "content_filter"}.get(script.finish)


def _response(call: Call, script: Script, output: list[Item]) -> Item:
    body = call.body
    reason = _reason(script)
    asked: Item = {
        "instructions": None, "max_output_tokens": None, "max_tool_calls": None, "metadata": {},
        "parallel_tool_calls": True, "previous_response_id": None, "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None}, "safety_identifier": None, "store": True, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0, "user": None,
        "truncation": "disabled",
    }  # fmt: skip
    response: Item = {
        "id": f"resp_{call.id}",
        "object": "response",
        "created_at": CREATED,
        "completed_at": CREATED + 1,
        "status": "incomplete" if reason else "completed",
        "background": bool(body.get("background")),
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "model": call.model,
        "output": output,
        "service_tier": "default",
        **{key: usual if body.get(key) is None else body[key] for key, usual in asked.items()},
        "usage": _usage(script),
    }
    if not call.wish.usage:
        response["usage"] = None
    return response


def _usage(script: Script) -> Item:
    return {
        "input_tokens": script.prompt_tokens,
        "input_tokens_details": {"cached_tokens": script.cached_tokens, "cache_write_tokens": script.written_tokens},
        "output_tokens": script.output_tokens,
        "output_tokens_details": {"reasoning_tokens": script.reasoning_tokens},
        "total_tokens": script.prompt_tokens + script.output_tokens,
    }


def _numbered(events: Iterator[Item]) -> Iterator[bytes]:
    for number, body in enumerate(events):
        yield event({"type": body["type"], "sequence_number": number, **body}, body["type"])


def _events(call: Call, script: Script, response: Item, running: Item, output: list[Item]) -> Iterator[Item]:
    yield {"type": "response.created", "response": running}
    yield {"type": "response.in_progress", "response": running}
    for index, item in enumerate(output):
        place = {"item_id": item["id"], "output_index": index}
        yield {"type": "response.output_item.added", "output_index": index, "item": _opening(item)}
        match item["type"]:
            case "reasoning":
                yield from _reasoning(script, place)
            case "function_call":
                yield from _arguments(script, item, place)
            case _:
                yield from _message(call, script, place)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": f"response.{response['status']}", "response": response}


def _opening(item: Item) -> Item:
    match item["type"]:
        case "reasoning":
            return {**item, "summary": []}
        case "function_call":
            return {**item, "status": "in_progress", "arguments": ""}
        case _:
            return {**item, "status": "in_progress", "content": []}


def _reasoning(script: Script, place: Item) -> Iterator[Item]:
    prefix, place = "response.reasoning_summary", {**place, "summary_index": 0}
    yield {"type": f"{prefix}_part.added", **place, "part": {"type": "summary_text", "text": ""}}
    for piece in script.pieces(script.reasoning):
        yield {"type": f"{prefix}_text.delta", **place, "delta": piece}
    yield {"type": f"{prefix}_text.done", **place, "text": script.reasoning}
    yield {"type": f"{prefix}_part.done", **place, "part": {"type": "summary_text", "text": script.reasoning}}


def _arguments(script: Script, item: Item, place: Item) -> Iterator[Item]:
    made = next(each for each in script.calls if each.id == item["call_id"])
    prefix = "response.function_call_arguments"
    for fragment in made.fragments():
        yield {"type": f"{prefix}.delta", **place, "delta": fragment}
    yield {"type": f"{prefix}.done", **place, "name": made.name, "arguments": made.arguments}


def _message(call: Call, script: Script, place: Item) -> Iterator[Item]:
    place = {**place, "content_index": 0}
    part = _part(call, script, script.text)
    empty = {"type": "refusal", "refusal": ""} if script.refusal else {**part, "text": "", "logprobs": []}
    yield {"type": "response.content_part.added", **place, "part": empty}
    if script.refusal:
        for piece in script.pieces(script.refusal):
            yield {"type": "response.refusal.delta", **place, "delta": piece}
        yield {"type": "response.refusal.done", **place, "refusal": script.refusal}
    else:
        wants = bool(part["logprobs"])
        for piece in script.pieces(script.text):
            logprobs = [_logprob(piece)] if wants else []
            yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": logprobs}
        yield {"type": "response.output_text.done", **place, "text": script.text, "logprobs": part["logprobs"]}
    yield {"type": "response.content_part.done", **place, "part": part}
