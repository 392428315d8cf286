"""What control lays ready for workers."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from proxy import pricing
from proxy.app.parts import (
    OWN_PRICES,
    PRICES,
    Facts,
    LazyPrices,
    fleet_secret,
    open_store,
    read_facts,
    write_facts,
    write_whole,
)
from proxy.errors import ConfigError
from proxy.exchange import Usage
from proxy.store.memory import MemoryStore
from tests.kit import FakeClock, FakeMetrics


def test_facts_come_back_as_they_were_written_and_are_their_owners_only(tmp_path: Path) -> None:
    secret = fleet_secret(tmp_path)
    facts = Facts("env:REDIS_URL", str(secret), "debug", "text")
    write_facts(tmp_path, Facts("memory", str(secret)))
    write_facts(tmp_path, facts)
    assert read_facts(tmp_path) == facts
    assert len(facts.key({})) == 32
    for file in (tmp_path / "facts.json", secret):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_secret_is_made_once(tmp_path: Path) -> None:
    first = fleet_secret(tmp_path).read_bytes()
    assert fleet_secret(tmp_path).read_bytes() == first
    assert fleet_secret(_made(tmp_path / "other")).read_bytes() != first


def test_weirs_that_are_given_one_secret_have_the_same_key(tmp_path: Path) -> None:
    (tmp_path / "given").write_text("a secret of more than thirty-two characters\n")
    environ = {"FLEET": "a secret of more than thirty-two characters"}
    keys = {Facts("memory", "env:FLEET").key(environ), Facts("memory", f"file:{tmp_path / 'given'}").key({})}
    assert len(keys) == 1
    assert {len(key) for key in keys} == {32}
    with pytest.raises(ConfigError, match="env:FLEET is too short: 32 characters at least"):
        Facts("memory", "env:FLEET").key({"FLEET": "canary"})


async def test_it_is_told_when_hot_state_goes_away() -> None:
    metrics = FakeMetrics()
    store = await open_store("redis://127.0.0.1:1", {}, FakeClock(), metrics)
    assert getattr(store, "down", False)
    assert metrics.total("weir_store_away") == 1
    assert metrics.total("weir_store_outages_total") == 1
    await store.stop()  # type: ignore[attr-defined]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def test_hot_state_is_memory_unless_a_redis_is_named() -> None:
    for reference in ("auto", "memory", "env:STORE"):
        assert isinstance(await open_store(reference, {"STORE": "memory"}, FakeClock()), MemoryStore)
    with pytest.raises(ConfigError, match="the environment has no STORE"):
        await open_store("env:STORE", {}, FakeClock())


def test_the_price_table_is_read_when_the_first_call_is_priced(tmp_path: Path) -> None:
    prices = LazyPrices(tmp_path / PRICES, {"openai": "https://api.openai.com/v1"})
    (tmp_path / PRICES).write_bytes(pricing.compile_prices())
    cost, source = prices.cost_nano_usd("openai", "gpt-4o-mini", Usage(input=1000, output=1000), 1_790_000_000.0)
    assert cost
    assert source
    (tmp_path / PRICES).unlink()
    assert prices.cost_nano_usd("openai", "no-such-model", Usage(input=1), 1_790_000_000.0)[0] is None


@pytest.mark.parametrize("left", [b"", b"x", b"AAAA", b"!" * 44])
def test_a_damaged_secret_is_refused_in_a_sentence(left: bytes, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(left)
    with pytest.raises(ConfigError, match="is damaged"):
        fleet_secret(tmp_path)
    with pytest.raises(ConfigError, match="is damaged"):
        Facts("memory", str(tmp_path / "secret")).key({})


def test_a_secret_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        Facts("memory", str(tmp_path / "secret")).key({})


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="secret cannot be written: No space left on device"):
        fleet_secret(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_operators_own_prices_hold_and_are_read_anew_when_they_change(tmp_path: Path) -> None:
    (tmp_path / PRICES).write_bytes(pricing.compile_prices())
    prices, usage, at_s = LazyPrices(tmp_path / PRICES, {}), Usage(input=1_000_000), 1_800_000_000.0

    def own(text: str) -> None:
        write_whole(tmp_path / OWN_PRICES, text.encode())

    assert prices.cost_nano_usd("house", "own-1", usage, at_s) == (None, "none")
    own('[{"model": "own-*", "input": 2}]')
    assert prices.cost_nano_usd("house", "own-1", usage, at_s + 1) == (None, "none")
    assert prices.cost_nano_usd("house", "own-1", usage, at_s + 5) == (2_000_000_000, "config")
    own('[{"model": "own-*", "input": 3}]')
    assert prices.cost_nano_usd("house", "own-1", usage, at_s + 10) == (3_000_000_000, "config")
    assert prices.cost_nano_usd("house", "own-1", usage, at_s - 1000) == (3_000_000_000, "config")
    own("[]")
    assert prices.cost_nano_usd("house", "own-1", usage, at_s + 20) == (None, "none")
