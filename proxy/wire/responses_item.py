"""The items of a streamed answer of the Responses dialect: their running texts, and annotations that wait."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proxy.exchange import Kind, Role, Segment
from proxy.ports import Json
from proxy.wire.deltas import Arguments, Text
from proxy.wire.marks import Mover
from proxy.wire.responses_events import Stem
from proxy.wire.responses_items import type_of
from proxy.wire.responses_whole import message, output_text
from proxy.wire.running import Running
from proxy.wire.spots import Found, Path

Doc = dict[str, Any]

_NOWHERE = -1
"""The index of what belongs to no item: the transcript of an answer's audio."""


class Item:
    """One item of the output. `doc` is the item as it was delivered, once it is done."""

    __slots__ = ("_dropped", "_notes", "_parts", "doc", "done", "id", "index", "sealed", "stems", "texts", "type")

    def __init__(self, index: int, kind: str, *, id: Json = None, sealed: bool = False) -> None:
        self.index = index
        self.type = kind
        self.id = id
        self.sealed = sealed
        """Its reasoning is covered by a cipher of the provider."""
        self.done = False
        self.doc: Doc | None = None
        self.texts: dict[Path, Running] = {}
        self.stems: dict[Path, Stem] = {}
        """Of the texts that come in pieces."""
        self._parts = 0
        self._notes: dict[Path, list[Doc]] = {}
        self._dropped: dict[Path, int] = {}

    def running(self, stem: Stem, place: Path) -> Running:
        """The text at this place, begun anew where it had ended."""
        text = self.texts.get(place)
        if text is None or not text.open:
            text = self.texts[place] = self._make(stem.kind, stem.role, stem.nested, sealed=False)
            self.stems[place] = stem
        return text

    def fresh(self, one: Found) -> Running:
        """A text that comes whole."""
        return self._make(one.kind, one.role, one.nested, sealed=one.sealed)

    def _make(self, kind: Kind, role: Role, nested: bool, *, sealed: bool) -> Running:
        sealed = sealed or (self.sealed and kind == "reasoning")

        if nested:
            return Running(Arguments(self.index, self._number, role=role, sealed=sealed))
        return Running(Text(Segment(role, kind, "", index=self.index, part=self._number(), sealed=sealed)))

    def _number(self) -> int:
        self._parts += 1
        return self._parts - 1

    def cut(self) -> list[Doc]:
        """Ends a message half way, with what was delivered of it; the events that say so."""
        parts: list[Doc] = []
        events: list[Doc] = []
        for place, text in self.texts.items():
            spot = {"item_id": self.id, "output_index": self.index, "content_index": place[1]}
            name, field, told = "output_text", "text", text.delivered
            part: Doc = output_text(told)
            if place[-1] == "refusal":
                name, field, part = "refusal", "refusal", {"type": "refusal", "refusal": told}
            parts.append(part)
            if text.open:
                events.append({"type": f"response.{name}.done", **spot, field: told, "logprobs": []})
                events.append({"type": "response.content_part.done", **spot, "part": part})
        self.doc = message(self.id if type(self.id) is str else "", parts, "incomplete")
        self.done = True
        return [*events, {"type": "response.output_item.done", "output_index": self.index, "item": self.doc}]

    # --- annotations -------------------------------------------------------------------------------------------------

    def noted(self, place: Path) -> bool:
        """Whether annotations of this text wait or were dropped, so that later ones are not as they came."""
        return bool(self._notes.get(place) or self._dropped.get(place))

    def keep_note(self, place: Path, event: Doc) -> None:
        self._notes.setdefault(place, []).append(event)

    def take_notes(self, place: Path) -> list[Doc]:
        """The events that waited, moved to where the text now is; those that mark nothing any more are dropped."""
        waiting = self._notes.pop(place, [])
        text = self.texts.get(place)
        if not waiting or text is None:
            return waiting
        mover = Mover(text.original, text.delivered)
        taken = []
        for event in waiting:
            moved = mover.move(event.get("annotation"))
            if moved is None:
                self._dropped[place] = self._dropped.get(place, 0) + 1
                continue
            number = event.get("annotation_index")
            if type(number) is int:
                number -= self._dropped.get(place, 0)
            taken.append({**event, "annotation": moved, "annotation_index": number})
        return taken


class Items:
    """The items by their index in the output."""

    __slots__ = ("_by_id", "_by_index", "_sealed")

    def __init__(self, *, sealed: bool) -> None:
        self._sealed = sealed
        self._by_index: dict[int, Item] = {}
        self._by_id: dict[str, Item] = {}

    def __iter__(self) -> Iterator[Item]:
        return iter([self._by_index[index] for index in sorted(self._by_index)])

    def cut(self) -> tuple[list[Doc], list[Doc]]:
        """Ends all messages half way: the events that say so, and the items as they then are."""
        events: list[Doc] = []
        for item in self:
            if not item.done and item.type == "message":
                events += item.cut()
        return events, [item.doc for item in self if item.done and item.doc is not None]

    def of(self, event: Doc, kind: str) -> Item:
        """The item that an event is about, made where it was not announced."""
        index = event.get("output_index")
        index = _NOWHERE if not kind else index if type(index) is int else 0
        item = self._by_index.get(index)
        if item is None:
            item = self._by_index[index] = Item(index, kind, id=event.get("item_id"), sealed=self._sealed)
        return item

    def begin(self, event: Doc) -> Item:
        entry = event.get("item")
        kind = type_of(entry) or "unknown"
        item = self.of(event, kind)
        if item.type != kind:
            # Two items at one index: the first one is put aside, so that what is held of it still goes out.
            self._by_index[_NOWHERE - len(self._by_index)] = item
            item = self._by_index[item.index] = Item(item.index, kind, sealed=self._sealed)
        self._name(item, entry)
        return item

    def end(self, event: Doc) -> Item:
        item = self.begin(event)
        entry = event.get("item")
        item.done = True
        # Pictures can be large, and nobody needs them twice.
        item.doc = entry if type(entry) is dict and item.type != "image_generation_call" else None
        return item

    def match(self, entry: Json, position: int) -> Item:
        """The item that an entry of a whole response is about: the same id, else the same place."""
        kind = type_of(entry)
        named = entry.get("id") if type(entry) is dict else None
        item = self._by_id.get(named) if type(named) is str else None
        item = item or self._by_index.get(position)
        if item is None or item.type != kind:
            item = Item(position, kind, id=named, sealed=self._sealed)
            self._by_index.setdefault(position, item)
        self._name(item, entry)
        return item

    def _name(self, item: Item, entry: Json) -> None:
        if type(entry) is not dict:
            return
        if type(entry.get("id")) is str:
            item.id = entry["id"]
            self._by_id[entry["id"]] = item
        item.sealed = item.sealed or bool(entry.get("encrypted_content"))
