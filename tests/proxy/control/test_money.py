"""What the admin port tells of money: saved and spent, by provider, and who waits."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from proxy.control.money import Money
from proxy.errors import BadRequest
from proxy.findings import Saving
from proxy.store.history import History
from tests.kit import FakeClock

NOON = 1_700_049_600.0
MILLI = 1_000_000
"""Nano-dollars in a thousandth of a dollar."""


def call(number: int, *found: Saving, **more: Any) -> dict[str, Any]:
    usual = {
        "id": f"wr_{number}", "at": NOON + number, "agent": "a", "outcome": "ok", "surface": "chat", "stream": False,
        "upstream": "openai", "model": "best", "target_model": "gpt-4o", "served_model": "gpt-4o-2024-08-06",
        "attempts": 1, "input_tokens": 100, "cache_read_tokens": 50, "cache_write_tokens": 0, "output_tokens": 10,
        "reasoning_tokens": 0, "usage_source": "provider", "cost_nano_usd": 4 * MILLI, "bytes_out": 500,
        "total_ms": 800.0, "cache": "MISS",
    }  # fmt: skip
    return usual | {"savings": [asdict(one) for one in found]} | more


@pytest.fixture
def money(tmp_path: Path) -> Money:
    history = History(tmp_path / "executions", FakeClock())
    free = {"usage_source": "cached", "cost_nano_usd": 0, "attempts": 0}
    history.write([
        call(1),
        call(2, Saving("cache", "hit", 150, 10, 4 * MILLI), cache="HIT", **free),
        call(3, Saving("cache", "semantic", 150, 10, 4 * MILLI, "similarity 0.97"), cache="SEMANTIC", **free),
        call(4, Saving("compression", "json", 60, 0, -MILLI), Saving("routing", "routed", nano_usd=3 * MILLI,
             mode="shadow"), agent="b"),
        call(5, Saving("compression", "json", 40, 0, None), agent="b", cost_nano_usd=None),
        call(6, Saving("cache", "coalesced", 150, 10, 4 * MILLI), cache="COALESCED", **free),
        call(7, cache="BYPASS"),
        call(8, parent="wr_7", cost_nano_usd=2 * MILLI, cache=""),
        call(86_400, Saving("cache", "hit", 150, 10, 4 * MILLI), cache="HIT", **free),
    ])  # fmt: skip
    return Money(history)


async def test_savings_are_net_and_stand_beside_what_was_spent(money: Money) -> None:
    told = await money.savings({})
    assert [(one["plugin"], one["mode"], one["calls"], one["usd"]) for one in told["data"]] == [
        ("cache", "enforce", 4, 0.016), ("compression", "enforce", 2, -0.001), ("routing", "shadow", 1, 0.003),
    ]  # fmt: skip
    lost = told["data"][1]
    assert (lost["losses"], lost["lost_nano_usd"], lost["unpriced"], lost["input_tokens"]) == (1, -MILLI, 1, 100)
    assert (told["enforce"]["usd"], told["shadow"]["usd"]) == (0.015, 0.003)
    spent = told["spent"]
    assert (spent["calls"], spent["usd"], spent["unpriced"]) == (8, 0.014, 1)
    assert (spent["input_tokens"], spent["output_tokens"]) == (5 * 150, 5 * 10)
    assert spent["without_usd"] == pytest.approx(0.029)
    assert spent["without_input_tokens"] == 750 + 4 * 150 + 100
    assert spent["money_saved_share"] == pytest.approx(15 / 29)
    assert spent["tokens_saved_share"] == pytest.approx(740 / 1540)


async def test_the_rate_of_hits_is_told_of_the_calls_that_could_have_had_one_and_of_all(money: Money) -> None:
    cache = (await money.savings({}))["cache"]
    assert cache == {
        "BYPASS": 1, "COALESCED": 1, "HIT": 2, "MISS": 3, "SEMANTIC": 1, "hit_rate": 3 / 6, "hit_rate_of_all": 3 / 8,
    }  # fmt: skip


async def test_calls_that_shared_an_answer_are_neither_hits_nor_misses(tmp_path: Path) -> None:
    history = History(tmp_path, FakeClock())
    history.write([call(1, cache="COALESCED", usage_source="cached", cost_nano_usd=0)])
    assert (await Money(history).savings({}))["cache"] == {"COALESCED": 1, "hit_rate": None, "hit_rate_of_all": 0.0}


async def test_what_was_risked_is_told(money: Money) -> None:
    assert (await money.savings({}))["risks"] == [
        {"plugin": "cache", "kind": "semantic", "mode": "enforce", "risk": "similarity 0.97", "count": 1}
    ]


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("kind", [("cache", "hit"), ("cache", "coalesced"), ("cache", "semantic"), ("compression", "json")]),
        ("agent", [("a",), ("b",)]),
        ("day", [("2023-11-15",), ("2023-11-16",)]),
    ],
)
async def test_savings_are_summed_by_what_is_asked(money: Money, by: str, groups: list[tuple[str, ...]]) -> None:
    names = ("plugin", "kind") if by == "kind" else (by,)
    told = await money.savings({"by": by})
    assert [tuple(one[name] for name in names) for one in told["data"] if one["mode"] == "enforce"] == groups


async def test_savings_are_of_a_span_and_of_an_agent(money: Money) -> None:
    day = await money.savings({"since": "2023-11-16"})
    assert (day["enforce"]["usd"], day["spent"]["calls"], day["cache"]["hit_rate"]) == (0.004, 1, 1.0)
    agent = await money.savings({"agent": "b"})
    assert (agent["enforce"]["usd"], agent["spent"]["usd"], agent["spent"]["calls"]) == (-0.001, 0.004, 2)
    assert agent["spent"]["money_saved_share"] == pytest.approx(-1 / 3)


async def test_where_nothing_happened_nothing_is_divided_by(money: Money) -> None:
    told = await money.savings({"until": "2000-01-01"})
    assert told["data"] == []
    assert told["spent"]["money_saved_share"] is None
    assert told["cache"] == {"hit_rate": None, "hit_rate_of_all": None}


async def test_usage_is_told_by_day_provider_and_model_of_what_providers_did(money: Money) -> None:
    (only,) = (await money.usage({}))["data"]
    assert (only["day"], only["upstream"], only["model"]) == ("2023-11-15", "openai", "gpt-4o-2024-08-06")
    assert (only["calls"], only["input_tokens"], only["cache_read_tokens"], only["output_tokens"]) == (5, 500, 250, 50)
    assert (only["usd"], only["unpriced"], only["estimated"]) == (0.014, 1, 0)
    assert (await money.usage({"upstream": "anthropic"}))["data"] == []


async def test_agents_that_wait_for_long_answers_are_listed(tmp_path: Path) -> None:
    history = History(tmp_path / "executions", FakeClock())
    long = {"output_tokens": 600, "bytes_out": 9_000, "total_ms": 9_000.0}
    history.write([
        call(1, **long), call(2, **long | {"total_ms": 11_000.0}), call(3),
        call(4, agent="streams", stream=True, **long),
        call(5, agent="thinks", output_tokens=600, reasoning_tokens=550, bytes_out=9_000),
        call(6, agent="unknown", output_tokens=None, bytes_out=4_000),
        call(7, agent="embeds", surface="embeddings", **long),
        call(8, agent="cached", attempts=0, cache="HIT", **long),
        call(9, agent="shares", attempts=0, cache="COALESCED", usage_source="cached", **long | {"total_ms": 500.0}),
    ])  # fmt: skip
    told = await Money(history).unstreamed({})
    assert told == {"over": 1000, "data": [
        {"agent": "a", "calls": 3, "unstreamed": 3, "long": 2, "longest_characters": 2400, "mean_wait_ms": 10_000.0},
        {"agent": "shares", "calls": 1, "unstreamed": 1, "long": 1, "longest_characters": 2400, "mean_wait_ms": 500.0},
        {"agent": "unknown", "calls": 1, "unstreamed": 1, "long": 1, "longest_characters": 4000,
         "mean_wait_ms": 800.0},
    ]}  # fmt: skip
    assert [one["agent"] for one in (await Money(history).unstreamed({"over": "2399"}))["data"]] == [
        "a", "shares", "unknown",
    ]  # fmt: skip
    assert [one["agent"] for one in (await Money(history).unstreamed({"over": "2400"}))["data"]] == ["unknown"]


@pytest.mark.parametrize(
    ("what", "query"),
    [("savings", {"by": "user"}), ("savings", {"limit": "3"}), ("savings", {"since": "then"}), ("usage", {"by": "day"}),
     ("unstreamed", {"over": "-1"}), ("unstreamed", {"over": "many"})],
)  # fmt: skip
async def test_a_parameter_that_is_none_is_told(money: Money, what: str, query: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        await getattr(money, what)(query)
