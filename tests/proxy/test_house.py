"""What calls are run with: ids in order of time, and those who see every end."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.chain import Chain
from proxy.errors import Overloaded
from proxy.exchange import DURABLE, Exchange
from proxy.house import CallIds, make_durable, watch, watchers
from tests.kit import FakeClock, entry, exchange, scripted, snapshot


class Records:
    def __init__(self, error: Exception | None = None) -> None:
        self.durable: list[bytes] = []
        self._error = error

    def put(self, line: bytes) -> None:
        raise AssertionError("nothing is put here")

    async def put_durable(self, line: bytes) -> None:
        if self._error is not None:
            raise self._error
        self.durable.append(line)

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        return {}


def chain(*names: str, log: list[str]) -> Chain:
    async def note(call: Exchange, name: str) -> None:
        log.append(name)
        call.notes[DURABLE] = {"by": name}

    plugins = {name: scripted(name, request=lambda call, name=name: note(call, name)) for name in names}
    return Chain(snapshot(*(entry(name) for name in names)), plugins, FakeClock().monotonic_s)


def test_ids_are_in_order_of_time_and_never_the_same() -> None:
    call_id = CallIds()
    ids = [call_id(1_700_000_000.0 + number) for number in range(100)]
    assert sorted(ids) == ids
    assert call_id(1.0) != call_id(1.0)
    assert all(one.startswith("wr_") and len(one) == 26 for one in ids)


def test_audit_and_metering_see_the_end_of_calls_that_nobody_else_saw() -> None:
    for names, place in (
        (("audit", "metering", "pii"), 1), (("metering",), 0), (("pii", "audit"), -1), ((), -1),
    ):  # fmt: skip
        made = chain(*names, log=[])
        assert watchers(made.route("a", "m", "/v1/files")) == place


async def test_their_request_hooks_run_for_calls_outside_the_chain_and_what_is_to_be_durable_is() -> None:
    log: list[str] = []
    made, call, records = chain("audit", "metering", "pii", log=log), exchange(), Records()
    await watch(made, call, made.route("a", "m", "/v1/files"), records)
    assert log == ["audit", "metering"]
    assert call.place == 1
    assert records.durable == [b'{"by":"metering"}']


async def test_what_cannot_be_made_durable_ends_the_call() -> None:
    call = exchange()
    await make_durable(call, Records(Overloaded("full")))
    call.notes[DURABLE] = {}
    with pytest.raises(Overloaded):
        await make_durable(call, Records(Overloaded("full")))
