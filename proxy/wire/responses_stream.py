"""A streamed answer of the Responses dialect, event by event.

Every text comes several times: in deltas, in its own `.done`, in the part's, in the item's and in the whole response.
What was delivered is remembered by item and place, and written into each later copy of the same text; a copy that says
something else is filtered as a text of its own, so nothing gets by. What a filter still holds when its text ends is
inserted as one more delta before the event that ends it, and the sequence numbers after it move up.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

from proxy.errors import ProtocolViolation, Refused, WeirError
from proxy.exchange import Usage
from proxy.ports import Json
from proxy.wire import marks, sse
from proxy.wire.alike import Alike, Pattern
from proxy.wire.codec import Event, Piece, Steps
from proxy.wire.coding import load_object
from proxy.wire.dialect import named
from proxy.wire.responses_events import DELTAS, DONES, ENDS, OPENING, OUTPUTS, PARTS, WHOLE, Stem, stem_at, stem_of_part
from proxy.wire.responses_item import Item, Items
from proxy.wire.responses_items import part, walk
from proxy.wire.responses_whole import begun, ended, finish_of, joined_text, usage_of, write_all
from proxy.wire.running import Running
from proxy.wire.spots import Found

_TYPE = re.compile(rb'"type"\s*:\s*"(response\.[a-z_.]+|error)"')

_WORTH = (b'"response"', b"error")
"""Without these an event has no whole response to show, and tells of no failure."""

Doc = dict[str, Any]
Change = Generator[Piece, str, bool]
"""Yields pieces, is sent what to deliver for each, returns whether the document was changed."""


class ResponsesStream:
    """One streamed answer; see `wire.codec.Stream` for what its attributes promise."""

    def __init__(self, call: Json) -> None:
        self.usage: Usage | None = None
        self.id = ""
        """The provider's own id of the response: under it may be kept what was said."""
        self.model = ""
        self.finish = ""
        self.complete = False
        self.failed = False
        self.withhold_usage = False
        self.started = False
        self._alike = Alike()
        include = call.get("include") if type(call) is dict else None
        self._items = Items(sealed="reasoning.encrypted_content" in include if type(include) is list else False)
        self._response: Doc = {}
        self._last = b""
        self._passed = b""
        """Where the last event is not known, but is in here."""
        self._shift = 0
        """Events inserted so far, less those withheld."""
        self._before: list[Doc] = []
        """To be inserted before the event at hand."""

    # --- the contract ------------------------------------------------------------------------------------------------

    def like(self, raw: bytes) -> Pattern | None:
        pattern = self._alike.of(raw)
        if pattern is not None:
            self._passed = raw
        return pattern

    def event(self, event: Event) -> Steps:
        doc = _read(event)
        if doc is None:
            return event.raw
        name = doc.get("type")
        name = name if type(name) is str else event.name
        self._note(name, doc)
        self._before = []
        stem = DELTAS.get(name)
        said = doc.get("delta") if stem is not None and not doc.get("logprobs") else None
        changed = yield from self._handle(name, doc)
        self._learn(event, stem, doc, said)
        self._last, self._passed = event.data, b""
        if changed is None:
            self._shift -= 1
            return b""
        if not changed and not self._shift and not self._before:
            return event.raw
        number = doc.get("sequence_number")
        inserted = self._inserted(number + self._shift if type(number) is int else None)
        return inserted + self._renumbered(event, doc)

    def glance(self, event: Event) -> bytes:
        name = event.name or _named(event.data)
        if name in WHOLE or name == "error":
            doc = load_object(event.data)
            if doc is not None:
                self._note(name, doc)
        elif name not in OPENING:
            self.started = True
        self._last, self._passed = event.data, b""
        if not self._shift:
            return event.raw
        doc = load_object(event.data)
        return event.raw if doc is None else self._renumbered(event, doc)

    def spot(self, block: bytes, at: int) -> int:
        if not self.started or self._shift:
            return at
        self._passed = block
        found = [place for word in _WORTH if (place := block.find(word, at)) >= 0]
        return min(found) if found else -1

    def finish_open(self) -> Steps:
        self._before = []
        for item in self._items:
            yield from self._close_all(item)
        return self._inserted(self._next_number())

    def refuse(self, refused: Refused) -> bytes:
        """Ends what the caller has seen begun: messages with the text that was delivered. Calls of tools that are not
        complete are left out altogether, so that nobody runs half of one."""
        self.finish = "content_filter"
        events: list[Doc] = []
        if not self._response:
            self._response = begun("resp_refused", self.model)
            events.append({"type": "response.created", "response": self._response})
        cut, output = self._items.cut()
        response = ended({**self._response, "output": output}, "content_filter")
        events += [*cut, {"type": "response.incomplete", "response": response}]
        return write_all(events, self._next_number())

    def fault(self, error: WeirError) -> bytes:
        self.failed = True
        told = {"code": error.code, "message": error.message, "param": error.param}
        # Flat as the reference has it, and once more under `error`, which is what the official clients raise on.
        event = {"type": "error", **told, "error": {"type": error.type, **told}}
        return write_all([event], self._next_number())

    def _learn(self, event: Event, stem: Stem | None, doc: Doc, said: Json) -> None:
        """What the next events may look like; none do where they have to be numbered anew."""
        text = None
        if stem is not None and type(said) is str and said and not self._shift and not self._before:
            text = self._items.of(doc, stem.item).texts.get(stem.place(doc))
        if text is not None and text.plain:
            self._alike.learn(event.raw, b"delta", text, said)
        else:
            self._alike.forget()

    # --- what is noted without looking at texts ----------------------------------------------------------------------

    def _note(self, name: str, doc: Doc) -> None:
        if name not in OPENING:
            self.started = True
        if name == "error":
            self.failed = True
            return
        response = doc.get("response")
        if name not in WHOLE or type(response) is not dict:
            return
        self._response = response
        self.usage = usage_of(response) or self.usage
        if type(response.get("model")) is str:
            self.model = named(response)
        if type(response.get("id")) is str:
            self.id = response["id"]
        if name in ENDS:
            self.finish = finish_of(response) or name.removeprefix("response.")
            self.failed = self.failed or name == "response.failed"
            self.complete = name != "response.failed"

    def _next_number(self) -> int:
        if self._passed:
            self._last, self._passed = sse.Reader().feed(self._passed)[-1].data, b""
        doc = load_object(self._last) or {}
        number = doc.get("sequence_number")
        return number + self._shift + 1 if type(number) is int else 0

    def _renumbered(self, event: Event, doc: Doc) -> bytes:
        number = doc.get("sequence_number")
        if type(number) is int:
            doc["sequence_number"] = number + self._shift
        return sse.write(event.name, doc)

    def _inserted(self, number: int | None) -> bytes:
        events, self._before = self._before, []
        self._shift += len(events)
        if number is None:
            return b"".join(sse.write(event["type"], event) for event in events)
        return write_all(events, number)

    # --- events ------------------------------------------------------------------------------------------------------

    def _handle(self, name: str, doc: Doc) -> Generator[Piece, str, bool | None]:
        """Whether the event was changed; None where it is to be kept back."""
        if (stem := DELTAS.get(name)) is not None:
            return (yield from self._delta(stem, doc))
        if (stem := DONES.get(name)) is not None:
            return (yield from self._done(stem, doc))
        if name in WHOLE:
            return (yield from self._whole(name, doc))
        match name:
            case "response.output_item.added":
                return (yield from self._item_added(doc))
            case "response.output_item.done":
                return (yield from self._item_done(doc))
            case "response.output_text.annotation.added":
                return self._annotation(doc)
            case "response.shell_call_output_content.delta":
                return (yield from self._output_delta(doc))
            case "response.shell_call_output_content.done":
                return (yield from self._output_done(doc))
            case "response.shell_call_command.added":
                stem = DELTAS["response.shell_call_command.delta"]
                return (yield from self._feed(self._items.of(doc, stem.item), stem, stem.place(doc), doc, "command"))
        prefix, _, verb = name.rpartition(".")
        if prefix in PARTS and verb in ("added", "done"):
            return (yield from self._part(prefix, verb, doc))
        return False

    def _delta(self, stem: Stem, doc: Doc) -> Change:
        return (yield from self._feed(self._items.of(doc, stem.item), stem, stem.place(doc), doc, "delta"))

    def _output_delta(self, doc: Doc) -> Change:
        item = self._items.of(doc, "shell_call_output")
        changed = False
        for name, stem in OUTPUTS.items():
            if type(doc.get("delta")) is dict:
                changed |= yield from self._feed(item, stem, stem.place(doc), doc["delta"], name)
        return changed

    def _output_done(self, doc: Doc) -> Change:
        item = self._items.of(doc, "shell_call_output")
        output = doc.get("output")
        changed = False
        for entry in output if type(output) is list else ():
            for name, stem in OUTPUTS.items():
                if type(entry) is dict:
                    one = Found(stem.place(doc), entry, name, stem.kind, stem.role)
                    changed |= yield from self._settle(item, one)
        return changed

    def _done(self, stem: Stem, doc: Doc) -> Change:
        item = self._items.of(doc, stem.item)
        one = Found(stem.place(doc), doc, stem.field, stem.kind, stem.role, nested=stem.nested)
        return (yield from self._settle(item, one))

    def _part(self, prefix: str, verb: str, doc: Doc) -> Change:
        key, index_name = PARTS[prefix]
        stem = stem_of_part(doc.get("part"))
        if stem is None:
            return False
        item = self._items.of(doc, stem.item)
        index = doc.get(index_name)
        path = (key, index if type(index) is int else 0)
        changed = False
        for one in part(doc["part"], path, stem.kind, "assistant", []):
            if verb == "added":
                changed |= yield from self._feed(item, stem, one.path, one.container, one.key)
            else:
                changed |= yield from self._settle(item, one)
        if verb == "added":
            item.running(stem, (*path, stem.path[-1]))
        return changed

    def _item_added(self, doc: Doc) -> Change:
        item = self._items.begin(doc)
        changed = False
        for one in walk(doc.get("item"), []):
            if (stem := stem_at(item.type, one.path)) is not None:
                changed |= yield from self._feed(item, stem, one.path, one.container, one.key)
            else:
                changed |= yield from self._settle(item, one)
        return changed

    def _item_done(self, doc: Doc) -> Change:
        item = self._items.end(doc)
        changed = yield from self._settle_all(item, doc.get("item"))
        yield from self._close_all(item)
        return changed

    def _whole(self, name: str, doc: Doc) -> Change:
        response = doc.get("response")
        response = response if type(response) is dict else {}
        output = response.get("output")
        output = output if type(output) is list else []
        changed = False
        for position, entry in enumerate(output):
            item = self._items.match(entry, position)
            if name in ENDS:
                changed |= yield from self._settle_all(item, entry)
            else:
                changed |= yield from self._settle_closed(item, entry)
        if name in ENDS:
            for item in self._items:
                yield from self._close_all(item)
        if changed and type(response.get("output_text")) is str:
            response["output_text"] = joined_text(output)
        return changed

    def _annotation(self, doc: Doc) -> bool | None:
        """An annotation of a text that has changed waits for the text's end: only then its new place is sure."""
        stem = DELTAS["response.output_text.delta"]
        item = self._items.of(doc, stem.item)
        place = stem.place(doc)
        text = item.texts.get(place)
        if text is None or (text.same and not item.noted(place)):
            return False
        item.keep_note(place, doc)
        if text.open:
            return None
        notes = item.take_notes(place)
        if not notes:
            return None
        doc.update(notes[0])
        return True

    # --- texts -------------------------------------------------------------------------------------------------------

    def _feed(self, item: Item, stem: Stem, place: tuple[str | int, ...], container: Doc, key: str) -> Change:
        """More of a text."""
        piece = container.get(key)
        if type(piece) is not str:
            return False
        told = yield from item.running(stem, place).feed(piece)
        if told == piece:
            return False
        container[key] = told
        marks.settle(container, piece, told)
        return True

    def _settle_all(self, item: Item, entry: Json) -> Change:
        changed = False
        for one in walk(entry, []):
            changed |= yield from self._settle(item, one)
        return changed

    def _settle_closed(self, item: Item, entry: Json) -> Change:
        """A copy that is no end: of a text that still runs it may say what was delivered, or nothing."""
        changed = False
        for one in walk(entry, []):
            text = item.texts.get(one.path)
            if text is None or not text.open:
                changed |= yield from self._settle(item, one)
            elif not one.sealed and not (text.same and text.original == one.text):
                one.container[one.key] = text.delivered if text.original == one.text else ""
                changed = True
        return changed

    def _settle(self, item: Item, one: Found) -> Change:
        """A copy of a text: it says what was delivered."""
        came = one.container.get(one.key) if type(one.container) is dict else one.container[one.key]
        text = item.texts.get(one.path)
        if text is not None:
            yield from self._close(item, one.path, text)
        if type(came) is not str or not came:
            return False
        if text is None or text.original != came:
            text = item.texts[one.path] = item.fresh(one)
            yield from text.whole(came)
        told = text.delivered
        if told == came or one.sealed:
            return False
        one.container[one.key] = told
        if type(one.container) is dict:
            marks.settle(one.container, came, told)
        return True

    def _close_all(self, item: Item) -> Generator[Piece, str, None]:
        for place, text in tuple(item.texts.items()):
            yield from self._close(item, place, text)

    def _close(self, item: Item, place: tuple[str | int, ...], text: Running) -> Generator[Piece, str, None]:
        if not text.open:
            return
        tail = yield from text.close()
        stem = item.stems.get(place)
        if tail and stem is not None:
            self._before.append(stem.delta(item.id, item.index, place, tail))
        self._before += item.take_notes(place)


def _read(event: Event) -> Doc | None:
    """The event's document; None where it has none (comments, `[DONE]`)."""
    data = event.data.strip()
    if not data or data == b"[DONE]":
        return None
    doc = load_object(data)
    if doc is None:
        raise ProtocolViolation("The provider sent an event that is not a JSON object.")
    return doc


def _named(data: bytes) -> str:
    """The event's type, where the provider leaves its name out."""
    found = _TYPE.search(data)
    return found[1].decode() if found else ""
