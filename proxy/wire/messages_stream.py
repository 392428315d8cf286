"""A streamed answer of the Messages dialect, event by event.

A text comes once, in the deltas of its block; what a filter still holds when the block ends is inserted as one more
delta before its `content_block_stop`. Thinking is sealed: it is shown, and passes as it is.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from types import MappingProxyType
from typing import Any

from proxy.errors import ProtocolViolation, Refused, WeirError
from proxy.exchange import Kind, Role, Segment, Usage
from proxy.ports import Json
from proxy.wire import faults, sse
from proxy.wire.alike import Alike, Pattern
from proxy.wire.codec import Event, Piece, Steps
from proxy.wire.coding import load_object
from proxy.wire.deltas import Arguments, Text
from proxy.wire.dialect import named
from proxy.wire.messages_blocks import citation, walk
from proxy.wire.messages_whole import begun, usage_of, write_all
from proxy.wire.spots import Found

Doc = dict[str, Any]
Change = Generator[Piece, str, bool]
"""Yields pieces, is sent what to deliver for each, returns whether the document was changed."""

_FIELDS = MappingProxyType(
    {
        "text_delta": "text",
        "input_json_delta": "partial_json",
        "thinking_delta": "thinking",
        "compaction_delta": "content",
    }
)
_TYPE = re.compile(rb'"type"\s*:\s*"(message_start|message_delta|message_stop|content_block_[a-z]+|ping|error)"')
_INDEX = re.compile(rb'"index"\s*:\s*([0-9]{1,6})')
_TELLING = frozenset({"message_start", "message_delta", "message_stop", "error"})
_WORTH = (b"message_", b"content_block_st", b"error")
"""Some of these is in the name of every event that is glanced at."""
_OPENING = frozenset({"", "message_start", "content_block_start", "ping", "error"})
"""Events after which another provider could still take over unseen."""


class Block:
    """A content block that has begun and not ended."""

    __slots__ = ("delta", "index", "parts", "text")

    def __init__(self, index: int) -> None:
        self.index = index
        self.parts = 0
        self.text: Text | Arguments | None = None
        self.delta = "text_delta"
        """The type of the deltas its text comes in."""

    def running(self, delta: str) -> Text | Arguments:
        """The text that comes in pieces."""
        if self.text is None:
            self.delta = delta
            if delta == "input_json_delta":
                self.text = Arguments(self.index, self._number)
            else:
                kind: Kind = "reasoning" if delta == "thinking_delta" else "text"
                self.text = Text(self.segment("assistant", kind, sealed=delta != "text_delta"))
        return self.text

    def segment(self, role: Role, kind: Kind, text: str = "", *, sealed: bool = False) -> Segment:
        return Segment(role, kind, text, index=self.index, part=self._number(), sealed=sealed)

    def _number(self) -> int:
        self.parts += 1
        return self.parts - 1


class MessagesStream:
    """One streamed answer; see `wire.codec.Stream` for what its attributes promise."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.model = ""
        self.finish = ""
        self.complete = False
        self.failed = False
        self.withhold_usage = False
        self.started = False
        self._alike = Alike()
        self._begun = False
        self._open: dict[int, Block] = {}

    # --- the contract ------------------------------------------------------------------------------------------------

    def like(self, raw: bytes) -> Pattern | None:
        return self._alike.of(raw)

    def event(self, event: Event) -> Steps:
        if not event.data.strip():
            return event.raw
        doc = load_object(event.data)
        if doc is None:
            raise ProtocolViolation("The provider sent an event that is not a JSON object.")
        name = doc.get("type")
        name = name if type(name) is str else event.name
        self._note(name, doc)
        if name == "content_block_stop":
            self._alike.forget()
            return (yield from self._stop(doc)) + event.raw
        said = _text_of(doc) if name == "content_block_delta" else ""
        changed = yield from self._handle(name, doc)
        text = self._block(doc).text if said else None
        if isinstance(text, Text):
            self._alike.learn(event.raw, b"text", text, said)
        else:
            self._alike.forget()
        return sse.write(event.name, doc) if changed else event.raw

    def glance(self, event: Event) -> bytes:
        name = event.name or _named(event.data)
        if name in _TELLING:
            self._note(name, load_object(event.data) or {})
        elif name == "content_block_start" or name == "content_block_stop":
            self._follow(name, event.data)
        if name not in _OPENING:
            self.started = True
        return event.raw

    def spot(self, block: bytes, at: int) -> int:
        if not self.started:
            return at
        found = [place for word in _WORTH if (place := block.find(word, at)) >= 0]
        return min(found) if found else -1

    def finish_open(self) -> Steps:
        held = b""
        for block in tuple(self._open.values()):
            held += yield from self._close(block)
        return held

    def refuse(self, refused: Refused) -> bytes:
        self.finish = "refusal"
        events: list[Doc] = []
        if not self._begun:
            events.append({"type": "message_start", "message": begun("msg_refused", self.model, self.usage)})
        events += ({"type": "content_block_stop", "index": index} for index in sorted(self._open))
        self._open.clear()
        details = {"type": "refusal", "category": None, "explanation": refused.message}
        end = {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
        output = self.usage.output if self.usage else 0
        events.append({"type": "message_delta", "delta": end, "usage": {"output_tokens": output}})
        return write_all(*events, {"type": "message_stop"})

    def fault(self, error: WeirError) -> bytes:
        self.failed = True
        return faults.event(error, "messages")

    # --- what is noted without looking at texts ----------------------------------------------------------------------

    def _note(self, name: str, doc: Doc) -> None:
        if name not in _OPENING:
            self.started = True
        if name == "message_start":
            message = doc.get("message")
            message = message if type(message) is dict else {}
            self._begun = True
            self.usage = usage_of(message.get("usage"), self.usage)
            if type(message.get("model")) is str:
                self.model = named(message)
        elif name == "message_delta":
            self.usage = usage_of(doc.get("usage"), self.usage)
            delta = doc.get("delta")
            reason = delta.get("stop_reason") if type(delta) is dict else None
            self.finish = reason if type(reason) is str else self.finish
        elif name == "message_stop":
            self.complete = not self.failed
        elif name == "error":
            self.failed = True

    def _follow(self, name: str, data: bytes) -> None:
        """Which blocks are open, without parsing what may be large."""
        found = _INDEX.search(data)
        index = int(found[1]) if found else 0
        if name == "content_block_stop":
            self._open.pop(index, None)
        else:
            self._open[index] = Block(index)

    # --- events ------------------------------------------------------------------------------------------------------

    def _handle(self, name: str, doc: Doc) -> Change:
        if name == "content_block_start":
            return (yield from self._start(self._block(doc), doc.get("content_block")))
        if name == "content_block_delta":
            return (yield from self._delta(self._block(doc), doc.get("delta")))
        if name == "message_start":
            message = doc.get("message")
            blocks = message.get("content") if type(message) is dict else None
            changed = False
            for index, block in enumerate(blocks if type(blocks) is list else ()):
                for one in walk(block, "text", "assistant", []):
                    changed |= yield from self._whole(Block(index), one)
            return changed
        return False

    def _start(self, block: Block, content: Json) -> Change:
        named = content.get("type") if type(content) is dict else None
        first = {"text": "text_delta", "thinking": "thinking_delta", "compaction": "compaction_delta"}.get(str(named))
        changed = False
        for one in walk(content, "text", "assistant", []):
            if first and one.path == (_FIELDS[first],):
                changed |= yield from self._feed(block.running(first), one.container, one.key)
            else:
                changed |= yield from self._whole(block, one)
        return changed

    def _delta(self, block: Block, delta: Json) -> Change:
        named = delta.get("type") if type(delta) is dict else None
        if named == "citations_delta":
            changed = False
            for one in citation(delta.get("citation")):
                changed |= yield from self._whole(block, one)
            return changed
        field = _FIELDS.get(named) if type(named) is str else None
        if field is None or type(delta.get(field)) is not str:
            return False
        return (yield from self._feed(block.running(str(named)), delta, field))

    def _stop(self, doc: Doc) -> Steps:
        block = self._open.get(_index(doc))
        held = (yield from self._close(block)) if block else b""
        self._open.pop(_index(doc), None)
        return held

    # --- texts -------------------------------------------------------------------------------------------------------

    def _feed(self, text: Text | Arguments, container: Doc, key: str) -> Change:
        piece = container[key]
        if not piece:
            return False
        told = yield from text.feed(piece)
        container[key] = told
        return bool(told != piece)

    def _whole(self, block: Block, one: Found) -> Change:
        came = one.text
        told = yield Piece(block.segment(one.role, one.kind, came, sealed=one.sealed), came, True)
        if one.sealed or told == came:
            return False
        one.container[one.key] = told
        return True

    def _close(self, block: Block) -> Steps:
        """Ends the block's text: what was held back, as one more delta."""
        if block.text is None:
            return b""
        held = yield from block.text.close()
        if not held or block.delta == "thinking_delta" or block.delta == "compaction_delta":
            return b""
        delta = {"type": block.delta, _FIELDS[block.delta]: held}
        return write_all({"type": "content_block_delta", "index": block.index, "delta": delta})

    def _block(self, doc: Doc) -> Block:
        index = _index(doc)
        block = self._open.get(index)
        if block is None:
            block = self._open[index] = Block(index)
        return block


def _text_of(doc: Doc) -> str:
    """What a delta says that says nothing but text."""
    delta = doc.get("delta")
    if type(delta) is not dict or delta.get("type") != "text_delta" or len(delta) > 2:
        return ""
    text = delta.get("text")
    return text if type(text) is str else ""


def _index(doc: Doc) -> int:
    index = doc.get("index")
    return index if type(index) is int else 0


def _named(data: bytes) -> str:
    """The event's type, where the provider leaves its name out."""
    found = _TYPE.search(data)
    return found[1].decode() if found else ""
