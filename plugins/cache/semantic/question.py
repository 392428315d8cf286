"""What a call asks: its last user text, and all the rest of it."""

from __future__ import annotations

from typing import Any, NamedTuple

from proxy.exchange import Dialect, Json

PLACE = "\x00weir: the question\x00"
"""Stands in the rest where the text was."""
TEXTS = frozenset({"text", "input_text"})


class Question(NamedTuple):
    """`rest`: the body with `PLACE` for the text. Two calls with one rest are the same but for their texts: also all
    that was said before in the conversation."""

    text: str
    rest: dict[str, Json]


def question(dialect: Dialect, doc: Json) -> Question | None:
    """None where the newest thing in the call is no user's text alone, or the dialect has no questions."""
    if not isinstance(doc, dict):
        return None
    if dialect in ("chat", "messages"):
        return _last(doc, "messages")
    if dialect == "responses":
        return _whole(doc, "input") or _last(doc, "input")
    return _whole(doc, "prompt") if dialect == "completions" else None


def _whole(doc: dict[str, Json], name: str) -> Question | None:
    text = doc.get(name)
    return Question(text, {**doc, name: PLACE}) if isinstance(text, str) else None


def _last(doc: dict[str, Json], name: str) -> Question | None:
    items = doc.get(name)
    if not isinstance(items, list) or not items:
        return None
    last = items[-1]
    if not isinstance(last, dict) or last.get("role") != "user" or last.get("type", "message") != "message":
        return None
    found = _content(last.get("content"))
    if found is None:
        return None
    text, content = found
    return Question(text, {**doc, name: [*items[:-1], {**last, "content": content}]})


def _content(content: Any) -> tuple[str, Json] | None:
    """A text, or a list of one part that is a text: with anything beside it, the text is not all that is asked."""
    if isinstance(content, str):
        return content, PLACE
    if not isinstance(content, list) or len(content) != 1:
        return None
    part = content[0]
    if not isinstance(part, dict) or part.get("type") not in TEXTS or not isinstance(part.get("text"), str):
        return None
    return part["text"], [{**part, "text": PLACE}]
