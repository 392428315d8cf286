"""What outcomes teach of each model: a correction of what the shipped state foretells, learnt online.

For each tenant and model a logistic regression over a few numbers of the call, its weights held to nothing by a prior,
each with a precision of its own (a diagonal Laplace approximation; O. Chapelle and L. Li, 2011). What it knows is kept
as precision and precision times weight: both are sums, so what several workers have learnt is added up in the store.
What was learnt long ago counts less and less.

Outcomes and people's words teach a learner each: what merely ended says that all is as foretold, and would outvote the
few who say anything. What words teach is in no store: every worker hears them all, and again after a start.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from plugins.routing.quality import chance
from proxy.errors import WeirError
from proxy.ports import Store

PRECISION = 8.0
"""Of the belief that nothing has to be corrected: what some fifty observations weigh."""
KEPT = 0.999
"""Of what is known, at each observation."""
SAVE_AFTER = 25
"""Observations until what was learnt is given to the store."""
EACH = 4
"""Answers that merely ended, for which one teaches: there are many, and they say little."""
MODELS = 2048
"""Tenants times models that are known at a time."""
TTL_S = 90 * 86_400.0
TRIES = 4
MOST_BYTES = 4096

Traits = Sequence[float]
"""Of a call, for one model: the log odds foretold that it suffices, then the numbers that a correction may hang on."""


@dataclass(slots=True)
class Known:
    """Of one model: what is known, and what of it the store has not."""

    precision: list[float]
    moment: list[float]
    """Precision (beyond the prior's) times weight."""
    fresh_precision: list[float]
    fresh_moment: list[float]
    observed: int = 0
    fresh: int = 0
    saving: bool = False
    ended: int = 0
    """Answers that merely ended, since one of them taught."""
    bent: bool = False
    """Something is to be corrected."""
    weights: list[float] = field(default_factory=list)

    @classmethod
    def nothing(cls, size: int) -> Known:
        return cls([0.0] * size, [0.0] * size, [0.0] * size, [0.0] * size, weights=[0.0] * size)

    def assure(self, bend: float, traits: Traits) -> None:
        """All was as foretold, and nothing is to be corrected: that is the surer for it."""
        more = [bend * trait * trait for trait in traits]
        self.precision = [KEPT * old + new for old, new in zip(self.precision, more, strict=True)]
        self.fresh_precision = [old + new for old, new in zip(self.fresh_precision, more, strict=True)]
        self.observed += 1
        self.fresh += 1

    def settle(self) -> None:
        self.weights = [m / (PRECISION + p) for m, p in zip(self.moment, self.precision, strict=True)]
        self.bent = any(self.moment)


class Learner:
    """Everything that was learnt, by tenant and model."""

    def __init__(self, store: Store | None) -> None:
        """None: what is learnt here is this process's own."""
        self._store = store
        self._known: OrderedDict[tuple[str, str], Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def correction(self, tenant: str, model: str, traits: Traits) -> float:
        """What to add to the log odds foretold."""
        known = self._known.get((tenant, model))
        if known is None or not known.bent:
            return 0.0
        return sum([weight * trait for weight, trait in zip(known.weights, traits[1:], strict=False)])

    def known(self, tenant: str, model: str) -> Known | None:
        """What is known of it; None: the store has not been asked for it, and nothing was learnt."""
        return self._known.get((tenant, model))

    def expect(self, tenant: str, model: str, size: int) -> None:
        """From now on it is known, as nothing yet."""
        self._of(tenant, model, size)

    def learn(self, tenant: str, model: str, traits: Traits, good: float, weight: float = 1.0) -> Known:
        """One observation: `good` from 0 to 1. `weight`: how much it counts beside somebody's own word."""
        known = self._of(tenant, model, len(traits) - 1)
        told = chance(traits[0] + self.correction(tenant, model, traits))
        bend, miss = weight * told * (1.0 - told), weight * (good - told)
        if miss == 0.0 and not known.bent:
            known.assure(bend, traits[1:])
            return known
        for at, trait in enumerate(traits[1:]):
            more = bend * trait * trait
            moved = more * known.weights[at] + miss * trait
            known.precision[at] = KEPT * known.precision[at] + more
            known.moment[at] = KEPT * known.moment[at] + moved
            known.fresh_precision[at] += more
            known.fresh_moment[at] += moved
        known.observed += 1
        known.fresh += 1
        known.settle()
        return known

    def relearn(self, tenant: str, model: str, traits: Traits, good: float, before: float) -> None:
        """What somebody said is `good` now and was `before`: no more is known than was, and something else."""
        known = self._of(tenant, model, len(traits) - 1)
        for at, trait in enumerate(traits[1:]):
            known.moment[at] += (good - before) * trait
            known.fresh_moment[at] += (good - before) * trait
        known.settle()

    def ended(self, tenant: str, model: str) -> bool:
        """An answer merely ended, all is as foretold. Whether this is the one of `EACH` that teaches, for them all."""
        known = self._known.get((tenant, model))
        if known is None:
            return True
        known.ended = at = (known.ended + 1) % EACH
        return at == 0

    async def load(self, tenant: str, model: str, size: int) -> None:
        """What the store has of it. A store that is away has nothing."""
        known = self._of(tenant, model, size)
        if self._store is None:
            return
        try:
            found = _unpacked(await self._store.get(_key(tenant, model)), size)
        except WeirError:
            return
        if found is not None:
            precision, moment = found
            known.precision = [a + b for a, b in zip(precision, known.fresh_precision, strict=True)]
            known.moment = [a + b for a, b in zip(moment, known.fresh_moment, strict=True)]
            known.settle()

    async def save(self, tenant: str, model: str) -> None:
        """Adds to the store what is new here, and takes over what others have learnt. Kept for later where the store
        is away."""
        known = self._known.get((tenant, model))
        if self._store is None or known is None or known.saving or not known.fresh:
            return
        known.saving = True
        try:
            await self._add(self._store, known, _key(tenant, model))
        except WeirError:
            return
        finally:
            known.saving = False

    async def _add(self, store: Store, known: Known, key: str) -> None:
        size = len(known.weights)
        for _ in range(TRIES):
            before = await store.get(key)
            precision, moment = _unpacked(before, size) or ([0.0] * size, [0.0] * size)
            added, count = (list(known.fresh_precision), list(known.fresh_moment)), known.fresh
            aged = KEPT**count
            precision = [aged * a + b for a, b in zip(precision, added[0], strict=True)]
            moment = [aged * a + b for a, b in zip(moment, added[1], strict=True)]
            if await store.put_if(key, _packed(precision, moment), before, TTL_S):
                _taken_over(known, (precision, moment), added, count)
                return

    async def save_all(self) -> None:
        for tenant, model in list(self._known):
            await self.save(tenant, model)

    def _of(self, tenant: str, model: str, size: int) -> Known:
        known = self._known.get((tenant, model))
        if known is None or len(known.weights) != size:
            if len(self._known) >= MODELS:
                self._known.popitem(last=False)
            known = self._known[tenant, model] = Known.nothing(size)
        self._known.move_to_end((tenant, model))
        return known


def _taken_over(
    known: Known, stored: tuple[list[float], list[float]], added: tuple[list[float], list[float]], count: int
) -> None:
    """The store has `stored` now, `added` among it; what was learnt meanwhile stays new."""
    known.fresh_precision = [a - b for a, b in zip(known.fresh_precision, added[0], strict=True)]
    known.fresh_moment = [a - b for a, b in zip(known.fresh_moment, added[1], strict=True)]
    known.precision = [a + b for a, b in zip(stored[0], known.fresh_precision, strict=True)]
    known.moment = [a + b for a, b in zip(stored[1], known.fresh_moment, strict=True)]
    known.fresh -= count
    known.settle()


def _key(tenant: str, model: str) -> str:
    return f"routing:{tenant}:{model}"


def _packed(precision: list[float], moment: list[float]) -> bytes:
    return array("d", [*precision, *moment]).tobytes()


def _unpacked(data: bytes | None, size: int) -> tuple[list[float], list[float]] | None:
    """Precision and moment; None where there is nothing of this size."""
    if data is None or len(data) != 16 * size or len(data) > MOST_BYTES:
        return None
    numbers = array("d", data).tolist()
    return numbers[:size], numbers[size:]
