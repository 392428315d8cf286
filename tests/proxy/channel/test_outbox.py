"""The outbox: bounded, in order, nothing lost or invented."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.channel.outbox import BATCH_BYTES, TRIES, WINDOW_BYTES, Outbox


def drain(box: Outbox[str]) -> list[bytes]:
    lines: list[bytes] = []
    while (batch := box.take()) is not None:
        lines += batch.payload.split(b"\n")
        box.acknowledge(batch.number)
    return lines


@given(
    st.lists(st.binary(min_size=1, max_size=50).filter(lambda line: b"\n" not in line), max_size=60),
    st.integers(1, 900),
)
def test_what_was_taken_in_comes_out_in_order_and_the_rest_is_counted(lines: list[bytes], held_bytes: int) -> None:
    box: Outbox[str] = Outbox(held_bytes)
    kept = [line for line in lines if box.add(line)]
    assert box.dropped == len(lines) - len(kept)
    assert sum(map(len, kept)) <= held_bytes
    assert drain(box) == kept
    assert box.empty
    assert box.add(b"x" * held_bytes), "room came back"


def test_no_more_than_a_window_is_under_way() -> None:
    box: Outbox[str] = Outbox()
    line = b"x" * 1024
    for _ in range(4096):
        assert box.add(line)
    sent = []
    while (batch := box.take()) is not None:
        assert batch.size <= BATCH_BYTES
        sent.append(batch)
    assert WINDOW_BYTES <= sum(batch.size for batch in sent) < WINDOW_BYTES + BATCH_BYTES
    box.acknowledge(sent[0].number)
    assert box.take() is not None


def test_unacknowledged_batches_come_again_unchanged_and_in_order() -> None:
    box: Outbox[str] = Outbox()
    batches = []
    for line in (b"a", b"b", b"c"):
        box.add(line)
        batch = box.take()
        assert batch is not None
        batches.append((batch.number, batch.payload))
    box.acknowledge(1)
    assert [(batch.number, batch.payload) for batch in box.again()] == batches[1:]


def test_a_batch_that_kills_its_reader_is_given_up_and_counted() -> None:
    box: Outbox[str] = Outbox()
    box.add_awaited(b"poison", "waiter")
    assert box.take() is not None
    for _ in range(TRIES - 1):
        assert box.hopeless() == []
        list(box.again())
    assert box.hopeless() == ["waiter"]
    assert (box.dropped, box.empty) == (1, True)


def test_waiters_come_back_with_the_batch_that_holds_their_line() -> None:
    box: Outbox[str] = Outbox()
    for _ in range(BATCH_BYTES // 1024):
        box.add(b"x" * 1024)
    box.add_awaited(b"last", "waiter")
    first, second = box.take(), box.take()
    assert first is not None
    assert second is not None
    assert box.acknowledge(first.number) == []
    assert box.acknowledge(second.number) == ["waiter"]


def test_the_age_is_that_of_the_oldest_batch_without_a_word_back() -> None:
    box: Outbox[str] = Outbox()
    assert box.unacknowledged_s(9.0) == 0.0
    for at_s in (1.0, 3.0):
        box.add(b"line")
        box.take(at_s)
    list(box.again())
    assert box.unacknowledged_s(9.0) == 8.0
    box.acknowledge(1)
    assert box.unacknowledged_s(9.0) == 6.0


def test_a_closed_outbox_drops_everything() -> None:
    box: Outbox[str] = Outbox()
    box.add_awaited(b"one", "a")
    box.take()
    box.add_awaited(b"two", "b")
    assert sorted(box.close()) == ["a", "b"]
    assert not box.add(b"three")
    assert (box.dropped, box.empty) == (3, True)


def test_what_is_held_is_what_nobody_has_confirmed() -> None:
    box: Outbox[str] = Outbox(1000)
    for _ in range(3):
        assert box.add(b"x" * 10)
    assert not box.add(b"x" * 2000) and box.held == 3
    batch = box.take()
    assert batch is not None and box.add(b"y") and box.held == 4
    box.acknowledge(batch.number)
    assert box.held == 1
    again = box.take()
    assert again is not None
    again.tries = 99
    box.hopeless()
    assert box.held == 0
    box.add(b"z")
    box.close()
    assert box.held == 0
