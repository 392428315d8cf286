"""Fields beside the texts in which callers name their user, or keep notes: personal data there goes as a pseudonym.

A pseudonym is keyed (HMAC by tenant) and stable: the provider tells one user from another, as it does to find abuse,
and learns nobody's address. It does not come back: answers do not speak of these fields, but where they repeat
`metadata`.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from plugins.pii.mask import Found, Operate, masked
from proxy.exchange import RETRIEVED, Exchange, Request

NAMES: Final = ("user", "safety_identifier", "prompt_cache_key")
WHOLE: Final = frozenset({*NAMES, "user_id"})
"""These are an identifier as a whole."""
NOTES: Final = "metadata"
CHARS: Final = 26
"""Of a pseudonym: 130 bits."""
MOST: Final = 64
"""Notes that are looked into; providers take 16."""


class Field(NamedTuple):
    """A field with a text; `key` of the notes, or empty."""

    name: str
    key: str
    text: str


def fields(exchange: Exchange) -> list[Field]:
    """Those that this call has."""
    doc = exchange.request.doc
    if type(doc) is not dict or exchange.notes.read(RETRIEVED) is not None:
        return []
    if NOTES not in doc and "user" not in doc and "safety_identifier" not in doc and "prompt_cache_key" not in doc:
        return []
    return list(_fields(exchange.request))


def _fields(request: Request) -> Iterator[Field]:
    for name in NAMES:
        value = request.get(name)
        if type(value) is str and value:
            yield Field(name, "", value)
    notes = request.get(NOTES)
    for key, value in list(notes.items())[:MOST] if type(notes) is dict else ():
        if type(value) is str and value:
            yield Field(NOTES, key, value)


def write(request: Request, found: list[tuple[Field, Found]], name: Callable[[str], str], operate: Operate) -> None:
    """Puts pseudonyms in the place of what was found; in notes, only of what was found."""
    notes: dict[str, Any] = dict(request.get(NOTES) or {})
    for field, one in found:
        whole = (field.key or field.name) in WHOLE
        told = name(field.text) if whole else masked(field.text, one.places, operate)
        if field.key:
            notes[field.key] = told
        else:
            request.set(field.name, told)
    if any(field.key for field, _ in found):
        request.set(NOTES, notes)


def pseudonym(secret: bytes, tenant: str, value: str) -> str:
    """The same for the same, however it is capitalised."""
    said = "\0".join(("identifier", tenant, value.strip().casefold())).encode("utf-8", "surrogatepass")
    return "user_" + base64.b32encode(hmac.digest(secret, said, "sha256"))[:CHARS].decode().lower()
