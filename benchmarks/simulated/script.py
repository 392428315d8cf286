"""What the simulated model says: a script derived from the request and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from benchmarks.simulated.call import Call
from benchmarks.simulated.schema import instance
from benchmarks.simulated.wish import Wish

Json = Any
Finish = Literal["stop", "length", "tool_calls", "content_filter"]

FILLER = "The quick brown fox jumps over the lazy dog, and the weir holds. "
REFUSAL = "I'm sorry, but I can't help with that."
PIECE_CHARS = 1000
"""Of a piece of an answer whose size was asked for."""
FRAGMENT_CHARS = 9
"""Of a fragment of tool arguments."""


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    schema: Json


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the dialects have in common, as a dialect read it."""

    tools: Sequence[Tool] = ()
    choice: str = "auto"
    """auto, none, required, or the name of the tool that must be called."""
    parallel: bool = True
    tool_text: str | None = None
    """The newest turn is a tool's result: answer with words now."""
    schema: Json = None
    json_mode: bool = False
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    thinks: bool = False


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    name: str
    arguments: str

    def fragments(self) -> list[str]:
        return [
            self.arguments[start : start + FRAGMENT_CHARS] for start in range(0, len(self.arguments), FRAGMENT_CHARS)
        ]


@dataclass(frozen=True, slots=True)
class Script:
    text: str
    refusal: str
    reasoning: str
    calls: Sequence[ToolCall]
    finish: Finish
    stopped_by: str
    prompt_tokens: int
    cached_tokens: int
    written_tokens: int
    wish: Wish

    @property
    def text_tokens(self) -> int:
        spoken = len(self.text) + len(self.refusal) + sum(len(call.arguments) + len(call.name) for call in self.calls)
        return -(-spoken // 4)

    @property
    def reasoning_tokens(self) -> int:
        return -(-len(self.reasoning) // 4)

    @property
    def output_tokens(self) -> int:
        return self.text_tokens + self.reasoning_tokens

    def pieces(self, text: str) -> Iterator[str]:
        """How a text comes: in as many pieces as were wished for, or word by word."""
        wish = self.wish
        if wish.size and not wish.chunks:
            return (text[start : start + PIECE_CHARS] for start in range(0, len(text), PIECE_CHARS))
        if wish.chunks:
            step, extra = divmod(len(text), wish.chunks)
            edges = [index * step + min(index, extra) for index in range(wish.chunks + 1)]
            return (text[start:end] for start, end in itertools.pairwise(edges))
        return _words(text)


def write(call: Call, wanted: Wanted) -> Script:
    wish = call.wish
    prompt = -(-len(call.received.body) // 4)
    cached = min(wish.cached, prompt)
    written = min(wish.written, prompt - cached)
    reasoning = f"The caller said: {call.last[:200]} Let me think." if wish.reasoning or wanted.thinks else ""

    def script(text: str, finish: Finish, **more: Any) -> Script:
        ending: Any = wish.finish or finish
        parts = {"refusal": "", "calls": (), "stopped_by": "", **more}
        return Script(text=text, finish=ending, reasoning=reasoning, prompt_tokens=prompt, cached_tokens=cached,
                      written_tokens=written, wish=wish, **parts)  # fmt: skip

    if wish.refusal:
        return script("", "stop", refusal=REFUSAL)
    if calls := _tool_calls(call, wanted):
        return script("", "tool_calls", calls=calls)
    text, finish, stopped_by = _limit(_say(call, wanted), wanted)
    return script(text, finish, stopped_by=stopped_by)


def _say(call: Call, wanted: Wanted) -> str:
    wish = call.wish
    if wanted.schema is not None:
        return orjson.dumps(instance(wanted.schema, call.last)).decode()
    if wanted.json_mode:
        return orjson.dumps({"you_said": call.last}).decode()
    text = wish.text or (
        f"The tool said: {wanted.tool_text}" if wanted.tool_text is not None else f"You said: {call.last}"
    )
    if wish.size:
        return (text + " " + FILLER * (wish.size // len(FILLER) + 1))[: wish.size]
    if wish.chunks > len(text):
        text += " " + " ".join(f"w{number}" for number in range(wish.chunks))
    return text


def _limit(text: str, wanted: Wanted) -> tuple[str, Finish, str]:
    for stop in wanted.stop:
        if stop and stop in text:
            return text[: text.index(stop)], "stop", stop
    if wanted.max_tokens is not None and len(text) > wanted.max_tokens * 4:
        return text[: wanted.max_tokens * 4], "length", ""
    return text, "stop", ""


def _tool_calls(call: Call, wanted: Wanted) -> list[ToolCall]:
    """Called where the choice demands it, or where it is free and the user speaks of calling."""
    if not wanted.tools or wanted.choice == "none":
        return []
    named = [tool for tool in wanted.tools if tool.name == wanted.choice]
    words = call.last.lower()
    demanded = bool(named) or wanted.choice == "required"
    if not demanded and (wanted.tool_text is not None or not (call.wish.tools or "call" in words)):
        return []
    tools = named or list(wanted.tools)
    count = call.wish.tools or (2 if "parallel" in words else 1)
    count = count if wanted.parallel else 1
    return [
        ToolCall(
            f"call_{call.id[:16]}{index:02d}",
            tool.name,
            orjson.dumps(instance(tool.schema, call.last if not index else f"{call.last} ({index + 1})")).decode(),
        )
        for index, tool in ((index, tools[index % len(tools)]) for index in range(count))
    ]


def _words(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = text.find(" ", start + 1)
        end = len(text) if end < 0 else end
        yield text[start:end]
        start = end
