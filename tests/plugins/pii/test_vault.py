"""Stored maps: encrypted, expiring, for one tenant and credential, and unreadable once their person is erased."""

from __future__ import annotations

from typing import Any, cast

from plugins.pii.vault import ENTRIES, Vault
from proxy.derived import derived
from proxy.exchange import Caller
from proxy.store.memory import MemoryStore
from tests.kit import FakeClock

ANN, EVE = Caller(tenant="t", credential="c", user="ann"), Caller(tenant="t", credential="c", user="eve")
DAY_S = 86_400.0


def vault(store: MemoryStore | None = None, secret: bytes = b"s" * 32) -> tuple[Vault, MemoryStore]:
    store = store or MemoryStore(FakeClock())
    made = Vault(store, derived(secret), cast(FakeClock, store.clock))
    made.start()
    return made, store


async def test_what_is_saved_is_there_for_whoever_saved_it_and_for_nobody_else() -> None:
    made, store = vault()
    await made.save(ANN, "resp_1", {"EMAIL_1": "a@b.io", "SSN_2": None}, DAY_S)
    assert await vault(store)[0].load(ANN, "resp_1") == {"EMAIL_1": "a@b.io", "SSN_2": None}
    for caller, id_ in (
        (ANN, "resp_2"),
        (Caller(tenant="u", credential="c", user="ann"), "resp_1"),
        (Caller(tenant="t", credential="d", user="ann"), "resp_1"),
        (Caller(tenant="t\0c", credential="", user="ann"), "resp_1"),
    ):
        assert await made.load(caller, id_) == {}
    assert await vault(store, b"x" * 32)[0].load(ANN, "resp_1") == {}


async def test_nothing_in_the_store_can_be_read() -> None:
    made, store = vault()
    await made.save(ANN, "resp_1", {"EMAIL_1": "ann@b.io"}, DAY_S)
    lying = repr([(key, entry.value) for key, entry in store._entries.items()])
    assert not any(word in lying for word in ("ann", "EMAIL", "resp_1", "b.io"))


async def test_a_map_grows_and_keeps_its_newest_values() -> None:
    made, _ = vault()
    await made.save(ANN, "conv", {"EMAIL_1": "a"}, DAY_S)
    await made.save(ANN, "conv", {"EMAIL_2": "b", "EMAIL_1": None}, DAY_S)
    assert await made.load(ANN, "conv") == {"EMAIL_1": None, "EMAIL_2": "b"}
    await made.save(ANN, "conv", {f"IP_{number}": str(number) for number in range(ENTRIES)}, DAY_S)
    found = await made.load(ANN, "conv")
    assert len(found) == ENTRIES and "EMAIL_2" not in found


async def test_halves_of_characters_are_values_like_others() -> None:
    made, _ = vault()
    await made.save(ANN, "r", {"EMAIL_1": "x\ud83d", "EMAIL_2": "🦊"}, DAY_S)
    assert await made.load(ANN, "r") == {"EMAIL_1": "x\ud83d", "EMAIL_2": "🦊"}


async def test_maps_expire() -> None:
    made, store = vault()
    await made.save(ANN, "r", {"EMAIL_1": "a"}, DAY_S)
    cast(FakeClock, store.clock).jump(2 * DAY_S)
    assert await made.load(ANN, "r") == {}


async def test_who_is_erased_has_no_maps_and_others_keep_theirs() -> None:
    made, _ = vault()
    for id_ in ("r1", "r2"):
        await made.save(ANN, id_, {"EMAIL_1": "a"}, DAY_S)
        await made.save(EVE, f"e{id_}", {"EMAIL_1": "e"}, DAY_S)
    assert await made.erase("ann") and not await made.erase("ann")
    assert [await made.load(ANN, id_) for id_ in ("r1", "r2")] == [{}, {}]
    assert await made.load(EVE, "er1") == {"EMAIL_1": "e"}
    await made.save(ANN, "r3", {"EMAIL_1": "new"}, DAY_S)
    assert [await made.load(ANN, id_) for id_ in ("r1", "r3")] == [{}, {"EMAIL_1": "new"}]


async def test_what_is_no_map_is_none() -> None:
    made, store = vault()
    await made.save(ANN, "r", {"EMAIL_1": "a"}, DAY_S)
    [place] = [key for key in store._entries if key.startswith("pii:map:")]
    sealed = cast(Any, await store.get(place))
    for broken in (b"", b"x", sealed[:-1], sealed[:16] + b"\0" + sealed[17:], b"\0" * 80):
        await store.put(place, broken)
        assert await made.load(ANN, "r") == {}


async def test_who_asks_is_told_how_many_maps_there_are_and_until_when_but_no_word_of_them() -> None:
    made, store = vault()
    clock = cast(FakeClock, store.clock)
    assert await made.told("ann") is None
    await made.save(ANN, "resp_1", {"EMAIL_1": "ann@b.io"}, 2 * DAY_S)
    await made.save(ANN, "resp_1", {"EMAIL_2": "bob@b.io"}, 2 * DAY_S)
    await made.save(ANN, "resp_2", {"EMAIL_1": "ann@b.io"}, DAY_S)
    assert await vault(store)[0].told("ann") == (2, clock.wall_s() + 2 * DAY_S)
    assert await made.told("eve") is None
    clock.jump(1.5 * DAY_S)
    assert await made.load(ANN, "resp_1") == {"EMAIL_1": "ann@b.io", "EMAIL_2": "bob@b.io"}
    clock.jump(DAY_S)
    assert await made.told("ann") is None
    await made.save(ANN, "resp_3", {"EMAIL_1": "ann@b.io"}, DAY_S)
    await made.erase("ann")
    assert await made.told("ann") is None
