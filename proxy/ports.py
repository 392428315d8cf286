"""What the core asks of the world: protocols only, no code."""

from __future__ import annotations

from asyncio import Future
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from proxy.errors import WeirError

T = TypeVar("T")
Json = Any
Now = Callable[[], float]
"""Monotonic seconds."""
Headers = list[tuple[str, str]]
Pairs = Sequence[tuple[str, str]]
"""Headers that are only read."""


class Clock(Protocol):
    """The only source of time. Wall time is for records, monotonic time for limits and latencies."""

    def wall_s(self) -> float: ...

    def monotonic_s(self) -> float: ...


class Store(Protocol):
    """Hot state. Every verb is atomic; keys are partitioned by tenant by whoever builds them. TTLs in seconds.
    A key holds one kind of thing (value or counter, bucket, log); another use of it is a ValueError.
    A store that is away raises `errors.StoreDown`, at once or within its time-out."""

    async def get(self, key: str) -> bytes | None: ...

    async def put(self, key: str, value: bytes, ttl_s: float | None = None) -> None: ...

    async def put_all(self, values: Mapping[str, bytes], ttl_s: float | None = None) -> None:
        """Many at the cost of one."""
        ...

    async def put_if(self, key: str, value: bytes, expected: bytes | None, ttl_s: float | None = None) -> bool:
        """Writes only where the present value equals `expected` (None: absent). True if written."""
        ...

    async def delete(self, key: str) -> bool: ...

    async def add(self, key: str, amount: int, ttl_s: float | None = None) -> int:
        """Adds to a counter and returns the new value; the TTL starts when the counter does."""
        ...

    async def take(self, buckets: Sequence[Bucket], amounts: Sequence[int]) -> Taken:
        """Reserves `amounts[i]` from `buckets[i]`, all or none, after refilling them; a negative amount gives back."""
        ...

    def reserve(self, buckets: Sequence[Allowance], amounts: Sequence[int]) -> Taken | Future[Taken]:
        """`take` for what every call needs: at once where this process holds enough, else to be awaited. Never raises:
        what applies while the store is away, its answer has in it. To be settled."""
        ...

    def settle(self, buckets: Sequence[Allowance], amounts: Sequence[int]) -> None:
        """What a reservation came out at: takes more, or gives back (negative). It is never refused, so that a bucket
        may owe; a shared store hears of it soon."""
        ...

    async def append(self, log: str, value: bytes, limit: int) -> None:
        """Adds to a log that keeps its newest `limit` entries."""
        ...

    def watch(self, prefix: str) -> AsyncIterator[str]:
        """The values under `prefix` that were put or deleted since the watch began (counters, buckets and logs are not
        told). The prefix itself comes first, once the watch stands, and whenever changes may have been missed:
        read everything under it anew."""
        ...


class Bucket(Protocol):
    """A token bucket: `capacity` units, refilled with `refill_per_s`."""

    @property
    def key(self) -> str: ...

    @property
    def capacity(self) -> int: ...

    @property
    def refill_per_s(self) -> float: ...


class Allowance(Bucket, Protocol):
    """A bucket that reservations are made from: a rate, a window that ends, or slots that are lent out."""

    @property
    def ttl_s(self) -> float:
        """A bucket that nothing refills is forgotten after this; 0: never."""
        ...

    @property
    def slots(self) -> bool:
        """Its units are in use until they are given back; those of a process that died come back by themselves."""
        ...


class Taken(Protocol):
    """`ok` or the seconds until it would be, and what is left in each bucket."""

    @property
    def ok(self) -> bool: ...

    @property
    def wait_s(self) -> float: ...

    @property
    def left(self) -> Sequence[int]: ...


class Counter(Protocol):
    def add(self, amount: float = 1.0) -> None: ...


class Histogram(Protocol):
    def observe(self, value: float) -> None: ...


class Metrics(Protocol):
    """Handles are resolved once and kept; asking again with the same labels gives the same handle.
    Past the series bound of a metric the labels become `other`."""

    def counter(self, name: str, **labels: str) -> Counter: ...

    def histogram(self, name: str, **labels: str) -> Histogram: ...

    def gauge(self, name: str, **labels: str) -> Callable[[float], None]: ...


class Tokens(Protocol):
    """Token counts per model family. `exact` is False where the family's table is not public."""

    def count(self, text: str, model: str) -> int: ...

    def exact(self, model: str) -> bool: ...

    def loaded(self, model: str) -> bool:
        """Whether the table is in memory; the first count of a family loads it, which takes a third of a second."""
        ...


class Prices(Protocol):
    """Money is an integer of nano-dollars; None means the price is not known (never 0)."""

    def cost_nano_usd(self, upstream: str, model: str, usage: Any, at_s: float) -> tuple[int | None, str]:
        """Cost of a `Usage` and its `price_source`."""
        ...


class Tasks(Protocol):
    async def in_thread(self, work: Callable[..., T], *arguments: Any) -> T: ...

    def spawn(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        """Runs beside; failures are logged and counted; awaited (bounded) at shutdown."""
        ...


class Live(Protocol):
    """Settings that change while running: the newest snapshot."""

    @property
    def current(self) -> Any: ...


class Head(Protocol):
    """A request's line and headers, the length of its body apart, that may come again and again."""

    @property
    def memo(self) -> Mapping[Any, Any]:
        """What was found to follow from it, by whoever kept it there."""
        ...

    def keep(self, key: Any, value: Any) -> None:
        """Remembers, for a while, what follows from this head, and from what `key` or `value` name, alone."""
        ...


class Incoming(Protocol):
    """One HTTP request as the server hands it to the pipeline. `path` and `query` are as sent, undecoded."""

    method: str
    path: str
    query: str
    headers: Headers
    length: int | None
    websocket: bool
    """The caller asks for a websocket."""
    found: tuple[Any, Any] | None
    """A codec, and the body as it read it, where that was tried before."""

    @property
    def head(self) -> Head | None:
        """Where this head is one that has come before."""
        ...

    @property
    def remote(self) -> str: ...

    @property
    def certificate(self) -> tuple[str, ...]:
        """The names of the certificate that the caller has shown, verified; none where none was."""
        ...

    async def read(self) -> bytes:
        """The whole body as sent (still content-coded); TooLarge and SlowCaller are raised here."""
        ...

    def chunks(self) -> AsyncIterator[bytes]: ...

    def whole(self) -> bytes | None:
        """The body, where all of it has come. It stays."""
        ...

    def gather(self, most: int) -> bool:
        """Makes room for the whole body, while nobody waits for it. False where that is not for here: more than `most`,
        of no known length, not asked for yet, or broken."""
        ...

    def taken(self) -> None:
        """What `whole` gave is not read again."""
        ...


class Reply(Protocol):
    """The way back to the caller. `start` once, then `write`, then `end`; or `send` for everything at once."""

    @property
    def started(self) -> bool: ...

    async def start(self, status: int, headers: Headers, lines: bytes = b"") -> None: ...

    async def write(self, data: bytes) -> None: ...

    def push(self, data: bytes) -> bool:
        """`write` for those who cannot wait. False: nothing more before `ready`."""
        ...

    async def ready(self) -> None:
        """Waits while the caller reads too slowly."""
        ...

    async def end(self, last: bytes = b"") -> None:
        """The proper end, behind a last piece of the body."""
        ...

    async def send(self, status: int, headers: Headers, body: bytes, lines: bytes = b"") -> None: ...

    def abort(self) -> None:
        """Cuts the connection, so that the caller cannot take what came for the whole."""
        ...


Labels = Mapping[str, str]


class ShortReply(Reply, Protocol):
    """The way back of a call that no task serves."""

    def put(self, status: int, headers: Headers, body: bytes, lines: bytes = b"") -> None:
        """`send` for those who cannot wait."""
        ...

    def fail(self, error: WeirError) -> None: ...

    def over(self) -> None:
        """The answer is out, and the call has ended."""
        ...

    def go_on(self, rest: Coroutine[Any, Any, None]) -> None:
        """From here on a task serves the call."""
        ...
