"""Long texts do not hold the event loop: others are served between.

Judged is the loop's own work between two ticks (CPU of its thread, so a busy machine does not count), and of several
calls the least, since what is inherent holds in each. The figures themselves: `python -m benchmarks.lag`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from benchmarks import lag

MOST_MS = 10.0
REPEAT = 8


@pytest.fixture
async def bench() -> AsyncIterator[lag.Bench]:
    async with lag.Bench() as made:
        yield made


BODIES = ("one text", "turns", "not ASCII", "escaped", "lines", "pretty", "doubled key", "broken", "gzip", "zstd", "br")
ANSWERS = ("long", "mute long", "floats", "stream", "event")


@pytest.mark.parametrize("name", [*BODIES, *ANSWERS, "mute"])
async def test_a_megabyte_holds_the_loop_for_less_than_ten_milliseconds(bench: lag.Bench, name: str) -> None:
    if name in ("mute", "mute long"):
        await bench.held(name, 1, 1)  # loads the token table
    held = await bench.held(name, 1, REPEAT, enough_ms=MOST_MS)
    assert held.cpu_ms < MOST_MS


@pytest.mark.parametrize("name", ["one text", "lines", "escaped", "long"])
async def test_five_megabytes_of_text_hold_it_hardly_longer(bench: lag.Bench, name: str) -> None:
    held = await bench.held(name, 5, REPEAT, enough_ms=2 * MOST_MS)
    assert held.cpu_ms < 2 * MOST_MS
