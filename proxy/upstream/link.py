"""What a connection to a provider promises: the seam between the pool's rules and the socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from proxy.live import Upstream
from proxy.ports import Headers


@dataclass(slots=True)
class Outgoing:
    """One HTTP request to a provider. `target` is path and query exactly as they go on the wire."""

    method: str
    target: str
    headers: Headers
    body: bytes | AsyncIterator[bytes]
    length: int | None = None
    """Of a body that is an iterator, where the caller declared it."""
    memo: dict[Any, bytes] | None = None
    """Where the link may keep what it makes of method, target and headers: they are the same for every call that
    brings this dict. Then `headers` say nothing of the body's length."""
    fresh: bool = False
    """Over a connection that nobody has used before."""


@dataclass(slots=True)
class Dress:
    """What calls with the same head look like on their way to one upstream."""

    upstream: Upstream
    model: str
    """Where the upstream's URL names the model: this one."""
    ours: bool
    target: str
    headers: Headers
    memo: dict[Any, bytes] = field(default_factory=dict)


def header_of(headers: Headers, name: str) -> str | None:
    """The first header of this name (given in lower case)."""
    size = len(name)
    return next((value for known, value in headers if len(known) == size and known.lower() == name), None)


def is_events(answering: Answering) -> bool:
    """Whether the answer is a stream of events."""
    kind = answering.header("content-type")
    return kind is not None and kind[:17].lower() == "text/event-stream"


class Answering(Protocol):
    """A provider's answer whose headers have come. Must be read to its end or closed."""

    status: int
    reused: bool
    """It came over a connection that had been used before."""

    @property
    def headers(self) -> Headers: ...

    def header(self, name: str) -> str | None:
        """The first header of this name (given in lower case)."""
        ...

    def lines(self, changed: bool) -> bytes | None:
        """What `endpoint.answer_headers` gives, but for the length, as the lines of a head, where that is known without
        a closer look."""
        ...

    async def read(self, limit: int) -> bytes:
        """The whole body; ProtocolViolation past `limit` bytes, StreamCut where it breaks off."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes, with back-pressure; StreamCut where it breaks off, UpstreamTimeout where it hangs."""
        ...

    def close(self) -> None:
        """Gives the connection back if the body was read to the end, else closes it at once (cancels the call)."""
        ...


Done = Callable[["Answering"], None]


class Link(Protocol):
    """The only thing that talks to a provider. Cancelling `send` closes the connection at once."""

    def begin(self, upstream: Upstream, outgoing: Outgoing, done: Done) -> Answering | None:
        """`send` without waiting, where that can be: `done` is told once, when the answer is there as a whole, when it
        has failed, or when it is one that should be read as it comes. None: it has to be `send`."""
        ...

    async def send(self, upstream: Upstream, outgoing: Outgoing) -> Answering:
        """Raises Unreachable, UpstreamTimeout, ProtocolViolation. A POST that met a stale pooled connection
        (reused, and no byte of an answer came) is sent once more on a fresh one, if its body can be."""
        ...

    async def websocket(self, upstream: Upstream, target: str, headers: Headers, protocols: list[str]) -> Any:
        """An open websocket to the provider (aiohttp's, which `server.tunnel` knows). Raises as `send` does."""
        ...

    async def stop(self) -> None: ...
