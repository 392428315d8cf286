"""Places of texts that stand in the document in a form of their own: files in base64, the names of those who speak."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from proxy.wire.body import Place

NAME_CHARS = 64
_UNNAMED = re.compile(r"[\s<|\\/>]+")


class Base64(Place):
    """A text that stands encoded in the document, behind `head` (`data:text/plain;base64,`)."""

    __slots__ = ("_coded", "_head", "_text")

    def __init__(self, container: Any, key: str | int, head: str, text: str) -> None:
        super().__init__(container, key)
        self._head = head
        self._text = text
        self._coded = container[key]

    def put(self, text: str) -> None:
        if text == self._text:
            self.container[self.key] = self._coded  # byte for byte, however it was written
            return
        self.container[self.key] = self._head + base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()


_READABLE = re.compile(
    r"(?:text/[a-z0-9.+-]{1,60}|application/(?:json|xml|x-yaml|yaml|x-ndjson|javascript|sql)"
    r"|application/[a-z0-9.-]{1,60}\+(?:json|xml))(?:;[a-z0-9=_. \"-]{0,80})?\Z",
    re.IGNORECASE,
)
_DATA = re.compile(r"data:([^,]{0,200});base64,", re.IGNORECASE)


def encoded_text(container: Any, key: str | int, media_type: Any = None) -> tuple[Base64, str] | None:
    """The text of a file that came in base64 (`media_type` of its own, or in a `data:` address), and its place; None
    where it is no text in UTF-8."""
    value = container.get(key) if type(container) is dict else None
    if type(value) is not str or not value:
        return None
    found = _DATA.match(value)
    head = found.group() if found is not None else ""
    named = found[1] if found is not None else media_type
    if type(named) is not str or _READABLE.match(named) is None:
        return None
    try:
        text = base64.b64decode(value[len(head) :]).decode("utf-8")
    except (ValueError, binascii.Error):
        return None
    return Base64(container, key, head, text), text


class Name(Place):
    """The name of whoever speaks: providers take no blanks in it, and few characters."""

    __slots__ = ("_original",)

    def __init__(self, container: Any, key: str | int) -> None:
        super().__init__(container, key)
        self._original = container[key]

    def put(self, text: str) -> None:
        self.container[self.key] = text if text == self._original else _UNNAMED.sub("_", text)[:NAME_CHARS]
