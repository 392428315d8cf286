"""Compiles the price data of genai-prices into the plain table that `prices` reads. For control and builds only.

The table is JSON, one line per provider behind a header line, so that a worker parses only the providers it meets.
Prices become integers of femto-dollars per token (a dollar per million tokens is 10^9); everything that a call to a
model is not billed by (hours, pages, searches) is left out.

Header: `{"source", "providers": [[id, url pattern, name rule, model rule, [fallback ids]], ...]}`, in the order of the
lines. Line: `{"sets": [{key: price}], "models": [[rule, prices, variants]]}` where a price is an integer or
`[base, [above, price], ...]`, `prices` is `[[condition, set], ...]` (the last that holds counts, else the first) and
`variants` is `[[{name: value}, condition, set], ...]`. A rule is `[verb, operand]`. A condition is null,
`["from", seconds since the epoch]` or `["daily", second of the day, second of the day]`, in UTC.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import orjson
from genai_prices import types
from genai_prices.data import providers as PUBLISHED

from proxy.pricetable import source

Json = Any

KEYS = {
    "input_mtok": "input",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "audio_input",
    "output_audio_mtok": "audio_output",
    "requests_kcount": "per_call",
}
FEMTO_PER_TOKEN = 10**9
FEMTO_PER_CALL = 10**12


def compile_prices(providers: Sequence[types.Provider] = PUBLISHED) -> bytes:
    """The table, from the data that the installed genai-prices carries."""
    header = {
        "source": source(),
        "providers": [
            [
                provider.id,
                provider.api_pattern,
                _rule(provider.provider_match),
                _rule(provider.model_match),
                provider.fallback_model_providers or [],
            ]
            for provider in providers
        ],
    }
    return b"\n".join([orjson.dumps(header), *(orjson.dumps(_provider(provider)) for provider in providers)])


def _provider(provider: types.Provider) -> Json:
    sets = _Sets()
    models = []
    for model in provider.models:
        variants = [
            [variant.when, _condition(variant.constraint), sets.add(variant.prices)]
            for variant in model.price_variants or ()
        ]
        models.append([_rule(model.match), _prices(model.prices, sets), variants])
    return {"sets": sets.all, "models": models}


class _Sets:
    """Price sets of one provider, each kept once: many models cost the same."""

    def __init__(self) -> None:
        self.all: list[dict[str, Json]] = []
        self._seen: dict[bytes, int] = {}

    def add(self, prices: types.ModelPrice) -> int:
        entry = {name: _price(value, key) for key, name in KEYS.items() if (value := getattr(prices, key)) is not None}
        identity = orjson.dumps(entry)
        if identity not in self._seen:
            self._seen[identity] = len(self.all)
            self.all.append(entry)
        return self._seen[identity]


def _prices(prices: types.ModelPrice | list[types.ConditionalPrice], sets: _Sets) -> Json:
    if isinstance(prices, types.ModelPrice):
        return [[None, sets.add(prices)]]
    return [[_condition(price.constraint), sets.add(price.prices)] for price in prices]


def _price(value: Decimal | types.TieredPrices, key: str) -> Json:
    if isinstance(value, types.TieredPrices):
        return [_femto(value.base, key), *([tier.start, _femto(tier.price, key)] for tier in value.tiers)]
    return _femto(value, key)


def _femto(value: Decimal, key: str) -> int:
    return round(value * (FEMTO_PER_CALL if key == "requests_kcount" else FEMTO_PER_TOKEN))


def _condition(constraint: types.StartDateConstraint | types.TimeOfDateConstraint | None) -> Json:
    if constraint is None:
        return None
    if isinstance(constraint, types.StartDateConstraint):
        midnight = datetime.datetime.combine(constraint.start_date, datetime.time(), datetime.UTC)
        return ["from", int(midnight.timestamp())]
    return ["daily", _second_of_day(constraint.start_time), _second_of_day(constraint.end_time)]


def _second_of_day(moment: datetime.time) -> int:
    offset = moment.utcoffset() or datetime.timedelta()
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second - int(offset.total_seconds())
    return seconds % 86_400


def _rule(clause: Any) -> Json:
    """Literals are lowered here, because names are lowered before they are compared."""
    match clause:
        case None:
            return None
        case types.ClauseEquals():
            return ["is", clause.equals.lower()]
        case types.ClauseStartsWith():
            return ["starts", clause.starts_with.lower()]
        case types.ClauseEndsWith():
            return ["ends", clause.ends_with.lower()]
        case types.ClauseContains():
            return ["has", clause.contains.lower()]
        case types.ClauseRegex():
            return ["re", clause.regex]
        case types.ClauseOr():
            return ["or", [_rule(part) for part in clause.or_]]
        case types.ClauseAnd():
            return ["and", [_rule(part) for part in clause.and_]]
        case _:
            raise TypeError(f"genai-prices has a rule that is not known here: {type(clause).__name__}")
