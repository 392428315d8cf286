"""Which run-time changes make a configuration that is right by itself a wrong one, and the command that undoes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

from proxy.configuration.overlay import Change, Overlay
from proxy.configuration.sources import ConfigErrors, Loaded
from proxy.errors import ConfigError

Read = Callable[[Overlay], Loaded]
"""Merges and judges; raises ConfigError or ConfigErrors."""
MOST = 16


def read(judged: Read, overlay: Overlay, data: Path | None = None) -> Loaded:
    """As `judged`; where it is the run-time changes that are wrong, the ConfigErrors have the `advice` which of them to
    undo, and how: in the data directory `data`, or in the Weir that runs."""
    try:
        return judged(overlay)
    except (ConfigErrors, ConfigError) as error:
        found = culprits(judged, overlay)
        if not found:
            raise
        errors = error.errors if isinstance(error, ConfigErrors) else (error,)
        raise ConfigErrors(errors, advice=tuple(_advice(found, data))) from None


def culprits(judged: Read, overlay: Overlay) -> list[Change]:
    """The changes without which it would be right, in the order in which they were made; none where it is wrong
    without any of them, too. Of changes that are wrong together only, it is the later one."""
    found: list[Change] = []
    if not _right(judged, Overlay()):
        return found
    while len(found) < MOST and not _right(judged, overlay):
        change = _first(judged, overlay.standing())
        found.append(change)
        overlay = overlay.undo(change.id, who="", at=0.0)
    return sorted(found, key=lambda change: change.id) if _right(judged, overlay) else []


def _first(judged: Read, changes: Sequence[Change]) -> Change:
    """The change with which it becomes wrong, by halves: none of them is right, all of them are not."""
    good, bad = 0, len(changes)
    while bad - good > 1:
        middle = (good + bad) // 2
        if _right(judged, Overlay(changes=tuple(changes[:middle]))):
            good = middle
        else:
            bad = middle
    return changes[bad - 1]


def _right(judged: Read, overlay: Overlay) -> bool:
    try:
        judged(replace(overlay, version=0))
    except (ConfigErrors, ConfigError):
        return False
    return True


def _advice(found: Sequence[Change], data: Path | None) -> list[str]:
    many = "one change" if len(found) == 1 else f"{len(found)} changes"
    kept, place = (f" (kept in {data})", f" --data {quote(str(data))}") if data else ("", "")
    return [
        f"The configuration is right without {many} made at run time{kept}:",
        *(f"  change {change.id}: {_said(change)}" for change in found),
        f"To take that back: weir overlay undo {' '.join(str(change.id) for change in found)}{place}",
    ]


def _said(change: Change) -> str:
    at = datetime.fromtimestamp(change.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{change.key}, set by {change.who} at {at}{f' ({change.reason})' if change.reason else ''}"
