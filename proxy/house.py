"""What a worker's calls are run with: the parts that `app` puts together, and a call's own papers (`Trip`)."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from proxy.chain import Chain
from proxy.errors import BadRequest, ProtocolViolation
from proxy.exchange import DURABLE, Caller, Exchange, Target
from proxy.held import Held
from proxy.live import Snapshot, Upstream
from proxy.ports import Headers, Incoming, Metrics, Now, Pairs, Reply, Store, Tasks
from proxy.route import Route
from proxy.upstream.link import Answering, Link, Outgoing
from proxy.wire.codec import Codec

Inflate = Callable[[Headers, bytes, int], bytes]


@dataclass(slots=True)
class Trip:
    """A call on its way through the house: what plugins need not see."""

    exchange: Exchange
    chain: Chain
    incoming: Incoming
    reply: Reply
    headers: Pairs
    """As they came."""
    codec: Codec | None = None
    route: Route | None = None
    below: int = 0
    """The way back begins under this place."""
    ours: bool = False
    """The credential is a key of Weir's own and is never forwarded."""
    model: str = ""
    """That the path names: it goes before the body's."""
    home: str = ""
    """The upstream that the call's model belongs to: a credential that the caller brought goes there or nowhere."""
    coded: bytes | None = None
    """The body as sent, where it has a content coding."""
    withhold: bool = False
    """The provider was asked for usage by Weir; its event is not the caller's."""
    gather: bool = False
    """The caller asked for JSON, the provider is asked for a stream."""
    recorded: bool = True
    fresh: bool = False
    """The first try met a connection that had died: the next one goes over a new one."""


class Identified(Protocol):
    """What identity makes of a request: the caller, the path without an agent's prefix, whose credential it is, and the
    model, where the path names it."""

    @property
    def caller(self) -> Caller: ...
    @property
    def path(self) -> str: ...
    @property
    def credential_is_ours(self) -> bool: ...
    @property
    def model(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Nobody:
    """Of a head that identity refuses."""

    caller: Caller = Caller()  # noqa: RUF009  it is frozen
    path: str = ""
    credential_is_ours: bool = False
    model: str = ""


class Pool(Protocol):
    def noted(self, upstream: str, outcome: str) -> None: ...
    async def resume(
        self, exchange: Exchange, answering: Answering, build: Callable[[Target, Upstream, bool], Outgoing]
    ) -> tuple[Answering, Target, Upstream]: ...
    async def send(
        self, exchange: Exchange, build: Callable[[Target, Upstream, bool], Outgoing]
    ) -> tuple[Answering, Target, Upstream]: ...


class Records(Protocol):
    """The bounded queue to the cold path."""

    def put(self, line: bytes) -> None: ...
    async def put_durable(self, line: bytes) -> None: ...
    async def ask(self, question: dict[str, Any]) -> dict[str, Any]: ...


class Chains(Protocol):
    @property
    def current(self) -> Chain: ...


Local = Callable[[Trip], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class House:
    """What the pipeline is built from; `app` makes it."""

    now: Now
    wall: Now
    chains: Chains
    pool: Pool
    link: Link
    store: Store
    records: Records
    tasks: Tasks
    metrics: Metrics
    identify: Callable[[Snapshot, Incoming, bytes], Identified]
    allowed: Callable[[Snapshot, str | None, str], bool]
    inflate: Inflate
    """The body with its content coding taken off, bounded."""
    decode: Callable[[list[int], str], str | None]
    """The text of tokens that a caller sent in place of text; None where it cannot be known."""
    secret: bytes
    local: Mapping[str, Local]
    """Weir's own endpoints on the data port, by `METHOD /path` (a trailing `/` takes all below it)."""
    held: Held
    kept: Callable[[Exchange, bytes], None]
    """Told of every record, for `/weir/calls`."""
    relay: Local
    """For every path without a codec."""


def watchers(route: Route) -> int:
    """For a call that never entered the chain (refused at the door, relayed): audit and metering still see its end."""
    place = -1
    for member in route.members:
        if member.name not in ("audit", "metering"):
            break
        place = member.place
    return place


async def watch(chain: Chain, exchange: Exchange, route: Route, records: Records) -> None:
    """The beginning of a call outside the chain (relayed, or a plugin's own) for those who see its end."""
    place = watchers(route)
    for member in route.by_hook["request"]:
        if member.place <= place:
            await chain.call(exchange, member, "request", member.plugin.request)
    exchange.place = max(exchange.place, place)
    await make_durable(exchange, records)


async def make_durable(exchange: Exchange, records: Records) -> None:
    """`audit.strict`: what must be on disk before anything else happens. Raises where it cannot be."""
    line = exchange.notes.read(DURABLE)
    if line is not None:
        await records.put_durable(orjson.dumps(line))


class CallIds:
    """Ids of calls, in order of time, so that records are stored next to each other; nobody guesses the rest."""

    RESERVE = 256

    def __init__(self) -> None:
        self._random: list[str] = []

    def __call__(self, at_s: float) -> str:
        """For a call begun at `at_s`."""
        if not self._random:
            drawn = os.urandom(6 * self.RESERVE).hex()
            self._random = [drawn[at : at + 12] for at in range(0, len(drawn), 12)]
        return f"wr_{int(at_s * 1000):011x}{self._random.pop()}"


def of_provider(inflate: Inflate) -> Inflate:
    """For answers: a coding that cannot be read is then the provider's fault, not the caller's."""

    def work(headers: Headers, body: bytes, limit: int) -> bytes:
        try:
            return inflate(headers, body, limit)
        except BadRequest as error:
            raise ProtocolViolation("The provider's answer has a content coding that cannot be read.") from error

    return work
