"""One call made twice, straight to the provider and through Weir, with nothing of it touched on the client's side."""

from __future__ import annotations

import io
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from benchmarks.provider import Provider
from benchmarks.simulated.call import Received
from proxy.live import Entry
from tests.certificates import Certificates
from tests.worker import Running, weir

JSON = (("Content-Type", "application/json"), ("Authorization", "Bearer sk-caller"))
SURFACES = {
    "chat": ("/v1/chat/completions", b'"messages":[{"role":"user","content":"say something"}]'),
    "responses": ("/v1/responses", b'"input":"say something"'),
    "completions": ("/v1/completions", b'"prompt":"say something"'),
    "embeddings": ("/v1/embeddings", b'"input":"say something"'),
    "messages": ("/v1/messages", b'"max_tokens":90,"messages":[{"role":"user","content":"say something"}]'),
}
"""Path, and the one thing that has to be in a body beside the model."""
STREAMING = ("chat", "responses", "completions", "messages")


@dataclass(frozen=True, slots=True)
class Got:
    """An answer as it came, content coding and all; `cut` if it had no proper end."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    cut: bool = False

    def header(self, name: str) -> str | None:
        return next((value for found, value in self.headers if found.lower() == name), None)


class Pair:
    """A running Weir with its provider, and a client that can call either."""

    def __init__(self, running: Running, session: aiohttp.ClientSession) -> None:
        self.running = running
        self.session = session
        self.provider = running.provider
        self.sink = running.sink

    @property
    def sent(self) -> Received:
        """The newest request that the provider received."""
        return self.provider.requests[-1]

    async def through(self, path: str, body: Any = None, **more: Any) -> Got:
        return await self._call(self.running.root, path, body, **more)

    async def direct(self, path: str, body: Any = None, **more: Any) -> Got:
        return await self._call(self.provider.url, path, body, **more)

    def open(
        self, path: str, body: Any = None, *, headers: Sequence[tuple[str, str]] = JSON, method: str = "POST"
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Through Weir, the answer still to be read."""
        return self.session.request(method, URL(self.running.root + path, encoded=True), data=body, headers=headers)

    async def _call(
        self,
        root: str,
        path: str,
        body: Any = None,
        *,
        headers: Sequence[tuple[str, str]] = JSON,
        method: str = "POST",
    ) -> Got:
        url = URL(root + path, encoded=True)
        data = io.BytesIO(body) if isinstance(body, bytes) else body
        async with self.session.request(method, url, data=data, headers=headers) as answer:
            body, cut = await rest(answer)
            return Got(answer.status, [(k.decode(), v.decode()) for k, v in answer.raw_headers], body, cut)


async def rest(answer: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """What still comes, and whether it breaks off."""
    came = []
    try:
        async for piece in answer.content.iter_any():
            came.append(piece)
    except (aiohttp.ClientPayloadError, ConnectionError):
        return b"".join(came), True
    return b"".join(came), False


Opened = Callable[..., AbstractAsyncContextManager[Pair]]


def opener(certificates: Certificates | None) -> Opened:
    """`async with opened(*chain, **changes) as pair`; with certificates the provider is behind TLS."""

    @asynccontextmanager
    async def opened(
        *chain: Entry, provider: Provider | None = None, upstream: dict[str, Any] | None = None, **changes: Any
    ) -> AsyncIterator[Pair]:
        upstream = dict(upstream or {})
        trust: ssl.SSLContext | bool = True
        if certificates is not None:
            provider = provider or Provider(tls=certificates.server_context())
            upstream["ca_file"] = str(certificates.authority)
            trust = certificates.client_context()
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust),
            auto_decompress=False,
            max_field_size=64 * 1024,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            timeout=aiohttp.ClientTimeout(total=30),
        )
        async with weir(*chain, provider=provider, upstream=upstream, **changes) as running, session:
            yield Pair(running, session)

    return opened


def body(surface: str, model: str = "gpt-4o-mini", *, stream: bool = False, more: bytes = b"") -> bytes:
    """The smallest body of a surface, `more` members in front."""
    ending = b',"stream":true' if stream else b""
    return b'{%b"model":"%b",%b%b}' % (more, model.encode(), SURFACES[surface][1], ending)


def wished(surface: str, wish: str, *, stream: bool = True) -> bytes:
    """A body that asks the simulated provider to behave in a certain way."""
    return body(surface, f"gpt-4o-mini[[sim {wish}]]", stream=stream)


def timeless(found: Any, *more: str) -> Any:
    """Without ids and times, which differ between any two calls, without the keys named in `more`, and without the
    `"usage": null` that chunks have where Weir asked for usage."""
    left_out = {"id", "created", "created_at", "completed_at", "item_id", "call_id", "request_id", *more}
    if isinstance(found, dict):
        return {
            key: timeless(value, *more)
            for key, value in found.items()
            if key not in left_out and not (key == "usage" and value is None)
        }
    if isinstance(found, list | tuple):
        return [timeless(value, *more) for value in found]
    return found
