"""Prompts and inputs that came as tokens: where there is something to mask in them they go out as text."""

from __future__ import annotations

from typing import Any

from plugins.pii.mask import Found, Operate, masked
from proxy.exchange import Request, Segment


def as_text(request: Request, texts: list[tuple[Segment, Found]], operate: Operate) -> bool:
    """Puts the masked text in the place of the tokens. False where they are none, or not all of them can be read."""
    name = {"completions": "prompt", "embeddings": "input"}.get(request.dialect, "")
    value = request.get(name) if name else None
    if not isinstance(value, list) or not value or "tokens" in request.uninspected:
        return False
    alone = _tokens(value)
    if not alone and not all(_tokens(item) for item in value):
        return False
    told = {segment.index: segment.text for segment in request.segments if segment.sealed}
    told.update((segment.index, masked(segment.text, found.places, operate)) for segment, found in texts)
    request.set(name, told[0] if alone else [told.get(index, "") for index in range(len(value))])
    return True


def _tokens(item: Any) -> bool:
    return isinstance(item, list) and all(type(one) is int for one in item)
