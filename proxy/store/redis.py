"""Hot state in Redis or Valkey: one script per verb that must be atomic, tight time-outs, one breaker around it all.

Every verb answers within `timeout_s` or raises `StoreDown`; while the breaker is open it raises at once, and a ping in
the background finds out when Redis is back. What then applies (open, a local share, refuse) is each caller's policy.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError, ResponseError

from proxy import ports
from proxy.clock import SystemClock
from proxy.coroutines import in_a_task
from proxy.errors import StoreDown
from proxy.ports import Allowance, Bucket
from proxy.store import scripts
from proxy.store.breaker import Breaker
from proxy.store.bucket import Taken
from proxy.store.leases import Leases

T = TypeVar("T")
Connected = Callable[[AbstractConnection], Awaitable[None]]
LOG = logging.getLogger("weir.store")
MISUSE = ("WRONGTYPE", "value is not an integer", "increment or decrement would overflow")
"""Answers that are the asker's fault: no reason to think Redis ill."""


@dataclass(frozen=True, slots=True)
class RedisOptions:
    namespace: str = "weir:"
    timeout_s: float = 0.06
    """The whole time one verb may take, connecting included."""
    probe_s: float = 1.0
    """How often, and how long at most, an open breaker asks whether Redis is back."""
    failures: int = 3
    pool_size: int = 64


class RedisStore:
    """`ports.Store` on Redis. Time is the server's, so that a fleet counts by one clock."""

    def __init__(
        self, url: str, options: RedisOptions | None = None, on_change: Callable[[bool], None] | None = None
    ) -> None:
        self.options = options or RedisOptions()
        self._breaker = Breaker(self.options.failures, self._changed)
        self._on_change = on_change
        self._told = False
        self._run_id = b""
        """Of the server on this machine that was met last."""
        local = self._connected if "unix://" in url else None
        self._redis = _client(url, self.options, self.options.timeout_s, local)
        self._watcher = _client(url, self.options, None)
        self._take = self._redis.register_script(scripts.TAKE)
        self._put_if = self._redis.register_script(scripts.PUT_IF)
        self._put = self._redis.register_script(scripts.PUT)
        self._put_all = self._redis.register_script(scripts.PUT_ALL)
        self._delete = self._redis.register_script(scripts.DELETE)
        self._add = self._redis.register_script(scripts.ADD)
        self._lease = self._redis.register_script(scripts.LEASE)
        self.leases = Leases(self._leased, SystemClock().monotonic_s, self._leases_changed)
        self._append = self._redis.register_script(scripts.APPEND)
        self._probe: asyncio.Task[None] | None = None

    @property
    def down(self) -> bool:
        """True while the breaker is open, or reservations are made from this process's share: /readyz says so."""
        return self._breaker.open or self.leases.away

    async def start(self) -> None:
        """Opens the first connection with a patient time-out. Redis may be away: Weir starts without it."""
        if not await self._ping():
            self._breaker.failed("it did not answer at start")
            self._open("it did not answer at start")

    async def stop(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)
        await self.leases.stop()
        await self._redis.aclose()
        await self._watcher.aclose()

    async def get(self, key: str) -> bytes | None:
        found: bytes | None = await self._run(lambda: self._redis.get(self._key(key)))
        return found

    async def put(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        arguments: list[bytes | str | int] = [value, _ms(ttl_s), self._channel(key), key]
        await self._run(lambda: self._put(keys=[self._key(key)], args=arguments))

    async def put_all(self, values: Mapping[str, bytes], ttl_s: float | None = None) -> None:
        if not values:
            return
        arguments: list[bytes | str | int] = [_ms(ttl_s)]
        for key, value in values.items():
            arguments += [value, self._channel(key), key]
        keys = [self._key(key) for key in values]
        await self._run(lambda: self._put_all(keys=keys, args=arguments))

    async def put_if(self, key: str, value: bytes, expected: bytes | None, ttl_s: float | None = None) -> bool:
        arguments: list[bytes | str | int] = [
            value,
            _ms(ttl_s),
            self._channel(key),
            key,
            0 if expected is None else 1,
            expected or b"",
        ]
        return bool(await self._run(lambda: self._put_if(keys=[self._key(key)], args=arguments)))

    async def delete(self, key: str) -> bool:
        return bool(await self._run(lambda: self._delete(keys=[self._key(key)], args=[self._channel(key), key])))

    async def add(self, key: str, amount: int, ttl_s: float | None = None) -> int:
        return int(await self._run(lambda: self._add(keys=[self._key(key)], args=[amount, _ms(ttl_s)])))

    async def take(self, buckets: Sequence[Bucket], amounts: Sequence[int]) -> Taken:
        if len(buckets) != len(amounts):
            raise ValueError("take needs one amount per bucket")
        if not buckets:
            return Taken(True, 0.0, ())
        arguments: list[int | str] = []
        for bucket, amount in zip(buckets, amounts, strict=True):
            arguments += [bucket.capacity, repr(bucket.refill_per_s), amount]
        keys = [self._key(bucket.key) for bucket in buckets]
        ok, wait_s, *left = await self._run(lambda: self._take(keys=keys, args=arguments))
        seconds = float(wait_s)
        return Taken(bool(ok), math.inf if seconds < 0 else seconds, tuple(int(each) for each in left))

    def reserve(self, buckets: Sequence[Allowance], amounts: Sequence[int]) -> Taken | asyncio.Future[ports.Taken]:
        return self.leases.reserve(buckets, amounts)

    def settle(self, buckets: Sequence[Allowance], amounts: Sequence[int]) -> None:
        self.leases.settle(buckets, amounts)

    async def _leased(self, keys: list[str], arguments: list[Any]) -> list[Any]:
        named = [self._key(key) for key in keys]
        found: list[Any] = await self._run(lambda: self._lease(keys=named, args=arguments))
        return found

    async def append(self, log: str, value: bytes, limit: int) -> None:
        await self._run(lambda: self._append(keys=[self._key(log)], args=[value, limit]))

    async def tail(self, log: str, limit: int) -> list[bytes]:
        """The newest `limit` entries of a log, newest first."""
        lines: list[bytes] = await self._run(lambda: self._redis.lrange(self._key(log), -limit, -1))
        return lines[::-1]

    async def watch(self, prefix: str) -> AsyncIterator[str]:
        """Lives through lost connections: after each it gives the prefix itself, for what may have been missed."""
        while True:
            try:
                async for key in self._listen(prefix):
                    yield key
            except (RedisError, OSError, TimeoutError):
                await asyncio.sleep(self.options.probe_s)

    async def _listen(self, prefix: str) -> AsyncIterator[str]:
        async with self._watcher.pubsub() as pubsub:
            await pubsub.psubscribe(_literal(self._channel(prefix)) + "*")
            while True:
                message = await pubsub.get_message(timeout=5.0)
                if message is None:
                    await pubsub.ping()
                elif message["type"] == "psubscribe":
                    yield prefix
                elif message["type"] == "pmessage":
                    yield message["data"].decode()

    async def _run(self, work: Callable[[], Awaitable[Any] | Any]) -> Any:
        if self._breaker.open:
            raise StoreDown("hot state is not reachable")
        if asyncio.current_task() is None:  # begun by hand, on the short way: time-outs need a task
            await in_a_task()
        try:
            async with asyncio.timeout(self.options.timeout_s):
                result = await work()
        except ResponseError as error:
            if any(sentence in str(error) for sentence in MISUSE):
                raise ValueError("the key holds another kind of thing") from None
            self._breaker.failed(type(error).__name__)
        except (RedisError, OSError, TimeoutError) as error:
            self._breaker.failed(type(error).__name__)
        else:
            self._breaker.succeeded()
            return result
        raise StoreDown("hot state did not answer in time")

    async def _connected(self, connection: AbstractConnection) -> None:
        """A server behind a socket that was killed is back within milliseconds, and may lack what it had not yet
        written: nobody would notice. (Behind an address may be many servers at once.) The first verb that meets another
        one fails, so that nothing is asked of it before it is told what is known here."""
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        said = await connection.read_response()
        met = next((line for line in bytes(said).split(b"\r\n") if line.startswith(b"run_id:")), b"")
        before, self._run_id = self._run_id, met
        if before and met != before:
            self.leases.doubt()
            raise Disconnected("another server answers than before")

    async def _ping(self) -> bool:
        try:
            async with asyncio.timeout(self.options.probe_s):
                await self._redis.execute_command("PING")  # type: ignore[no-untyped-call, unused-ignore]
        except (RedisError, OSError, TimeoutError):
            return False
        return True

    def _open(self, why: str) -> None:
        while not self._breaker.open:
            self._breaker.failed(why)

    def _changed(self, is_open: bool, why: str) -> None:
        if is_open:
            LOG.warning("hot state is not reachable (%s): every use falls back until it is", why)
            self._probe = asyncio.get_running_loop().create_task(self._until_back(), name="store probe")
        else:
            LOG.info("hot state is reachable again")
        self._tell()

    async def _until_back(self) -> None:
        while True:
            if await self._ping():
                break
            await asyncio.sleep(self.options.probe_s)
        self._breaker.succeeded()

    def _leases_changed(self, away: bool) -> None:
        if away:
            LOG.warning("limits are counted in this process's share until hot state is reachable")
        else:
            LOG.info("limits are counted in hot state again")
        self._tell()

    def _tell(self) -> None:
        if self._on_change is not None and self.down is not self._told:
            self._told = self.down
            self._on_change(self.down)

    def _key(self, key: str) -> str:
        return self.options.namespace + key

    def _channel(self, key: str) -> str:
        return f"{self.options.namespace}#{key}"


def _client(url: str, options: RedisOptions, timeout_s: float | None, connected: Connected | None = None) -> Redis:
    pool = BlockingConnectionPool.from_url(
        url.replace("valkey+unix://", "unix://", 1).replace("valkey://", "redis://", 1),
        max_connections=options.pool_size,
        timeout=options.timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=options.probe_s,
        retry=Retry(NoBackoff(), 0),
        redis_connect_func=connected,
    )
    return Redis.from_pool(pool)


async def unreached(url: str, within_s: float) -> str:
    """Why the server there does not answer; empty where it does. Asked once, from scratch."""
    client = _client(url, RedisOptions(probe_s=within_s), within_s)
    try:
        async with asyncio.timeout(within_s):
            await client.execute_command("PING")  # type: ignore[no-untyped-call, unused-ignore]
    except TimeoutError:
        return "it does not answer in time"
    except ResponseError as error:
        return f"it refuses: {str(error).partition(' ')[0]}"
    except RedisError as error:
        refused = "auth" in type(error).__name__.lower()
        return "it refuses the name or the password" if refused else "nothing answers there"
    except OSError as error:
        return error.strerror or type(error).__name__
    finally:
        await client.aclose()
    return ""


def _ms(ttl_s: float | None) -> int:
    return 0 if ttl_s is None else max(1, round(ttl_s * 1000))


def _literal(text: str) -> str:
    """The text as a glob that matches only itself."""
    return "".join("\\" + letter if letter in "*?[]\\^-" else letter for letter in text)
