"""JSON that breaks off: as much of it as came whole."""

from __future__ import annotations

from types import MappingProxyType

from proxy.ports import Json
from proxy.wire.coding import load

_CLOSES = MappingProxyType({"{": "}", "[": "]"})


def completed(text: str) -> Json:
    """What `text` says. Where it breaks off, without the value that did; an empty object where nothing came whole."""
    try:
        return load(text)
    except ValueError:
        pass
    at, closes = _last_whole(text)
    try:
        return load(text[:at] + closes)
    except ValueError:
        return {}


def _last_whole(text: str) -> tuple[int, str]:
    """Where the last value that is whole ends, and what closes all that is open there."""
    open_: list[str] = []
    quoted, at = False, 0
    best: tuple[int, tuple[str, ...]] = (0, ())
    while at < len(text):
        letter = text[at]
        if quoted:
            if letter == "\\":
                at += 1
            elif letter == '"':
                quoted = False
        elif letter == '"':
            quoted = True
        elif letter in "{[":
            open_.append(letter)
            best = (at + 1, tuple(open_))
        elif letter in "}]" and open_:
            open_.pop()
            best = (at + 1, tuple(open_))
        elif letter == ",":
            best = (at, tuple(open_))
        at += 1
    return best[0], "".join(_CLOSES[one] for one in reversed(best[1]))
