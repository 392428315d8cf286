"""The admin port: executions, audit trail, settings, metrics and probes, as JSON. `ROUTES` is all there is."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from proxy.control.desk import Desk
from proxy.errors import BadEncoding, BadMethod, BadRequest, MalformedBody, TooLarge, UnknownPath, WeirError
from proxy.server.guard import Access, Guard

Json = Any
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LOG = logging.getLogger("weir.admin")
BODY_BYTES = 256 * 1024
HEADERS = (
    ("Server", "weir"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
)


@dataclass(frozen=True, slots=True)
class Route:
    """One way in. `handler` is a method of `Admin`."""

    method: str
    path: str
    handler: str
    access: Access
    says: str


PROBES = tuple(
    Route("GET", path, handler, "probe", says)
    for handler, says, paths in (
        ("live", "Whether this process works.", ("/livez", "/health/liveliness", "/health/liveness")),
        ("ready", "Whether Weir is ready, and what is not.", ("/readyz", "/healthz", "/health", "/health/readiness")),
    )
    for path in paths
)
METRICS = Route("GET", "/metrics", "metrics", "metrics", "Figures for Prometheus.")
ROUTES: tuple[Route, ...] = (
    *PROBES,
    METRICS,
    Route("GET", "/admin/v1", "index", "admin", "This list."),
    Route("GET", "/admin/v1/executions", "executions", "admin",
          "Calls, newest first: agent, outcome, model, since, until, limit, cursor."),
    Route("GET", "/admin/v1/executions/{id}", "execution", "admin", "One call."),
    Route("GET", "/admin/v1/counts", "counts", "admin",
          "Calls, money and tokens by agent and outcome: agent, outcome, model, since, until."),
    Route("GET", "/admin/v1/events", "events", "admin",
          "Security events, newest first: type, severity, agent, user, plugin, since, until, limit, cursor."),
    Route("GET", "/admin/v1/savings", "savings", "admin",
          "What plugins saved, net, beside what was spent: by (plugin, kind, agent, day), agent, since, until."),
    Route("GET", "/admin/v1/usage", "usage", "admin",
          "Tokens and money by day, provider and model: upstream, since, until."),
    Route("GET", "/admin/v1/unstreamed", "unstreamed", "admin",
          "Agents that wait for long answers without streaming: over (characters), since, until."),
    Route("GET", "/admin/v1/coverage", "coverage", "admin",
          "Which guard sees what, by surface, form and position, and what is not inspected."),
    Route("GET", "/admin/v1/settings", "settings", "admin", "Every value in use and where it comes from."),
    Route("GET", "/admin/v1/overlay", "changes", "admin", "What was changed at run time, newest first."),
    Route("POST", "/admin/v1/overlay", "change", "admin", "Changes one option: {key, value, reason}."),
    Route("GET", "/admin/v1/overlay/export", "export", "admin", "The changes in effect, as YAML for the file."),
    Route("DELETE", "/admin/v1/overlay/{id}", "undo", "admin", "Undoes a change."),
    Route("GET", "/admin/v1/audit", "audit", "admin",
          "Entries of the audit trail, newest first: action, agent, call, limit, below."),
    Route("GET", "/admin/v1/audit/verify", "verify", "admin", "Verifies the whole trail: checkpoint (as exported)."),
    Route("GET", "/admin/v1/audit/checkpoint", "checkpoint", "admin", "The signed head of the trail, to be kept."),
    Route("POST", "/admin/v1/audit/erase", "erase", "token", "As /admin/v1/privacy/erase, by its former name."),
    Route("GET", "/admin/v1/keys", "keys", "admin", "Callers' keys, without the keys."),
    Route("POST", "/admin/v1/keys", "create_key", "token",
          "Makes a key, told once: {name, agent, tenant, models, usd_per_day, expires, ..., reason}."),
    Route("POST", "/admin/v1/keys/{name}/rotate", "rotate_key", "token",
          "A new key in place of the old one: {overlap (such as 24h), reason}."),
    Route("DELETE", "/admin/v1/keys/{name}", "revoke_key", "token", "Refuses a key from now on: reason."),
    Route("GET", "/admin/v1/privacy/export", "export_user", "token",
          "All that is held of a user, as lines of JSON: user."),
    Route("POST", "/admin/v1/privacy/erase", "erase", "token",
          "Forgets a user, wherever something is held: {user, why, texts}."),
    Route("GET", "/admin/v1/cache", "cache_stats", "admin", "What is kept of answers, and how often it was of use."),
    Route("POST", "/admin/v1/cache/invalidate", "invalidate", "admin",
          "Drops kept answers: {tenant, agent, model, id (of an answer or call)}, or {all: true}."),
    Route("GET", "/admin/v1/embeddings", "embeddings", "admin",
          "What is kept of vectors, of what use it was, and which inputs come most often."),
    Route("GET", "/admin/v1/workers", "workers", "admin", "The workers that are connected."),
)  # fmt: skip


class Admin:
    """The handlers. Each gets what it tells from the desk."""

    def __init__(self, desk: Desk, guard: Guard) -> None:
        self._desk = desk
        self._guard = guard

    def app(self, routes: tuple[Route, ...] = ROUTES) -> web.Application:
        """An application of these routes, each behind the guard. Further routes (the dashboard's) may be added to the
        table, and only there."""
        table = {(route.method, route.path): route for route in routes}
        app = web.Application(middlewares=[_told_as_json, self._guarded(table)], client_max_size=BODY_BYTES)
        for route in routes:
            app.router.add_route(route.method, route.path, getattr(self, route.handler))
        app.on_response_prepare.append(_harden)
        return app

    def _guarded(self, table: dict[tuple[str, str], Route]) -> Any:
        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            resource = request.match_info.route.resource
            route = table.get((request.method, resource.canonical)) if resource is not None else None
            self._guard.admit(request, route.access if route is not None else "admin")
            return await handler(request)

        return guarded

    async def live(self, request: web.Request) -> web.Response:
        return _json({"status": "ok"})

    async def ready(self, request: web.Request) -> web.Response:
        ready, details = self._desk.condition.readiness()
        state: Json = {"status": "ok" if ready else details.get("state", "unready")}
        if self._guard.sees_details(request):
            state["details"] = details
        return _json(state, 200 if ready else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        body, content_type = await self._desk.condition.metrics(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def index(self, request: web.Request) -> web.Response:
        rows = [{"method": each.method, "path": each.path, "access": each.access, "says": each.says} for each in ROUTES]
        return _json({"name": "weir admin", "routes": rows})

    async def executions(self, request: web.Request) -> web.Response:
        return _json(await self._desk.executions.page(_query(request)))

    async def execution(self, request: web.Request) -> web.Response:
        found = await self._desk.executions.one(request.match_info["id"])
        if found is None:
            raise UnknownPath("there is no call with this id", code="call_not_found")
        return _json(found)

    async def counts(self, request: web.Request) -> web.Response:
        return _json(await self._desk.executions.counts(_query(request)))

    async def events(self, request: web.Request) -> web.Response:
        return _json(await self._desk.events.page(_query(request)))

    async def savings(self, request: web.Request) -> web.Response:
        return _json(await self._desk.money.savings(_query(request)))

    async def usage(self, request: web.Request) -> web.Response:
        return _json(await self._desk.money.usage(_query(request)))

    async def unstreamed(self, request: web.Request) -> web.Response:
        return _json(await self._desk.money.unstreamed(_query(request)))

    async def coverage(self, request: web.Request) -> web.Response:
        return _json(self._desk.coverage.matrix())

    async def settings(self, request: web.Request) -> web.Response:
        return _json(self._desk.settings.view())

    async def changes(self, request: web.Request) -> web.Response:
        return _json(self._desk.settings.changes())

    async def export(self, request: web.Request) -> web.Response:
        return web.Response(text=self._desk.settings.export(), content_type="application/yaml")

    async def change(self, request: web.Request) -> web.Response:
        body = await _body(request, required={"key", "value"}, known={"key", "value", "reason"})
        key, reason = body["key"], body.get("reason", "")
        for name, text in (("key", key), ("reason", reason)):
            if not isinstance(text, str):
                raise BadRequest("must be text", param=name)
        return _json(await self._desk.settings.apply(key, body["value"], self._guard.who(request), reason), 201)

    async def undo(self, request: web.Request) -> web.Response:
        number = request.match_info["id"]
        if not number.isascii() or not number.isdigit() or len(number) > 12:
            raise BadRequest("must be the number of a change", param="id")
        return _json(await self._desk.settings.undo(int(number), self._guard.who(request)))

    async def audit(self, request: web.Request) -> web.Response:
        return _json(await self._desk.trail.page(_query(request)))

    async def verify(self, request: web.Request) -> web.Response:
        return _json(await self._desk.trail.verify(_query(request)))

    async def checkpoint(self, request: web.Request) -> web.Response:
        return _json(await self._desk.trail.checkpoint())

    async def erase(self, request: web.Request) -> web.Response:
        body = await _body(request, required={"user", "why"}, known={"user", "why", "texts"})
        user, why, texts = body["user"], body["why"], body.get("texts", True)
        for name, text in (("user", user), ("why", why)):
            if not isinstance(text, str):
                raise BadRequest("must be text", param=name)
        if not isinstance(texts, bool):
            raise BadRequest("must be true or false", param="texts")
        return _json(await self._desk.privacy.erase(user, why, self._guard.who(request), texts=texts))

    async def export_user(self, request: web.Request) -> web.StreamResponse:
        query = _query(request, {"user"})
        if not query.get("user", "").strip():
            raise BadRequest("must not be empty", param="user")
        lines = self._desk.privacy.everything(query["user"], self._guard.who(request))
        first = await anext(lines)  # what fails at once is told as an error
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        await response.write(first)
        async for line in lines:
            await response.write(line)
        await response.write_eof()
        return response

    async def keys(self, request: web.Request) -> web.Response:
        return _json(self._desk.keys.listed())

    async def create_key(self, request: web.Request) -> web.Response:
        body = await _body(request, required={"name"}, known=None)
        return _json(await self._desk.keys.create(body, self._guard.who(request)), 201)

    async def rotate_key(self, request: web.Request) -> web.Response:
        body = await _body(request, required=set(), known={"overlap", "reason"})
        return _json(await self._desk.keys.rotate(request.match_info["name"], body, self._guard.who(request)), 201)

    async def revoke_key(self, request: web.Request) -> web.Response:
        query = _query(request, {"reason"})
        return _json(await self._desk.keys.revoke(request.match_info["name"], query, self._guard.who(request)))

    async def cache_stats(self, request: web.Request) -> web.Response:
        return _json(await self._desk.cache.stats())

    async def invalidate(self, request: web.Request) -> web.Response:
        body = await _body(request, required=set(), known={"tenant", "agent", "model", "id", "all"})
        return _json(await self._desk.cache.invalidate(body, self._guard.who(request)))

    async def embeddings(self, request: web.Request) -> web.Response:
        return _json(await self._desk.embeddings.stats())

    async def workers(self, request: web.Request) -> web.Response:
        return _json({"data": self._desk.condition.workers()})


def admin_app(desk: Desk, token: str | None) -> web.Application:
    """The whole admin port."""
    return Admin(desk, Guard(token)).app()


def metrics_app(desk: Desk, token: str | None = None) -> web.Application:
    """A listener for scrapers elsewhere: /metrics and the probes, open to who reaches it, and nothing else."""
    admin = Admin(desk, Guard(token))
    return admin.app((*PROBES, Route(METRICS.method, METRICS.path, METRICS.handler, "probe", METRICS.says)))


@web.middleware
async def _told_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong is told as JSON, in sentences of Weir's own."""
    try:
        return await handler(request)
    except WeirError as error:
        return _fault(error)
    except web.HTTPRequestEntityTooLarge:
        return _fault(TooLarge(f"the body may have at most {BODY_BYTES} bytes"))
    except web.HTTPMethodNotAllowed as error:
        response = _fault(BadMethod("this path does not take this method"))
        response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        return response
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _fault(UnknownPath("there is nothing here") if error.status == 404 else _as_fault(error))
    except Exception as error:  # no traceback leaves this process; the log has it
        LOG.error("an admin call failed: %s %s", request.method, type(error).__name__, exc_info=error)
        return _fault(WeirError("something went wrong here; the log says what"))


async def _harden(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS:
        response.headers[name] = value


def _as_fault(error: web.HTTPException) -> WeirError:
    fault = BadRequest("the request cannot be understood") if error.status < 500 else WeirError("this failed")
    fault.status = error.status
    return fault


def _fault(error: WeirError) -> web.Response:
    said = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    response = _json({"error": said}, error.status)
    for name, value in error.headers:
        response.headers[name] = value
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _json(value: Json, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value) + b"\n", status=status, content_type="application/json")


def _query(request: web.Request, known: set[str] | None = None) -> dict[str, str]:
    """The parameters, each once. `known`: those there are; None: whoever takes them judges them."""
    query: dict[str, str] = {}
    for name, value in request.query.items():
        if name in query:
            raise BadRequest("is given twice", param=name[:40])
        if known is not None and name not in known:
            raise BadRequest(f"there is no such parameter; there are: {', '.join(sorted(known))}", param=name[:40])
        query[name] = value
    return query


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """An object whose names differ: of two with one name, another reader might take the other."""
    found: dict[str, Json] = {}
    for name, value in pairs:
        if name in found:
            raise BadRequest("is given twice", param=name[:40])
        found[name] = value
    return found


async def _body(request: web.Request, *, required: set[str], known: set[str] | None) -> dict[str, Json]:
    """The JSON object that was sent. `known`: the fields there are; None: whoever takes it judges them."""
    if request.content_type != "application/json":
        raise BadEncoding("send JSON: Content-Type: application/json", code="unsupported_media_type")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise BadEncoding("send the body without a content coding")
    if (request.content_length or 0) > BODY_BYTES:
        raise TooLarge(f"the body may have at most {BODY_BYTES} bytes")
    raw = await request.read()
    try:
        orjson.loads(raw)  # the stricter of the two: no NaN, no bad UTF-8, bounded nesting
        body = json.loads(raw, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise MalformedBody("the body is no JSON") from None
    if not isinstance(body, dict):
        raise MalformedBody("the body must be a JSON object")
    for name in sorted(required - body.keys()):
        raise BadRequest("is missing", param=name)
    if known is not None and (unknown := sorted(body.keys() - known)):
        raise BadRequest(f"there is no such field; there are: {', '.join(sorted(known))}", param=unknown[0][:40])
    return body
