"""Every way in of the data port by every kind of credential, through a whole worker that admits its own keys only."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from proxy import wire
from proxy.exchange import Exchange
from proxy.live import Alias, CallerKey, Entry, Identity, Upstream
from proxy.plugin import Plugin
from proxy.server.probes import PATHS
from tests.asking import soon
from tests.certificates import certificates
from tests.pairs import STREAMING, SURFACES, body, wished
from tests.worker import DEFAULT, Running, weir

KEY, OTHER = "weir-own-key", "weir-other-key"
JSON = {"content-type": "application/json"}
ADMIN = "the-admin-token-0123456789"


def admitted(name: str, key: str, **facts: object) -> CallerKey:
    return CallerKey(name, hashlib.sha256(key.encode()).hexdigest(), **facts)  # type: ignore[arg-type]


IDENTITY = Identity(keys=(admitted("own", KEY), admitted("other", OTHER)), pass_through=False)
CALLS = {("POST", f"/v1/{path}") for path in ("chat/completions", "responses", "completions", "embeddings", "messages")}
RELAYED = {
    ("GET", "/v1/models"), ("GET", "/v1/models/gpt-4o-mini"), ("GET", "/weir/calls/wr_1"), ("GET", "/v1/responses/r"),
    ("GET", "/v1/chat/completions"), ("DELETE", "/v1/responses/r"), ("POST", "/v1/files"), ("GET", "/v1/files/f"),
    ("POST", "/v1/images/generations"), ("POST", "/v1/audio/speech"), ("POST", "/v1/batches"),
    ("POST", "/v1/messages/count_tokens"), ("GET", "/v1/whatever"), ("POST", "/agents/default/v1/chat/completions"),
    ("GET", "/agents/default/v1/models"), ("GET", "/weir/unknown"), ("GET", "/admin/v1"), ("GET", "/"),
}  # fmt: skip
"""Beside the calls that a codec reads: Weir's own endpoints, what is only relayed, and paths that are none."""
WRONG: Mapping[str, Mapping[str, str]] = {
    "nothing": {},
    "another key": {"Authorization": "Bearer weir-nobodys"},
    "a provider's key": {"Authorization": "Bearer sk-somebody"},
    "the beginning of a key": {"Authorization": f"Bearer {KEY[:-1]}"},
    "more than a key": {"Authorization": f"Bearer {KEY}x"},
    "an empty one": {"Authorization": "Bearer "},
    "another scheme": {"Authorization": f"Basic {KEY}"},
    "the admin's token": {"Authorization": f"Bearer {ADMIN}"},
    "a cookie": {"Cookie": f"key={KEY}; authorization={KEY}"},
    "a header of no meaning": {"X-Auth-Token": KEY, "X-Goog-Api-Key": KEY, "x-weir-key": KEY},
    "two keys": {"Authorization": f"Bearer {KEY}", "x-api-key": OTHER},
    "its name": {"Authorization": "Bearer own"},
    "its digest": {"Authorization": f"Bearer {hashlib.sha256(KEY.encode()).hexdigest()}"},
}


class Breaks(Plugin[Any]):
    name = "breaks"

    async def request(self, exchange: Exchange) -> None:
        raise RuntimeError("canary-detail of the inside")


@asynccontextmanager
async def closed() -> AsyncIterator[Running]:
    async with weir(identity=IDENTITY) as running:
        yield running


async def status(running: Running, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
    surface = wire.route(path.removeprefix("/agents/default")) if method == "POST" else None
    data = None if method != "POST" else body(surface) if surface in SURFACES else b'{"model": "m"}'
    sent = {**headers, **JSON} if data is not None else headers
    async with aiohttp.ClientSession() as session, session.request(
        method, running.root + path, data=data, headers=sent
    ) as answer:  # fmt: skip
        return answer.status, await answer.read()


def test_every_way_in_that_a_codec_reads_stands_in_the_table() -> None:
    assert {path for _, path in CALLS} == set(wire._ROUTES), "a new route needs an entry here"


@pytest.mark.parametrize("wrong", WRONG)
async def test_no_way_in_opens_to_a_wrong_credential(wrong: str) -> None:
    async with closed() as running:
        for method, path in sorted(CALLS | RELAYED):
            for query in ("", f"?key={KEY}&api_key={KEY}&api-key={KEY}&access_token={KEY}"):
                found, said = await status(running, method, path + query, WRONG[wrong])
                assert found == 401, (method, path + query)
                assert KEY.encode() not in said and b"Traceback" not in said and b"127.0.0.1" not in said
        assert not running.provider.requests, "nothing was sent on"


@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "api-key"])
async def test_every_way_in_opens_to_a_key_in_every_credential_header(header: str) -> None:
    given = {header: f"Bearer {KEY}" if header == "Authorization" else KEY}
    async with closed() as running:
        for method, path in sorted(CALLS | RELAYED):
            found, said = await status(running, method, path, given)
            assert found != 401, (method, path, said)
        for method, path in sorted(CALLS):
            assert (await status(running, method, path, given))[0] == 200, path
        assert all(KEY not in repr(call) for call in running.provider.requests), "the key stays here"


async def test_probes_are_open_to_all_and_tell_nobody_anything_else() -> None:
    async with closed() as running:
        for path in PATHS:
            found, said = await status(running, "GET", path, {})
            assert found == 200 and b"own" not in said


async def test_a_key_that_ends_while_a_connection_stands_is_refused_on_it_and_a_running_stream_goes_on() -> None:
    """Heads that came before are known: what is known of them must end with the key."""
    async with weir(identity=IDENTITY) as running, aiohttp.ClientSession() as session:
        wall = [1_798_459_200.0]
        running.worker._expiry._wall = lambda: wall[0]
        running.worker.pipeline.house.identify.__self__._wall = lambda: wall[0]  # type: ignore[attr-defined]
        ending = replace(IDENTITY, keys=(admitted("own", KEY, expires="2026-12-28T12:00:00.050Z"),))
        await running.worker.swap(replace(running.worker.live.current, version=2, identity=ending))
        given = {"Authorization": f"Bearer {KEY}", **JSON}

        async def ask() -> tuple[int, bytes]:
            url = running.url + "/chat/completions"
            async with session.post(url, data=body("chat"), headers=given) as answer:
                return answer.status, await answer.read()

        for _ in range(3):
            assert (await ask())[0] == 200
        url = running.url + "/chat/completions"
        async with session.post(url, data=wished("chat", "first=0.4 chunks=20"), headers=given) as stream:
            assert await stream.content.readany()
            wall[0] += 1
            before = running.worker.live.current
            await soon(lambda: running.worker.live.current is not before)
            found, said = await ask()
            assert (found, orjson.loads(said)["error"]["code"]) == (401, "key_expired")
            rest = await stream.read()
            assert rest.endswith(b"data: [DONE]\n\n")


async def test_no_alias_no_fallback_and_no_agent_gives_a_key_a_model_that_it_may_not_use() -> None:
    """After resolution: what is asked for is judged, and what it stands for."""
    keys = (
        admitted("own", KEY, models=("fast", "gpt-*")),
        admitted("other", OTHER, models=("secret-*",)),
    )
    aliases = {"fast": Alias("secret-1"), "mixed": Alias("gpt-4o-mini", fallbacks=("secret-1",))}
    async with weir(identity=Identity(keys=keys), aliases=aliases) as running:
        tried = [
            (KEY, "fast", 403), (KEY, "secret-1", 403), (KEY, "sim/secret-1", 403), (KEY, "gpt-4o-mini", 200),
            (KEY, "mixed", 200), (OTHER, "fast", 200), (OTHER, "secret-1", 200), (OTHER, "mixed", 403),
        ]  # fmt: skip
        async with aiohttp.ClientSession() as session:
            for key, model, status in tried * 3:  # (from the second time on heads and models are known)
                for path, surface in ((SURFACES[name][0], name) for name in STREAMING):
                    for stream in (False, True):
                        given = {**JSON, "Authorization": f"Bearer {key}"}
                        sent = body(surface, model, stream=stream)
                        async with session.post(running.root + path, data=sent, headers=given) as answer:
                            assert answer.status == status, (key, model, surface, await answer.text())
                            await answer.read()
        asked = {orjson.loads(request.body)["model"] for request in running.provider.requests}
        assert asked == {"gpt-4o-mini", "secret-1"}
        mine = [record for record in running.records if record["key"] == "own" and record["status"] == 200]
        assert {record["target_model"] for record in mine} == {"gpt-4o-mini"}


async def test_errors_tell_no_address_no_path_no_key_and_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    away = Upstream("away", "http://127.0.0.1:9/canary-path", key="sk-canary-of-the-house", models=("away-*",))
    named = Upstream("named", "http://canary-host.invalid", key="sk-canary-of-the-house", models=("named-*",))
    chain = (*DEFAULT, Entry("breaks", f"{__name__}:Breaks", on_error="closed"))
    async with weir(upstreams=(away, named)) as running, weir(*chain) as broken:
        for root, model in ((running.root, "away-1"), (running.root, "named-1"), (broken.root, "gpt-4o-mini")):
            for name in STREAMING:
                for stream in (False, True):
                    async with aiohttp.ClientSession() as session, session.post(
                        root + SURFACES[name][0], data=body(name, model, stream=stream), headers=JSON
                    ) as answer:  # fmt: skip
                        said = await answer.text()
                        assert answer.status >= 500 or "error" in said
                        for secret in ("canary", "127.0.0.1", "Traceback", ".py", str(Path.cwd())):
                            assert secret not in said and secret not in str(answer.headers), (model, name, secret)
    assert "sk-canary" not in caplog.text


async def test_callers_known_by_certificate_share_nothing_that_is_known_of_heads(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    server = made.server_context()
    server.load_verify_locations(made.authority)
    server.verify_mode = ssl.CERT_OPTIONAL
    identity = Identity(keys=(CallerKey("bob", certificate="CN=Weir test client"),), pass_through=False)
    with_one = made.client_context()
    without = ssl.create_default_context(cafile=str(made.authority))
    async with weir(identity=identity, tls=server) as running:
        found: list[int] = []
        url = running.url + "/chat/completions"
        for _ in range(3):
            for context in (with_one, without):
                connector = aiohttp.TCPConnector(ssl=context)
                async with aiohttp.ClientSession(connector=connector) as session:
                    for _ in range(2):
                        async with session.post(url, data=body("chat"), headers=JSON) as answer:
                            found.append(answer.status)
                            await answer.read()
        assert found == [200, 200, 401, 401] * 3
        records = await running.sink.wait_for(12)
        assert {record["key"] for record in records if record["status"] == 200} == {"bob"}
