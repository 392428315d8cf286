"""A plugin's own call to a model: without the chain, charged to its parent, metered and audited like any other."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Final

import orjson

from proxy import own, record, wire
from proxy.chain import SHADOW
from proxy.errors import PluginFailed, UpstreamFailed, WeirError
from proxy.exchange import Dialect, Exchange, Request, Response, Target
from proxy.house import CallIds, House, watch
from proxy.live import Upstream
from proxy.upstream import endpoint
from proxy.upstream.link import Outgoing

PRIORITY = -100
"""Below whatever a caller may ask for."""
LIMIT_BYTES = 4 * 1024 * 1024
EMBEDDING = "embedding"
"""The purpose of a call that asks for vectors, whatever its parent asks for."""
EMBEDDINGS: Final[tuple[Dialect, str]] = ("embeddings", "/v1/embeddings")


class Asker:
    """`kit.ask`. Bound to its house once that is built."""

    def __init__(self) -> None:
        self._house: House | None = None
        self._call_id = CallIds()

    def bind(self, house: House) -> None:
        self._house = house

    async def __call__(self, exchange: Exchange, target: Target, call: dict[str, Any], purpose: str) -> Response:
        """`call` is a body of the parent's dialect (with the purpose `embedding`: of embeddings), without `model` and
        never a stream. Raises UpstreamFailed where the provider does not answer 200; PluginFailed in shadow, where
        asking is off."""
        if SHADOW.get():
            raise PluginFailed(purpose, "asking a model is off in shadow")
        assert self._house is not None
        house = self._house
        child = self._child(exchange, target, call, purpose)
        chain = house.chains.current
        route = chain.route(child.caller.agent, child.request.model, child.request.path)
        try:
            await watch(chain, child, route, house.records)
            return await self._send(child)
        except WeirError as error:
            child.error, child.outcome = error, record.outcome_of(error)
            raise
        except asyncio.CancelledError:  # its parent has ended, or its time is up
            child.outcome = "cancelled"
            raise
        finally:
            child.timeline.ended = house.now()
            await chain.finish(child, route)
            house.records.put(record.line(child))

    def _child(self, parent: Exchange, target: Target, call: dict[str, Any], purpose: str) -> Exchange:
        assert self._house is not None
        origin = parent.request
        dialect, path = (origin.dialect, origin.path) if purpose != EMBEDDING else EMBEDDINGS
        codec = wire.codec(dialect)
        body = orjson.dumps({**call, "model": target.model, "stream": False})
        request = Request(
            dialect, "POST", path, "", [("content-type", "application/json")], body,
            doc=codec.read(body), model=target.model, walk=codec.walk, write=codec.write,
        )  # fmt: skip
        caller = replace(parent.caller, priority=PRIORITY)
        child = Exchange(
            self._call_id(self._house.wall()), caller, request,
            at_s=self._house.wall(), start=self._house.now(), snapshot=parent.snapshot,
        )  # fmt: skip
        child.parent, child.purpose, child.target = parent.id, purpose, target
        child.conversation = parent.conversation
        child.timeline.read = child.timeline.start
        return child

    async def _send(self, child: Exchange) -> Response:
        assert self._house is not None
        request = child.request

        def build(target: Target, upstream: Upstream, ask_usage: bool) -> Outgoing:
            headers = endpoint.headers(
                request.headers, upstream, body_length=len(request.body), identity=True, credential_is_ours=True
            )
            return Outgoing("POST", endpoint.target(upstream, target.model, request.path, ""), headers, request.body)

        answering, _, _ = await self._house.pool.send(child, build)
        try:
            raw = await answering.read(LIMIT_BYTES)
            child.timeline.upstream_end = self._house.now()
            response = child.response = Response(status=answering.status)
            answer = wire.codec(request.dialect).answer(raw) if answering.status == 200 else None
        finally:
            answering.close()
        if answer is None:
            raise UpstreamFailed(f"the model asked for {child.purpose} answered {answering.status}")
        own.received(child, response, answer, raw)
        response.text = "".join(one.text for one in answer.segments if one.kind == "text")
        return response
