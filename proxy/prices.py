"""Prices of calls in integer nano-dollars, from the table that `pricing` compiles and from configured overrides.

A pair of upstream and model is resolved once (provider, model, its dated and tiered prices) and remembered; after that
a price is a few integer multiplications. What is not known is None, never 0: the model, or the price of a class of
tokens that the call used. As in genai-prices, cached and audio tokens without a price of their own cost what plain
input costs, reasoning and audio answers what plain output costs, and a tier applies to all tokens of a call.
"""

from __future__ import annotations

import datetime
import fnmatch
import json
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from proxy.errors import ConfigError
from proxy.exchange import Usage

Json = Any
T = TypeVar("T")
Context = tuple[tuple[str, str], ...]

UNKNOWN = "none"
CONFIGURED = "config"
REMEMBERED = 4096
"""Pairs of upstream and model; the oldest goes first."""
PARSED = 4
"""Providers kept in parsed form while models are being resolved."""
LOCAL = frozenset({"local", "llama", "llamacpp", "xllamacpp", "ollama", "vllm", "sglang", "lmstudio", "tgi"})
"""Names of upstreams that are one's own machine: they cost nothing that a price list knows."""
CLASSES = (
    "input", "cache_read", "cache_write", "output", "reasoning", "audio_input", "audio_output", "cache_write_1h",
)  # fmt: skip
_STANDS_FOR = {
    "cache_read": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "audio_input": "input",
    "reasoning": "output",
    "audio_output": "output",
}
# Model names that only OpenAI has, but which genai-prices does not list as a sign of it.
_OPENAI = ("text-embedding-", "chatgpt-", "ft:gpt-", "davinci-002", "babbage-002", "omni-moderation-")
_COMPACT_DATE = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")
_FEMTO_PER_NANO = 1_000_000


@dataclass(frozen=True, slots=True)
class Override:
    """One configured price: for models (and upstreams) by pattern, from a moment on."""

    model: str
    upstream: str
    from_s: float
    prices: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Offer:
    """What one model costs at one provider: dated price sets, and variants for ways of processing."""

    source: str
    sets: Sequence[tuple[Json, Mapping[str, Json]]]
    variants: Sequence[tuple[Mapping[str, str], Json, Mapping[str, Json]]] = ()
    rates: dict[Hashable, Rates] = field(default_factory=dict)
    flat: Rates | None = field(init=False)
    """The rates without a context, where no date changes them."""

    def __post_init__(self) -> None:
        flat = Rates(self.sets[0][1]) if len(self.sets) == 1 else None
        object.__setattr__(self, "flat", flat)

    def at(self, at_s: float, context: Context) -> Rates:
        """The rates in force: the last set whose condition holds, changed by the first variant that gives a key."""
        chosen = 0
        for index in range(len(self.sets) - 1, -1, -1):
            if _holds(self.sets[index][0], at_s):
                chosen = index
                break
        active: tuple[int, ...] = ()
        if context and self.variants:
            asked = dict(context)
            active = tuple(
                index
                for index, (when, condition, _) in enumerate(self.variants)
                if _holds(condition, at_s) and all(asked.get(key) == value for key, value in when.items())
            )
        rates = self.rates.get((chosen, active))
        if rates is None:
            prices = dict(self.sets[chosen][1])
            for index in reversed(active):
                prices.update(self.variants[index][2])
            rates = self.rates[chosen, active] = Rates(prices)
        return rates


class Rates:
    """Femto-dollars per token of each class, by the size of the whole input."""

    __slots__ = ("steps",)

    def __init__(self, prices: Mapping[str, Json]) -> None:
        starts = sorted({tier[0] for price in prices.values() if isinstance(price, list) for tier in price[1:]})
        self.steps = [(start, self._step(prices, start)) for start in [-1, *starts]]
        """Highest last; a step holds for inputs above its start."""

    @staticmethod
    def _step(prices: Mapping[str, Json], start: int) -> tuple[int | None, ...]:
        def rate(name: str) -> int | None:
            price: Json = prices.get(name)
            if price is None or isinstance(price, int):
                return price
            applicable: list[int] = [price[0], *(tier[1] for tier in price[1:] if tier[0] <= start)]
            return applicable[-1]

        def standing(name: str) -> str:
            return name if name in prices or name not in _STANDS_FOR else standing(_STANDS_FOR[name])

        return (*(rate(standing(name)) for name in CLASSES), rate("per_call"))

    def cost_femto(self, usage: Usage) -> int | None:
        total_input = usage.input + usage.cache_read + usage.cache_write
        step = self.steps[0][1]
        if len(self.steps) > 1:
            for start, candidate in reversed(self.steps):
                if total_input > start:
                    step = candidate
                    break
        if usage.plain and (price := step[0]) is not None and (said := step[3]) is not None and step[1] is not None:
            return usage.input * price + usage.cache_read * step[1] + usage.output * said + (step[8] or 0)
        plain_input = max(usage.input - usage.audio_input, 0)
        plain_output = max(usage.output - usage.reasoning - usage.audio_output, 0)
        hour = min(usage.cache_write_1h, usage.cache_write)
        counts = (plain_input, usage.cache_read, usage.cache_write - hour, plain_output, usage.reasoning,
                  usage.audio_input, usage.audio_output, hour)  # fmt: skip
        per_call = step[8]
        total, known = per_call or 0, per_call is not None
        for count, rate in zip(counts, step, strict=False):
            if rate is not None:
                known = True
                total += count * rate
            elif count:
                return None
        return total if known else None


class Prices:
    """Implements `ports.Prices`. `table` is what `pricing.compile_prices` gave, `overrides` what `parse_overrides` did.
    `urls` maps upstream names to their URLs, which tell a provider more surely than a name does."""

    def __init__(self, table: bytes, overrides: Sequence[Override] = (), urls: Mapping[str, str] | None = None) -> None:
        header, *self._lines = table.split(b"\n")
        parsed = json.loads(header)
        self._source: str = parsed["source"]
        self._providers: list[Json] = parsed["providers"]
        self._overrides = tuple(overrides)
        self._urls = dict(urls or {})
        self._offers: dict[tuple[str, str], Offer | None] = {}
        self._configured: dict[tuple[str, str], Offer | None] = {}
        self._models: dict[int, Json] = {}

    def override(self, overrides: Sequence[Override]) -> None:
        """From now on these are what is configured."""
        self._overrides = tuple(overrides)
        self._configured.clear()

    def cost_nano_usd(
        self, upstream: str, model: str, usage: Usage, at_s: float, context: Context = ()
    ) -> tuple[int | None, str]:
        """Cost and `price_source`. `context` selects variants, for example `(("processing", "batch"),)` or
        `(("service_tier", "flex"),)`."""
        key = (upstream, model)
        offer = self._offers.get(key)
        if offer is None and key not in self._offers:
            offer = self._resolve(upstream, model)
            _remember(self._offers, key, offer, REMEMBERED)
        if self._overrides and (configured := self._override(upstream, model, at_s)) is not None:
            offer = configured
        if offer is None:
            return None, UNKNOWN
        rates = offer.flat
        if rates is None or context:
            rates = offer.at(at_s, context)
        femto = rates.cost_femto(usage)
        if femto is None:
            return None, UNKNOWN
        return (femto + _FEMTO_PER_NANO // 2) // _FEMTO_PER_NANO, offer.source

    def _override(self, upstream: str, model: str, at_s: float) -> Offer | None:
        """The matching override that began last; of two that began together, the later in the file."""
        key = (upstream, model)
        offer = self._configured.get(key)
        if offer is None and key not in self._configured:
            fitting = [
                row
                for row in self._overrides
                if fnmatch.fnmatchcase(model.lower(), row.model) and fnmatch.fnmatchcase(upstream, row.upstream)
            ]
            sets = [(["from", row.from_s], row.prices) for row in sorted(fitting, key=lambda row: row.from_s)]
            offer = Offer(CONFIGURED, sets) if sets else None
            _remember(self._configured, key, offer, REMEMBERED)
        return offer if offer is not None and at_s >= offer.sets[0][0][1] else None

    def _resolve(self, upstream: str, model: str) -> Offer | None:
        name = model.lower()
        if _first_word(upstream) in LOCAL or name.endswith(".gguf"):
            return None
        hinted = self._by_url(upstream)
        if hinted is None:
            hinted = self._by_name(upstream)
        if hinted is not None and (offer := self._offer(hinted, name)) is not None:
            return offer
        return self._by_model(name)

    def _by_url(self, upstream: str) -> int | None:
        url = self._urls.get(upstream)
        return None if url is None else self._find(lambda row: re.match(row[1], url) is not None)

    def _by_name(self, name: str) -> int | None:
        name = name.lower().strip()
        for wanted in (name, _first_word(name)):
            found = self._with_id(wanted)
            if found is not None:
                return found
        return self._find(lambda row: _fits(row[2], name))

    def _by_model(self, name: str) -> Offer | None:
        provider = self._find(lambda row: _fits(row[3], name))
        if provider is None and name.startswith(_OPENAI):
            provider = self._with_id("openai")
        if provider is not None:
            return self._offer(provider, name)
        prefix, _, rest = name.partition("/")
        provider = self._by_name(prefix) if rest else None
        return None if provider is None else self._offer(provider, rest)

    def _with_id(self, wanted: str) -> int | None:
        return self._find(lambda row: bool(row[0] == wanted))

    def _find(self, test: Callable[[Json], bool]) -> int | None:
        return next((index for index, row in enumerate(self._providers) if test(row)), None)

    def _offer(self, provider: int, name: str) -> Offer | None:
        """The model at the provider or at those whose models it resells; compact dates are tried with dashes too."""
        dashed = _COMPACT_DATE.sub(_dashed, name)
        fallbacks = [self._with_id(wanted) for wanted in self._providers[provider][4]]
        for candidate in dict.fromkeys((name, dashed)):
            for index in (provider, *fallbacks):
                offer = None if index is None else self._offer_of(index, candidate)
                if offer is not None:  # a reseller has its own ways of processing: variants stay with their provider
                    return offer if index == provider else Offer(offer.source, offer.sets)
        return None

    def _offer_of(self, provider: int, name: str) -> Offer | None:
        parsed = self._models.get(provider)
        if parsed is None:
            parsed = json.loads(self._lines[provider])
            _remember(self._models, provider, parsed, PARSED)
        sets = parsed["sets"]
        for rule, prices, variants in parsed["models"]:
            if _fits(rule, name):
                dated = [(condition, sets[index]) for condition, index in prices]
                varied = [(when, condition, sets[index]) for when, condition, index in variants]
                return Offer(self._source, dated, varied)
        return None


def parse_overrides(rows: Sequence[Mapping[str, Json]]) -> tuple[Override, ...]:
    """Configured prices: `model` (pattern with `*`), optionally `upstream` (pattern) and `from` (a date), then dollars
    per million tokens for any of input, cache_read, cache_write, cache_write_1h, output, reasoning, audio_input and
    audio_output, and `per_call` in dollars per call."""
    return tuple(_override(index, row) for index, row in enumerate(rows))


def _override(index: int, row: Mapping[str, Json]) -> Override:
    prices: dict[str, int] = {}
    for key, value in row.items():
        if key in CLASSES:
            prices[key] = _femto(value, 10**9, f"prices[{index}].{key}")
        elif key == "per_call":
            prices[key] = _femto(value, 10**15, f"prices[{index}].{key}")
        elif key not in ("model", "upstream", "from"):
            raise ConfigError(f"unknown; write one of {', '.join(CLASSES)}, per_call", key=f"prices[{index}].{key}")
    if not row.get("model") or not prices:
        raise ConfigError("an entry needs a model and at least one price", key=f"prices[{index}]")
    from_s = _moment(row.get("from"), f"prices[{index}].from")
    return Override(str(row["model"]).lower(), str(row.get("upstream") or "*"), from_s, prices)


def _femto(value: Json, scale: int, key: str) -> int:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise ConfigError("not a number of dollars", key=key) from None
    if isinstance(value, bool) or not amount.is_finite() or amount < 0:
        raise ConfigError("not a number of dollars", key=key)
    return round(amount * scale)


def _moment(value: Json, key: str) -> float:
    if value is None:
        return float("-inf")
    try:
        day = datetime.date.fromisoformat(str(value))
    except ValueError:
        raise ConfigError("not a date like 2026-01-31", key=key) from None
    return datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp()


def _remember(memory: dict[Any, T], key: Hashable, value: T, limit: int) -> None:
    if len(memory) >= limit:
        del memory[next(iter(memory))]
    memory[key] = value


def _first_word(name: str) -> str:
    return re.split(r"[-_./: ]", name.lower(), maxsplit=1)[0]


def _dashed(found: re.Match[str]) -> str:
    year, month, day = found.groups()
    try:
        datetime.date(int(year), int(month), int(day))
    except ValueError:
        return found.group(0)
    return f"-{year}-{month}-{day}"


def _holds(condition: Json, at_s: float) -> bool:
    if condition is None:
        return True
    if condition[0] == "from":
        return bool(at_s >= condition[1])
    second, start, end = at_s % 86_400, condition[1], condition[2]
    return bool(start <= second < end if start <= end else second >= start or second < end)


def _fits(rule: Json, name: str) -> bool:
    if rule is None:
        return False
    verb, operand = rule
    if verb == "or":
        return any(_fits(part, name) for part in operand)
    if verb == "and":
        return all(_fits(part, name) for part in operand)
    return _TESTS[verb](name, operand)


_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "is": str.__eq__,
    "starts": str.startswith,
    "ends": str.endswith,
    "has": str.__contains__,
    "re": lambda name, pattern: re.search(pattern, name) is not None,
}
