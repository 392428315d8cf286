"""Results that stand in the call already: the later one says so instead of saying it again."""

from __future__ import annotations

import json
from collections.abc import Sequence

from plugins.compression.decision import Case, digest_of
from plugins.compression.regions import is_code
from plugins.compression.shrink import Count, Shrunk
from proxy.exchange import Segment

LEAST_CHARS = 400
QUOTED_CHARS = 60
DATA = ("tool_result", "document")


def again(texts: Sequence[Segment]) -> list[tuple[Segment, Segment]]:
    """The texts that stood in the call before, each with the one that did. Code is repeated in full: who edits it wants
    it before them."""
    first: dict[str, Segment] = {}
    found: list[tuple[Segment, Segment]] = []
    for segment in texts:
        text = segment.text
        if segment.kind not in DATA or len(text) < LEAST_CHARS:
            continue
        earlier = first.setdefault(text, segment)
        if earlier is not segment and "```" not in text and not is_code(text.split("\n")):
            found.append((segment, earlier))
    return found


def note(segment: Segment, text: str, sent: str, secret: bytes, count: Count) -> Case | None:
    """What is said instead of the `text` of this segment, which stands in the call before as `sent`."""
    begin = sent.strip().split("\n", 1)[0][:QUOTED_CHARS]
    what = "tool result" if segment.kind == "tool_result" else "document"
    told = f"[The same, word for word, as the earlier {what} that begins with {json.dumps(begin, ensure_ascii=False)}.]"
    found = Shrunk(told, ("duplicate",), count(text), count(told))
    return Case(segment, found, digest_of(secret, f"again\0{text}")) if found.saved > 0 else None
