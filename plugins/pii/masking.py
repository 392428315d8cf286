"""What a call has under placeholders, from the way out until its answer is through."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from plugins.pii.restore import Awaited, Restore

Work = Callable[["Masking"], Awaitable[None]]


class Masking:
    """One call's. `before` is awaited once, ahead of the first text that goes back: a map must be in the store before
    the caller can build on it, and one that is in the store must be here before anything can be restored."""

    __slots__ = ("_before", "_types", "taken", "values")

    def __init__(self, values: Mapping[str, str], taken: frozenset[str] = frozenset(), before: Work | None = None):
        self.values = values
        """Originals by the keys of their placeholders."""
        self.taken = taken
        """Keys that the caller has typed."""
        self._before = before
        self._types: frozenset[str] | None = None

    @property
    def waits(self) -> bool:
        """`before` has not been done."""
        return self._before is not None

    async def settle(self) -> None:
        before, self._before = self._before, None
        if before is not None:
            await before(self)

    def postpone(self, before: Work) -> None:
        """It could not be done yet."""
        self._before = before

    def filter(self) -> Restore | Awaited | None:
        """For one text of the answer; None where nothing can be restored in it."""
        if self._before is not None:
            return Awaited(self._ready)
        return self._restore()

    async def _ready(self) -> Restore | None:
        await self.settle()
        return self._restore()

    def _restore(self) -> Restore | None:
        if not self.values:
            return None
        if self._types is None:
            self._types = frozenset([name.rpartition("_")[0] for name in self.values])
        return Restore(self.values, self._types)

    def __repr__(self) -> str:
        return f"Masking({len(self.values)} values)"
