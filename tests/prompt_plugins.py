"""A plugin whose hooks cannot wait, and that does in them what its options say: calls with it take the short way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any

from proxy.errors import Limited, Refused
from proxy.exchange import Exchange, Finding, Response, Segment, Target
from proxy.live import Entry
from proxy.plugin import Filter, Hold, NoOptions, Plugin


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """What to do, by name; nothing where empty."""

    request: str = ""
    response: str = ""
    finish: str = ""


class Prompt(Plugin[PromptOptions]):
    name = "prompt"
    Options = PromptOptions

    async def request(self, exchange: Exchange) -> Response | None:
        what, request = exchange.options(self).request, exchange.request
        if what == "edit":
            for segment in request.segments:
                segment.text = segment.text.upper()
        elif what == "set":
            request.set("temperature", 0.5)
        elif what == "set model":
            request.set("model", "forbidden")
        elif what == "insert":
            request.insert("system", "Be kind.", self.name)
        elif what == "text":
            return Response(text="mine", headers=[("x-weir-cache", "HIT"), ("x-own", "1")])
        elif what == "body":
            return Response(body=b'{"id":"x","object":"chat.completion","model":"m","choices":[]}')
        elif what == "target":
            exchange.target = Target("other", "n")
        elif what == "unknown target":
            exchange.target = Target("nowhere", "n")
        elif what == "fallback":
            exchange.fallbacks = [Target("other", "forbidden")]
        elif what == "headers":
            request.headers = [*request.headers, ("X-Said", exchange.id)]
        elif what == "find":
            exchange.find(Finding(self.name, "thing", "low", "noted"))
            exchange.step(self.name, "request", "looked")
        else:
            fall(what)
        return None

    async def response(self, exchange: Exchange) -> None:
        what = exchange.options(self).response
        assert exchange.response is not None
        if what == "header":
            exchange.response.headers.append(("x-weir-seen", "yes"))
            exchange.response.headers.append(("x-seen", "yes"))
        elif what == "break":
            exchange.response.headers.append(("x-weir-seen", "a\r\nb: c"))
        elif what == "texts":
            exchange.step(self.name, "response", f"read {[one.text for one in exchange.response.segments]}")
        else:
            fall(what)

    async def finish(self, exchange: Exchange) -> None:
        fall(exchange.options(self).finish)


def fall(what: str) -> None:
    match what:
        case "refuse":
            raise Refused("prompt", "Rule 7 does not let this pass.", code="rule_7")
        case "refuse as answer":
            raise Refused("prompt", "Rule 7 does not let this pass.", code="rule_7", as_answer=True)
        case "limit":
            raise Limited("That was too much.", retry_after_s=7)
        case "fail":
            raise RuntimeError("broken")
        case "cancel":
            raise asyncio.CancelledError
        case "deaf":
            raise ConnectionResetError("somebody else's")


class Lingers(Plugin[NoOptions]):
    """Says that it will not wait at the end of a call, wrongly or not; or fails to say."""

    name = "lingers"

    async def finish(self, exchange: Exchange) -> None:
        if not self.finish_waits(exchange):
            return
        await asyncio.sleep(0)
        exchange.step(self.name, "finish", "waited")

    def finish_waits(self, exchange: Exchange) -> bool:
        if "unsure" in exchange.request.model:
            raise RuntimeError("broken")
        return "slow" in exchange.request.model


@dataclass(frozen=True, slots=True)
class FilteringOptions:
    what: str = ""


class Filtering(Plugin[FilteringOptions]):
    """Filters the texts of an answer, and seldom waits on the way out."""

    name = "filtering"
    Options = FilteringOptions
    seldom = frozenset({"request"})

    async def request(self, exchange: Exchange) -> None:
        what = exchange.options(self).what
        if what.startswith("wait"):
            await asyncio.sleep(0)
            fall(what.removeprefix("wait, "))

    def filter(self, exchange: Exchange, segment: Segment) -> Filter | None:
        what = exchange.options(self).what
        if what == "fail to begin":
            raise RuntimeError("broken")
        return None if what in ("", "none") else _Filtering(what)


class _Filtering:
    def __init__(self, what: str) -> None:
        self.what = what

    def feed(self, piece: str) -> str | Hold:
        if self.what.startswith("hold"):
            return Hold(piece, partial(self.judged, piece))
        fall(self.what)
        return piece.upper() if self.what == "change" else piece

    async def judged(self, piece: str) -> str:
        if self.what == "hold, timed":  # as stores do, which needs a task
            async with asyncio.timeout(5):
                await asyncio.sleep(0)
        elif self.what != "hold, briefly":
            await asyncio.sleep(0)
        fall(self.what.removeprefix("hold, "))
        return piece.upper()

    def close(self) -> str:
        return "!" if self.what == "change" else ""


def prompt(request: str = "", response: str = "", finish: str = "", **envelope: Any) -> Entry:
    """An entry of the chain."""
    options = {"request": request, "response": response, "finish": finish}
    return Entry("prompt", "tests.prompt_plugins:Prompt", options=options, **envelope)


def filtering(what: str, **envelope: Any) -> Entry:
    """An entry of the chain."""
    return Entry("filtering", "tests.prompt_plugins:Filtering", options={"what": what}, **envelope)
