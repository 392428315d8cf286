"""What a text is seen as before it is judged: normalised, and every hidden or encoded text in it: View, views."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import MappingProxyType
from typing import NamedTuple

from plugins.injection import disguise
from plugins.injection.anchors import anchored, prose
from plugins.injection.decode import DECODERS, Piece
from plugins.injection.normalise import Origins, hidden, normal

VIEWS = 12
"""Readings kept apart; further ones are put together in one."""
DEPTH = 2
"""Encodings inside encodings that are read."""
MOST_CHARS = 1 << 20
"""Of all readings together, the plain one apart."""


class View(NamedTuple):
    """One reading of a text."""

    text: str
    kind: str
    """`plain` (normalised), or how it was hidden: `hidden`, `base64`, `base32`, `base85`, `hex`, `url`, `html`,
    `escape`, `binary`, `decimal`, `morse`, `rot13`, `caesar`, `atbash`, `reversed`, `leet`, `spaced`, `scrambled`;
    joined by `+` where one was inside the other; `more` is several."""
    start: int
    end: int
    """The span of the original that it came from."""


Read = Callable[[str], Iterator[Piece]]
READERS: MappingProxyType[str, Read] = MappingProxyType(
    {
        **DECODERS,
        "leet": disguise.leet,
        "spaced": disguise.spaced,
        "rot13": disguise.rotated,
        "reversed": disguise.reversed_,
        "scrambled": disguise.scrambled,
    }
)


def views(text: str, worded: list[str] | None = None) -> list[View]:
    """The readings of a text, the plain one first; bounded in number, depth and size. Pure. `worded`: as in `anchored`,
    of a text in ASCII whose words have been read."""
    made = normal(text)
    plain = View(made, "plain", 0, len(text))
    found = [View(*piece) for piece in hidden(text)]
    pieces = list(_read(made, worded))
    if pieces:
        origins = Origins(text, made)
        found += [View(said, kind, *origins.back(start, end)) for said, kind, start, end in pieces]
    if not found:
        return [plain]
    for _ in range(DEPTH - 1):
        found += _deeper(found)
    return [plain, *_bounded(_distinct(found, made))]


def _read(text: str, worded: list[str] | None = None) -> Iterator[Piece]:
    for kind in anchored(text, worded):
        yield from READERS[kind](text)
    if not prose(text):
        yield from disguise.shifted(text)


def _read_encoded(text: str) -> Iterator[Piece]:
    for kind in anchored(text):
        if kind in DECODERS:
            yield from DECODERS[kind](text)


def _deeper(found: list[View]) -> list[View]:
    """What is encoded in what was decoded; of disguised words, encodings only."""
    inner = []
    for view in found:
        read = _read if view.kind in DECODERS or view.kind == "hidden" else _read_encoded
        for said, kind, _, _ in read(normal(view.text)):
            inner.append(View(said, f"{view.kind}+{kind}", view.start, view.end))
    return inner


def _distinct(found: Iterable[View], plain: str) -> list[View]:
    """Each text once, and normal."""
    seen = {plain}
    kept = []
    for view in found:
        said = normal(view.text).strip()
        if said and said not in seen:
            seen.add(said)
            kept.append(view if said == view.text else View(said, view.kind, view.start, view.end))
    return kept


def _bounded(found: list[View]) -> list[View]:
    """The first, and all others in one, so that none hides behind the number."""
    kept, rest = found[: VIEWS - 1], found[VIEWS - 1 :]
    if len(rest) > 1:
        said = "\n".join(view.text for view in rest)
        rest = [View(said, "more", min(view.start for view in rest), max(view.end for view in rest))]
    room, within = MOST_CHARS, []
    for view in kept + rest:
        within.append(view if len(view.text) <= room else View(view.text[:room], view.kind, view.start, view.end))
        room -= len(within[-1].text)
    return within
