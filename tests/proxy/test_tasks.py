"""Work beside the calls."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest

from proxy.errors import Overloaded
from proxy.tasks import Tasks
from tests.kit import FakeMetrics


class Failures(list[tuple[str, str]]):
    def __call__(self, name: str, error: BaseException) -> None:
        self.append((name, str(error)))


async def test_threads_give_results_and_errors_back() -> None:
    tasks = Tasks(FakeMetrics(), Failures())
    assert await tasks.in_thread(threading.current_thread) is not threading.current_thread()
    assert await tasks.in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await tasks.in_thread(divmod, 1, 0)
    await tasks.stop(1.0)
    with pytest.raises(Overloaded):
        await tasks.in_thread(divmod, 7, 2)


async def test_more_than_may_wait_is_turned_away_even_when_callers_have_left() -> None:
    tasks = Tasks(FakeMetrics(), Failures(), threads=1, waiting=2)
    gate = threading.Event()
    blocked = [asyncio.create_task(tasks.in_thread(gate.wait, 5)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await tasks.in_thread(divmod, 1, 1)
    blocked[0].cancel()
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await tasks.in_thread(divmod, 1, 1)
    gate.set()
    assert await blocked[1]
    assert await tasks.in_thread(divmod, 1, 1) == (1, 0)
    await tasks.stop(1.0)


async def test_what_fails_beside_is_reported_and_counted_under_its_name() -> None:
    metrics, failures = FakeMetrics(), Failures()
    tasks = Tasks(metrics, failures)

    async def fail() -> None:
        raise ValueError("broken")

    tasks.spawn("mend", fail())
    await tasks.stop(1.0)
    assert failures == [("mend", "broken")]
    assert metrics.values == {("weir_task_failures_total", (("task", "mend"),)): 1.0}


async def test_stop_waits_for_what_can_end_and_cancels_what_does_not() -> None:
    failures = Failures()
    tasks = Tasks(FakeMetrics(), failures)
    ends: list[str] = []

    async def short() -> None:
        await asyncio.sleep(0)
        tasks.spawn("too late", never())
        ends.append(f"short {await tasks.in_thread(divmod, 3, 3)}")

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    tasks.spawn("short", short())
    tasks.spawn("never", never())
    await tasks.stop(0.05)
    assert ends == ["short (1, 0)", "cancelled"]
    assert [name for name, _ in failures] == ["too late"]


async def test_more_tasks_than_may_run_are_turned_away_and_reported() -> None:
    failures = Failures()
    tasks = Tasks(FakeMetrics(), failures, spawned=1)
    gate = asyncio.Event()
    tasks.spawn("first", gate.wait())
    tasks.spawn("second", gate.wait())
    assert [name for name, _ in failures] == ["second"]
    gate.set()
    await tasks.stop(1.0)


async def test_works_that_wait_do_not_hold_up_those_behind_them() -> None:
    tasks, order, gate = Tasks(FakeMetrics(), Failures()), list[str](), asyncio.Event()

    async def wait() -> None:
        await gate.wait()
        order.append("waited")

    async def quick(name: str) -> None:
        order.append(name)

    tasks.spawn("slow", wait())
    tasks.spawn("quick", quick("first"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order == ["first"]
    tasks.spawn("quick", quick("second"))
    gate.set()
    await tasks.stop(1.0)
    assert order == ["first", "second", "waited"]


async def test_a_work_runs_in_the_context_of_who_spawned_it_before_and_after_it_waits() -> None:
    tasks, seen, var = Tasks(FakeMetrics(), Failures()), list[str](), ContextVar("var", default="none")

    async def look() -> None:
        seen.append(var.get())
        await asyncio.sleep(0)
        seen.append(var.get())

    for value in ("one", "two"):
        var.set(value)
        tasks.spawn("look", look())
    await tasks.stop(1.0)
    assert sorted(seen) == ["one", "one", "two", "two"]


async def test_a_work_that_is_cancelled_or_fails_at_once_ends_only_itself() -> None:
    failures, order = Failures(), list[str]()
    tasks = Tasks(FakeMetrics(), failures)

    async def cancelled() -> None:
        raise asyncio.CancelledError

    async def broken() -> None:
        raise ValueError("broken")

    async def quick() -> None:
        assert asyncio.current_task() is not None
        order.append("quick")

    for work in (cancelled(), broken(), quick()):
        tasks.spawn("work", work)
    await asyncio.sleep(0)
    tasks.spawn("work", quick())
    await tasks.stop(1.0)
    assert (order, failures) == (["quick", "quick"], [("work", "broken")])
