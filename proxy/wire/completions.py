"""The completions dialect: `/v1/completions`, a prompt and its continuation."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from proxy.exchange import Dialect, Request, Segment, Usage
from proxy.ports import Json
from proxy.wire import sse
from proxy.wire.body import Place, encode
from proxy.wire.chat import finish_of, place_of
from proxy.wire.choices import MAX_CHOICES, Choice, ChoiceStream, Key, Passed
from proxy.wire.codec import Answer, Stream
from proxy.wire.deltas import Text
from proxy.wire.dialect import DialectCodec, expect, named
from proxy.wire.usage import normalised, reported

_OBJECT = "text_completion"


class CompletionsCodec(DialectCodec):
    """See `wire.codec.Codec`."""

    dialect: ClassVar[Dialect] = "completions"

    def check(self, doc: dict[str, Json]) -> None:
        expect(doc, "model", str, required="model" in doc)
        expect(doc, "prompt", str, list)
        expect(doc, "suffix", str)
        expect(doc, "stream", bool)
        expect(doc, "n", int)
        expect(doc, "stream_options", dict)
        expect(doc, "max_tokens", int)

    def walk(self, doc: Json) -> tuple[list[Segment], list[str]]:
        segments, uninspected = prompts(doc, "prompt")
        suffix = doc.get("suffix")
        if type(suffix) is str and suffix:
            segments.append(Segment("user", "text", suffix, Place(doc, "suffix"), index=0, part=1, fresh=True))
        return segments, uninspected

    def opening(self, doc: Json) -> Json:
        return doc.get("prompt")

    def wants_usage(self, doc: Json) -> bool:
        options = doc.get("stream_options")
        return type(options) is dict and options.get("include_usage") is True

    def ask_usage(self, request: Request) -> None:
        request.set("stream_options.include_usage", True)

    def understood(self, body: bytes, doc: Json) -> Answer | None:
        choices = doc.get("choices") if type(doc) is dict else None
        if type(choices) is not list or not all(type(choice) is dict for choice in choices):
            return None
        return Answer(body, doc, partial(_texts, choices), normalised(doc), named(doc), finish_of(choices))

    def settle(self, answer: Answer, changed: list[Segment]) -> list[tuple[Any, Any, Json]]:
        containers = [segment.slot.container for segment in changed]
        return [(choice, "logprobs", None) for choice in containers if choice.get("logprobs") is not None]

    def stream(self, doc: Json) -> Stream:
        n, prompt = doc.get("n"), doc.get("prompt")
        count = len(prompt) if type(prompt) is list and prompt and type(prompt[0]) in (str, list) else 1
        return CompletionsStream(model=named(doc), n=min(count, MAX_CHOICES) * (n if type(n) is int else 1))

    def compose(self, text: str, *, model: str, id: str, stream: bool, finish: str, usage: Usage | None) -> bytes:
        head = {"id": id, "object": _OBJECT, "created": 0, "model": model}
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
        counted = {"usage": reported(usage)} if usage else {}
        if not stream:
            return encode({**head, "choices": [choice], **counted})
        events = [
            sse.write("", {**head, "choices": [{**choice, "finish_reason": None}]}),
            sse.write("", {**head, "choices": [{**choice, "text": ""}]}),
        ]
        if counted:
            events.append(sse.write("", {**head, "choices": [], **counted}))
        return b"".join(events) + sse.DONE


class CompletionsStream(ChoiceStream):
    """Chunks of `text_completion`."""

    dialect: ClassVar[Dialect] = "completions"
    kind: ClassVar[str] = _OBJECT

    def pass_choice(self, state: Choice, choice: dict[str, Json], final: bool) -> Passed:
        value = choice.get("text")
        if type(value) is not str or not value:
            return False
        self.started = True
        text = state.texts.get(("text",))
        if text is None:
            segment = Segment("assistant", "text", "", index=state.index, part=state.number())
            text = state.texts[("text",)] = Text(segment)
        got = yield from text.feed(value, final=final)
        if isinstance(text, Text):
            self._fed.append((b"text", text, value))
        choice["text"] = got
        return got != value

    def delta(self, key: Key, text: str) -> dict[str, Json]:
        return {"text": text}

    def ending(self, unseen: bool) -> dict[str, Json]:
        return {"text": ""}


def _texts(choices: list[dict[str, Json]]) -> list[Segment]:
    """Of an answer."""
    return [
        Segment("assistant", "text", choice["text"], Place(choice, "text"), index=place_of(choice, position))
        for position, choice in enumerate(choices)
        if type(choice.get("text")) is str and choice["text"]
    ]


def prompts(doc: dict[str, Json], name: str) -> tuple[list[Segment], list[str]]:
    """The texts of a prompt or input: a string, or a list of strings. Token arrays are left to `token_arrays`."""
    value = doc.get(name)
    if type(value) is str:
        return ([Segment("user", "text", value, Place(doc, name), fresh=True)] if value else []), []
    segments: list[Segment] = []
    uninspected: list[str] = []
    for index, item in enumerate(value or ()):
        if type(item) is str:
            if item:
                segments.append(Segment("user", "text", item, Place(value, index), index=index, fresh=True))
        elif type(item) in (int, list):
            uninspected.append("tokens")
        else:
            uninspected.append("unknown")
    return segments, list(dict.fromkeys(uninspected))


def token_arrays(doc: dict[str, Json]) -> list[list[int]]:
    """The prompt or input where it was given as tokens, so that guards can decode what no codec reads as text."""
    value = doc.get("prompt", doc.get("input"))
    if type(value) is not list:
        return []
    if value and all(type(item) is int for item in value):
        return [value]
    return [item for item in value if type(item) is list and item and all(type(token) is int for token in item)]
