"""The loop's lag is what a timer is late by."""

from __future__ import annotations

import asyncio

import pytest

from proxy.telemetry import lag
from tests import kit


async def test_what_holds_the_loop_is_observed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "EVERY_S", 0.001)
    metrics, now = kit.FakeMetrics(), [5.0]
    timer = lag.Lag(lambda: now[0], metrics)
    timer.start()
    now[0] += 0.051
    async with asyncio.timeout(5):
        while not metrics.total("weir_loop_lag_seconds"):
            await asyncio.sleep(0.001)
    timer.stop()
    assert metrics.total("weir_loop_lag_seconds") == 1.0


async def test_nothing_is_observed_once_it_has_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "EVERY_S", 0.001)
    metrics = kit.FakeMetrics()
    timer = lag.Lag(lambda: 0.0, metrics)
    timer.start()
    timer.stop()
    await asyncio.sleep(0.005)
    assert not metrics.total("weir_loop_lag_seconds")
