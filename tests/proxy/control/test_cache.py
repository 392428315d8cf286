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


async def test_what_was_found_in_other_words_is_summed_and_a_verdict_that_all_heard_counts_once() -> None:
    tally = {"would": 3, "served": 1, "right": 5, "wrong": 1, "unclear": 2, "told_right": 4, "told_wrong": 1}
    words = {"texts": 10, "bytes": 100, "raised": 1, "barred": 0, "embedders": ["minilm"], "agents": {"a": tally}}
    other = {**words, "embedders": [], "agents": {"a": {**tally, "served": 2}, "b": tally}}
    told = await caches(Workers({"in_other_words": words}, {"in_other_words": other}, {"in_other_words": None})).stats()
    found = told["in_other_words"]
    assert (found["texts"], found["raised"], found["embedders"]) == (20, 2, ["minilm"])
    assert {name: found["agents"]["a"][name] for name in ("served", "would", "right", "wrong", "unclear")} == {
        "served": 3, "would": 6, "right": 6, "wrong": 1, "unclear": 4,
    }  # fmt: skip
    assert 1 / 7 < found["agents"]["a"]["wrong_at_most"] < 0.6
    assert found["agents"]["b"]["right"] == 5
    assert (await caches(Workers({"in_other_words": None})).stats())["in_other_words"] is None
