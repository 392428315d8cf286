"""Prices: equal to genai-prices, integer, dated, tiered, with overrides; unknown is None."""

from __future__ import annotations

import datetime
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal

import genai_prices
import pytest
from genai_prices import types
from genai_prices.data import providers

from proxy import prices as subject
from proxy.errors import ConfigError
from proxy.exchange import Usage
from proxy.prices import Prices, parse_overrides
from proxy.pricing import KEYS, compile_prices

USAGES = [
    Usage(input=1_234, output=567),
    Usage(input=10, cache_read=150_001, cache_write=60_000, output=3_000, reasoning=1_000),
    Usage(input=300_000, output=1),
    Usage(input=1_000, cache_read=500, output=700, audio_input=400, audio_output=300),
    Usage(input=10, cache_read=3, cache_write=60_000, cache_write_1h=40_000, output=3_000),
]
MOMENTS = [
    datetime.datetime(2024, 6, 1, 12, 0, tzinfo=datetime.UTC),
    datetime.datetime(2025, 9, 15, 2, 30, tzinfo=datetime.UTC),
    datetime.datetime(2026, 11, 20, 7, 59, 59, tzinfo=datetime.UTC),
]
NOW_S = MOMENTS[-1].timestamp()
MILLION = Usage(input=1_000_000)


@pytest.fixture(scope="module")
def table() -> bytes:
    return compile_prices()


@pytest.fixture
def prices(table: bytes) -> Prices:
    return Prices(table)


def expected(provider: str, model: str, usage: Usage, at: datetime.datetime, context: dict[str, str]) -> Decimal:
    """What genai-prices says: its input includes what was cached, and no cached token is an audio token."""
    reported = genai_prices.Usage(
        input_tokens=usage.input + usage.cache_read + usage.cache_write,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
        cache_write_1h_tokens=usage.cache_write_1h,
        output_tokens=usage.output,
        output_reasoning_tokens=usage.reasoning,
        input_audio_tokens=usage.audio_input,
        output_audio_tokens=usage.audio_output,
        cache_audio_read_tokens=0,
        cache_audio_write_tokens=0,
        output_audio_reasoning_tokens=0,
    )
    found = genai_prices.calc_price(
        reported, model, provider_id=provider, genai_request_timestamp=at, price_context=context
    )
    return found.total_price


def interesting(model: types.ModelInfo) -> bool:
    if isinstance(model.prices, list):
        return True
    return any(isinstance(price, types.TieredPrices) for price in model.prices.__dict__.values())


def sample() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Every eighth model, every second one with dates or tiers, and every third variant."""
    counters = {"plain": 0, "interesting": 0, "variant": 0}

    def every(kind: str, nth: int) -> bool:
        counters[kind] += 1
        return counters[kind] % nth == 0

    for provider in providers:
        for model in provider.models:
            if every("interesting", 2) if interesting(model) else every("plain", 8):
                yield provider.id, model.id, {}
            for variant in model.price_variants or ():
                if every("variant", 3):
                    yield provider.id, model.id, variant.when


def priced(prices: types.ModelPrice, usage: Usage) -> bool:
    """Whether the data has a price for what was used; genai-prices takes what it does not know for free."""
    known = {name for key, name in KEYS.items() if getattr(prices, key) is not None}
    return ("input" in known or not usage.input) and ("output" in known or not usage.output)


def test_costs_equal_genai_prices(prices: Prices) -> None:
    models, compared = set(), 0
    for provider, name, context in sample():
        known = next(p for p in providers if p.id == provider).find_model(name, all_providers=providers)
        if known is None:  # a few models do not match their own rule
            continue
        models.add((provider, name))
        for number, usage in enumerate(USAGES):
            at = MOMENTS[(len(models) + number) % len(MOMENTS)]
            asked = tuple(context.items())
            found, source = prices.cost_nano_usd(provider, name, usage, at.timestamp(), asked)
            if not priced(known.get_prices(at, context), usage):
                assert (found, source) == (None, "none")
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                right = expected(provider, name, usage, at, context)
            assert found is not None, (provider, name)
            assert abs(Decimal(found) - right * 10**9) <= 1, (provider, name, usage, at, context)
            compared += 1
    assert len(models) > 400
    assert compared > 1_000


@pytest.mark.parametrize(
    ("upstream", "model", "provider", "listed"),
    [
        ("openai", "gpt-4o-mini", "openai", "gpt-4o-mini"),
        ("default", "gpt-4o-mini", "openai", "gpt-4o-mini"),
        ("default", "claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("openai", "claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("azure-eu", "gpt-4o", "azure", "gpt-4o"),
        ("default", "text-embedding-3-small", "openai", "text-embedding-3-small"),
        ("gateway", "openai/gpt-4o-mini", "openai", "gpt-4o-mini"),
        ("simulated", "GPT-4o-Mini", "openai", "gpt-4o-mini"),
        ("openai", "gpt-5.2-20251211", "openai", "gpt-5.2-2025-12-11"),
    ],
)
def test_a_provider_is_found_by_upstream_then_by_model(
    prices: Prices, upstream: str, model: str, provider: str, listed: str
) -> None:
    found, source = prices.cost_nano_usd(upstream, model, MILLION, NOW_S)
    assert found == expected(provider, listed, MILLION, MOMENTS[-1], {}) * 10**9
    assert source.startswith("genai-prices ")


def test_the_url_of_an_upstream_tells_more_than_its_name(table: bytes) -> None:
    here = Prices(table, urls={"openai": "https://api.groq.com/openai/v1"})
    found, _ = here.cost_nano_usd("openai", "openai/gpt-oss-20b", MILLION, NOW_S)
    assert found == expected("groq", "openai/gpt-oss-20b", MILLION, MOMENTS[-1], {}) * 10**9


@pytest.mark.parametrize(
    ("upstream", "model"),
    [
        ("openai", "no-such-model"),
        ("nowhere", ""),
        ("ollama", "gpt-oss-20b"),
        ("default", "gemma-3-270m-it-Q4_K_M.gguf"),
    ],
)
def test_unknown_and_local_models_have_no_price(prices: Prices, upstream: str, model: str) -> None:
    assert prices.cost_nano_usd(upstream, model, MILLION, NOW_S) == (None, "none")


def test_tokens_without_a_price_make_the_cost_unknown_not_free(prices: Prices) -> None:
    embedding = "text-embedding-3-small"
    assert prices.cost_nano_usd("openai", embedding, Usage(input=10), NOW_S)[0] == 200
    assert prices.cost_nano_usd("openai", embedding, Usage(input=10, output=1), NOW_S) == (None, "none")


def test_a_call_without_tokens_costs_nothing(prices: Prices) -> None:
    assert prices.cost_nano_usd("openai", "gpt-4o", Usage(), NOW_S)[0] == 0


def test_cached_tokens_are_not_billed_twice(prices: Prices) -> None:
    plain, _ = prices.cost_nano_usd("openai", "gpt-4o", Usage(input=1_000_000), NOW_S)
    cached, _ = prices.cost_nano_usd("openai", "gpt-4o", Usage(cache_read=1_000_000), NOW_S)
    assert (plain, cached) == (2_500_000_000, 1_250_000_000)


def test_what_is_kept_for_an_hour_has_its_own_price_and_without_one_that_of_any_write(table: bytes) -> None:
    here = Prices(table, parse_overrides([{"model": "own", "input": 1, "cache_write": 2}]))
    usage = Usage(cache_write=100_000, cache_write_1h=40_000)
    assert here.cost_nano_usd("anthropic", "claude-sonnet-4-5", usage, NOW_S)[0] == 465_000_000
    assert here.cost_nano_usd("house", "own", usage, NOW_S)[0] == 200_000_000
    part_of_nothing = Usage(input=10, cache_write_1h=40_000)
    assert here.cost_nano_usd("anthropic", "claude-sonnet-4-5", part_of_nothing, NOW_S)[0] == 30_000
    plain = Prices(table, parse_overrides([{"model": "own", "input": 1}]))
    assert plain.cost_nano_usd("house", "own", usage, NOW_S)[0] == 100_000_000


def test_an_override_wins_from_its_date_on(table: bytes) -> None:
    rows = [
        {"model": "gpt-4o*", "input": 1, "output": "2.5"},
        {"model": "gpt-4o*", "input": 3, "output": 4, "from": "2026-01-01"},
        {"model": "house-*", "upstream": "llama", "input": 0.0001, "per_call": 0.002},
    ]
    here = Prices(table, parse_overrides(rows))
    usage = Usage(input=1_000_000, cache_read=1_000_000, output=1_000_000)
    assert here.cost_nano_usd("openai", "gpt-4o", usage, MOMENTS[1].timestamp()) == (4_500_000_000, "config")
    assert here.cost_nano_usd("openai", "gpt-4o", usage, NOW_S) == (10_000_000_000, "config")
    assert here.cost_nano_usd("llama", "House-1", MILLION, NOW_S) == (2_100_000, "config")
    assert here.cost_nano_usd("other", "house-1", MILLION, NOW_S) == (None, "none")
    assert here.cost_nano_usd("anthropic", "claude-sonnet-4-5", MILLION, NOW_S)[1].startswith("genai-prices")


def test_an_override_does_not_reach_back_before_its_date(table: bytes) -> None:
    here = Prices(table, parse_overrides([{"model": "gpt-4o", "input": 9, "from": "2026-01-01"}]))
    assert here.cost_nano_usd("openai", "gpt-4o", MILLION, MOMENTS[1].timestamp())[0] == 2_500_000_000


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"model": "x"}, "at least one price"),
        ({"input": 1}, "needs a model"),
        ({"model": "x", "inptu": 1}, "inptu"),
        ({"model": "x", "input": "much"}, "not a number"),
        ({"model": "x", "input": -1}, "not a number"),
        ({"model": "x", "input": True}, "not a number"),
        ({"model": "x", "input": 1, "from": "soon"}, "not a date"),
    ],
)
def test_a_wrong_override_is_refused_with_its_place(row: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        parse_overrides([row])
    assert "prices[0]" in str(caught.value)


def test_the_memory_of_models_is_bounded(prices: Prices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "REMEMBERED", 5)
    for number in range(20):
        prices.cost_nano_usd("openai", f"gpt-4o-{number}", MILLION, NOW_S)
    assert len(prices._offers) == 5


def test_a_daily_window_may_cross_midnight() -> None:
    late = ["daily", 82_800, 3_600]
    assert [subject._holds(late, hour * 3600.0) for hour in (0, 1, 12, 23)] == [True, False, False, True]


def test_a_price_costs_a_small_part_of_what_the_library_takes(prices: Prices) -> None:
    usage = USAGES[1]
    theirs = genai_prices.Usage(input_tokens=1000, output_tokens=100)
    at = datetime.datetime.fromtimestamp(NOW_S, datetime.UTC)

    def ours() -> None:
        prices.cost_nano_usd("anthropic", "claude-sonnet-4-5", usage, NOW_S)

    def library() -> None:
        genai_prices.calc_price(theirs, "claude-sonnet-4-5", provider_id="anthropic", genai_request_timestamp=at)

    ours()
    assert _least_s(ours) < 0.2 * _least_s(library)


def _least_s(work: Callable[[], None]) -> float:
    times = []
    for _ in range(10):
        start = time.perf_counter()
        for _ in range(50):
            work()
        times.append(time.perf_counter() - start)
    return min(times)


def test_the_table_is_small(table: bytes) -> None:
    assert len(table) < 400_000


def test_a_worker_needs_no_price_library() -> None:
    code = "import sys, proxy.prices; sys.exit(any(m in sys.modules for m in ('genai_prices', 'pydantic', 'yaml')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
