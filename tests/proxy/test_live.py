"""The newest settings, swapped whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.live import Agent, Live, Snapshot
from tests.kit import snapshot


def test_listeners_hear_of_each_swap_after_it() -> None:
    first = snapshot()
    live, heard = Live(first), list[tuple[int, int]]()
    live.listen(lambda new: heard.append((new.version, live.current.version)))
    live.swap(replace(first, version=2))
    assert heard == [(2, 2)]
    assert first.version == 1


def test_an_agents_word_on_its_texts_goes_before_that_for_all() -> None:
    made = snapshot(content="full", agents={"a": Agent(content="none")})
    assert (made.content_of("a"), made.content_of("b")) == ("none", "full")


def test_options_need_somebody_who_knows_the_classes() -> None:
    made: Snapshot = replace(snapshot(), resolve=None)
    with pytest.raises(RuntimeError, match="no option resolver"):
        made.options("p", "a", "")
