"""A classifier elsewhere: asked about what is new, beside the call or before it; what it refuses is replaced later."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest

from plugins.injection.remote import Remote, RemoteOptions, score
from proxy.errors import ConfigError
from proxy.live import Entry
from tests.asking import Asking, asking
from tests.kit import FixedLive, kit, snapshot
from tests.plugins.injection.keywords import guard

BAD = "quite bad words"
USES = "plugins.injection.remote:Remote"


class Classifier:
    """Says of texts with `bad` that they are attacks."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/predict"
        self.asked: list[dict[str, Any]] = []
        self.status = 200


@contextmanager
def classifier() -> Iterator[Classifier]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
            made.asked.append({**body, "token": self.headers.get("authorization"), "path": self.path})
            bad = "bad" in body["inputs"]
            answer = orjson.dumps([[{"label": "INJECTION", "score": 0.99 if bad else 0.02},
                                    {"label": "SAFE", "score": 0.5}]])  # fmt: skip
            self.send_response(made.status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Classifier(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def remote(found: Classifier, *, overlap: bool = False, on_error: Any = "open", **options: Any) -> Entry:
    given = {"url": found.url, "token": "t", "allow_unmasked": True, **options}
    return Entry("injection_remote", USES, overlap=overlap, on_error=on_error, timeout_ms=0, options=given)


def turns(*texts: str) -> bytes:
    made = [{"role": "user" if n % 2 == 0 else "assistant", "content": text} for n, text in enumerate(texts)]
    return orjson.dumps({"model": "gpt-4o-mini", "messages": made})


async def send(weir: Asking, *texts: str) -> int:
    return (await weir.ask(raw=turns(*texts))).status


@pytest.mark.parametrize("overlap", [False, True])
async def test_it_refuses_what_the_classifier_says_and_a_conversation_outlives_it(overlap: bool) -> None:
    with classifier() as found:
        async with asking(guard(), remote(found, overlap=overlap)) as weir:
            assert await send(weir, "hello") == 200
            assert await send(weir, "hello", "hi", BAD) == 400
            assert await send(weir, "hello", "hi", BAD, "no", "and now?") == 200
            assert BAD.encode() not in weir.provider.requests[-1].body
            assert b"removed this message" in weir.provider.requests[-1].body
            again = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": BAD},
                                                             {"role": "user", "content": "and now?"}]})  # fmt: skip
            assert (await weir.ask(raw=again)).status == 200
            assert BAD.encode() not in weir.provider.requests[-1].body


async def test_only_new_texts_are_sent_and_each_once() -> None:
    with classifier() as found:
        async with asking(remote(found)) as weir:
            await send(weir, "one")
            await send(weir, "one")
            await send(weir, "one", "two", "three")
            assert [one["inputs"] for one in found.asked] == ["one", "three"]
            assert {one["token"] for one in found.asked} == {"Bearer t"}


async def test_tool_results_are_replaced() -> None:
    with classifier() as found:
        async with asking(remote(found)) as weir:
            call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            raw = orjson.dumps({"model": "m", "messages": [
                {"role": "user", "content": "read"}, {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c", "content": BAD}]})  # fmt: skip
            assert (await weir.ask(raw=raw)).status == 200
            assert b"removed this tool result" in weir.provider.requests[-1].body


@pytest.mark.parametrize(("on_error", "status"), [("open", 200), ("closed", 503)])
async def test_a_classifier_that_fails_is_a_failure_of_the_plugin(on_error: str, status: int) -> None:
    with classifier() as found:
        found.status = 302
        async with asking(remote(found, on_error=on_error)) as weir:
            assert await send(weir, BAD) == status


async def test_without_an_address_it_does_not_start() -> None:
    live = FixedLive(snapshot(resolve=lambda plugin, agent, variant: RemoteOptions()))
    with pytest.raises(ConfigError, match="set `url` in its options"):
        await Remote(replace(kit(), live=live)).start()


def test_answers_of_several_forms_are_understood() -> None:
    labels = {"injection"}
    assert score([[{"label": "INJECTION", "score": 0.7}, {"label": "SAFE", "score": 0.9}]], labels) == 0.7
    assert score([{"label": "SAFE", "score": 0.9}], labels) == 0.0
    assert score({"score": 0.4}, labels) == 0.4
    with pytest.raises(ValueError, match="no scores"):
        score({"error": "x"}, labels)
