from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
import pytest
from aiohttp import web

from proxy.control.desk import Desk
from proxy.errors import BadRequest
from proxy.server.admin import ROUTES, Admin, Route, admin_app, metrics_app
from proxy.server.guard import Guard

TOKEN = "the-admin-tökén-0123456789"
JSON = {"Content-Type": "application/json"}


class FakeDesk:
    """Executions, trail, settings and condition in one."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.breaks = False
        self.is_ready = True

    async def page(self, query: Mapping[str, str]) -> Any:
        if self.breaks:
            raise RuntimeError("canary-detail /somewhere/secret")
        self.calls.append(("page", dict(query)))
        return {"data": [], "next": None}

    async def one(self, id: str) -> Any:
        return {"id": id} if id == "wr_1" else None

    async def counts(self, query: Mapping[str, str]) -> Any:
        return {"data": []}

    async def verify(self, query: Mapping[str, str]) -> Any:
        return {"ok": True}

    async def checkpoint(self) -> Any:
        return {"count": 1}

    async def erase(self, user: str, why: str, who: str, *, texts: bool) -> Any:
        self.calls.append(("erase", user, why, who, texts))
        return {"entries": 2, "calls": 1}

    async def everything(self, user: str, who: str) -> AsyncIterator[bytes]:
        self.calls.append(("export", user, who))
        yield b'{"kind":"about"}\n'
        yield b'{"kind":"record"}\n'

    def listed(self) -> Any:
        return {"data": [{"name": "bob"}]}

    async def create(self, wish: Mapping[str, Any], who: str) -> Any:
        self.calls.append(("create", dict(wish), who))
        return {"name": wish["name"], "key": "weir-shown-once"}

    async def rotate(self, name: str, wish: Mapping[str, Any], who: str) -> Any:
        self.calls.append(("rotate", name, dict(wish), who))
        return {"name": name, "key": "weir-shown-once"}

    async def revoke(self, name: str, wish: Mapping[str, Any], who: str) -> Any:
        self.calls.append(("revoke", name, dict(wish), who))
        return {"name": name, "state": "revoked"}

    def matrix(self) -> Any:
        return {"data": []}

    async def savings(self, query: Mapping[str, str]) -> Any:
        return {"data": []}

    async def usage(self, query: Mapping[str, str]) -> Any:
        return {"data": []}

    async def unstreamed(self, query: Mapping[str, str]) -> Any:
        return {"data": []}

    async def stats(self) -> Any:
        return {"entries": 0, "workers": []}

    async def invalidate(self, wish: Mapping[str, Any], who: str) -> Any:
        self.calls.append(("invalidate", dict(wish), who))
        return {"dropped": 0, "workers": [0]}

    def view(self) -> Any:
        return {"values": {}}

    def changes(self) -> Any:
        return {"changes": []}

    def export(self) -> str:
        return "bypass: true\n"

    async def apply(self, key: str, value: Any, who: str, reason: str) -> Any:
        if key == "wrong":
            raise BadRequest("there is no such option", param="key")
        self.calls.append(("apply", key, value, who, reason))
        return {"id": 1}

    async def undo(self, number: int, who: str) -> Any:
        self.calls.append(("undo", number, who))
        return {"id": number}

    def readiness(self) -> tuple[bool, Any]:
        return self.is_ready, {"settings": {"version": 3}}

    def workers(self) -> Any:
        return []

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        return b"weir_workers 1\n", "text/plain; version=0.0.4; charset=utf-8"


class Port:
    """The application on a real port of this machine."""

    def __init__(self, port: int, session: aiohttp.ClientSession, fake: FakeDesk) -> None:
        self.port = port
        self.session = session
        self.fake = fake

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, Any, Mapping[str, str]]:
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.session.request(method, url, headers=headers, data=body) as answer:
            raw = await answer.read()
            is_json = answer.content_type == "application/json"
            return answer.status, orjson.loads(raw) if is_json else raw, answer.headers

    async def raw(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request.replace(b"PORT", str(self.port).encode()))
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer


@asynccontextmanager
async def serving(app: web.Application, fake: FakeDesk) -> AsyncIterator[Port]:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as session:
        yield Port(int(runner.addresses[0][1]), session, fake)
    await runner.cleanup()


def desk(fake: FakeDesk) -> Desk:
    return Desk(fake, fake, fake, fake, fake, fake, fake, fake, fake, fake, fake)


@pytest.fixture
async def open_port() -> AsyncIterator[Port]:
    """Without a token."""
    fake = FakeDesk()
    async with serving(admin_app(desk(fake), None), fake) as port:
        yield port


@pytest.fixture
async def locked_port() -> AsyncIterator[Port]:
    """With a token."""
    fake = FakeDesk()
    async with serving(admin_app(desk(fake), TOKEN), fake) as port:
        yield port


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def asked(route: Route) -> tuple[str, bytes | None, dict[str, str]]:
    """A good call of the route: path, body, headers."""
    path = route.path.replace("{id}", "1" if "overlay" in route.path else "wr_1").replace("{name}", "bob")
    bodies = {"erase": b'{"user": "ann", "why": "asked"}', "create_key": b'{"name": "bob"}', "rotate_key": b"{}"}
    if route.handler == "invalidate":
        return path, b'{"agent": "a"}', JSON
    if route.handler in bodies:
        return path, bodies[route.handler], JSON
    if route.handler == "export_user":
        return f"{path}?user=ann", None, {}
    if route.method == "POST":
        return path, b'{"key": "bypass", "value": true}', JSON
    return path, None, {}


GOOD = {"change": 201, "create_key": 201, "rotate_key": 201}
ACTS = ("apply", "undo", "erase", "export", "create", "rotate", "revoke", "invalidate")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_every_route_by_every_credential(locked_port: Port, route: Route) -> None:
    path, body, headers = asked(route)
    refused = 401 if route.access in ("admin", "token") else 200
    wrong: list[tuple[str, dict[str, str], int]] = [
        ("nothing", {}, refused),
        ("a wrong token", bearer(TOKEN[:-1]), refused),
        ("the beginning of the token", bearer(TOKEN[:4]), refused),
        ("an empty token", {"Authorization": "Bearer "}, refused),
        ("another scheme", {"Authorization": f"Basic {TOKEN}"}, refused),
        ("the token alone", {"Authorization": TOKEN}, refused),
        ("a key for calls", {"x-api-key": TOKEN}, refused),
        ("a caller's key", bearer("weir-" + "k" * 43), refused),
        ("another header", {"api-key": TOKEN, "x-weir-admin-token": TOKEN}, refused),
        ("a cookie", {"Cookie": "token=x"}, refused),
    ]
    for name, credential, status in wrong:
        assert (await locked_port.ask(route.method, path, headers | credential, body))[0] == status, name
        assert not any(call[0] in ACTS for call in locked_port.fake.calls), name
    token = quote(TOKEN)
    secretly = f"{path}{'&' if '?' in path else '?'}token={token}&key={token}&api_key={token}&access_token={token}"
    in_query = await locked_port.ask(route.method, secretly, headers, body)
    assert in_query[0] == refused
    good = await locked_port.ask(route.method, path, headers | bearer(TOKEN), body)
    assert good[0] == GOOD.get(route.handler, 200)


async def test_every_way_in_stands_in_the_table(locked_port: Port) -> None:
    app = admin_app(desk(FakeDesk()), None)
    ways = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None}
    assert ways == {(route.method, route.path) for route in ROUTES}


async def test_what_does_not_exist_is_not_told_without_the_token(locked_port: Port) -> None:
    for path in ("/admin/v1/nothing", "/admin", "/", "/admin/v1/../v1/settings"):
        status, body, headers = await locked_port.ask("GET", path)
        assert (status, body["error"]["code"]) == (401, "admin_token_needed")
        assert headers["WWW-Authenticate"] == "Bearer"
    status, body, _ = await locked_port.ask("GET", "/admin/v1/nothing", bearer(TOKEN))
    assert (status, body["error"]["code"]) == (404, "unknown_path")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_without_a_token_this_machine_is_served_under_its_own_name_only(open_port: Port, route: Route) -> None:
    path, body, headers = asked(route)
    port = open_port.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", f"LOCALHOST:{port}"):
        status = (await open_port.ask(route.method, path, headers | {"Host": host}, body))[0]
        assert status == (403 if route.access == "token" else GOOD.get(route.handler, 200)), host
    for host in ("evil.example", f"evil.example:{port}", "localhost", f"localhost:{port + 1}",
                 f"127.0.0.1.nip.io:{port}", f"localhost.evil.example:{port}", f"[::2]:{port}"):  # fmt: skip
        status = (await open_port.ask(route.method, path, headers | {"Host": host}, body))[0]
        assert status == (200 if route.access == "probe" else 421), host


async def test_a_call_without_a_host_or_with_two_is_not_served(open_port: Port) -> None:
    assert b" 421 " in await open_port.raw(b"GET /admin/v1 HTTP/1.0\r\n\r\n")
    two = b"GET /admin/v1 HTTP/1.1\r\nHost: localhost:PORT\r\nHost: evil\r\nConnection: close\r\n\r\n"
    assert b" 200 " not in (await open_port.raw(two)).split(b"\r\n")[0]


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Host"])
async def test_calls_through_another_proxy_need_the_token(open_port: Port, locked_port: Port, header: str) -> None:
    assert (await open_port.ask("GET", "/admin/v1", {header: "10.0.0.1"}))[0] == 403
    assert (await open_port.ask("GET", "/metrics", {header: "10.0.0.1"}))[0] == 403
    assert (await locked_port.ask("GET", "/admin/v1", {header: "10.0.0.1"} | bearer(TOKEN)))[0] == 200


async def test_peers_beyond_this_machine_are_not_served_without_a_token() -> None:
    fake = FakeDesk()
    app = admin_app(desk(fake), None)

    @web.middleware
    async def from_afar(request: web.Request, handler: Any) -> web.StreamResponse:
        answer: web.StreamResponse = await handler(request.clone(remote="10.0.0.7"))
        return answer

    app.middlewares.insert(0, from_afar)
    async with serving(app, fake) as port:
        assert (await port.ask("GET", "/livez"))[0] == 200
        status, body, _ = await port.ask("GET", "/readyz")
        assert status == 200 and "details" not in body
        assert (await port.ask("GET", "/metrics"))[0] == 403
        assert (await port.ask("GET", "/admin/v1/settings"))[0] == 403


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
    ],
)
async def test_pages_of_other_sites_change_and_read_nothing(token: str | None, headers: dict[str, str]) -> None:
    fake = FakeDesk()
    async with serving(admin_app(desk(fake), token), fake) as port:
        given = JSON | headers | (bearer(token) if token else {})
        for method, path in (
            ("POST", "/admin/v1/overlay"),
            ("DELETE", "/admin/v1/overlay/1"),
            ("POST", "/admin/v1/audit/erase"),
            ("GET", "/admin/v1/audit"),
        ):
            status, body, _ = await port.ask(method, path, given, b'{"key": "bypass", "value": true}')
            assert (status, body["error"]["code"]) == (403, "cross_site")
        assert fake.calls == []
        own = given | {"Origin": f"http://127.0.0.1:{port.port}", "Sec-Fetch-Site": "same-origin"}
        assert (await port.ask("POST", "/admin/v1/overlay", own, b'{"key": "bypass", "value": true}'))[0] == 201


async def test_no_answer_may_be_read_by_another_site(open_port: Port) -> None:
    status, _, headers = await open_port.ask("OPTIONS", "/admin/v1/overlay", {"Access-Control-Request-Method": "POST"})
    assert status == 405 and not any(name.lower().startswith("access-control") for name in headers)


async def test_a_form_cannot_change_anything(open_port: Port) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        sent = await open_port.ask(
            "POST", "/admin/v1/overlay", {"Content-Type": kind}, b'{"key": "bypass", "value": 1}'
        )
        assert sent[0] == 415
    assert open_port.fake.calls == []


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"[]", 400, None),
        (b"\xff", 400, None),
        (b'{"key": "bypass"}', 400, "value"),
        (b'{"key": 1, "value": 1}', 400, "key"),
        (b'{"key": "a", "value": 1, "reason": []}', 400, "reason"),
        (b'{"key": "a", "value": 1, "who": "root"}', 400, "who"),
        (b'{"key": "wrong", "value": 1}', 400, "key"),
        (b'{"key": "a", "value": "' + b"x" * 300_000 + b'"}', 413, None),
        (b"[" * 100_000, 400, None),
        (b'{"key": "a", "value": 1, "key": "b"}', 400, "key"),
        (b'{"key": "a", "value": {"b": {"c": 1, "c": 2}}}', 400, "c"),
        (b'{"key": "a", "value": ' + b"[" * 1000 + b"]" * 1000 + b"}", 400, None),
        (b'{"key": "a", "value": NaN}', 400, None),
    ],
)
async def test_a_wrong_body_is_told_in_json(open_port: Port, body: bytes, status: int, param: str | None) -> None:
    found, said, _ = await open_port.ask("POST", "/admin/v1/overlay", JSON, body)
    assert found == status and said["error"]["param"] == param and isinstance(said["error"]["code"], str)


async def test_a_compressed_body_is_not_inflated(open_port: Port) -> None:
    sent = await open_port.ask(
        "POST", "/admin/v1/overlay", JSON | {"Content-Encoding": "gzip"}, b"\x1f\x8b" + b"0" * 50
    )
    assert sent[0] in (400, 415) and open_port.fake.calls == []


async def test_a_chunked_body_is_bounded_too(open_port: Port) -> None:
    async def much() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 10_000

    url = f"http://127.0.0.1:{open_port.port}/admin/v1/overlay"
    async with open_port.session.post(url, data=much(), headers=JSON) as answer:
        assert answer.status == 413


async def test_changes_carry_the_name_of_who_made_them(open_port: Port, locked_port: Port) -> None:
    body = b'{"key": "bypass", "value": true, "reason": "incident"}'
    await open_port.ask("POST", "/admin/v1/overlay", JSON, body)
    await locked_port.ask("POST", "/admin/v1/overlay", JSON | bearer(TOKEN), body)
    await locked_port.ask("DELETE", "/admin/v1/overlay/12", bearer(TOKEN))
    assert open_port.fake.calls == [("apply", "bypass", True, "local", "incident")]
    assert locked_port.fake.calls == [("apply", "bypass", True, "admin", "incident"), ("undo", 12, "admin")]
    for number in ("x", "-1", "²", "9" * 20):
        assert (await open_port.ask("DELETE", f"/admin/v1/overlay/{number}"))[0] == 400


ERASE = "/admin/v1/audit/erase"


async def test_erasing_a_user_needs_the_token_and_says_who_asked(open_port: Port, locked_port: Port) -> None:
    body = b'{"user": "ann", "why": "asked"}'
    status, said, _ = await open_port.ask("POST", ERASE, JSON, body)
    assert (status, said["error"]["code"]) == (403, "admin_token_needed") and open_port.fake.calls == []
    assert (await locked_port.ask("POST", ERASE, JSON, body))[0] == 401 and locked_port.fake.calls == []
    status, said, _ = await locked_port.ask("POST", ERASE, JSON | bearer(TOKEN), body)
    assert (status, said) == (200, {"entries": 2, "calls": 1})
    await locked_port.ask("POST", ERASE, JSON | bearer(TOKEN), body[:-1] + b', "texts": false}')
    assert locked_port.fake.calls == [
        ("erase", "ann", "asked", "admin", True),
        ("erase", "ann", "asked", "admin", False),
    ]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b'{"user": "ann"}', "why"),
        (b'{"why": "asked"}', "user"),
        (b'{"user": null, "why": "asked"}', "user"),
        (b'{"user": ["ann"], "why": "asked"}', "user"),
        (b'{"user": "ann", "why": 7}', "why"),
        (b'{"user": "ann", "why": "asked", "texts": "no"}', "texts"),
        (b'{"user": "ann", "why": "asked", "session": "s"}', "session"),
        (b'{"user": "ann", "why": "asked", "user": "bob"}', "user"),
    ],
)
async def test_a_wrong_wish_to_erase_is_told_and_erases_nothing(
    locked_port: Port, body: bytes, param: str | None
) -> None:
    status, said, _ = await locked_port.ask("POST", ERASE, JSON | bearer(TOKEN), body)
    assert (status, said["error"]["param"]) == (400, param) and locked_port.fake.calls == []


async def test_a_failure_shows_no_detail(open_port: Port, caplog: pytest.LogCaptureFixture) -> None:
    open_port.fake.breaks = True
    status, body, headers = await open_port.ask("GET", "/admin/v1/executions")
    assert status == 500 and body["error"]["code"] == "internal_error" and "canary" not in str(body)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "an admin call failed" in caplog.text


async def test_every_answer_is_hardened(open_port: Port) -> None:
    for path in ("/livez", "/metrics", "/admin/v1", "/nothing", "/admin/v1/overlay/export"):
        headers = (await open_port.ask("GET", path))[2]
        assert headers["Cache-Control"] == "no-store" and headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in headers["Content-Security-Policy"] and headers["Server"] == "weir"


async def test_wrong_method_and_unknown_call_are_told(open_port: Port) -> None:
    status, body, headers = await open_port.ask("DELETE", "/admin/v1/settings")
    assert (status, body["error"]["code"], headers["Allow"]) == (405, "method_not_allowed", "GET")
    status, body, _ = await open_port.ask("GET", "/admin/v1/executions/nothing")
    assert (status, body["error"]["code"]) == (404, "call_not_found")


async def test_parameters_given_twice_are_refused(open_port: Port) -> None:
    assert (await open_port.ask("GET", "/admin/v1/executions?agent=a&agent=b"))[0] == 400
    assert (await open_port.ask("GET", "/admin/v1/executions?agent=a&limit=5"))[0] == 200
    assert open_port.fake.calls == [("page", {"agent": "a", "limit": "5"})]


async def test_probes_say_yes_no_and_to_the_near_why(open_port: Port) -> None:
    for path in ("/readyz", "/healthz", "/health", "/health/readiness"):
        assert (await open_port.ask("GET", path))[1] == {"status": "ok", "details": {"settings": {"version": 3}}}
    open_port.fake.is_ready = False
    assert (await open_port.ask("GET", "/readyz"))[0] == 503
    assert (await open_port.ask("GET", "/livez"))[0] == 200


async def test_the_index_lists_every_route(open_port: Port) -> None:
    _, body, _ = await open_port.ask("GET", "/admin/v1")
    assert [(row["method"], row["path"]) for row in body["routes"]] == [(route.method, route.path) for route in ROUTES]


async def test_the_listener_for_scrapers_has_metrics_and_probes_only() -> None:
    fake = FakeDesk()
    async with serving(metrics_app(desk(fake)), fake) as port:
        assert (await port.ask("GET", "/metrics", {"Host": "scraped.example"}))[1] == b"weir_workers 1\n"
        assert (await port.ask("GET", "/livez"))[0] == 200
        for route in ROUTES:
            if route.access in ("admin", "token"):
                path, body, headers = asked(route)
                assert (await port.ask(route.method, path, headers, body))[0] in (403, 404, 405)


async def test_further_routes_come_behind_the_same_guard() -> None:
    class Wider(Admin):
        async def extra(self, request: web.Request) -> web.Response:
            return web.json_response({"extra": True})

    fake = FakeDesk()
    more = (*ROUTES, Route("GET", "/admin/v1/extra", "extra", "admin", "More."))
    async with serving(Wider(desk(fake), Guard(TOKEN)).app(more), fake) as port:
        assert (await port.ask("GET", "/admin/v1/extra"))[0] == 401
        assert (await port.ask("GET", "/admin/v1/extra", bearer(TOKEN)))[0] == 200


async def test_a_key_is_made_with_what_was_said_by_whom_and_is_told_once(locked_port: Port) -> None:
    body = b'{"name": "bob", "agent": "tax", "models": ["gpt-*"], "usd_per_day": 5, "reason": "ticket"}'
    status, said, headers = await locked_port.ask("POST", "/admin/v1/keys", JSON | bearer(TOKEN), body)
    assert (status, said["key"]) == (201, "weir-shown-once") and headers["Cache-Control"] == "no-store"
    rotated = await locked_port.ask("POST", "/admin/v1/keys/bob/rotate", JSON | bearer(TOKEN), b'{"overlap": "24h"}')
    revoked = await locked_port.ask("DELETE", "/admin/v1/keys/bob?reason=left", bearer(TOKEN))
    assert (rotated[0], revoked[0]) == (201, 200)
    assert locked_port.fake.calls == [
        ("create", orjson.loads(body), "admin"),
        ("rotate", "bob", {"overlap": "24h"}, "admin"),
        ("revoke", "bob", {"reason": "left"}, "admin"),
    ]
    assert (await locked_port.ask("GET", "/admin/v1/keys", bearer(TOKEN)))[1] == {"data": [{"name": "bob"}]}


@pytest.mark.parametrize(
    ("method", "path", "body", "param"),
    [
        ("POST", "/admin/v1/keys", b"{}", "name"),
        ("POST", "/admin/v1/keys", b'{"name": "a", "name": "b"}', "name"),
        ("POST", "/admin/v1/keys", b"[]", None),
        ("POST", "/admin/v1/keys/bob/rotate", b'{"revoked": false}', "revoked"),
        ("DELETE", "/admin/v1/keys/bob?force=1", None, "force"),
        ("GET", "/admin/v1/privacy/export", None, "user"),
        ("GET", "/admin/v1/privacy/export?user=", None, "user"),
        ("GET", "/admin/v1/privacy/export?user=a&user=b", None, "user"),
        ("GET", "/admin/v1/privacy/export?user=a&limit=1", None, "limit"),
    ],
)
async def test_a_wrong_wish_about_keys_or_persons_is_told_and_nothing_is_done(
    locked_port: Port, method: str, path: str, body: bytes | None, param: str | None
) -> None:
    status, said, _ = await locked_port.ask(method, path, JSON | bearer(TOKEN), body)
    assert (status, said["error"]["param"]) == (400, param) and locked_port.fake.calls == []


async def test_without_an_admin_token_nobody_makes_keys_or_asks_for_persons(open_port: Port) -> None:
    for method, path, body in (
        ("POST", "/admin/v1/keys", b'{"name": "bob"}'),
        ("POST", "/admin/v1/keys/bob/rotate", b"{}"),
        ("DELETE", "/admin/v1/keys/bob", None),
        ("GET", "/admin/v1/privacy/export?user=ann", None),
        ("POST", "/admin/v1/privacy/erase", b'{"user": "ann", "why": "asked"}'),
    ):
        status, said, _ = await open_port.ask(method, path, JSON, body)
        assert (status, said["error"]["code"]) == (403, "admin_token_needed"), path
    assert open_port.fake.calls == []


async def test_what_is_held_of_a_user_comes_as_lines(locked_port: Port) -> None:
    status, said, headers = await locked_port.ask("GET", "/admin/v1/privacy/export?user=ann%20lee", bearer(TOKEN))
    assert (status, said) == (200, b'{"kind":"about"}\n{"kind":"record"}\n')
    assert headers["Content-Type"] == "application/x-ndjson" and headers["Cache-Control"] == "no-store"
    assert locked_port.fake.calls == [("export", "ann lee", "admin")]
