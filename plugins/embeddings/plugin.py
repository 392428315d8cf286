"""Embeddings: what of a call is known is not sent; what others are asking for just now is waited for.

Below the cache, which has the whole call; here it is taken input by input. A call whose inputs are all known is
answered. Of any other, the unknown inputs alone go on, as the call itself (its credential, retries and price are its
own), and the answer is put together from both. Inputs that are on their way for another call of the tenant are waited
for. Small calls that come within a few milliseconds go out as the call of the first of them.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from plugins.embeddings.frequent import Frequent
from plugins.embeddings.inputs import Inputs, inputs
from plugins.embeddings.options import EmbeddingsOptions
from plugins.embeddings.vectors import Vector, Vectors, body, read
from proxy.errors import BadRequest, Overloaded
from proxy.exchange import MASK, Exchange, Json, Response, Saving, Target, Usage
from proxy.plugin import Kit, Plugin

T = TypeVar("T")
LARGE_BYTES: Final = 256 * 1024
CONTROL: Final = "x-weir-cache"
READ_CHARS: Final = 1024
SHOWN_CHARS: Final = 40
"""Of the beginning of a frequent input; what is masked in it is looked for in more, lest it be cut in two."""
BAD_GATEWAY: Final = 502
UNTAKEN: Final = frozenset({400, 413, 422})
"""Statuses by which a provider says that an input, or all together, is not for it."""
MISSING: Final = (
    b'{"error":{"message":"The provider did not answer every input with a vector.","type":"server_error",'
    b'"param":null,"code":"upstream_protocol_violation"}}'
)


@dataclass(slots=True)
class Sent:
    """What a call asks the provider for, for itself and for others."""

    call: Inputs
    items: dict[bytes, Json]
    """By key, in the order in which they are sent."""
    edited: bool = False
    kept: bool = True
    """The vectors may be kept."""
    ways: dict[bytes, asyncio.Future[bool]] = field(default_factory=dict)
    """Who waits for these: True once they are there, False where they do not come."""
    known: dict[bytes, Vector] = field(default_factory=dict)
    """What need not be sent."""
    failed: bool = False
    open: bool = False
    """Others may still join."""


class Embeddings(Plugin[EmbeddingsOptions]):
    name = "embeddings"
    Options = EmbeddingsOptions
    whole = frozenset({"memory_bytes", "frequent"})
    paths = frozenset({"/v1/embeddings"})
    patience_s = 30.0
    again = frozenset()
    after = frozenset({"injection", "pii", "variants", "routing", "cache"})

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self._secret = kit.secret("embeddings")
        self.vectors = Vectors(EmbeddingsOptions().memory_bytes)
        self.frequent = Frequent(EmbeddingsOptions().frequent)
        self._version = -1
        self._ways: dict[bytes, asyncio.Future[bool]] = {}
        self._open: dict[bytes, Sent] = {}
        self._counts = dict.fromkeys(("known", "sent", "together", "calls"), 0)

    # --- out

    async def request(self, exchange: Exchange) -> Response | None:
        request, options = exchange.request, exchange.options(self)
        if request.dialect != "embeddings" or exchange.target is None or not options.ttl_s:
            return None
        self._follow(exchange)
        call = inputs(exchange, request.present(), self._secret)
        if call is None:
            return None
        begins = _beginning(exchange)
        person = b"" if begins is None else self._person(exchange.caller.user)
        for key, item in zip(call.keys, call.items, strict=True):
            told = None if begins is None or type(item) is not str else partial(begins, item)
            self.frequent.add(key, len(item), told, person)
        said = _said(exchange)
        if "no-cache" in said:
            exchange.state[self.name] = self._begun(Sent(call, _items(call), kept="no-store" not in said))
            return None
        if "no-store" not in said and (waited := [self._ways[key] for key in set(call.keys) if key in self._ways]):
            await asyncio.gather(*map(asyncio.shield, waited))
        since_s = exchange.at_s - options.ttl_s
        found = {key: vector for key in call.keys if (vector := self.vectors.get(key, since_s)) is not None}
        missing = {key: item for key, item in _items(call).items() if key not in found}
        if not missing:
            return await self._known(exchange, call, [found[key] for key in call.keys])
        if "no-store" in said:
            return None
        return await self._going(exchange, Sent(call, missing, known=found), options)

    async def _known(self, exchange: Exchange, call: Inputs, vectors: list[Vector]) -> Response:
        """Nothing of the call goes out."""
        tokens = sum(vector.tokens for vector in vectors)
        self._save(exchange, tokens)
        self._count(exchange, "known", len(vectors))
        exchange.cache = "HIT"
        exchange.step(self.name, "request", f"knew all {len(vectors)} inputs")
        return Response(
            body=await self._told(vectors, call.form, 0),
            usage=Usage(input=tokens),
            usage_source="cached",
            model=vectors[0].model,
        )

    async def _going(self, exchange: Exchange, sent: Sent, options: EmbeddingsOptions) -> Response | None:
        """Sends what is missing, with the call itself or with that of another who came just before."""
        call, missing = sent.call, sent.items
        small = options.window_ms > 0 and len(missing) <= options.few
        host = self._open.get(call.scope) if small else None
        if host is not None and len(host.items) + len(missing) <= options.most:
            return await self._guest(exchange, sent, host)
        exchange.state[self.name] = self._begun(sent)
        if small and host is None:
            await self._gathered(call.scope, sent, options.window_ms / 1000)
        if list(sent.items) != call.keys:
            exchange.request.set("input", list(sent.items.values()))
            exchange.flight = ""
            sent.edited = True
            exchange.step(self.name, "request", f"sends {len(sent.items)} inputs for {len(call.items)}")
        return None

    async def _gathered(self, scope: bytes, sent: Sent, window_s: float) -> None:
        """Waits for others to join. Who gives up waiting lets them go on their own."""
        self._open[scope], sent.open = sent, True
        try:
            await asyncio.sleep(window_s)
        except BaseException:
            self._over(sent, False)
            raise
        finally:
            sent.open = False
            if self._open.get(scope) is sent:
                del self._open[scope]

    async def _guest(self, exchange: Exchange, sent: Sent, host: Sent) -> Response | None:
        """Has what is missing sent with another's call. Where that fails, the call goes on as it came."""
        call, missing = sent.call, sent.items
        host.items.update(missing)
        self._on_their_way(host, missing)
        if not all(await asyncio.gather(*(asyncio.shield(host.ways[key]) for key in missing))):
            return None
        vectors = [sent.known.get(key) or self.vectors.get(key, 0.0) for key in call.keys]
        found = [vector for vector in vectors if vector is not None]
        if len(found) < len(vectors):
            return None
        tokens = sum(vector.tokens for vector in found)
        self._count(exchange, "together", len(missing))
        exchange.cache = "COALESCED"
        exchange.step(self.name, "request", "went out with another call")
        return Response(
            body=await self._told(found, call.form, tokens),
            usage=Usage(input=tokens),
            usage_source="cached",
            model=found[0].model,
        )

    # --- back

    async def answer(self, exchange: Exchange, error: Exception | None) -> Response | Target | None:
        sent: Sent | None = exchange.state.get(self.name)
        if sent is None:
            return None
        response = exchange.response
        if error is not None or response is None or response.body is None or response.status != 200:
            self._over(sent, False)
            return self._alone(exchange, sent)
        try:
            vectors, tokens = await self._beside(
                len(response.body), read, response.body, len(sent.items), exchange.at_s
            )
        except ValueError:
            self._over(sent, False)
            return self._failed(exchange, sent) if sent.edited else None
        fresh = dict(zip(sent.items, vectors, strict=True))
        self._learn(exchange, sent, fresh, tokens)
        return await self._whole(exchange, sent, fresh) if sent.edited else None

    def _alone(self, exchange: Exchange, sent: Sent) -> Target | None:
        """The call once more, without what others had it carry along: that may be what the provider would not take."""
        response, own = exchange.response, set(sent.call.keys)
        items = {key: item for key, item in sent.items.items() if key in own}
        if response is None or response.status not in UNTAKEN or len(items) == len(sent.items):
            return None
        sent.items = items
        exchange.request.edits["input"][:] = items.values()  # (in place: what is sent anew is made of the same edits)
        exchange.step(self.name, "answer", "asks again without the inputs of others")
        return exchange.target

    def _failed(self, exchange: Exchange, sent: Sent) -> Response:
        """Vectors are missing: what came is no answer to what the caller asked."""
        sent.failed = True
        exchange.step(self.name, "answer", "vectors were missing")
        return Response(status=BAD_GATEWAY, body=MISSING)

    async def _whole(self, exchange: Exchange, sent: Sent, fresh: dict[bytes, Vector]) -> Response:
        """The answer to all inputs of the call, in their order."""
        keys = sent.call.keys
        known = [sent.known[key] for key in keys if key not in fresh]
        self._save(exchange, sum(vector.tokens for vector in known))
        self._count(exchange, "known", len(known))
        vectors = [fresh[key] if key in fresh else sent.known[key] for key in keys]
        return Response(
            body=await self._told(vectors, sent.call.form, sum(fresh[key].tokens for key in {*keys} & fresh.keys()))
        )

    def _learn(self, exchange: Exchange, sent: Sent, fresh: dict[bytes, Vector], tokens: int) -> None:
        weights = [max(1, len(item)) for item in sent.items.values()]
        person, total = self._person(exchange.caller.user), sum(weights)
        for (key, vector), weight in zip(fresh.items(), weights, strict=True):
            vector.tokens, vector.person = round(tokens * weight / total), person
            if sent.kept:
                self.vectors.keep(key, vector)
        self._counts["calls"] += 1
        self._count(exchange, "sent", len(fresh))
        self._over(sent, sent.kept)

    async def finish(self, exchange: Exchange) -> None:
        """However the call ended: who still waits for it goes on alone."""
        sent: Sent | None = exchange.state.get(self.name)
        if sent is not None:
            self._over(sent, False)
            if sent.failed:
                exchange.outcome = "provider_error"

    # --- beside

    async def _told(self, vectors: list[Vector], form: str, tokens: int) -> bytes:
        """The answer with these vectors."""
        return await self._beside(sum(len(vector.raw) for vector in vectors), body, vectors, form, tokens)

    async def _beside(self, size_bytes: int, work: Callable[..., T], *arguments: Any) -> T:
        """What `work` gives: of much, in a thread."""
        if size_bytes < LARGE_BYTES:
            return work(*arguments)
        try:
            return await self.kit.tasks.in_thread(work, *arguments)
        except Overloaded:  # before anything was begun
            return work(*arguments)

    async def ordered(self, order: dict[str, Any]) -> dict[str, Any]:
        """`stats`: how many vectors there are, of what use they were, and which inputs come most often: as digests, and
        how they begin where their texts may be kept (`content`) and personal data is masked."""
        if order.get("do") != "stats":
            raise BadRequest("embeddings know the order stats")
        return {
            "vectors": len(self.vectors), "bytes": self.vectors.used_bytes, "most_bytes": self.vectors.most_bytes,
            **self._counts, "inputs": self.frequent.seen, "frequent": self.frequent.top(),
        }  # fmt: skip

    async def forget(self, user: str) -> int:
        """Vectors that were first made for this user's calls."""
        return self.vectors.forget(self._person(user)) + self.frequent.forget(self._person(user))

    async def export(self, user: str) -> list[dict[str, Any]]:
        held = self.vectors.of(self._person(user))
        return [{"vectors": held}] if held else []

    def _begun(self, sent: Sent) -> Sent:
        if sent.kept:
            self._on_their_way(sent, sent.items)
        return sent

    def _on_their_way(self, sent: Sent, items: dict[bytes, Json]) -> None:
        for key in items:
            if key not in self._ways:
                self._ways[key] = sent.ways[key] = asyncio.get_running_loop().create_future()
            else:
                sent.ways.setdefault(key, self._ways[key])

    def _over(self, sent: Sent, came: bool) -> None:
        """Tells who waits."""
        for key, way in sent.ways.items():
            if self._ways.get(key) is way:
                del self._ways[key]
            if not way.done():
                way.set_result(came)
        sent.ways.clear()

    def _person(self, user: str | None) -> bytes:
        if user is None:
            return b""
        hashed = hashlib.blake2b(user.encode("utf-8", "replace"), key=self._secret, digest_size=8, person=b"user")
        return hashed.digest()

    def _save(self, exchange: Exchange, tokens: int) -> None:
        target = exchange.target
        if not tokens or target is None:
            return
        cost = self.kit.prices.cost_nano_usd(target.upstream, target.model, Usage(input=tokens), exchange.at_s)[0]
        exchange.savings.append(Saving(self.name, "embeddings", tokens, 0, cost))

    def _count(self, exchange: Exchange, result: str, inputs: int) -> None:
        self._counts[result] += inputs
        if inputs:
            agent = exchange.caller.agent
            self.kit.metrics.counter("weir_embeddings_inputs_total", agent=agent, result=result).add(inputs)

    def _follow(self, exchange: Exchange) -> None:
        """New settings: how much memory there is, and how many inputs are watched."""
        snapshot = exchange.snapshot
        if snapshot.version <= self._version:
            return
        self._version = snapshot.version
        options = snapshot.options(self.name, "", "")
        if isinstance(options, EmbeddingsOptions):
            self.vectors.fit(options.memory_bytes)
            self.frequent.most = options.frequent


def _beginning(exchange: Exchange) -> Callable[[str], str] | None:
    """How a text begins, fit to be kept. None where texts of this agent are not kept, or nobody masks them."""
    mask = exchange.notes.read(MASK)
    if mask is None or exchange.snapshot.content_of(exchange.caller.agent) == "none":
        return None
    return lambda text: mask(text[:READ_CHARS])[:SHOWN_CHARS]


def _items(call: Inputs) -> dict[bytes, Json]:
    """Each once."""
    return dict(zip(call.keys, call.items, strict=True))


def _said(exchange: Exchange) -> set[str]:
    """What the caller says of the cache; of `no-store=...` the name alone, as the cache hears it."""
    words = (value for name, value in exchange.request.headers if name.lower() == CONTROL)
    return {
        word.partition("=")[0].strip().replace("_", "-")
        for value in words
        for word in value.lower().replace(";", ",").split(",")
    }
