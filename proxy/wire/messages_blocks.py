"""Every text in the content blocks of the Messages dialect, the same for calls, answers and events."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from proxy.exchange import Kind, Role
from proxy.ports import Json
from proxy.wire.slots import encoded_text
from proxy.wire.spots import Found, Path, Spot, search, strange

_INPUT = (Spot("input", how="leaves"),)
_OUTPUT = (Spot("content.stdout", "tool_result", "tool"), Spot("content.stderr", "tool_result", "tool"))
_LISTED = (Spot("tools", "tool_description", "system", "descriptions"),)
_CITATION = (Spot("cited_text", "document"), Spot("document_title", "document"))
_SEALED_CITATION = (Spot("cited_text", "document", sealed=True),)

SPOTS = MappingProxyType(
    {
        "tool_use": _INPUT,
        "server_tool_use": _INPUT,
        "mcp_tool_use": _INPUT,
        # What was found is ciphered, and its titles belong to it.
        "web_search_tool_result": (Spot("content.*.title", "tool_result", "tool", sealed=True),),
        "code_execution_tool_result": _OUTPUT,
        "bash_code_execution_tool_result": _OUTPUT,
        "text_editor_code_execution_tool_result": (Spot("content.content", "tool_result", "tool"),
                                                   Spot("content.lines.*", "tool_result", "tool")),
        "advisor_tool_result": (Spot("content.text", "tool_result", "tool"),),
        "tool_search_tool_result": (),
        "mcp_tool_listing": _LISTED,
        "tool_addition": (Spot("tool", "tool_description", "system", "descriptions"),),
        "tool_removal": (),
        "compaction": (Spot("content", "text", sealed=True),
                       Spot("tool_changes", "tool_description", "system", "descriptions", sealed=True)),
        "browser_state": (Spot("tabs.*.title", "tool_result", "tool"), Spot("tabs.*.url", "tool_result", "tool"),
                          Spot("state_changes.*.url", "tool_result", "tool"),
                          Spot("state_changes.*.path", "tool_result", "tool"),
                          Spot("state_changes.*.error", "tool_result", "tool")),
        "tool_reference": (),
        "redacted_thinking": (),
        "fallback": (),
    }
)  # fmt: skip
"""Types whose texts stand in fixed places, and those that have none."""

_UNREAD = MappingProxyType({"image": "image", "container_upload": "file"})


def walk(block: Json, kind: Kind, role: Role, unread: list[str], path: Path = ()) -> Iterator[Found]:
    """The texts of one block. `kind` and `role` are those of plain text in it. What cannot be read is named in
    `unread`."""
    named = block.get("type") if type(block) is dict else None
    named = named if type(named) is str else ""
    if named == "text":
        yield from search(block, (Spot("text", kind, role),), path)
        yield from _citations(block, path)
    elif named == "thinking":
        yield from search(block, (Spot("thinking", "reasoning", role, sealed=bool(block.get("signature"))),), path)
    elif named in ("tool_result", "mcp_tool_result"):
        yield from content(block, "tool_result", "tool", unread, path)
    elif named == "document":
        yield from _document(block, role, unread, path)
    elif named == "search_result":
        yield from search(block, (Spot("title", "document", role),), path)
        yield from content(block, "document", role, unread, path)
    elif named == "web_fetch_tool_result":
        yield from _fetched(block, unread, path)
    elif named in SPOTS:
        yield from search(block, SPOTS[named], path)
    else:
        unread.append(_UNREAD.get(named, "unknown"))
        if named not in _UNREAD and role != "assistant":
            yield from strange([block], 0, kind, role, path)


def content(holder: Json, kind: Kind, role: Role, unread: list[str], path: Path = ()) -> Iterator[Found]:
    """`holder["content"]`: a string, or a list of blocks."""
    value = holder.get("content")
    if type(value) is str:
        if value:
            yield Found((*path, "content"), holder, "content", kind, role)
    elif type(value) is list:
        for number, block in enumerate(value):
            yield from walk(block, kind, role, unread, (*path, "content", number))


def citation(entry: Json, path: Path = ()) -> Iterator[Found]:
    """The words that a citation quotes; those of a web search are covered by a cipher."""
    sealed = type(entry) is dict and "encrypted_index" in entry
    return search(entry, _SEALED_CITATION if sealed else _CITATION, path)


def _citations(block: Json, path: Path) -> Iterator[Found]:
    entries = block.get("citations")
    for number, entry in enumerate(entries if type(entries) is list else ()):
        yield from citation(entry, (*path, "citations", number))


def _document(block: Json, role: Role, unread: list[str], path: Path) -> Iterator[Found]:
    yield from search(block, (Spot("title", "document", role), Spot("context", "document", role)), path)
    source = block.get("source")
    named = source.get("type") if type(source) is dict else None
    if named == "text":
        yield from search(source, (Spot("data", "document", role),), (*path, "source"))
    elif named == "content":
        yield from content(source, "document", role, unread, (*path, "source"))
    elif named == "base64" and (text := encoded_text(source, "data", source.get("media_type"))) is not None:
        yield Found((*path, "source", "data"), source, "data", "document", role, coded=text)
    else:
        unread.append("file" if named == "file" else "document")


def _fetched(block: Json, unread: list[str], path: Path) -> Iterator[Found]:
    result = block.get("content")
    page = result.get("content") if type(result) is dict else None
    if type(page) is dict:
        yield from walk(page, "tool_result", "tool", unread, (*path, "content", "content"))
