"""Puts the originals back where an answer has their placeholders, however it is cut and however they are mangled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from plugins.pii.shapes import exact, key, partial
from proxy.plugin import Hold

Values = Mapping[str, str]
"""Originals by the keys of their placeholders."""


class Restore:
    """A `Filter` of one text. Holds back only what may become a placeholder."""

    __slots__ = ("_kept", "_pos", "_search", "_types", "_values")

    def __init__(self, values: Values, types: frozenset[str]) -> None:
        """`types`: those of the values."""
        self._values = values
        self._types = types
        self._search = partial(types).search
        self._kept = ""
        """What is held back, behind the last character that is not: a placeholder is none inside a word."""
        self._pos = 0

    def feed(self, piece: str) -> str:
        text, pos = self._kept + piece, self._pos
        found = self._search(text, pos)
        if found is not None:
            return self._replace(text, pos, final=False)
        if text:
            self._kept, self._pos = text[-1], 1
        return piece if len(text) - pos == len(piece) else text[pos:]

    def close(self) -> str:
        return self._replace(self._kept, self._pos, final=True) if len(self._kept) > self._pos else ""

    def _replace(self, text: str, pos: int, *, final: bool) -> str:
        search = exact(self._types).search if final else self._search
        out, at, end = [], pos, len(text)
        found = search(text, pos)
        while found is not None:
            if found.lastindex is None:
                end = found.start()
                break
            value = self._values.get(key(found.group()))
            if value is not None:
                out.append(text[at : found.start()])
                out.append(value)
                at = found.end()
            found = search(text, found.end())
        out.append(text[at:end])
        self._pos = 1 if end else 0
        self._kept = text[end - self._pos :]
        return "".join(out)

    def __repr__(self) -> str:
        return f"Restore({len(self._values)} placeholders)"


class Awaited:
    """A filter that needs something done before the first of its text may go: then it is what `ready` gives."""

    __slots__ = ("_filter", "_ready")

    def __init__(self, ready: Callable[[], Awaitable[Restore | None]]) -> None:
        self._ready = ready
        self._filter: Restore | None = None

    def feed(self, piece: str) -> str | Hold:
        if self._filter is not None:
            return self._filter.feed(piece)
        return Hold(piece, self._first(piece)) if piece else ""

    def close(self) -> str:
        return self._filter.close() if self._filter is not None else ""

    def _first(self, piece: str) -> Callable[[], Awaitable[str]]:
        async def check() -> str:
            self._filter = await self._ready() or _NOTHING()
            return self._filter.feed(piece)

        return check


class _NOTHING(Restore):
    """Nothing was masked: everything passes."""

    __slots__ = ()

    def __init__(self) -> None:
        self._kept, self._pos = "", 0

    def feed(self, piece: str) -> str:
        return piece

    def close(self) -> str:
        return ""
