"""What an answer repeats of its call although the key leaves it out.

Responses tell `user`, `safety_identifier` and `metadata` again. Who is given another's answer is told their own.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from proxy.exchange import Dialect, Json

NAMES: Final = ("user", "safety_identifier", "metadata")


def named(dialect: Dialect, doc: Json) -> tuple[Any, ...] | None:
    """What a call of this dialect would find in its answer; None where answers repeat nothing."""
    return tuple(doc.get(name) for name in NAMES) if dialect == "responses" else None


def retold(body: bytes, stream: bool, mine: tuple[Any, ...]) -> bytes:
    """The same answer with what this call named. ValueError where that cannot be written."""
    if not stream:
        return _document(body, mine)
    blank = b"\r\n\r\n" if b"\r\n\r\n" in body else b"\n\n"
    return blank.join(_event(each, mine) if b'"response"' in each else each for each in body.split(blank))


def _event(event: bytes, mine: tuple[Any, ...]) -> bytes:
    lines = event.splitlines(keepends=True)
    for place, line in enumerate(lines):
        if line.startswith(b"data:"):
            doc = orjson.loads(line[5:])
            response = doc.get("response") if type(doc) is dict else None
            if type(response) is dict:
                _set(response, mine)
                lines[place] = b"data: " + orjson.dumps(doc) + line[len(line.rstrip(b"\r\n")) :]
    return b"".join(lines)


def _document(body: bytes, mine: tuple[Any, ...]) -> bytes:
    doc = orjson.loads(body)
    if type(doc) is not dict:
        raise ValueError("this is no response")
    _set(doc, mine)
    return orjson.dumps(doc)


def _set(response: dict[str, Any], mine: tuple[Any, ...]) -> None:
    for name, value in zip(NAMES, mine, strict=True):
        if name in response:
            response[name] = {} if name == "metadata" and value is None else value
