"""What is kept of vectors, as the admin port tells it: every worker is asked, and what they say is put together."""

from __future__ import annotations

from typing import Any, Final

from proxy.control.cache import Tell
from proxy.errors import UnknownPath

Json = Any
FREQUENT: Final = 20
"""Inputs that are listed."""


class Embeddings:
    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    async def stats(self) -> Json:
        """Figures of all workers, since each of them began, and their sums: `known` (inputs whose vectors were here),
        `sent` (in `calls` of a provider; `together` of them with the call of somebody else), and the most frequent
        inputs. Raises UnknownPath where there are none."""
        order = {"order": {"plugin": "embeddings", "do": "stats"}}
        told = [done for each in await self._tell(order) if isinstance(done := each.get("done"), dict)]
        if not told:
            raise UnknownPath(
                "no worker keeps vectors: the plugin embeddings is not in the list, or off", code="no_embeddings"
            )
        sums: dict[str, int] = {}
        for each in told:
            for name, value in each.items():
                if type(value) is int:
                    sums[name] = sums.get(name, 0) + value
        workers = [{name: value for name, value in each.items() if name != "frequent"} for each in told]
        return {**sums, "frequent": _frequent(told), "workers": workers}


def _frequent(told: list[dict[str, Any]]) -> list[Json]:
    """Of all workers: the digests of an input are the same in each."""
    found: dict[str, dict[str, Any]] = {}
    for each in told:
        for one in each.get("frequent") or ():
            known = found.setdefault(one["input"], {**one, "count": 0})
            known["count"] += one["count"]
            known["begins"] = known.get("begins") or one.get("begins", "")
    return sorted(found.values(), key=lambda one: (-one["count"], one["input"]))[:FREQUENT]
