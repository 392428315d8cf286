"""What was found in texts is remembered, per tenant and options, and bounded."""

from __future__ import annotations

from proxy.exchange import Segment
from proxy.memory import Memory
from tests import kit


def text(said: str = "hello", *, fresh: bool = False) -> Segment:
    return Segment("user", "text", said, fresh=fresh)


def test_what_was_found_in_a_text_is_found_again_in_an_equal_one() -> None:
    memory, call = Memory(), kit.exchange()
    memory.remember("p", "v1", call, text(), [(0, 5)])
    assert memory.recall("p", "v1", call, text()) == [(0, 5)]


def test_another_plugin_option_tenant_role_or_place_knows_nothing_of_it() -> None:
    memory, call = Memory(), kit.exchange(tenant="a")
    memory.remember("p", "v1", call, text(), 1)
    assert memory.recall("q", "v1", call, text()) is None
    assert memory.recall("p", "v2", call, text()) is None
    assert memory.recall("p", "v1", kit.exchange(tenant="b"), text()) is None
    assert memory.recall("p", "v1", call, Segment("tool", "text", "hello")) is None
    assert memory.recall("p", "v1", call, Segment("user", "document", "hello")) is None
    assert memory.recall("p", "v1", call, text(fresh=True)) is None
    assert memory.recall("p", "v1", call, text("hello!")) is None


def test_the_least_recently_used_goes_first() -> None:
    memory, call = Memory(entries=2), kit.exchange()
    for said in ("a", "b"):
        memory.remember("p", "v1", call, text(said), said)
    assert memory.recall("p", "v1", call, text("a")) == "a"
    memory.remember("p", "v1", call, text("c"), "c")
    assert len(memory) == 2
    assert [memory.recall("p", "v1", call, text(said)) for said in "abc"] == ["a", None, "c"]


def test_no_text_is_kept_and_two_processes_hash_differently() -> None:
    memory, other, call = Memory(), Memory(), kit.exchange()
    for one in (memory, other):
        one.remember("p", "v1", call, text("canary-4711 \ud800"), 1)
    assert "canary" not in repr(memory._kept)
    assert set(memory._kept) != set(other._kept)


def test_it_goes_by_what_the_caller_sent_not_by_what_plugins_made_of_it() -> None:
    memory, call, edited = Memory(), kit.exchange(), text()
    edited.text = "changed"
    memory.remember("p", "v1", call, edited, 1)
    assert memory.recall("p", "v1", call, text()) == 1
