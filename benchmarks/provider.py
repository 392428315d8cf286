"""The simulated provider: speaks like OpenAI and Anthropic, says what can be foreseen, misbehaves on demand.

In tests: `async with Provider() as provider: ... provider.url ... provider.requests[-1].body`. By hand:
`python -m benchmarks.provider --port 9100`. How to make it slow, broken or long-winded: `benchmarks/simulated/wish.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import dataclasses
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Self

import orjson

from benchmarks.simulated import chat, embeddings, media, messages, responses
from benchmarks.simulated.call import Call, Misread, Received, read
from benchmarks.simulated.connection import Connection
from benchmarks.simulated.faults import fault, retry_after
from benchmarks.simulated.memory import Memory
from benchmarks.simulated.plan import Answer, Plan, Socket, json_answer
from benchmarks.simulated.wish import PLAIN, Wish

KEPT_BYTES = 64 * 1024 * 1024
_ROUTES: Mapping[tuple[str, str], Callable[[Call], Plan]] = {
    ("POST", "/v1/chat/completions"): chat.chat,
    ("POST", "/v1/completions"): chat.completions,
    ("POST", "/v1/embeddings"): embeddings.embeddings,
    ("POST", "/v1/messages"): messages.messages,
    ("POST", "/v1/messages/count_tokens"): messages.count_tokens,
    ("GET", "/v1/models"): media.models,
    ("POST", "/v1/audio/speech"): media.speech,
    ("POST", "/v1/audio/transcriptions"): media.transcriptions,
    ("POST", "/v1/images/generations"): media.images,
    ("POST", "/v1/moderations"): media.moderations,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Cancelled:
    """A caller left before the answer was whole; `at_s` is the event loop's time."""

    target: str
    at_s: float
    events: int


class Provider:
    """`requests` holds what came (bounded: `keep` requests, 64 MB); `running` counts answers under way."""

    def __init__(
        self,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        *,
        host: str = "127.0.0.1",
        key: str | None = None,
        keep: int = 1000,
    ) -> None:
        self.requests: deque[Received] = deque()
        self.cancelled: deque[Cancelled] = deque(maxlen=1000)
        self.running = 0
        self.total = 0
        self.connections: set[Connection] = set()
        self.key = key
        """Where set, calls with another credential get a 401."""
        self.rejects_stream_options = False
        self.memory = Memory()
        self._host, self._port, self._tls, self._keep = host, port, tls, keep
        self._kept_bytes = 0
        self._connected = 0
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connect, self._host, self._port, ssl=self._tls, backlog=1024)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *failure: object) -> None:
        assert self._server is not None
        self._server.close()
        for connection in list(self.connections):
            connection.transport.abort()
        await self.until(lambda: not self.connections and not self.running)
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self._host}:{self._port}"

    async def until(self, test: Callable[[], bool], timeout_s: float = 5.0) -> None:
        """Waits for something about this provider: a request, a cancellation, nobody connected."""
        async with asyncio.timeout(timeout_s):
            while not test():
                self._changed.clear()
                await self._changed.wait()

    def _connect(self) -> Connection:
        self._connected += 1
        return Connection(self, self._connected, self._tls is not None)

    # What connections ask and tell.

    def number(self) -> int:
        self.total += 1
        return self.total

    def opened(self, connection: Connection) -> None:
        self.connections.add(connection)

    def closed(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self._changed.set()

    def began(self) -> None:
        self.running += 1
        self._changed.set()

    def ended(self, target: str, events: int, cancelled: bool) -> None:
        self.running -= 1
        if cancelled:
            self.cancelled.append(Cancelled(target, asyncio.get_running_loop().time(), events))
        self._changed.set()

    def receive(self, received: Received) -> tuple[Plan, Wish]:
        """What to do about a request."""
        if "/__" in received.target:
            return self._about(received), PLAIN
        self._remember(received)
        try:
            call = read(received)
            return self._decide(call)
        except Misread as error:
            call = Call(received, received.path)
            return fault(400, call.flavour, message=str(error), param=error.param), PLAIN
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            call = Call(received, received.path)
            return fault(400, call.flavour, message=f"The request has an unexpected shape: {error}"), PLAIN

    def _remember(self, received: Received) -> None:
        self._changed.set()
        if not self._keep:
            return
        self.requests.append(received)
        self._kept_bytes += len(received.body)
        while len(self.requests) > self._keep or (self._kept_bytes > KEPT_BYTES and len(self.requests) > 1):
            self._kept_bytes -= len(self.requests.popleft().body)

    def _decide(self, call: Call) -> tuple[Plan, Wish]:
        wish = call.wish
        if wish.times and self.memory.again(call.id) > wish.times:
            wish = call.wish = dataclasses.replace(
                wish, status=0, cut=-1, hang=False, garbage="", stall=-1, error=-1, junk=-1, delay=0.0
            )
        if (refusal := self._refusal(call)) is not None:
            return refusal, wish
        if wish.status:
            answer = fault(wish.status, call.flavour, model=call.model, code=wish.code)
            answer.headers = retry_after(wish.retry_after) if wish.retry_after else ()
            return answer, wish
        return self._route(call), wish

    def _refusal(self, call: Call) -> Answer | None:
        received = call.received
        if self.key is not None and not self._knows(received):
            return fault(401, call.flavour)
        if "stream_options" in call.body and (self.rejects_stream_options or call.wish.reject_stream_options):
            return fault(400, call.flavour, message="Unrecognized request argument supplied: stream_options")
        if call.model.startswith("no-such"):
            return fault(404, call.flavour, model=call.model)
        return None

    def _knows(self, received: Received) -> bool:
        bearer = (received.header("authorization") or "").removeprefix("Bearer ")
        return self.key in (bearer, received.header("x-api-key"), received.header("api-key"))

    def _route(self, call: Call) -> Plan:
        method, path = call.received.method, call.path
        if (found := _ROUTES.get((method, path))) is not None:
            return found(call)
        if path == "/v1/responses" and method == "POST":
            return responses.create(call, self.memory)
        if path.startswith("/v1/responses/"):
            return responses.stored(call, self.memory)
        if path == "/v1/files" or path.startswith("/v1/files/"):
            return media.files(call, self.memory)
        if path.startswith("/v1/models/"):
            return media.models(call)
        if (call.received.header("upgrade") or "").lower() == "websocket":
            hello = {"type": "session.created", "event_id": "event_1", "session": {"object": "realtime.session"}}
            return Socket(orjson.dumps(hello) if "model=" in call.received.target else None)
        return fault(404, call.flavour, message=f"Invalid URL ({method} {path})")

    def _about(self, received: Received) -> Plan:
        """/v1/__stats and /v1/__requests: for tests in another process."""
        if received.path.endswith("/__stats"):
            return json_answer(self.stats())
        if received.path.endswith("/__requests"):
            return json_answer({"requests": [_shown(each) for each in self.requests]})
        return fault(404, "openai", message="Invalid URL")

    def stats(self) -> dict[str, Any]:
        return {
            "requests": self.total,
            "running": self.running,
            "connections": len(self.connections),
            "connected": self._connected,
            "cancelled": [dataclasses.asdict(each) for each in self.cancelled],
        }


def _shown(received: Received) -> dict[str, Any]:
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in received.headers]
    body = base64.b64encode(received.body).decode()
    return {"method": received.method, "target": received.target, "headers": headers, "body_base64": body}


async def serve(provider: Provider) -> None:
    async with provider:
        print(f"simulated provider on {provider.url}", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    arguments = argparse.ArgumentParser(prog="benchmarks.provider", description=__doc__)
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=9100, help="0 takes a free one and prints it")
    arguments.add_argument("--keep", type=int, default=100, help="requests remembered for /v1/__requests")
    arguments.add_argument("--key", default=None, help="the credential that is accepted; all are, without")
    arguments.add_argument("--certificate", default=None, help="PEM file with certificate and key: serve TLS")
    given = arguments.parse_args()
    tls = None
    if given.certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(given.certificate)
    provider = Provider(given.port, tls, host=given.host, key=given.key, keep=given.keep)
    loop_factory: Callable[[], asyncio.AbstractEventLoop]
    try:
        import uvloop  # noqa: PLC0415  not there on every system

        loop_factory = uvloop.new_event_loop
    except ImportError:
        loop_factory = asyncio.new_event_loop
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(serve(provider))


if __name__ == "__main__":
    main()
