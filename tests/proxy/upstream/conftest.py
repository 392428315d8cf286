"""Fixtures of the upstream room: a server that answers with raw bytes, certificates, and a client that is stopped."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from proxy.clock import SystemClock
from proxy.upstream.client import Client
from tests.certificates import Certificates
from tests.certificates import certificates as make_certificates
from tests.proxy.upstream.provider import Handler, Provider, Seen, Serve


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """On the loop that the workers run on; with WEIR_TEST_LOOPS also on the standard library's."""
    loops = {"uvloop": uvloop.new_event_loop}
    return {**loops, "asyncio": asyncio.new_event_loop} if os.environ.get("WEIR_TEST_LOOPS") else loops


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """`await serve(handler)` starts a server on a free port; `await serve(bytes)` one that answers with these."""
    servers: list[asyncio.Server] = []
    tasks: set[asyncio.Task[None]] = set()

    async def start(answer: bytes | Handler, context: ssl.SSLContext | None = None) -> Provider:
        connections: list[Seen] = []

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            seen = Seen()
            connections.append(seen)
            try:
                if isinstance(answer, bytes):
                    while await seen.request(reader):
                        writer.write(answer)
                        await writer.drain()
                else:
                    await answer(seen, reader, writer)
            except (ConnectionError, RuntimeError, asyncio.CancelledError):  # RuntimeError: uvloop's word for closed
                pass
            finally:
                writer.close()
                tasks.discard(task)

        server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        return Provider(f"{'https' if context else 'http'}://127.0.0.1:{port}", connections)

    yield start
    for server in servers:
        server.close()
    running = list(tasks)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


@pytest.fixture(params=["line", "detour"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """Twice: as it is, and with every upstream on aiohttp. Both ways keep the same promises."""
    made = Client(SystemClock(), odd=lambda upstream: True) if request.param == "detour" else Client(SystemClock())
    yield made
    await made.stop()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))
