"""A key from the command line to every worker of a Weir that runs, and its end: in time, by hand, by another key."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from proxy.cli import main
from tests.certificates import certificates
from tests.serving import Served, provided, serve

TOKEN = "the-admin-token-0123456789"
ENVIRONMENT: dict[str, Any] = {
    "WEIR_ADMIN_TOKEN": TOKEN, "WEIR_IDENTITY__PASS_THROUGH": "false", "WEIR_AUDIT__CONTENT": "masked",
    "WEIR_LOG__LEVEL": "debug",
}  # fmt: skip


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with provided() as url:
        yield url


@pytest.fixture
def weir(provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with serve(provider, tmp_path / "data", "--workers", "2", told=tmp_path / "log", **ENVIRONMENT) as running:
        monkeypatch.setenv("WEIR_ADMIN_TOKEN", TOKEN)
        monkeypatch.delenv("WEIR_ADMIN_TOKEN_FILE", raising=False)
        running.until(lambda: running.admin("/readyz")["details"]["workers"] == 2, "both workers")
        yield running


def command(weir: Served, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """The answer of a `weir key` that went well."""
    assert main(["key", *arguments, "--json", "--data", str(weir.data)]) == 0
    return json.loads(capsys.readouterr().out)


def call(weir: Served, key: str, model: str = "gpt-4o-mini") -> tuple[int, str | None]:
    """Status and error code, over a connection of its own: whichever worker takes it."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}]}).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(weir.url + "/chat/completions", body, headers), timeout=10
        ) as answer:
            return answer.status, None
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["error"]["code"]


def everywhere(weir: Served, key: str) -> set[tuple[int, str | None]]:
    return {call(weir, key) for _ in range(12)}


def test_a_key_works_in_all_workers_when_it_is_told_and_in_none_when_it_is_revoked(
    weir: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    assert everywhere(weir, "weir-nobodys") == {(401, "invalid_api_key")}
    told = command(weir, capsys, "create", "bob", "--agent", "tax", "--models", "gpt-*", "--expires", "90d")
    key = told["key"]
    assert (told["workers"], told["confirmed"]) == (2, 2)
    assert everywhere(weir, key) == {(200, None)}
    assert call(weir, key, "claude-opus") == (403, "model_not_allowed")

    second = command(weir, capsys, "rotate", "bob", "--overlap", "1h")["key"]
    assert everywhere(weir, key) == everywhere(weir, second) == {(200, None)}
    third = command(weir, capsys, "rotate", "bob")["key"]
    assert everywhere(weir, second) == {(401, "invalid_api_key")} and everywhere(weir, third) == {(200, None)}

    streaming = Streaming(weir, third)
    command(weir, capsys, "revoke", "bob", "--reason", "left the house")
    assert everywhere(weir, third) == {(401, "key_revoked")}
    assert streaming.ended().endswith(b"data: [DONE]\n\n"), "what ran ends as it began"

    with urllib.request.urlopen(f"http://127.0.0.1:{weir.admin_port}/metrics", timeout=10) as figures:
        said = (weir.data.parent / "log").read_bytes() + figures.read()
    assert said, "at debug level"
    for one in (key, second, third):
        found = [path.name for path in weir.data.rglob("*") if path.is_file() and one.encode() in path.read_bytes()]
        assert found == [] and one.encode() not in said, "a key stands in no file, no line of the log, no figure"
    assert main(["audit", "verify", "--data", str(weir.data)]) == 0


def test_a_key_ends_by_itself_in_every_worker(weir: Served, capsys: pytest.CaptureFixture[str]) -> None:
    key = command(weir, capsys, "create", "short", "--expires", "3s")["key"]
    assert everywhere(weir, key) == {(200, None)}
    weir.until(lambda: everywhere(weir, key) == {(401, "key_expired")}, "its end")
    assert command(weir, capsys, "list")[0]["state"] == "expired"


def test_keys_outlive_a_restart(provider: str, weir: Served, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = (command(weir, capsys, "create", name)["key"] for name in ("good", "bad"))
    command(weir, capsys, "revoke", "bad")
    assert weir.stop() == 0
    with serve(provider, weir.data, **ENVIRONMENT) as again:
        assert call(again, good) == (200, None) and call(again, bad) == (401, "key_revoked")


def test_a_caller_is_known_by_its_certificate(
    provider: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = certificates(tmp_path)
    monkeypatch.setenv("WEIR_ADMIN_TOKEN", TOKEN)
    files: dict[str, Any] = {
        "WEIR_TLS_CERT": str(made.server),
        "WEIR_TLS_KEY": str(made.server),
        "WEIR_TLS_CLIENT_CA": str(made.authority),
    }
    without = ssl.create_default_context(cafile=str(made.authority))
    with serve(provider, tmp_path / "data", context=without, **ENVIRONMENT, **files) as weir:  # probes need none
        told = command(weir, capsys, "create", "bob", "--certificate", "CN=Weir test client", "--agent", "tax")
        assert "key" not in told and told["confirmed"] == 1
        assert post(weir, made.client_context()) == 200 and post(weir, without) == 401
        command(weir, capsys, "revoke", "bob")
        assert post(weir, made.client_context()) == 401


def post(weir: Served, context: ssl.SSLContext) -> int:
    body = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}).encode()
    request = urllib.request.Request(weir.url + "/chat/completions", body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


class Streaming:
    """A slow stream, begun."""

    def __init__(self, weir: Served, key: str) -> None:
        body = json.dumps({
            "model": "gpt-4o-mini[[sim first=0.1 interval=0.05 chunks=20]]", "stream": True,
            "messages": [{"role": "user", "content": "hello"}],
        })  # fmt: skip
        self._connection = http.client.HTTPConnection("127.0.0.1", weir.port, timeout=20)
        self._connection.request(
            "POST", "/v1/chat/completions", body,
            {"content-type": "application/json", "authorization": f"Bearer {key}"},
        )  # fmt: skip
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200
        self._read = b""
        self._reader = threading.Thread(target=self._all)
        self._reader.start()

    def _all(self) -> None:
        with closing(self._connection):
            self._read = self._answer.read()

    def ended(self) -> bytes:
        self._reader.join(20)
        return self._read
