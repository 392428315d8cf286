"""What is read of a call's body beside its texts: tokens in place of text, parts without any, the model's name."""

from __future__ import annotations

import re
from collections.abc import Callable

from proxy.errors import MalformedBody
from proxy.exchange import Json, Segment
from proxy.wire.codec import Codec
from proxy.wire.completions import token_arrays

MODEL_CHARS = 512
_PARTS = re.compile(rb'"(?:image(?:_url)?|input_(?:image|audio|file)|audio|video|file(?:_id)?|document)"\s*[:,}]')
"""What the names of parts without text look like; a call without them is not walked for their sake."""


def with_tokens(
    codec: Codec, decode: Callable[[list[int], str], str | None], doc: Json
) -> tuple[list[Segment], list[str]]:
    segments, unread = codec.walk(doc)
    arrays = token_arrays(doc)
    texts = [decode(tokens, doc.get("model", "")) for tokens in arrays]
    segments += [
        Segment("user", "text", text, index=index, fresh=True, sealed=True) for index, text in enumerate(texts) if text
    ]
    if arrays and None not in texts:
        unread = [part for part in unread if part != "tokens"]
    return segments, unread


def names_parts(body: bytes) -> bool:
    """Whether a call may have parts without text."""
    return _PARTS.search(body) is not None


def model_of(doc: Json) -> str:
    """The model that is asked; it goes into headers, records and figures, so it must be a name."""
    model: str = doc.get("model") or ""
    if len(model) > MODEL_CHARS or not model.isprintable():
        raise MalformedBody(f"`model` must be a name of at most {MODEL_CHARS} printable characters.", param="model")
    return model
