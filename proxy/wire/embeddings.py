"""The embeddings dialect: `/v1/embeddings`, texts to vectors; its answers hold no text and never stream."""

from __future__ import annotations

from typing import ClassVar

from proxy.errors import MalformedBody
from proxy.exchange import Dialect, Segment, Usage
from proxy.ports import Json
from proxy.wire.body import encode
from proxy.wire.choices import Choice, ChoiceStream, Key, Passed
from proxy.wire.codec import Answer, Stream
from proxy.wire.completions import prompts
from proxy.wire.dialect import DialectCodec, expect, named
from proxy.wire.usage import normalised, reported


class EmbeddingsCodec(DialectCodec):
    """See `wire.codec.Codec`."""

    dialect: ClassVar[Dialect] = "embeddings"

    def check(self, doc: dict[str, Json]) -> None:
        expect(doc, "model", str, required="model" in doc)
        expect(doc, "input", str, list, required=True)
        expect(doc, "stream", bool)
        if doc.get("stream"):
            raise MalformedBody("Embeddings do not stream: leave the parameter 'stream' out.", param="stream")

    def walk(self, doc: Json) -> tuple[list[Segment], list[str]]:
        return prompts(doc, "input")

    def understood(self, body: bytes, doc: Json) -> Answer | None:
        if type(doc) is not dict or type(doc.get("data")) is not list:
            return None
        return Answer(body, doc, list, normalised(doc), named(doc), "stop")

    def stream(self, doc: Json) -> Stream:
        return EmbeddingsStream(model=named(doc))

    def compose(self, text: str, *, model: str, id: str, stream: bool, finish: str, usage: Usage | None) -> bytes:
        """There is no text to give: an empty list. A plugin that answers embeddings gives a whole body."""
        counted = reported(usage or Usage())
        tokens = {name: counted[name] for name in ("prompt_tokens", "total_tokens")}
        return encode({"object": "list", "data": [], "model": model, "usage": tokens})


class EmbeddingsStream(ChoiceStream):
    """What a provider might send all the same: passed on as it is."""

    dialect: ClassVar[Dialect] = "embeddings"
    kind: ClassVar[str] = "list"

    def pass_choice(self, state: Choice, choice: dict[str, Json], final: bool) -> Passed:
        yield from ()
        return False

    def delta(self, key: Key, text: str) -> dict[str, Json]:
        return {}
