"""Nothing that one call leaves in the air (context variables) is there for the next on its connection."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from benchmarks.provider import Provider
from tests.plugins_for_tests import FOUND, Leaves, listed
from tests.scripted import Scripted
from tests.short_calls import call
from tests.worker import DEFAULT, weir


@pytest.mark.parametrize("short", [True, False])
async def test_calls_of_one_connection_share_no_context(short: bool) -> None:
    FOUND.clear()
    async with Scripted() as provider, weir(*DEFAULT, listed(Leaves), provider=cast(Provider, provider)) as running:
        if not short:
            running.worker.front._server.express = None
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        for together in (1, 1, 3):
            writer.write(call() * together)
            for _ in range(together):
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(int(line[16:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-len"))
                await reader.readexactly(length)
        writer.close()
        assert FOUND == [""] * 5
