"""Calls that reach the pii plugin as the chain would hand them on, with options resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import orjson

from plugins.pii.plugin import Pii
from proxy import wire
from proxy.detection.secrets import Secrets
from proxy.exchange import Exchange, Response, Segment
from proxy.live import Agent, Entry, Snapshot
from proxy.plugin import Kit
from proxy.registry import with_options
from tests import kit
from tests.worker import settings

USES = "plugins.pii.plugin:Pii"


def settled(options: Mapping[str, Any] | None = None, **changes: Any) -> Snapshot:
    """Settings with pii in the chain, its options resolved."""
    return with_options(settings("http://127.0.0.1:9/v1", Entry("pii", USES, options=options or {}), **changes))


def for_agent(agent: str, options: Mapping[str, Any]) -> dict[str, Agent]:
    return {agent: Agent(plugins={"pii": {"options": options}})}


def call(doc: Mapping[str, Any], surface: Any = "chat", settings_: Snapshot | None = None, **caller: Any) -> Exchange:
    made = kit.exchange(settings_ or settled(), **caller)
    codec = wire.codec(surface)
    made.request.dialect = surface
    made.request.body = orjson.dumps(doc)
    made.request.doc = codec.read(made.request.body)
    made.request.walked_by(codec.walk)
    return made


def said(*texts: str, **more: Any) -> Exchange:
    """A chat in which user and assistant take turns."""
    settings_ = more.pop("settings_", None)
    turns = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]
    return call({"model": "m", "messages": turns}, "chat", settings_, **more)


def plugin(kit_: Kit | None = None) -> Pii:
    """Ready but for what its options ask for; the rules of secrets are read once."""
    made = Pii(kit_ or kit.kit())
    made._secrets = _secrets()
    made._vault.start()
    return made


@cache
def _secrets() -> Secrets:
    return Secrets.packaged()


def sent(exchange: Exchange) -> str:
    """The body as it leaves."""
    return wire.codec(exchange.request.dialect).write(exchange.request).decode()


def texts(exchange: Exchange) -> list[str]:
    return [segment.text for segment in exchange.request.segments]


def back(pii: Pii, exchange: Exchange, text: str) -> str:
    """What the caller gets where the provider says `text`."""
    if not pii.filters(exchange):
        return text
    filter_ = pii.filter(exchange, Segment("assistant", "text", ""))
    if filter_ is None:
        return text
    return str(filter_.feed(text)) + str(filter_.close())


def answered(exchange: Exchange, id: str) -> None:
    exchange.response = replace(Response(), id=id, complete=True)
