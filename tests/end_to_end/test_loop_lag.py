"""Long texts do not hold the event loop: others are served between.

Judged is the loop's own work between two ticks (CPU of its thread, so a busy machine does not count), and of several
calls the least, since what is inherent holds in each; against a fixed piece of work in the same run, since machines and
their hours differ. The figures themselves: `python -m benchmarks.lag`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from benchmarks import lag

TEN_MS = 2.5
"""Yardsticks that are ten milliseconds on the machine where this was written."""
REPEAT = 8


def yardstick_ms() -> float:
    """CPU time of a fixed piece of work, the least of several."""
    took = []
    for _ in range(7):
        begun = time.thread_time()
        sum(number & 7 for number in range(150_000))
        took.append((time.thread_time() - begun) * 1000)
    return min(took)


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
    most_ms = TEN_MS * yardstick_ms()
    held = await bench.held(name, 1, REPEAT, enough_ms=most_ms)
    assert held.cpu_ms < most_ms


@pytest.mark.parametrize("name", ["one text", "lines", "escaped", "long"])
async def test_five_megabytes_of_text_hold_it_hardly_longer(bench: lag.Bench, name: str) -> None:
    most_ms = 2 * TEN_MS * yardstick_ms()
    held = await bench.held(name, 5, REPEAT, enough_ms=most_ms)
    assert held.cpu_ms < most_ms
