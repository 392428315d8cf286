"""Which history a call builds on that only the provider has, and under which id what is said now will be found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.exchange import RETRIEVED, Exchange


def built_on(exchange: Exchange) -> str:
    """The stored answer or conversation that the provider reads before this call, or that is read again; or nothing."""
    named = exchange.notes.read(RETRIEVED)
    if named is not None:
        return named
    request = exchange.request
    if request.dialect != "responses":
        return ""
    previous = request.doc.get("previous_response_id")
    return previous if isinstance(previous, str) and previous else _conversation(request.doc)


def grows(exchange: Exchange) -> str:
    """The conversation to which this call adds."""
    named = exchange.notes.read(RETRIEVED)
    if named is not None:
        return named if exchange.request.method == "POST" else ""
    return _conversation(exchange.request.doc) if exchange.request.dialect == "responses" else ""


def begins(exchange: Exchange) -> bool:
    """Whether the provider keeps what is said now under an id that it will tell."""
    request = exchange.request
    named = exchange.notes.read(RETRIEVED)
    if named is not None:
        return not named and request.method == "POST"
    if request.dialect == "responses":
        return request.get("store") is not False
    return request.dialect == "chat" and request.get("store") is True


def _conversation(doc: Mapping[str, Any]) -> str:
    found = doc.get("conversation")
    if isinstance(found, dict):
        found = found.get("id")
    return found if isinstance(found, str) else ""
