"""What the admin port tells of vectors, with workers that are fakes."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.embeddings import Embeddings
from proxy.errors import UnknownPath


def told(*answers: dict[str, Any] | None) -> Embeddings:
    async def tell(message: dict[str, Any]) -> list[dict[str, Any]]:
        assert message == {"order": {"plugin": "embeddings", "do": "stats"}}
        return [{"done": answer} for answer in answers]

    return Embeddings(tell)


async def test_figures_and_frequent_inputs_of_all_workers_are_put_together() -> None:
    one = {"known": 3, "sent": 2, "frequent": [{"input": "aa", "count": 2, "size": 4, "begins": ""}]}
    two = {"known": 1, "sent": 1, "frequent": [{"input": "bb", "count": 4, "size": 1, "begins": "b"},
                                               {"input": "aa", "count": 3, "size": 4, "begins": "hello"}]}  # fmt: skip
    found = await told(one, None, two).stats()
    assert (found["known"], found["sent"], len(found["workers"])) == (4, 3, 2)
    assert [(each["input"], each["count"], each["begins"]) for each in found["frequent"]] == [
        ("aa", 5, "hello"), ("bb", 4, "b"),
    ]  # fmt: skip
    assert "frequent" not in found["workers"][0]


async def test_where_there_are_none_that_is_said() -> None:
    with pytest.raises(UnknownPath, match="no worker keeps vectors"):
        await told(None, None).stats()
