from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy.exchange import Request
from proxy.wire.responses import ResponsesCodec
from proxy.wire.responses_items import is_assistants, type_of

CODEC = ResponsesCodec()
Seen = tuple[str, str, str]


def made(text: str) -> Seen:
    return ("assistant", "tool_arguments", text)


def came(text: str) -> Seen:
    return ("tool", "tool_result", text)


def told(text: str) -> Seen:
    return ("system", "tool_description", text)


def request(raw: bytes) -> Request:
    doc = CODEC.read(raw)
    return Request("responses", "POST", "/v1/responses", "", [], raw, doc=doc, walk=CODEC.walk)


def texts(found: Request) -> list[Seen]:
    return [(one.role, one.kind, one.text) for one in found.segments]


ITEMS: list[tuple[dict[str, Any], list[tuple[str, str, str]], list[str]]] = [
    ({"role": "developer", "content": "d"}, [("system", "text", "d")], []),
    ({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, [("assistant", "refusal", "no")], []),
    ({"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "A", "format": "mp3"}},
                                  {"type": "input_file", "file_id": "f"}, {"type": "hologram", "x": "seen"}]},
     [("user", "text", "seen")], ["audio", "file", "unknown"]),
    ({"type": "custom_tool_call", "call_id": "c", "name": "n", "input": "in"}, [made("in")], []),
    ({"type": "custom_tool_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "o"}]},
     [came("o")], []),
    ({"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "t"}]},
     [("assistant", "reasoning", "t")], []),
    ({"type": "computer_call", "id": "c", "call_id": "c", "action": {"type": "type", "text": "typed"},
      "pending_safety_checks": [{"id": "s", "message": "careful"}], "status": "completed"},
     [made("typed"), ("assistant", "text", "careful")], []),
    ({"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot", "image_url": "d"}},
     [], ["image"]),
    ({"type": "web_search_call", "id": "w", "status": "completed", "action": {"type": "search", "query": "q"}},
     [made("q")], []),
    ({"type": "file_search_call", "id": "f", "status": "completed", "queries": ["q"],
      "results": [{"text": "t", "attributes": {"by": "ann", "n": 1}}]},
     [made("q"), came("t"), came("ann")], []),
    ({"type": "code_interpreter_call", "id": "c", "code": "x", "container_id": "k", "status": "completed",
      "outputs": [{"type": "logs", "logs": "l"}, {"type": "image", "url": "u"}]},
     [made("x"), came("l")], ["image"]),
    ({"type": "image_generation_call", "id": "i", "result": "AAAA", "revised_prompt": "p", "status": "completed"},
     [made("p")], ["image"]),
    ({"type": "local_shell_call", "id": "l", "call_id": "c", "status": "completed",
      "action": {"type": "exec", "command": ["ls", "x"], "env": {"A": "b"}}},
     [made("ls"), made("x"), made("b")], []),
    ({"type": "local_shell_call_output", "id": "l", "output": "o"}, [came("o")], []),
    ({"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "o", "stderr": "e"}]},
     [came("o"), came("e")], []),
    ({"type": "apply_patch_call", "call_id": "c", "status": "completed",
      "operation": {"type": "create_file", "path": "p", "diff": "d"}},
     [made("p"), made("d")], []),
    ({"type": "apply_patch_call_output", "call_id": "c", "status": "completed", "output": "o"}, [came("o")], []),
    ({"type": "mcp_call", "id": "m", "name": "n", "server_label": "s", "arguments": "{\"a\":\"b\"}", "output": "o",
      "error": {"type": "http_error", "code": 5, "message": "e"}},
     [made("b"), came("o"), came("e")], []),
    ({"type": "mcp_list_tools", "id": "m", "server_label": "s",
      "tools": [{"name": "t", "description": "d", "input_schema": {"properties": {"a": {"description": "s"}}}}]},
     [told("d"), told("s")], []),
    ({"type": "mcp_approval_request", "id": "m", "name": "n", "server_label": "s", "arguments": "{\"a\":\"b\"}"},
     [made("b")], []),
    ({"type": "mcp_approval_response", "approval_request_id": "m", "approve": False, "reason": "r"},
     [("user", "text", "r")], []),
    ({"type": "tool_search_call", "arguments": {"q": "x"}}, [made("x")], []),
    ({"type": "tool_search_output", "tools": [{"type": "function", "name": "n", "description": "d"}]},
     [told("d")], []),
    ({"type": "program", "id": "p", "call_id": "c", "code": "x", "fingerprint": "f"}, [made("x")], []),
    ({"type": "program_output", "id": "p", "call_id": "c", "result": "r", "status": "completed"}, [came("r")], []),
    ({"type": "compaction", "encrypted_content": "gAAA"}, [], []),
    ({"type": "item_reference", "id": "x"}, [], []),
    ({"type": "from_the_future", "text": "t", "call_id": "c"}, [("user", "text", "t")], ["unknown"]),
    ({"role": "user", "content": [{"type": "input_file", "file_data": "data:text/plain;base64,aGVsbG8="}]},
     [("user", "document", "hello")], []),
    ({"role": "user", "content": [{"type": "input_file", "file_data": "data:application/pdf;base64,aGVsbG8="}]},
     [], ["file"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("item", "seen", "unread"), ITEMS, ids=[str(item.get("type", "message")) for item, _, _ in ITEMS]
)
def test_every_item_is_read_and_written(item: dict[str, Any], seen: list[Any], unread: list[str]) -> None:
    found = request(orjson.dumps({"model": "m", "input": [item]}))
    assert (texts(found), found.uninspected) == (seen, unread)
    for one in found.segments:
        if not one.sealed:
            one.text = f"<{one.text}>"
    again = request(CODEC.write(found))
    assert texts(again) == [(one.role, one.kind, one.text) for one in found.segments]


def test_what_the_model_made_is_known() -> None:
    mine = [item for item, _, _ in ITEMS if is_assistants(item)]
    assert {type_of(item) for item in mine} >= {"message", "reasoning", "mcp_call", "custom_tool_call"}
    assert not any(type_of(item).endswith("_output") for item in mine)
