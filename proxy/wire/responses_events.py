"""Which events of a Responses stream carry texts: their names, and where in the item each text stands."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from proxy.exchange import Kind, Role
from proxy.ports import Json
from proxy.wire.spots import Path


@dataclass(frozen=True, slots=True)
class Stem:
    """What the `.delta` and `.done` of one text have in common. Names in `path` that end in `_index` are taken from the
    event; `field` has the whole text in the `.done`."""

    name: str
    item: str
    path: tuple[str, ...]
    field: str = "text"
    kind: Kind = "tool_arguments"
    nested: bool = False
    logprobs: bool = False
    role: Role = "assistant"

    def place(self, event: dict[str, Any]) -> Path:
        return tuple(_index(event, name) if name.endswith("_index") else name for name in self.path)

    def delta(self, item_id: Json, index: int, place: Path, text: str) -> dict[str, Any]:
        """An event that delivers more of the text."""
        event: dict[str, Any] = {"type": f"{self.name}.delta"}
        if self.item:
            event.update({"item_id": item_id, "output_index": index})
        event.update({name: step for name, step in zip(self.path, place, strict=True) if type(step) is int})
        event["delta"] = {self.path[-1]: text} if self.path[0] == "output" else text
        if self.logprobs:
            event["logprobs"] = []
        return event


def _index(event: dict[str, Any], name: str) -> int:
    found = event.get(name)
    return found if type(found) is int else 0


_STEMS = (
    Stem("response.output_text", "message", ("content", "content_index", "text"), kind="text", logprobs=True),
    Stem("response.refusal", "message", ("content", "content_index", "refusal"), "refusal", "refusal"),
    Stem("response.reasoning_text", "reasoning", ("content", "content_index", "text"), kind="reasoning"),
    Stem("response.reasoning_summary_text", "reasoning", ("summary", "summary_index", "text"), kind="reasoning"),
    Stem("response.function_call_arguments", "function_call", ("arguments",), "arguments", nested=True),
    Stem("response.mcp_call_arguments", "mcp_call", ("arguments",), "arguments", nested=True),
    Stem("response.custom_tool_call_input", "custom_tool_call", ("input",), "input"),
    Stem("response.code_interpreter_call_code", "code_interpreter_call", ("code",), "code"),
    Stem("response.shell_call_command", "shell_call", ("action", "commands", "command_index"), "command"),
    Stem("response.apply_patch_call_operation_diff", "apply_patch_call", ("operation", "diff"), "diff"),
    Stem("response.audio.transcript", "", ("transcript",), "transcript", "text"),
)

DELTAS = MappingProxyType({f"{stem.name}.delta": stem for stem in _STEMS})
DONES = MappingProxyType({f"{stem.name}.done": stem for stem in _STEMS})

OUTPUTS = MappingProxyType(
    {
        name: Stem("response.shell_call_output_content", "shell_call_output", ("output", "command_index", name),
                   "output", "tool_result", role="tool")
        for name in ("stdout", "stderr")
    }
)  # fmt: skip
"""The output of commands comes two texts at a time."""

_BY_SHAPE: MappingProxyType[tuple[str, tuple[str, ...]], Stem] = MappingProxyType(
    {(stem.item, _shape): stem
     for stem in (*_STEMS, *OUTPUTS.values())
     for _shape in [tuple("*" if name.endswith("_index") else name for name in stem.path)]}
)  # fmt: skip
_BY_PART = MappingProxyType({"output_text": _STEMS[0], "text": _STEMS[0], "refusal": _STEMS[1],
                             "reasoning_text": _STEMS[2], "summary_text": _STEMS[3]})  # fmt: skip

OPENING = frozenset({
    "response.created", "response.queued", "response.in_progress", "response.output_item.added",
    "response.content_part.added", "response.reasoning_summary_part.added", "error", "response.failed", "",
})  # fmt: skip
"""Events after which another provider could still take over unseen."""
PARTS = MappingProxyType(
    {
        "response.content_part": ("content", "content_index"),
        "response.reasoning_summary_part": ("summary", "summary_index"),
    }
)
WHOLE = frozenset({
    "response.created", "response.queued", "response.in_progress",
    "response.completed", "response.incomplete", "response.failed",
})  # fmt: skip
"""Events that carry the whole response."""
ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})


def stem_at(item_type: str, path: Path) -> Stem | None:
    """The stem of the text that stands there, if such texts come in pieces."""
    return _BY_SHAPE.get((item_type, tuple("*" if isinstance(step, int) else step for step in path)))


def stem_of_part(part: Json) -> Stem | None:
    named = part.get("type") if type(part) is dict else None
    return _BY_PART.get(named) if type(named) is str else None
