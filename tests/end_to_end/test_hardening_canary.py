"""Canaries: keys, texts and e-mail addresses sent in every place, and looked for wherever anything is written down."""

from __future__ import annotations

import hashlib
import http.client
import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.exchange import Caller, Exchange, Request, Segment
from proxy.live import CallerKey, Upstream
from tests import kit
from tests.serving import Served, provided, serve

TEXT = "canary-text-7f3a"
EMAIL = "canary.9b21@mail.example.com"
CALLERS = "sk-proj-Canary4fT9xQ2mZ7LwB8rVcK5nH3sJ6yD1pG0aE"
PROVIDERS = "sk-proj-Provider8uY2kW5vN9bR4tS7zM1xC6qL3hF0jD"
OURS = "wk-canary-Ours3nB6vK9xZ2mQ5wT8rL1pJ4hG7fD0"
SECRET = "ghp_Canary0aB1cD2eF3gH4iJ5kL6mN7oP8qR9s0"
KEYS = (CALLERS, PROVIDERS, OURS, SECRET)
SAID = f"{TEXT} write to {EMAIL} with {SECRET}"

CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {
        "messages": [
            {"role": "system", "content": SAID},
            {"role": "user", "content": [{"type": "text", "text": SAID}]},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps({"q": SAID})}}]},
            {"role": "tool", "tool_call_id": "c", "content": SAID},
            {"role": "user", "content": SAID},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "description": SAID, "parameters": {}}}],
        "metadata": {"note": SAID},
    }),
    "responses": ("/v1/responses", {"instructions": SAID, "input": SAID, "metadata": {"note": SAID}}),
    "messages": ("/v1/messages", {"max_tokens": 99, "system": SAID, "messages": [{"role": "user", "content": SAID}]}),
    "completions": ("/v1/completions", {"prompt": SAID}),
    "embeddings": ("/v1/embeddings", {"input": SAID}),
}  # fmt: skip
CREDENTIALS: tuple[dict[str, str], ...] = (
    {"Authorization": f"Bearer {CALLERS}"},
    {"Authorization": f"Bearer {OURS}"},
    {"Authorization": f"Basic {CALLERS}"},
    {"x-api-key": CALLERS, "anthropic-version": "2023-06-01"},
    {"api-key": CALLERS},
    {"Cookie": f"key={CALLERS}", "x-note": SAID},
    {"Sec-WebSocket-Protocol": f"openai-insecure-api-key.{CALLERS}"},
)


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with provided() as url:
        yield url


def post(weir: Served, path: str, body: bytes, headers: dict[str, str], method: str = "POST") -> bytes:
    """The answer with its head, whatever it is."""
    line = http.client.HTTPConnection("127.0.0.1", weir.port, timeout=10)
    try:
        line.request(method, path, body, {"Content-Type": "application/json", **headers})
        answer = line.getresponse()
        try:
            return str(answer.getheaders()).encode() + answer.read()
        except http.client.IncompleteRead as cut:
            return cut.partial
    finally:
        line.close()


def speak(weir: Served) -> list[bytes]:
    """Says the canaries in every place. What of it may not be quoted is returned: errors."""
    errors: list[bytes] = []
    for credential in CREDENTIALS:
        for path, doc in CALLS.values():
            for more in ({}, {"stream": True}):
                post(weir, path, json.dumps({"model": "gpt-4o-mini", **doc, **more}).encode(), credential)
        quoted = urllib.parse.quote(SAID)
        post(weir, f"/v1/models?key={CALLERS}&q={quoted}", b"", credential, "GET")
        post(weir, f"/v1/files/{EMAIL}?api_key={CALLERS}", b"", credential, "GET")
        post(weir, f"/v1/files/{CALLERS}", b"", credential, "GET")
    given = CREDENTIALS[0]
    good = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": SAID}]}).encode()
    for wish in ("status=400", "status=500", "status=429", "garbage=1", "cut=0", "error=2", "hang=1"):
        for tail in (b"", b',"stream":true'):
            if wish != "hang=1":
                post(weir, "/v1/chat/completions", good[:-1] + tail + b"}", {**given, "x-sim": wish})
    for body in (good[:-9], good.replace(b'"content": "', b'"content": {"x": "'), b'{"a":1,"a":"%b"}' % SAID.encode()):
        errors.append(post(weir, "/v1/chat/completions", body, given))
    errors.append(post(weir, "/v1/responses", good.replace(b"messages", b"input_"), given))
    errors.append(post(weir, f"/nothing/here?q={TEXT}", good, given))
    errors.append(post(weir, "/v1/chat/completions", good, {**given, "Transfer-Encoding": f"{TEXT}"}))
    post(weir, "/v1/chat/completions", good, {"Authorization": f"Bearer {OURS}x"})
    post(weir, "/v1/chat/completions", json.dumps({"model": f"{EMAIL}/{SECRET}", "messages": []}).encode(), given)
    return errors


@pytest.fixture(scope="module", params=["none", "masked"])
def spoken(request: pytest.FixtureRequest, provider: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Everything that was written down: name and bytes; and what of it may hold texts that were masked."""
    place = tmp_path_factory.mktemp("canary")
    file = place / "weir.yaml"
    digest = hashlib.sha256(OURS.encode()).hexdigest()
    guards = ", pii: {}, output_filter: {}" if request.param == "masked" else ""
    file.write_text(
        f"log: {{level: debug}}\naudit: {{content: {request.param}}}\n"
        f"upstreams: {{sim: {{url: '{provider}', key: env:CANARY_KEY}}}}\n"
        f"identity: {{keys: {{ours: {{sha256: '{digest}'}}}}}}\n"
        f"plugins: {{audit: {{}}, metering: {{}}{guards}}}\n"
    )
    log, data = place / "log", place / "data"
    with _served(file, data, log) as weir:
        errors = speak(weir)
        weir.until(lambda: len(weir.admin("/admin/v1/executions?limit=1000")["data"]) > 80, "the records")
        told = {f"error {number}": error for number, error in enumerate(errors)}
        for path in ("/metrics", "/admin/v1/executions?limit=1000", "/admin/v1/audit?limit=1000", "/admin/v1/settings",
                     "/admin/v1/events", "/admin/v1/workers", "/readyz", "/admin/v1/counts"):  # fmt: skip
            told[path] = weir.get(f"http://127.0.0.1:{weir.admin_port}{path}")[1]
    files = [log, *(one for one in data.rglob("*") if one.is_file())]
    told |= {str(one.relative_to(place)): one.read_bytes() for one in files}
    yield (
        request.param,
        {name: said if isinstance(said, bytes) else json.dumps(said).encode() for name, said in told.items()},
    )


def _served(file: Path, data: Path, log: Path) -> Any:
    return serve("", data, "--config", str(file), told=log, CANARY_KEY=PROVIDERS)


def test_no_key_is_written_down_anywhere(spoken: tuple[str, dict[str, bytes]]) -> None:
    told = spoken[1]
    found = [(name, key[:12]) for name, said in told.items() for key in KEYS if key.encode() in said]
    assert found == []


def test_no_address_of_a_person_is_written_down_anywhere(spoken: tuple[str, dict[str, bytes]]) -> None:
    told = spoken[1]
    assert [name for name, said in told.items() if EMAIL.encode() in said] == []


def test_no_text_of_a_call_is_written_down_but_where_that_was_asked_for(spoken: tuple[str, dict[str, bytes]]) -> None:
    mode, told = spoken
    found = {name for name, said in told.items() if TEXT.encode() in said}
    if mode == "masked":  # the trail keeps what is left when the rest is masked
        assert "/admin/v1/audit?limit=1000" in found
        found = {name for name in found if "audit" not in name}
    assert found == set()


def test_the_log_at_debug_level_is_lines_of_json(spoken: tuple[str, dict[str, bytes]]) -> None:
    lines = spoken[1]["log"].splitlines()
    assert lines
    for line in lines:
        if line.startswith(b"weir: "):  # the command that started it, to who started it
            continue
        assert line.startswith(b"{"), line
        assert isinstance(json.loads(line), dict)


def test_nothing_that_holds_a_secret_shows_it_when_it_is_printed() -> None:
    upstream = Upstream("sim", "http://x/v1", key=PROVIDERS, headers=(("x", PROVIDERS),), query=(("k", PROVIDERS),))
    request = Request("chat", "POST", "/v1/x", "", [("authorization", CALLERS)], SAID.encode())
    exchange = Exchange("wr", Caller(), request, at_s=0.0, start=0.0, snapshot=kit.snapshot(upstreams={"s": upstream}))
    shown = [upstream, exchange.snapshot, request, exchange, Segment("user", "text", SAID), CallerKey("n", "0" * 64),
             exchange.caller, kit.kit()]  # fmt: skip
    for one in shown:
        for written in (repr(one), str(one), f"{one}"):
            assert not any(secret in written for secret in (PROVIDERS, CALLERS, TEXT, EMAIL)), type(one)
