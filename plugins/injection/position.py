"""Where a text stands in a call, as far as its judgement depends on it: Position."""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

from proxy.exchange import Kind, Role, Segment

Position = Literal["user", "tool", "document", "description", "arguments", "assistant", "system"]
"""`user`: what the user says, new or old. `tool`: what a tool gave back. `document`: what was retrieved.
`description`: what a tool says of itself. `arguments`: of a call of a tool. `assistant`: what the model said before.
`system`: the operator's own words."""

KINDS: MappingProxyType[Kind, Position] = MappingProxyType(
    {
        "tool_result": "tool",
        "document": "document",
        "tool_description": "description",
        "tool_arguments": "arguments",
        "refusal": "assistant",
        "reasoning": "assistant",
    }
)
ROLES: MappingProxyType[Role, Position] = MappingProxyType(
    {"user": "user", "tool": "tool", "assistant": "assistant", "system": "system"}
)


def position_of(segment: Segment) -> Position:
    """By what the text is, else by whose it is."""
    return KINDS.get(segment.kind) or ROLES[segment.role]
