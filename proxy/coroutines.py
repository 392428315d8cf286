"""Coroutines that are started by hand: most end without ever waiting, and need neither a task nor a timer then."""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Watched(Generic[T]):
    """A coroutine that tells what it waits for: None where it only lets others have the loop."""

    __slots__ = ("waiting", "work")

    def __init__(self, work: Coroutine[Any, Any, T], waiting: Any) -> None:
        self.work, self.waiting = work, waiting

    def send(self, value: Any) -> Any:
        self.waiting = self.work.send(value)
        return self.waiting

    def throw(self, error: BaseException) -> Any:
        self.waiting = self.work.throw(error)
        return self.waiting


@types.coroutine
def resumed(
    work: Coroutine[Any, Any, T] | Watched[T], waiting: Any, context: Context | None = None
) -> Generator[Any, Any, T]:
    """Awaits the rest of a coroutine that was started with `send(None)` and waits for `waiting`. To be awaited by the
    task in which it was started. `context`: where its steps run, if not in the task's own."""
    run = _here if context is None else context.run
    try:
        while True:
            try:
                sent = yield waiting
            except BaseException as error:  # noqa: BLE001  it belongs to the coroutine, cancellation included
                waiting = run(work.throw, error)
            else:
                waiting = run(work.send, sent)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]


def _here(step: Callable[[Any], Any], value: Any) -> Any:
    return step(value)


@types.coroutine
def in_a_task() -> Generator[None, None, None]:
    """Waits until whoever started this by hand lets a task go on with it (`resumed`)."""
    yield


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine that does not wait."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    work.close()
    raise RuntimeError("a hook that cannot wait has waited")
