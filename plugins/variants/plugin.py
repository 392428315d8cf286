"""Variants assigns each call to the variants of the tests it is in, and makes the changes that these stand for.

Stands below the guards and above whatever depends on prompt, model or options. What is assigned goes into
`exchange.variant` as `test=variant`, several joined by commas: from there into header, record and the cache's key, and
from there on the options of plugins are those of the variant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from plugins.variants import prompt
from plugins.variants.assignment import Arm, Assignment, unit_of
from plugins.variants.options import Trial, VariantsOptions
from proxy.errors import UnknownModel
from proxy.exchange import PINNED, RETRIEVED, Exchange, Response, Target
from proxy.plugin import Kit, Named, Plugin
from proxy.ports import Counter

PLANS, KINDS = 256, 1024
LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""How long an answer may be. Limits above this plugin have reserved for what the call allowed when it came."""

Held = tuple[VariantsOptions, "Plan"]


class Plan:
    """The tests of one set of options."""

    def __init__(self, tests: Sequence[Trial]) -> None:
        self.tests = [Assignment(test) for test in tests if test.active and test.share > 0]
        self._applying: dict[tuple[str, str, str], list[Assignment]] = {}

    def applying(self, agent: str, model: str, surface: str) -> list[Assignment]:
        """The tests that calls of this kind are in, in the order of the list."""
        key = (agent, model, surface)
        found = self._applying.get(key)
        if found is None:
            if len(self._applying) >= KINDS:
                self._applying.clear()
            found = self._applying[key] = [one for one in self.tests if _concerns(one.test, agent, model, surface)]
        return found


class Variants(Plugin[VariantsOptions]):
    name = "variants"
    Options = VariantsOptions
    rows = ("unit",)
    again = frozenset({"finish"})

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self._plans: dict[int, Held] = {}
        self._counters: dict[tuple[str, str], Counter] = {}
        self._targets: dict[tuple[str, str], list[Target]] = {}
        self._targets_at: Any = None

    @classmethod
    def varied(cls, options: VariantsOptions) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        return {
            f"{test.name}={variant.name}": variant.options
            for test in options.tests
            for variant in test.variants
            if variant.options
        }

    @classmethod
    def named(cls, options: VariantsOptions) -> Iterable[Named]:
        for place, test in enumerate(options.tests):
            here = ("tests", str(place))
            for at, pattern in enumerate(test.models):
                yield Named((*here, "models", str(at)), pattern, "asked")
            for at, variant in enumerate(test.variants):
                if variant.model and test.active and test.share and variant.weight:
                    yield Named(
                        (*here, "variants", str(at), "model"), variant.model, "model", test.surfaces, test.models
                    )

    def needed(self, hook: str, snapshot: Any, agent: Any) -> bool:
        return bool(self.given(snapshot, agent).get("tests"))

    async def request(self, exchange: Exchange) -> Response | None:
        request, caller = exchange.request, exchange.caller
        tests = self._plan(exchange.options(self)).applying(caller.agent, request.model, request.dialect)
        if not tests or request.method != "POST" or RETRIEVED in exchange.notes:
            return None
        arms = []
        for one in tests:
            unit = _unit(exchange, one.test)
            arm = None if unit is None else one.of(unit)
            if arm is not None and self._aimed(exchange, arm):
                arms.append(arm)
        if arms:
            exchange.variant = ",".join([arm.label for arm in arms])
            for arm in arms:
                self._change(exchange, arm)
        return None

    async def finish(self, exchange: Exchange) -> None:
        if not exchange.variant:
            return
        for label in exchange.variant.split(","):
            counter = self._counters.get((label, exchange.outcome))
            if counter is None:
                if len(self._counters) >= KINDS:
                    self._counters.clear()
                test, _, variant = label.partition("=")
                counter = self.kit.metrics.counter(
                    "weir_variant_calls_total", test=test, variant=variant, outcome=exchange.outcome
                )
                self._counters[label, exchange.outcome] = counter
            counter.add()

    def scan(self, row: dict[str, Any], options: VariantsOptions) -> dict[str, Any]:
        """`assigned`: for each test the variant that `unit` gets (of `tenant`, default "default"), null where it is in
        none; `variant`: as the record would have it."""
        assigned: dict[str, str | None] = {}
        labels = []
        for one in self._plan(options).tests:
            arm = one.of(unit_of(one.test.unit, str(row.get("tenant", "default")), str(row["unit"])))
            assigned[one.test.name] = None if arm is None else arm.variant.name
            labels += [arm.label] if arm else []
        return {"assigned": assigned, "variant": ",".join(labels)}

    def _plan(self, options: VariantsOptions) -> Plan:
        held = self._plans.get(id(options))
        if held is None or held[0] is not options:
            if len(self._plans) >= PLANS:
                self._plans.clear()
            held = self._plans[id(options)] = (options, Plan(options.tests))
        return held[1]

    def _aimed(self, exchange: Exchange, arm: Arm) -> bool:
        """The call goes to the variant's model. False where it cannot: then it is not in the test."""
        if not arm.variant.model:
            return True
        targets = self._targets_of(exchange, arm.variant.model)
        if _continues(exchange) and exchange.target is not None:  # what it builds on is kept there and nowhere else
            targets = [target for target in targets if target.upstream == exchange.target.upstream][:1]
        if not targets:
            exchange.step(self.name, "request", f"unserved {arm.label}")
            return False
        if not _allowed(exchange, targets[0].model):
            exchange.step(self.name, "request", f"not allowed {arm.label}")
            return False
        exchange.notes[PINNED] = self.name
        if targets[0] != exchange.target:
            exchange.target, exchange.fallbacks = targets[0], list(targets[1:])
        return True

    def _targets_of(self, exchange: Exchange, model: str) -> list[Target]:
        """Where calls of this dialect go that ask for this model; nowhere, where no upstream serves it."""
        if self._targets_at is not exchange.snapshot or len(self._targets) >= KINDS:
            self._targets_at = exchange.snapshot
            self._targets.clear()
        key = (exchange.request.dialect, model)
        found = self._targets.get(key)
        if found is None:
            found = self._targets[key] = []
            if self.kit.targets is not None:
                with suppress(UnknownModel):
                    found += self.kit.targets(exchange, model)
        return found

    def _change(self, exchange: Exchange, arm: Arm) -> None:
        request, variant = exchange.request, arm.variant
        for name, value in variant.parameters.items():
            if name in LIMITS:
                self._lower(exchange, name, value)
            else:
                request.set(name, value)
        if variant.system:
            prompt.write(request, variant.system, variant.system_mode, self.name)

    def _lower(self, exchange: Exchange, name: str, value: Any) -> None:
        """The answer's limit, under the name that the call has for it."""
        request = exchange.request
        name = next((known for known in LIMITS if request.get(known) is not None), name)
        present = request.get(name)
        if isinstance(value, int) and (not isinstance(present, int) or value < present):
            request.set(name, value)


def _unit(exchange: Exchange, test: Trial) -> bytes | None:
    """Whose assignment this is. None where a call goes on with a conversation that cannot be told."""
    caller = exchange.caller
    if test.unit == "user" and caller.user:
        return unit_of("user", caller.tenant, caller.user)
    if test.unit == "session" and caller.session:
        return unit_of("session", caller.tenant, caller.session)
    if not caller.session and exchange.request.get("previous_response_id"):
        return None
    return unit_of("conversation", caller.tenant, exchange.conversation or exchange.id)


def _continues(exchange: Exchange) -> bool:
    request = exchange.request
    return request.dialect == "responses" and bool(request.get("previous_response_id") or request.get("conversation"))


def _allowed(exchange: Exchange, model: str) -> bool:
    """Whether the caller's key may use the model: a test widens no right, and nobody is refused for what it chose."""
    if exchange.caller.key is None:
        return True
    key = exchange.snapshot.identity.key(exchange.caller.key)
    return key is not None and _matches(tuple(key.models), model)


def _concerns(test: Trial, agent: str, model: str, surface: str) -> bool:
    return surface in test.surfaces and _matches(test.agents, agent) and _matches(test.models, model)


def _matches(patterns: tuple[str, ...], value: str) -> bool:
    if not patterns:
        return True
    return any(value.startswith(one[:-1]) if one.endswith("*") else value == one for one in patterns)
