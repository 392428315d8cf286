from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy.exchange import Request
from proxy.wire.messages import MessagesCodec

CODEC = MessagesCodec()
Seen = tuple[str, str, str, bool]


def made(text: str) -> Seen:
    return ("assistant", "tool_arguments", text, False)


def came(text: str, sealed: bool = False) -> Seen:
    return ("tool", "tool_result", text, sealed)


def paper(text: str, role: str = "user", sealed: bool = False) -> Seen:
    return (role, "document", text, sealed)


def request(raw: bytes) -> Request:
    return Request("messages", "POST", "/v1/messages", "", [], raw, doc=CODEC.read(raw), walk=CODEC.walk)


def texts(found: Request) -> list[Seen]:
    return [(one.role, one.kind, one.text, one.sealed) for one in found.segments]


_QUOTE = {"type": "char_location", "cited_text": "q", "document_index": 0, "document_title": "t",
          "start_char_index": 0, "end_char_index": 1}  # fmt: skip
BLOCKS: list[tuple[str, dict[str, Any], list[Seen], list[str]]] = [
    ("user", {"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}}, [("user", "text", "t", False)], []),
    ("assistant", {"type": "text", "text": "t", "citations": [_QUOTE]},
     [("assistant", "text", "t", False), paper("q", "assistant"), paper("t", "assistant")], []),
    ("assistant", {"type": "text", "text": "t", "citations": [
        {"type": "web_search_result_location", "cited_text": "q", "encrypted_index": "E", "url": "u", "title": "t"}]},
     [("assistant", "text", "t", False), paper("q", "assistant", True)], []),
    ("user", {"type": "image", "source": {"type": "url", "url": "u"}}, [], ["image"]),
    ("user", {"type": "document", "title": "t", "context": "c", "source": {"type": "text", "data": "d"}},
     [paper("t"), paper("c"), paper("d")], []),
    ("user", {"type": "document", "source": {"type": "content", "content": [
        {"type": "text", "text": "d"}, {"type": "image", "source": {}}]}}, [paper("d")], ["image"]),
    ("user", {"type": "document", "source": {"type": "content", "content": "d"}}, [paper("d")], []),
    ("user", {"type": "document", "source": {"type": "base64", "data": "AAAA"}}, [], ["document"]),
    ("user", {"type": "document", "source": {"type": "file", "file_id": "f"}}, [], ["file"]),
    ("user", {"type": "search_result", "title": "t", "source": "u", "content": [{"type": "text", "text": "d"}]},
     [paper("t"), paper("d")], []),
    ("assistant", {"type": "thinking", "thinking": "t", "signature": "S"},
     [("assistant", "reasoning", "t", True)], []),
    ("assistant", {"type": "thinking", "thinking": "t", "signature": ""},
     [("assistant", "reasoning", "t", False)], []),
    ("assistant", {"type": "redacted_thinking", "data": "E"}, [], []),
    ("assistant", {"type": "tool_use", "id": "i", "name": "n", "input": {"a": "x", "b": [1, {"c": "y"}]}},
     [made("x"), made("y")], []),
    ("assistant", {"type": "server_tool_use", "id": "i", "name": "web_search", "input": {"query": "x"}},
     [made("x")], []),
    ("assistant", {"type": "mcp_tool_use", "id": "i", "name": "n", "server_name": "s", "input": {"a": "x"}},
     [made("x")], []),
    ("user", {"type": "tool_result", "tool_use_id": "i", "content": "r"}, [came("r")], []),
    ("user", {"type": "tool_result", "tool_use_id": "i", "content": [
        {"type": "text", "text": "r"}, {"type": "document", "source": {"type": "text", "data": "d"}},
        {"type": "browser_state", "tabs": [{"tab_id": "1", "title": "t", "url": "u"}]},
        {"type": "image", "source": {}}]},
     [came("r"), paper("d", "tool"), came("t"), came("u")], ["image"]),
    ("user", {"type": "mcp_tool_result", "tool_use_id": "i", "content": [{"type": "text", "text": "r"}]},
     [came("r")], []),
    ("assistant", {"type": "web_search_tool_result", "tool_use_id": "i", "content": [
        {"type": "web_search_result", "title": "t", "url": "u", "encrypted_content": "E"}]}, [came("t", True)], []),
    ("assistant", {"type": "web_search_tool_result", "tool_use_id": "i",
                   "content": {"type": "web_search_tool_result_error", "error_code": "x"}}, [], []),
    ("assistant", {"type": "web_fetch_tool_result", "tool_use_id": "i", "content": {
        "type": "web_fetch_result", "url": "u",
        "content": {"type": "document", "title": "t", "source": {"type": "text", "data": "d"}}}},
     [paper("t", "tool"), paper("d", "tool")], []),
    ("assistant", {"type": "bash_code_execution_tool_result", "tool_use_id": "i", "content": {
        "type": "bash_code_execution_result", "stdout": "o", "stderr": "e", "return_code": 0, "content": []}},
     [came("o"), came("e")], []),
    ("assistant", {"type": "text_editor_code_execution_tool_result", "tool_use_id": "i", "content": {
        "type": "text_editor_code_execution_view_result", "content": "o", "file_type": "text"}}, [came("o")], []),
    ("assistant", {"type": "advisor_tool_result", "tool_use_id": "i",
                   "content": {"type": "advisor_result", "text": "r"}}, [came("r")], []),
    ("assistant", {"type": "mcp_tool_listing", "mcp_server_name": "s", "tools": [
        {"name": "n", "description": "d", "input_schema": {}}]}, [("system", "tool_description", "d", False)], []),
    ("user", {"type": "container_upload", "file_id": "f"}, [], ["file"]),
    ("assistant", {"type": "compaction", "content": "c", "signature": "S"}, [("assistant", "text", "c", True)], []),
    ("user", {"type": "from_the_future", "text": "t", "id": "x", "more": [{"said": "u", "data": "AA", "url": "v"}]},
     [("user", "text", "t", False), ("user", "text", "u", False)], ["unknown"]),
    ("user", {"type": "from_the_future", "text": "t", "signature": "S"},
     [("user", "text", "t", True)], ["unknown"]),
    ("assistant", {"type": "from_the_future", "text": "t"}, [], ["unknown"]),
    ("user", {"type": "document", "title": "t", "source": {
        "type": "base64", "media_type": "text/plain", "data": "aGVsbG8="}},
     [("user", "document", "t", False), ("user", "document", "hello", False)], []),
    ("user", {"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": "/w=="}},
     [], ["document"]),
]  # fmt: skip


@pytest.mark.parametrize(("role", "block", "seen", "unread"), BLOCKS, ids=[one[1]["type"] for one in BLOCKS])
def test_every_block_is_read_and_written(role: str, block: dict[str, Any], seen: list[Any], unread: list[str]) -> None:
    found = request(orjson.dumps({"model": "m", "messages": [{"role": role, "content": [block]}]}))
    assert (texts(found), found.uninspected) == (seen, unread)
    for one in found.segments:
        if not one.sealed:
            one.text = f"<{one.text}>"
    assert texts(request(CODEC.write(found))) == texts(found)
