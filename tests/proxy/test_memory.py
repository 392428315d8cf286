"""What was found in texts is remembered, per tenant and options, and bounded."""

from __future__ import annotations

from proxy.exchange import Segment
from proxy.memory import GROUPS, Memory
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
    memory, call = Memory(entries=4), kit.exchange()
    for said in "abc":  # a and b are of the old generation now
        memory.remember("p", "v1", call, text(said), said)
    assert memory.recall("p", "v1", call, text("a")) == "a"
    memory.remember("p", "v1", call, text("d"), "d")
    assert [memory.recall("p", "v1", call, text(said)) for said in "bacd"] == [None, "a", "c", "d"]


def test_it_never_holds_more_than_it_may() -> None:
    memory, call = Memory(entries=100), kit.exchange()
    for number in range(1000):
        memory.remember("p", "v1", call, text(str(number)), number)
        assert memory.recall("p", "v1", call, text(str(number))) == number
        assert len(memory) <= 100


def test_more_tenants_than_it_knows_cost_it_what_it_remembers_and_no_more() -> None:
    memory = Memory()
    for number in range(GROUPS + 2):
        memory.remember("p", "v1", kit.exchange(tenant=str(number)), text(), number)
    assert len(memory._groups) <= GROUPS
    assert memory.recall("p", "v1", kit.exchange(tenant=str(GROUPS + 1)), text()) in (None, GROUPS + 1)
    assert memory.recall("p", "v1", kit.exchange(tenant="0"), text()) is None


def test_no_text_is_kept_and_two_processes_hash_differently() -> None:
    memory, other, call = Memory(), Memory(), kit.exchange()
    for one in (memory, other):
        one.remember("p", "v1", call, text("canary-4711 \ud800"), 1)
    assert "canary" not in repr(memory._young)
    assert set(memory._young) != set(other._young)


def test_it_goes_by_what_the_caller_sent_not_by_what_plugins_made_of_it() -> None:
    memory, call, edited = Memory(), kit.exchange(), text()
    edited.text = "changed"
    memory.remember("p", "v1", call, edited, 1)
    assert memory.recall("p", "v1", call, text()) == 1


def test_many_texts_are_recalled_in_their_order() -> None:
    memory, call = Memory(), kit.exchange()
    segments = [Segment("user", "text", text) for text in ("one", "two", "three")]
    memory.remember("pii", "f", call, segments[1], "seen")
    assert memory.recall_all("pii", "f", call, segments) == [None, "seen", None]
    assert memory.recall_all("pii", "f", call, [Segment("user", "text", "two")]) == ["seen"]


def test_a_text_that_grows_is_another_one() -> None:
    memory, call, segment = Memory(), kit.exchange(), Segment("assistant", "text", "a")
    memory.remember("pii", "f", call, segment, "seen")
    segment.grow("b")
    assert memory.recall("pii", "f", call, segment) is None
    segment.begin("a")
    assert memory.recall("pii", "f", call, segment) == "seen"
