"""State that a provider keeps (stored responses, conversations): which upstream an id lives at, and whose it is."""

from __future__ import annotations

from contextlib import suppress

import orjson

from proxy.errors import BadRequest, StoreDown
from proxy.exchange import Exchange, Json
from proxy.ports import Store
from proxy.upstream.endpoint import takes_credential

TTL_S = 30 * 86_400.0
"""As long as providers keep stored responses by default."""


class Held:
    """Ids seen in answers go where they live, and only for the credential that made them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def remember(self, exchange: Exchange, id: str) -> None:
        """Of answers of the dialect that has such ids."""
        if not id or exchange.target is None or exchange.request.dialect != "responses":
            return
        caller = exchange.caller
        value = orjson.dumps([exchange.target.upstream, caller.credential])
        with suppress(StoreDown):  # such an id is then as unknown as one from before Weir
            await self._store.put(_key(caller.tenant, id), value, TTL_S)
            await self._store.put(_key("", id), b"1", TTL_S)

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

    def _brings_own(self, exchange: Exchange) -> bool:
        """The provider itself tells callers apart: theirs is the credential it sees."""
        upstream = exchange.snapshot.upstreams.get(exchange.target.upstream) if exchange.target else None
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


def _key(tenant: str, id: str) -> str:
    """Without a tenant: that somebody has it."""
    return f"held:{tenant}:{id[:256]}"
