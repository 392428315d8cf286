"""What the admin port tells of the cache and has dropped, with workers that are fakes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from proxy.control.cache import Caches
from proxy.errors import BadRequest, UnknownPath


class Workers:
    def __init__(self, *answers: dict[str, Any] | None) -> None:
        self.answers = answers
        self.heard: list[dict[str, Any]] = []
        self.noted: list[tuple[str, str, dict[str, Any]]] = []

    async def tell(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        self.heard.append(message)
        return [{"done": answer} for answer in self.answers]

    async def note(self, who: str, action: str, details: Mapping[str, Any]) -> int:
        self.noted.append((who, action, dict(details)))
        return 1


def caches(workers: Workers) -> Caches:
    return Caches(workers.tell, workers.note)


async def test_every_worker_is_told_what_goes_and_the_trail_before_them() -> None:
    workers = Workers({"dropped": 2}, {"dropped": 5})
    assert await caches(workers).invalidate({"agent": "a", "model": "m"}, "ops") == {"dropped": 5, "workers": [2, 5]}
    assert workers.heard == [{"order": {"plugin": "cache", "do": "invalidate", "agent": "a", "model": "m"}}]
    assert workers.noted == [("ops", "cache.invalidate", {"agent": "a", "model": "m"})]
    await caches(workers).invalidate({"all": True}, "ops")
    assert workers.noted[-1][2] == {"all": True}
    assert workers.heard[-1] == {"order": {"plugin": "cache", "do": "invalidate"}}


@pytest.mark.parametrize(
    "wish",
    [{}, {"all": False}, {"all": True, "agent": "a"}, {"agent": ""}, {"agent": 3}, {"id": "x" * 513}, {"model": None}],
)
async def test_a_wish_that_is_none_is_told_and_nobody_hears_it(wish: dict[str, Any]) -> None:
    workers = Workers({"dropped": 0})
    with pytest.raises(BadRequest):
        await caches(workers).invalidate(wish, "ops")
    assert workers.heard == []
    assert workers.noted == []


async def test_where_there_is_no_cache_that_is_said() -> None:
    with pytest.raises(UnknownPath, match="no worker has a cache"):
        await caches(Workers(None)).stats()


async def test_figures_of_all_workers_are_summed() -> None:
    one = {"entries": 1, "hit": 2, "strategy": "lru", "shelves": ["shared"]}
    told = await caches(Workers(one, {**one, "hit": 5}, None)).stats()
    assert (told["entries"], told["hit"], len(told["workers"])) == (2, 7, 2)
