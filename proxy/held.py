"""State that a provider keeps (stored responses, conversations): which upstream an id lives at, and whose it is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

import orjson

from proxy.errors import BadRequest, StoreDown
from proxy.exchange import KEEP, Exchange, Json, Request, kept_key
from proxy.ports import Store
from proxy.upstream.endpoint import takes_credential

log = logging.getLogger("weir")
TTL_S = 30 * 86_400.0
"""As long as providers keep stored responses by default."""
BATCH = 64
"""Ids that are written in one go, at most."""


class Held:
    """Ids seen in answers go where they live, and only for the credential that made them.

    An answer waits until its id is in the store, since its caller may build on it at once, through another worker.
    What comes while a write is under way goes into the next one, with all that came meanwhile; no more can wait than
    there are calls."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[tuple[dict[str, bytes], Callable[[], None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def remember(self, exchange: Exchange, id: str) -> None:
        """Of answers and conversations that the provider keeps."""
        done = asyncio.get_running_loop().create_future()
        if not self.remembered(exchange, id, lambda: None if done.done() else done.set_result(None)):
            await done

    def remembered(self, exchange: Exchange, id: str, then: Callable[[], None]) -> bool:
        """`remember` for those who cannot wait. False: it takes a moment, and `then` is called behind it."""
        if not id or exchange.target is None or exchange.request.dialect not in ("responses", "chat"):
            return True
        caller = exchange.caller
        values = {_key(caller.tenant, id): orjson.dumps([exchange.target.upstream, caller.credential])}
        values.setdefault(_key("", id), b"1")
        for plugin, value in (exchange.notes.read(KEEP) or {}).items():
            values[kept_key(caller.tenant, id, plugin)] = value
        if getattr(self._store, "at_once", False) and self._put(values):
            return True
        self._waiting.append((values, then))
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write(), name="held")
        return False

    def _put(self, values: dict[str, bytes]) -> bool:
        """Into a store that does not wait."""
        work = self._store.put_all(values, TTL_S)
        try:
            work.send(None)
        except StopIteration:
            return True
        except StoreDown:
            return True
        work.close()
        return False

    async def _write(self) -> None:
        try:
            await self._write_all()
        finally:
            self._writing = None

    async def _write_all(self) -> None:
        call_soon = asyncio.get_running_loop().call_soon
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            values = {key: value for one, _ in batch for key, value in one.items()}
            try:
                with suppress(StoreDown):  # such ids are then as unknown as those from before Weir
                    await self._store.put_all(values, TTL_S)
            except Exception:  # it is told here, and costs no caller the answer
                log.exception("ids of stored answers could not be remembered")
            finally:
                for _, then in batch:
                    call_soon(then)

    async def upstream_of(self, exchange: Exchange, id: str) -> str | None:
        """The upstream that keeps `id`; None where Weir has not seen it. Raises BadRequest (404), as if it did not
        exist, where it belongs to another credential or tenant, and where several callers share a provider's key and
        nobody knows whose it is."""
        caller = exchange.caller
        shared = not self._brings_own(exchange)
        try:
            found = await self._store.get(_key(caller.tenant, id))
            if found is None and shared and await self._store.get(_key("", id)) is not None:
                raise _unknown()
        except StoreDown:
            found = None
        if found is None:
            if shared and exchange.snapshot.identity.keys:
                raise _unknown()
            return None
        upstream, credential = orjson.loads(found)
        if credential != caller.credential:
            raise _unknown()
        return str(upstream)

    def shares(self, exchange: Exchange, upstream: str) -> bool:
        """Whether several callers are one to this upstream, so that what it keeps for one it would tell another."""
        return bool(exchange.snapshot.identity.keys) and not self._brings_own(exchange, upstream)

    def _brings_own(self, exchange: Exchange, name: str = "") -> bool:
        """The provider itself tells callers apart: theirs is the credential it sees (but a key of Weir's)."""
        if exchange.caller.key is not None:
            return False
        name = name or (exchange.target.upstream if exchange.target else "")
        upstream = exchange.snapshot.upstreams.get(name)
        return upstream is not None and takes_credential(upstream)


def _unknown() -> BadRequest:
    error = BadRequest("Nothing is stored under this id.", param="previous_response_id", code="not_found")
    error.status = 404
    return error


def named_id(doc: Json) -> str | None:
    """The stored thing that a call builds on."""
    previous = doc.get("previous_response_id")
    if isinstance(previous, str) and previous:
        return previous
    conversation = doc.get("conversation")
    if isinstance(conversation, dict):
        conversation = conversation.get("id")
    return conversation if isinstance(conversation, str) and conversation else None


def is_kept(request: Request, answer: Json) -> bool:
    """Whether the provider may have kept its answer: of a response only its own word counts that it has not, a chat
    completion is kept where that was asked for."""
    if request.dialect == "responses":
        return answer.get("store") is not False
    return request.dialect == "chat" and request.get("store") is True


def _key(tenant: str, id: str) -> str:
    """Without a tenant: that somebody has it."""
    return f"held:{tenant}:{id[:256]}"
