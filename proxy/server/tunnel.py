"""The way to `websocket`, which is loaded with the first websocket: it needs aiohttp, and nothing else here does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from proxy.server.incoming import Incoming
from proxy.server.reply import Reply

Connect = Callable[[list[str]], Awaitable[Any]]
"""Gets the subprotocols that the caller offers, gives the provider's side: an aiohttp.ClientWebSocketResponse."""
MESSAGE_BYTES = 16 * 1024 * 1024
"""The longest message; a longer one closes both sides with 1009."""


async def tunnel(incoming: Incoming, reply: Reply, connect: Connect) -> tuple[int, int]:
    """Relays until one side closes; gives the bytes of messages towards the provider and towards the caller.

    `connect` gets the subprotocols that the caller offers and opens the provider's side first: what it raises is still
    an ordinary HTTP answer. Cancelled when the caller vanishes; the provider's side is then closed too. Raises
    StreamCut when the provider vanishes; the caller's side is then closed with 1011."""
    # In a thread: the first import of aiohttp takes a quarter of a second, and other calls go on.
    websocket = await asyncio.to_thread(import_module, "proxy.server.websocket")
    counted: tuple[int, int] = await websocket.relay(incoming, reply, connect)
    return counted
