"""Calls on every surface through a whole worker, and the texts of what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from proxy import own, wire
from proxy.exchange import Dialect
from proxy.live import Entry
from tests.pairs import STREAMING, SURFACES, body
from tests.worker import DEFAULT, Running, weir

FORMS = [(surface, False) for surface in SURFACES] + [(surface, True) for surface in STREAMING]
"""Every surface as JSON, and those that stream as a stream."""
SPEAKING = [form for form in FORMS if form[0] != "embeddings"]
"""Those whose answers have texts."""


@dataclass(frozen=True, slots=True)
class Came:
    """An answer, and whether it broke off."""

    status: int
    headers: dict[str, str]
    raw: bytes
    surface: Dialect
    cut: bool = False

    @property
    def streamed(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")

    @property
    def text(self) -> str:
        """All that was said."""
        codec = wire.codec(self.surface)
        if self.streamed:
            return "".join(one.text for one in own.said(codec, {}, [self.raw])[0])
        answer = codec.answer(self.raw)
        assert answer is not None, self.raw
        return "".join(one.text for one in answer.segments)

    @property
    def finish(self) -> str:
        """Why it ended, in the dialect's word."""
        codec = wire.codec(self.surface)
        if self.streamed:
            return own.said(codec, {}, [self.raw])[1].finish
        answer = codec.answer(self.raw)
        assert answer is not None, self.raw
        return answer.finish

    @property
    def complete(self) -> bool:
        """A stream had its proper end."""
        return own.said(wire.codec(self.surface), {}, [self.raw])[1].complete

    @property
    def doc(self) -> Any:
        return orjson.loads(self.raw)


class Asking:
    """A running worker and a caller."""

    def __init__(self, running: Running, session: aiohttp.ClientSession) -> None:
        self.running = running
        self.session = session
        self.provider = running.provider
        self.records = running.records

    async def ask(
        self, surface: str = "chat", stream: bool = False, *, wish: str = "", raw: bytes | None = None, **headers: str
    ) -> Came:
        """One call; `wish` is for the simulated provider, header names have underscores."""
        model = f"gpt-4o-mini[[sim {wish}]]" if wish else "gpt-4o-mini"
        sent = raw if raw is not None else body(surface, model, stream=stream)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.post(SURFACES[surface][0], sent, surface, **named)

    async def post(self, path: str, sent: bytes, surface: str = "chat", **headers: str) -> Came:
        given = {"content-type": "application/json", "authorization": "Bearer sk-caller", **headers}
        async with self.session.post(self.running.root + path, data=sent, headers=given) as answer:
            return await came(answer, surface)

    async def get(self, path: str, surface: str = "chat", **headers: str) -> Came:
        given = {"authorization": "Bearer sk-caller", **headers}
        async with self.session.get(self.running.root + path, headers=given) as answer:
            return await came(answer, surface)

    async def record(self, count: int = 1) -> dict[str, Any]:
        """The newest, once there are so many."""
        return (await self.running.sink.wait_for(count))[-1]

    def plugin(self, name: str) -> Any:
        """The object of this name in the worker."""
        return self.running.worker.chains.current._plugins[name]

    def counted(self, name: str, **labels: str) -> float:
        """A metric, summed over the labels that are not given."""
        metrics: Any = self.running.worker._parts.metrics
        found = 0.0
        for (known, pairs), value in metrics.values.items():
            if known == name and labels.items() <= dict(pairs).items():
                found += value
        return found


async def came(answer: aiohttp.ClientResponse, surface: str) -> Came:
    pieces, cut = [], False
    try:
        async for piece in answer.content.iter_any():
            pieces.append(piece)
    except (aiohttp.ClientPayloadError, ConnectionError):
        cut = True
    headers = {name.lower(): value for name, value in answer.headers.items()}
    dialect: Any = surface
    return Came(answer.status, headers, b"".join(pieces), dialect, cut)


@asynccontextmanager
async def asking(*chain: Entry, **changes: Any) -> AsyncIterator[Asking]:
    """`async with asking(listed(Edits)) as weir: await weir.ask()`; audit and metering stand on top."""
    async with weir(*DEFAULT, *chain, **changes) as running, aiohttp.ClientSession() as session:
        yield Asking(running, session)


async def soon(test: Any, within_s: float = 5.0) -> None:
    """Until `test()` is true, looking at every turn of the loop."""
    async with asyncio.timeout(within_s):
        while not test():
            await asyncio.sleep(0.001)
