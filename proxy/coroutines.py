"""Coroutines that are started by hand: most end without ever waiting, and need neither a task nor a timer then."""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


@types.coroutine
def resumed(work: Coroutine[Any, Any, T], waiting: Any) -> Generator[Any, Any, T]:
    """Awaits the rest of a coroutine that was started with `send(None)` and waits for `waiting`. To be awaited by the
    task in which it was started."""
    try:
        while True:
            try:
                sent = yield waiting
            except BaseException as error:  # noqa: BLE001  it belongs to the coroutine, cancellation included
                waiting = work.throw(error)
            else:
                waiting = work.send(sent)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
