"""State that a provider keeps (stored responses, conversations): which upstream an id lives at, and whose it is."""

from __future__ import annotations

import orjson

from proxy.errors import BadRequest
from proxy.exchange import Exchange, Json
from proxy.ports import Store

TTL_S = 30 * 86_400.0
"""As long as providers keep stored responses by default."""


class Held:
    """Ids seen in answers go where they live, and only for the credential that made them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def remember(self, exchange: Exchange, id: str) -> None:
        if not id or exchange.target is None:
            return
        caller = exchange.caller
        value = orjson.dumps([exchange.target.upstream, caller.credential])
        await self._store.put(_key(caller.tenant, id), value, TTL_S)

    async def upstream_of(self, exchange: Exchange, id: str) -> str | None:
        """The upstream that keeps `id`; None where Weir has not seen it. Raises BadRequest (404) where it belongs to
        another credential: told as if it did not exist."""
        caller = exchange.caller
        found = await self._store.get(_key(caller.tenant, id))
        if found is None:
            return None
        upstream, credential = orjson.loads(found)
        if credential != caller.credential:
            error = BadRequest("nothing is stored under this id", param="previous_response_id", code="not_found")
            error.status = 404
            raise error
        return str(upstream)


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
    return f"held:{tenant}:{id[:256]}"
