"""What a call costs, counted: how many functions it enters. A change that makes calls dearer has to say so here."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from benchmarks import hot

BOUNDS = {
    "json": 341, "json-50k": 343, "looking": 640, "burst": 1120, "guarded": 930, "guarded-again": 720,
    "hit": 200, "hit-guarded": 200, "miss": 450,
}  # fmt: skip
"""Functions entered per call, Python's and C's, with metering and audit on; `guarded` with the usual chain."""


@pytest.mark.parametrize("kind", BOUNDS)
def test_a_call_enters_no_more_functions_than_it_did(kind: str) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        _, entered = runner.run(hot.measure(kind, calls=20, rounds=1))
    assert BOUNDS[kind] * 0.8 <= entered <= BOUNDS[kind], "a bound that is far too wide guards nothing"
