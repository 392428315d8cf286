"""Work beside the calls: threads for what blocks, named tasks for what may take its time."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from typing import Any, TypeVar

from proxy.coroutines import resumed
from proxy.errors import Overloaded
from proxy.ports import Metrics

T = TypeVar("T")
Failed = Callable[[str, BaseException], None]
THREADS = 4
WAITING = 256
SPAWNED = 10_000


class Tasks:
    """Implements `ports.Tasks`. Bounded both ways: `in_thread` raises `Overloaded` when `waiting` works are under way
    or wait already; `spawn` turns a work away (closed, reported, counted) when `spawned` tasks run."""

    def __init__(
        self,
        metrics: Metrics,
        on_failure: Failed,
        *,
        threads: int = THREADS,
        waiting: int = WAITING,
        spawned: int = SPAWNED,
    ) -> None:
        self._metrics = metrics
        self._on_failure = on_failure
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="weir")
        self._room = threading.Semaphore(waiting)
        self._spawned = spawned
        self._begun: deque[tuple[str, Coroutine[Any, Any, Any], Context]] = deque()
        """Works that nobody has looked at yet."""
        self._starting = False
        """Somebody will."""
        self._idle: asyncio.Future[None] | None = None
        """Wakes whoever would."""
        self._running: set[asyncio.Task[Any]] = set()
        self._stopped = False
        self._closed = False

    async def in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """What `work` returns or raises. A cancelled caller leaves at once; the thread finishes what it began."""
        if self._closed or not self._room.acquire(blocking=False):
            raise Overloaded("Too much work is waiting for a thread.")
        future = self._executor.submit(work, *arguments)
        # (told by the thread, not by the waiting caller: who leaves early leaves the work behind)
        future.add_done_callback(lambda _: self._room.release())
        return await asyncio.wrap_future(future)

    def spawn(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        """Runs beside; failures are reported under `name` and counted; awaited (bounded) by `stop`."""
        if self._stopped or len(self._running) + len(self._begun) >= self._spawned:
            work.close()
            self._failed(name, Overloaded("Too many tasks are running beside the calls."))
            return
        self._begun.append((name, work, copy_context()))
        if self._idle is not None:
            self._idle.set_result(None)
            self._idle = None
        elif not self._starting:
            self._start()

    def _start(self) -> None:
        """One task begins works one after the other, and sleeps where there is none, until one of them waits: that one
        it goes on with alone, and another begins the next. So a work that never waits costs no task of its own."""
        self._starting = True
        task = asyncio.get_running_loop().create_task(self._work())
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _work(self) -> None:
        while not self._stopped or self._begun:
            if not self._begun:
                self._idle = asyncio.get_running_loop().create_future()
                try:
                    await self._idle
                except asyncio.CancelledError:
                    self._idle, self._starting = None, False
                    raise
                continue
            name, work, context = self._begun.popleft()
            try:
                waiting = context.run(work.send, None)
            except (StopIteration, asyncio.CancelledError):
                continue
            except Exception as error:  # noqa: BLE001  whatever it is, it is reported
                self._failed(name, error)
                continue
            self._starting = False
            if self._begun:
                self._start()
            try:
                await resumed(work, waiting, context)
            except Exception as error:  # noqa: BLE001  whatever it is, it is reported
                self._failed(name, error)
            return
        self._starting = False

    def _failed(self, name: str, error: BaseException) -> None:
        self._metrics.counter("weir_task_failures_total", task=name).add()
        self._on_failure(name, error)

    async def stop(self, timeout_s: float) -> None:
        """Waits for what runs, at most `timeout_s`, then cancels it. New tasks are turned away from
        here on; running ones may use threads to their end."""
        self._stopped = True
        if self._idle is not None:
            self._idle.set_result(None)
            self._idle = None
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        while self._running and (left_s := end_s - loop.time()) > 0:
            await asyncio.wait(self._running, timeout=left_s)
        late = list(self._running)
        for task in late:
            task.cancel()
        if late:
            await asyncio.gather(*late, return_exceptions=True)
        for _, work, _ in self._begun:
            work.close()
        self._begun.clear()
        self._closed = True
        self._executor.shutdown(wait=False, cancel_futures=True)
