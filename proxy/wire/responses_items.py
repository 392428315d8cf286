"""Every text in the items of the Responses dialect, the same for calls, answers and events."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

from proxy.exchange import Kind, Role
from proxy.ports import Json
from proxy.wire.slots import encoded_text
from proxy.wire.spots import Found, Path, Spot, search, strange

_RESULT = Spot("output", "tool_result", "tool")
_TOOLS = Spot("tools", "tool_description", "system", "descriptions")
_ARGUMENTS = Spot("arguments", how="json")

SPOTS = MappingProxyType(
    {
        "function_call": (_ARGUMENTS,),
        "custom_tool_call": (Spot("input"),),
        "local_shell_call": (Spot("action.command.*"), Spot("action.env", how="leaves")),
        "local_shell_call_output": (_RESULT,),
        "shell_call": (Spot("action.commands.*"),),
        "shell_call_output": (Spot("output.*.stdout", "tool_result", "tool"),
                              Spot("output.*.stderr", "tool_result", "tool")),
        "apply_patch_call": (Spot("operation.path"), Spot("operation.diff")),
        "apply_patch_call_output": (_RESULT,),
        "computer_call": (Spot("action.text"), Spot("actions.*.text"),
                          Spot("pending_safety_checks.*.message", "text")),
        "computer_call_output": (Spot("acknowledged_safety_checks.*.message", "text", "tool"),),
        "web_search_call": (Spot("action.query"), Spot("action.queries.*"), Spot("action.pattern")),
        "file_search_call": (Spot("queries.*"), Spot("results.*.text", "tool_result", "tool"),
                             Spot("results.*.attributes", "tool_result", "tool", "leaves")),
        "code_interpreter_call": (Spot("code"), Spot("outputs.*.logs", "tool_result", "tool")),
        "image_generation_call": (Spot("revised_prompt"), Spot("error.message", "text")),
        "mcp_call": (_ARGUMENTS, _RESULT, Spot("error", "tool_result", "tool"),
                     Spot("error.message", "tool_result", "tool"),
                     Spot("error.content", "tool_result", "tool", "leaves")),
        "mcp_list_tools": (_TOOLS, Spot("error", "tool_result", "tool")),
        "mcp_approval_request": (_ARGUMENTS,),
        "mcp_approval_response": (Spot("reason", "text", "user"),),
        "tool_search_call": (Spot("arguments", how="leaves"),),
        "tool_search_output": (_TOOLS,),
        "additional_tools": (_TOOLS,),
        "configuration_update": (Spot("text.format", "tool_description", "system", "descriptions"),),
        # The fingerprint of a program covers its code.
        "program": (Spot("code", sealed=True),),
        "program_output": (Spot("result", "tool_result", "tool"),),
    }
)  # fmt: skip
"""Types whose texts stand in fixed places."""

_PARTS_IN = MappingProxyType({"function_call_output": "output", "custom_tool_call_output": "output"})
_SILENT = frozenset({"item_reference", "compaction", "compaction_trigger"})
"""Nothing to read: references to what the provider holds, and its own ciphers."""
_PART_FIELDS = MappingProxyType(
    {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal",
     "summary_text": "text", "reasoning_text": "text"}
)  # fmt: skip
_UNREAD_PARTS = MappingProxyType(
    {"input_image": "image", "output_image": "image", "computer_screenshot": "image",
     "input_audio": "audio", "output_audio": "audio", "input_file": "file"}
)  # fmt: skip
_ROLES: MappingProxyType[Any, Role] = MappingProxyType(
    {"user": "user", "assistant": "assistant", "system": "system", "developer": "system", "tool": "tool"}
)


def type_of(item: Json) -> str:
    """The item's type; messages may leave theirs out, and so may references."""
    named = item.get("type") if type(item) is dict else None
    if type(named) is str:
        return named
    if type(item) is dict and "role" in item:
        return "message"
    return "item_reference" if type(item) is dict and "id" in item else ""


def is_assistants(item: Json) -> bool:
    """Whether the model made this item."""
    kind = type_of(item)
    if kind == "message":
        return bool(item.get("role") == "assistant")
    return kind in ("reasoning", "mcp_approval_request", "program") or kind.endswith("_call")


def is_system(item: Json) -> bool:
    return type_of(item) == "message" and item.get("role") in ("system", "developer")


def walk(item: Json, unread: list[str], *, role: Role | None = None) -> Iterator[Found]:
    """The texts of one item. What cannot be read is named in `unread`. `role` stands for a message's own."""
    kind = type_of(item)
    if kind == "message":
        named = item.get("role")
        speaker = role or (_ROLES.get(named, "user") if type(named) is str else "user")
        yield from content(item, "content", "text", speaker, unread)
    elif kind == "reasoning":
        yield from _reasoning(item, unread)
    elif kind in _PARTS_IN:
        yield from content(item, _PARTS_IN[kind], "tool_result", "tool", unread)
    elif kind in SPOTS:
        _name_media(kind, item, unread)
        yield from search(item, SPOTS[kind])
    elif kind not in _SILENT:
        unread.append("unknown")


def content(item: Json, key: str, kind: Kind, role: Role, unread: list[str]) -> Iterator[Found]:
    """`item[key]`: a string, or a list of parts."""
    value = item.get(key)
    if type(value) is str:
        if value:
            yield Found((key,), item, key, kind, role)
    elif type(value) is list:
        for number, entry in enumerate(value):
            yield from part(entry, (key, number), kind, role, unread)
    elif type(value) is dict:
        yield from part(value, (key,), kind, role, unread)


def part(entry: Json, path: Path, kind: Kind, role: Role, unread: list[str], sealed: bool = False) -> Iterator[Found]:
    """The text of one content part."""
    named = entry.get("type") if type(entry) is dict else None
    field = _PART_FIELDS.get(named) if type(named) is str else None
    if field is None:
        yield from _unread_part(entry, named, (path, kind, role), unread)
        return
    if type(entry.get(field)) is str and entry[field]:
        own: Kind = "refusal" if field == "refusal" else "reasoning" if named == "reasoning_text" else kind
        yield Found((*path, field), entry, field, own, role, sealed)


def _unread_part(entry: Json, named: Json, where: tuple[Path, Kind, Role], unread: list[str]) -> Iterator[Found]:
    """A file that is text and stands here itself; of a part that nobody knows, what it says (not in answers)."""
    path, kind, role = where
    text = encoded_text(entry, "file_data") if named == "input_file" else None
    if text is not None:
        yield Found((*path, "file_data"), entry, "file_data", "document", role, coded=text)
        return
    unread.append(_UNREAD_PARTS.get(named, "unknown") if type(named) is str else "unknown")
    if role != "assistant" and (type(named) is not str or named not in _UNREAD_PARTS):
        yield from strange([entry], 0, kind, role, path)


def unknown(item: Json) -> Iterator[Found]:
    """What an item of a call says, of a type that `walk` does not know."""
    kind = type_of(item)
    if kind not in SPOTS and kind not in _PARTS_IN and kind not in _SILENT and kind not in ("message", "reasoning"):
        yield from strange([item], 0, "text", "user")


def _reasoning(item: Json, unread: list[str]) -> Iterator[Found]:
    sealed = bool(item.get("encrypted_content"))
    for key in ("summary", "content"):
        parts = item.get(key)
        for number, entry in enumerate(parts if type(parts) is list else ()):
            yield from part(entry, (key, number), "reasoning", "assistant", unread, sealed)


def _name_media(kind: str, item: Json, unread: list[str]) -> None:
    if kind == "computer_call_output" or (kind == "image_generation_call" and item.get("result")):
        unread.append("image")
    outputs = item.get("outputs") if kind == "code_interpreter_call" else None
    for output in outputs if type(outputs) is list else ():
        if type(output) is dict and output.get("type") == "image":
            unread.append("image")
