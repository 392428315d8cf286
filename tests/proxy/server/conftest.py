"""The front door is tested on both event loops: the one that workers run on, and Python's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

DOORS = {"test_connection", "test_front", "test_incoming", "test_reply", "test_tunnel"}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.stem in DOORS:
        loops["uvloop"] = uvloop.new_event_loop
    return loops
