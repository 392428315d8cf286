"""Weir's own endpoints on the data port: the merged model list, what a caller's own call came to, its word on it."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import orjson

from proxy import own
from proxy.errors import BadEncoding, BadRequest, Forbidden, MalformedBody, TooLarge, UnknownModel, WeirError
from proxy.exchange import Exchange, Json, Response
from proxy.house import Local, Records, Trip
from proxy.live import Upstream
from proxy.record import parsed, summary_of
from proxy.upstream import endpoint
from proxy.upstream.link import Link, Outgoing

LIST_S = 10.0
LIST_BYTES = 16 * 1024 * 1024
KEPT = 256
MOST_S = 1 << 37
"""Dates beyond it have five digits in their year."""
JSON = [("content-type", "application/json")]
WORDS_BYTES = 16 * 1024
COMMENT_CHARS = 2000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
CALL = re.compile(r"[A-Za-z0-9_-]{1,64}")
WORDS = ("request_id", "score", "good", "name", "comment")
NAMED = "answer"
"""What is judged where nothing is named."""


class Models:
    """`GET /v1/models` and `/v1/models/{id}`: what the upstreams offer, one list, in the caller's shape."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def __call__(self, trip: Trip) -> None:
        exchange = trip.exchange
        exchange.request.uninspected.clear()
        snapshot, anthropic = exchange.snapshot, _speaks_messages(trip)
        lists = await asyncio.gather(*(self._of(trip, upstream) for upstream in _open_to(exchange)))
        found: dict[str, Json] = {}
        for models in lists:
            for model in models or ():
                found.setdefault(model["id"], model)
        for alias in snapshot.aliases:
            found.setdefault(alias, {"id": alias, "created": 0, "owned_by": "weir"})
        if not found and all(models is None for models in lists):
            raise WeirError("no upstream gave its models", code="no_models")
        wanted = unquote(exchange.request.path.removeprefix("/v1/models").strip("/"))
        if wanted:
            if wanted not in found:
                raise UnknownModel(f"there is no model {wanted!r} here", param="model")
            body = _shaped(found[wanted], anthropic)
        else:
            body = _listed([_shaped(model, anthropic) for model in found.values()], anthropic)
        exchange.response = Response(source="weir", complete=True)
        await trip.reply.send(200, [*JSON, *own.headers(exchange)], orjson.dumps(body))

    async def _of(self, trip: Trip, upstream: Upstream) -> list[Json] | None:
        """None where it cannot be asked or does not answer: the others still count."""
        request = trip.exchange.request
        headers = endpoint.headers(
            request.headers, upstream, body_length=None, identity=True, credential_is_ours=trip.ours
        )
        try:
            outgoing = Outgoing("GET", endpoint.target(upstream, "", "/v1/models", ""), headers, b"")
            async with asyncio.timeout(LIST_S):
                answering = await self._link.send(upstream, outgoing)
                try:
                    doc = orjson.loads(await answering.read(LIST_BYTES)) if answering.status == 200 else None
                finally:
                    answering.close()
        except (WeirError, TimeoutError, orjson.JSONDecodeError):
            return None
        data = doc.get("data") if isinstance(doc, dict) else None
        if not isinstance(data, list):
            return None
        models = [model for model in data if isinstance(model, dict) and isinstance(model.get("id"), str)]
        return [model for model in models if endpoint.serves(upstream, model["id"])]


def _open_to(exchange: Exchange) -> list[Upstream]:
    """Those with a key of Weir's own, and of the others the one that the caller's credential belongs to."""
    snapshot = exchange.snapshot
    own = endpoint.resolve_relay(snapshot, "/v1/models", exchange.request.headers).upstream
    return [
        upstream
        for upstream in snapshot.upstreams.values()
        if endpoint.may_use(exchange.caller, upstream)
        and (upstream.name == own or not endpoint.takes_credential(upstream))
    ]


def _speaks_messages(trip: Trip) -> bool:
    return any(name.lower() == "anthropic-version" for name, _ in trip.exchange.request.headers)


def _shaped(model: Json, anthropic: bool) -> Json:
    if anthropic:
        if model.get("type") == "model":
            return model
        return {
            "type": "model",
            "id": model["id"],
            "display_name": model["id"],
            "created_at": _iso(model.get("created")),
        }
    if model.get("object") == "model":
        return model
    return {
        "id": model["id"],
        "object": "model",
        "created": model.get("created") or _seconds(model.get("created_at")),
        "owned_by": model.get("owned_by") or ("anthropic" if model.get("type") == "model" else "unknown"),
    }


def _iso(seconds: Any) -> str:
    at_s = seconds if isinstance(seconds, int) and 0 <= seconds < MOST_S else 0
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds(iso: Any) -> int:
    try:
        return int(datetime.fromisoformat(iso).timestamp())
    except (TypeError, ValueError):
        return 0


def _listed(models: list[Json], anthropic: bool) -> Json:
    if not anthropic:
        return {"object": "list", "data": models}
    ids = [model["id"] for model in models]
    return {"data": models, "has_more": False, "first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}


class Calls:
    """`GET /weir/calls/{id}`: the final cost, usage and overhead of a call, for the credential that made it. The newest
    are remembered here; older ones, and those of other workers, are asked of the control process."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._kept: deque[tuple[str, str, bytes]] = deque(maxlen=KEPT)

    def keep(self, exchange: Exchange, line: bytes) -> None:
        self._kept.append((exchange.id, exchange.caller.credential, line))

    async def __call__(self, trip: Trip) -> None:
        wanted = trip.exchange.request.path.rsplit("/", 1)[1]
        credential = trip.exchange.caller.credential
        found = next((kept for kept in reversed(self._kept) if kept[0] == wanted), None)
        summary = summary_of(parsed(found[2])) if found is not None and found[1] == credential else None
        if found is None:
            summary = (await self._records.ask({"call": wanted, "credential": credential})).get("call")
        if summary is None:
            raise _not_found("there is no call of yours with this id (or it has not ended yet)")
        await trip.reply.send(200, JSON, orjson.dumps(summary))


def _not_found(words: str) -> BadRequest:
    error = BadRequest(words, code="call_not_found")
    error.status = 404
    return error


class Feedback:
    """`POST /weir/feedback`, also `/v1/feedback`: a caller's word on the answer to a call of its tenant. One for each
    call and name; the last one counts."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def __call__(self, trip: Trip) -> None:
        said = await _body(trip)
        call, name, score = _call(said), _name(said), _score(said)
        caller = trip.exchange.caller
        wish = {"call": call, "name": name, "score": score, "tenant": caller.tenant, "credential": caller.credential}
        if comment := _comment(said):
            wish["comment"] = comment
        found = (await self._records.ask({"verdict": wish})).get("verdict") or {}
        if found.get("state") != "kept":
            raise _not_kept(found.get("state"))
        told = {"request_id": call, "name": name, "score": score, "before": found["before"], "taught": found["taught"]}
        await trip.reply.send(200, JSON, orjson.dumps(told))


async def _body(trip: Trip) -> dict[str, Json]:
    incoming = trip.incoming
    if any(name.lower() == "content-encoding" and value.lower() != "identity" for name, value in incoming.headers):
        raise BadEncoding("send feedback without a content coding")
    if (incoming.length or 0) > WORDS_BYTES:
        raise TooLarge(f"feedback may have at most {WORDS_BYTES} bytes")
    raw = await incoming.read()
    if len(raw) > WORDS_BYTES:
        raise TooLarge(f"feedback may have at most {WORDS_BYTES} bytes")
    try:
        said = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise MalformedBody("feedback is a JSON object, and this is no JSON") from None
    if not isinstance(said, dict):
        raise MalformedBody("feedback is a JSON object")
    if unknown := sorted(said.keys() - set(WORDS)):
        raise BadRequest(f"feedback has no such field; there are: {', '.join(WORDS)}", param=unknown[0][:40])
    return said


def _call(said: Mapping[str, Json]) -> str:
    call = said.get("request_id")
    if not isinstance(call, str) or not CALL.fullmatch(call):
        raise BadRequest("request_id is the id of a call, as its x-weir-request-id says", param="request_id")
    return call


def _score(said: Mapping[str, Json]) -> float:
    score, good = said.get("score"), said.get("good")
    if (score is None) == (good is None):
        raise BadRequest("say one of score (a number from 0 to 1) and good (true or false)", param="score")
    if score is None:
        if not isinstance(good, bool):
            raise BadRequest("good is true or false", param="good")
        return 1.0 if good else 0.0
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise BadRequest("score is a number from 0 (bad) to 1 (good)", param="score")
    return float(score)


def _name(said: Mapping[str, Json]) -> str:
    name = said.get("name")
    if name is None:
        return NAMED
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadRequest("name has 1 to 64 letters, digits, dots, dashes or underscores", param="name")
    return name


def _comment(said: Mapping[str, Json]) -> str:
    comment = said.get("comment")
    if comment is None:
        return ""
    if not isinstance(comment, str) or len(comment) > COMMENT_CHARS:
        raise BadRequest(f"comment is text of at most {COMMENT_CHARS} characters", param="comment")
    return comment


def _not_kept(state: Any) -> WeirError:
    if state == "forbidden":
        return Forbidden("this call was made by another tenant: it is not yours to judge", code="not_your_call")
    if state == "full":
        return BadRequest("this call is judged under as many names as may be", param="name", code="too_many_names")
    return _not_found("there is no call with this id (or it has not ended yet, or is not kept any more)")


def endpoints(models: Models, calls: Calls, feedback: Feedback) -> Mapping[str, Local]:
    """By `METHOD /path`; a trailing `/` takes all below it."""
    return {
        "GET /v1/models": models,
        "GET /v1/models/": models,
        "GET /weir/calls/": calls,
        "POST /weir/feedback": feedback,
        "POST /v1/feedback": feedback,
    }
