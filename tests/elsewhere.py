"""Providers that do not run in the test's own process: any address, and the simulated one as a process of its own."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Self

from benchmarks.provider import Provider
from tests.raw import Answer, hear

ROOT = Path(__file__).resolve().parent.parent


class Elsewhere(Provider):
    """Known by its address and nothing else: `requests` and the like stay empty."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._address = url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        return None

    @property
    def url(self) -> str:
        return self._address


class Apart(Elsewhere):
    """The simulated provider in a process of its own, so that what it holds is not counted here."""

    def __init__(self, certificate: Path | None = None) -> None:
        super().__init__("")
        self._certificate = certificate
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        options = ["--certificate", str(self._certificate)] if self._certificate else []
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.provider",
            "--port",
            "0",
            *options,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._address = (await self._process.stdout.readline()).decode().split()[-1]
        return self

    async def __aexit__(self, *failure: object) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.communicate()


class Tap(Elsewhere):
    """Stands before any provider and writes down what goes both ways, byte for byte."""

    def __init__(self, url: str) -> None:
        super().__init__("")
        self._behind = url.rpartition("/")[2]
        self._listener: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()
        self.sent = bytearray()
        self.heard = bytearray()
        self.hung_up_s: list[float] = []
        """When the callers closed their connections, in the event loop's time."""

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._line, "127.0.0.1", 0)
        self._address = f"http://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *failure: object) -> None:
        assert self._listener is not None
        self._listener.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    def forget(self) -> None:
        self.sent.clear()
        self.heard.clear()
        self.hung_up_s.clear()

    async def answer(self) -> Answer:
        """The one answer that was heard."""
        reader = asyncio.StreamReader()
        reader.feed_data(bytes(self.heard))
        reader.feed_eof()
        return await hear(reader, more=True)

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        assert line is not None
        self._lines.add(line)
        host, port = self._behind.split(":")
        behind_reader, behind = await asyncio.open_connection(host, int(port))
        there = asyncio.create_task(self._carry(reader, behind, self.sent))
        back = asyncio.create_task(self._carry(behind_reader, writer, self.heard))
        there.add_done_callback(lambda _: self.hung_up_s.append(asyncio.get_running_loop().time()))
        try:
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (there, back):
                each.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
            writer.close()
            behind.close()
            self._lines.discard(line)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, kept: bytearray) -> None:
        try:
            while data := await source.read(65_536):
                kept += data
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            return
