"""What shorter texts are worth, at the prices of real models."""

from __future__ import annotations

from plugins.compression.ledger import SAMPLE, Ledger, Rates, net
from proxy.exchange import Target
from proxy.prices import Prices
from proxy.pricing import compile_prices
from tests import kit

NOW_S = 1_795_000_000.0


def test_tokens_of_a_model_that_is_dearer_in_long_calls_are_worth_what_they_cost_in_usual_ones() -> None:
    ledger, exchange = Ledger(Prices(compile_prices())), kit.exchange()
    exchange.target, exchange.at_s = Target("anthropic", "claude-sonnet-4-5"), NOW_S
    account, rates = ledger.account(exchange), ledger.rates(exchange)
    assert ledger.spared(rates, 1297, 0, account) == 3_891_000
    assert ledger.spared(rates, 0, 1297, account) == 389_100  # (as read from the provider's cache)


def test_without_a_price_nothing_is_known() -> None:
    ledger, exchange = Ledger(kit.FakePrices()), kit.exchange()
    exchange.target = Target("sim", "unpriced")
    assert ledger.rates(exchange) is None
    assert ledger.spared(None, 5, 5, ledger.account(exchange)) is None


def test_what_lies_behind_a_change_is_read_at_the_full_price_once_more() -> None:
    rates = Rates(plain=1000 * SAMPLE, read=100 * SAMPLE, write=1250 * SAMPLE)
    assert net(rates, cached=0, start=0, saved=10) == 10_000
    assert net(rates, cached=100, start=50, saved=10) == 10 * 100 - 40 * 900
