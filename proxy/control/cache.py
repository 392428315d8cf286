"""What is kept of answers, as the admin port tells it and has it dropped: every worker is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from proxy.errors import BadRequest, UnknownPath
from proxy.stats.rates import wilson

Json = Any
Tell = Callable[[dict[str, Any]], Awaitable[list[dict[str, Any]]]]
"""Says something to every worker and gives what each said; WeirError where one of them did not."""
Note = Callable[[str, str, Mapping[str, Any]], Awaitable[int]]
NAMES: Final = ("tenant", "agent", "model", "id")
CHARS: Final = 512
ONE_SIDED: Final = 1.6448536269514722
"""Of an interval whose upper end holds 95 times in 100."""


class Caches:
    def __init__(self, tell: Tell, note: Note) -> None:
        self._tell = tell
        self._note = note

    async def invalidate(self, wish: Mapping[str, Json], who: str) -> Json:
        """Drops all answers that every field of `wish` fits (`tenant`, `agent`, `model`; `id`: of an answer or of the
        call that it answered), or all there are (`all: true`). What was asked is noted in the trail first. Gives how
        many each worker found. Raises BadRequest."""
        wanted = {name: _text(wish, name) for name in NAMES if name in wish}
        if bool(wanted) == (wish.get("all") is True):
            raise BadRequest(f"name what goes ({', '.join(NAMES)}), or say all: true", param="all")
        await self._note(who, "cache.invalidate", wanted or {"all": True})
        told = await self._ask({"do": "invalidate", **wanted})
        return {"dropped": max(int(each["dropped"]) for each in told), "workers": [each["dropped"] for each in told]}

    async def stats(self) -> Json:
        """Figures of all workers, since each of them began, and their sums."""
        told = await self._ask({"do": "stats"})
        sums: dict[str, int] = {}
        for each in told:
            for name, value in each.items():
                if type(value) is int:
                    sums[name] = sums.get(name, 0) + value
        found = [each["in_other_words"] for each in told if each.get("in_other_words")]
        return {**sums, "in_other_words": _worded(found) if found else None, "workers": told}

    async def _ask(self, order: dict[str, Any]) -> list[dict[str, Any]]:
        said = [each.get("done") for each in await self._tell({"order": {"plugin": "cache", **order}})]
        found = [each for each in said if isinstance(each, dict)]
        if not found:
            raise UnknownPath("no worker has a cache: the plugin cache is not in the list, or off", code="no_cache")
        return found


def _worded(reports: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    """What the semantic cache found in all workers. A verdict of somebody is heard by every worker, so it counts once;
    `wrong_at_most` is the upper end of Wilson's interval at 95 %, one-sided."""
    sums = {name: sum(int(each.get(name, 0)) for each in reports) for name in ("texts", "bytes", "raised", "barred")}
    names = sorted({agent for each in reports for agent in each["agents"]})
    agents = {name: _tally([each["agents"][name] for each in reports if name in each["agents"]]) for name in names}
    return {**sums, "embedders": sorted({name for each in reports for name in each["embedders"]}), "agents": agents}


def _tally(found: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    sums: dict[str, Json] = {name: sum(int(each[name]) for each in found) for name in ("would", "served", "unclear")}
    for name in ("right", "wrong"):
        heard = [int(each.get(f"told_{name}", 0)) for each in found]
        sums[name] = sum(int(each[name]) for each in found) - sum(heard) + max(heard)
    high = wilson(sums["wrong"], sums["right"] + sums["wrong"], ONE_SIDED).high
    return {**sums, "wrong_at_most": round(high, 4)}


def _text(wish: Mapping[str, Json], name: str) -> str:
    value = wish[name]
    if not isinstance(value, str) or not value or len(value) > CHARS:
        raise BadRequest(f"must be text of 1 to {CHARS} characters", param=name)
    return value
