"""Two answers to what may be the same question: the text of each, and whether they say the same."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson

MOST_CHARACTERS = 4000
ALIKE = 0.6
"""Share of words in common from which two answers with the same figures say the same."""
APART = 0.25
"""Below this they say something else."""
SHORT = 4
"""Words: so short an answer is compared as a whole. Letters: shorter words do not count."""
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"\w+")
_YES_NO = frozenset({"yes", "no", "true", "false", "not", "correct", "incorrect"})


def text_of(body: bytes, stream: bool) -> str:
    """What an answer says, whatever its dialect; empty where that is not to be seen. At most `MOST_CHARACTERS`."""
    found: list[str] = []
    for doc in _events(body) if stream else _document(body):
        found.extend(_texts(doc))
    return "".join(found)[:MOST_CHARACTERS]


def same(one: str, other: str) -> bool | None:
    """Whether two answers say the same: True, False, or None where words alone do not tell."""
    ours, theirs = _WORD.findall(one.lower()), _WORD.findall(other.lower())
    if not ours or not theirs:
        return None
    if ours == theirs:
        return True
    if min(len(ours), len(theirs)) <= SHORT:
        return None if set(ours) <= set(theirs) or set(theirs) <= set(ours) else False
    polarity = {ours[0], theirs[0]} & _YES_NO
    if polarity and ours[0] != theirs[0] and {ours[0], theirs[0]} <= _YES_NO:
        return False
    figures = set(_NUMBER.findall(one)), set(_NUMBER.findall(other))
    if figures[0] and figures[1] and not figures[0] & figures[1]:
        return False
    mine, other_words = ([word for word in said if len(word) > SHORT - 1] for said in (ours, theirs))
    both = sum((Counter(mine) & Counter(other_words)).values())
    near = 2 * both / max(1, len(mine) + len(other_words))
    if near >= ALIKE and figures[0] == figures[1]:
        return True
    return False if near < APART else None


def _document(body: bytes) -> Iterator[Any]:
    try:
        yield orjson.loads(body)
    except orjson.JSONDecodeError:
        return


def _events(body: bytes) -> Iterator[Any]:
    for line in body.splitlines():
        if line.startswith(b"data:"):
            yield from _document(line[5:])


def _texts(doc: Any) -> Iterator[str]:
    """Of a document or an event of chat, completions, Responses or Messages."""
    if not isinstance(doc, dict):
        return
    for choice in _dicts(doc.get("choices")):
        for holder in (choice, choice.get("message"), choice.get("delta")):
            if isinstance(holder, dict):
                yield from (holder[name] for name in ("text", "content") if isinstance(holder.get(name), str))
    for part in _dicts(doc.get("content")):
        yield from _said(part)
    for item in _dicts(doc.get("output")):
        for part in _dicts(item.get("content")):
            yield from _said(part)
    delta = doc.get("delta")
    if doc.get("type") == "response.output_text.delta" and isinstance(delta, str):
        yield delta
    elif isinstance(delta, dict) and "choices" not in doc:
        yield from _said(delta)


def _said(part: dict[str, Any]) -> Iterator[str]:
    if isinstance(part.get("text"), str):
        yield part["text"]


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        yield from (each for each in value if isinstance(each, dict))
