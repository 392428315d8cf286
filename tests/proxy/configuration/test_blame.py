"""Which run-time changes are to be undone, so that Weir starts again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.configuration import blame
from proxy.configuration.overlay import Overlay
from proxy.configuration.sources import ConfigErrors
from proxy.errors import ConfigError


def made(*keys: str) -> Overlay:
    found = Overlay()
    for number, key in enumerate(keys):
        found = found.apply(key, number, old=None, who="ann", reason="a test", at=1_700_000_000.0)
    return found


class Judge:
    """Refuses an overlay that has all keys of one of these sets in effect."""

    def __init__(self, *wrong: set[str]) -> None:
        self.wrong, self.asked = wrong, 0

    def __call__(self, overlay: Overlay) -> Any:
        self.asked += 1
        keys = {change.key for change in overlay.standing()}
        if any(each <= keys for each in self.wrong):
            raise ConfigErrors([ConfigError("does not go", key="x")])
        return "loaded"


def ids(judge: Judge, overlay: Overlay) -> list[int]:
    return [change.id for change in blame.culprits(judge, overlay)]


def test_the_one_that_is_wrong_is_found_among_many() -> None:
    judge = Judge({"k77"})
    assert ids(judge, made(*(f"k{number}" for number in range(200)))) == [78]
    assert judge.asked < 20, "by halves"


def test_several_are_found_and_an_earlier_change_of_the_same_option() -> None:
    assert ids(Judge({"a"}, {"c"}), made("a", "b", "c", "d")) == [1, 3]
    assert ids(Judge({"a"}), made("a", "b", "a")) == [1, 3]


def test_of_two_that_do_not_go_together_it_is_the_later() -> None:
    assert ids(Judge({"a", "c"}), made("a", "b", "c")) == [3]


def test_where_the_file_is_wrong_nobody_else_is_to_blame() -> None:
    assert ids(Judge(set()), made("a", "b")) == []
    with pytest.raises(ConfigErrors) as caught:
        blame.read(Judge(set()), made("a"), Path("/d"))
    assert caught.value.advice == ()


def test_the_error_says_what_to_undo_and_how() -> None:
    with pytest.raises(ConfigErrors) as caught:
        blame.read(Judge({"b"}), made("a", "b"), Path("/data dir"))
    assert [error.message for error in caught.value.errors] == ["does not go"]
    assert caught.value.advice == (
        "The configuration is right without one change made at run time (kept in /data dir):",
        "  change 2: b, set by ann at 2023-11-14T22:13:20Z (a test)",
        "To take that back: weir overlay undo 2 --data '/data dir'",
    )
    with pytest.raises(ConfigErrors) as caught:
        blame.read(Judge({"a"}, {"b"}), made("a", "b"))
    assert caught.value.advice[-1] == "To take that back: weir overlay undo 1 2"
    assert str(blame.read(Judge(), made("a"))) == "loaded"


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from("abcdef"), max_size=8),
    st.lists(st.sets(st.sampled_from("abcdef"), min_size=1, max_size=2), max_size=3),
)
def test_without_them_it_is_right(keys: list[str], wrong: list[set[str]]) -> None:
    judge, overlay = Judge(*wrong), made(*keys)
    for number in ids(judge, overlay):
        overlay = overlay.undo(number, who="ann", at=2.0)
    assert judge(overlay) == "loaded"
