"""What was changed at run time: one versioned file in the data directory, listed, undone and exported.

A value never changes in place: `apply` and `undo` give a new Overlay, so that it can be tried (`sources.read`) before
it is written. Writing is atomic and durable. The history stays: an undone change is marked, not removed.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import orjson
import yaml

from proxy.configuration.fields import SENSITIVE
from proxy.configuration.settings import CHAIN, PROVIDERS, SECRETS, secret
from proxy.configuration.wording import Path as Key
from proxy.configuration.wording import dotted, parts
from proxy.errors import ConfigError

Json = Any

FORMAT = 1
NAME = "overlay.json"
CODE: tuple[Key, ...] = (("plugins", "*", "uses"),)
"""Name what code runs: for the file alone, whoever asks."""
OUTSIDE = ("url", "token", "rules", "model")
"""Options of plugins that say where texts are sent, and which files are read."""
TRUSTED: tuple[Key, ...] = (
    *SECRETS, *CODE, ("upstreams",), ("identity",), ("audit",), ("agents", "*", "content"),
    *(("plugins", "*", "options", name) for name in OUTSIDE),
    *(("agents", "*", "plugins", "*", "options", name) for name in OUTSIDE),
)  # fmt: skip
"""Name secrets, addresses, callers and what is kept: whoever merely reaches the admin port must not change them."""


OFFLINE = "(no Weir ran)"
"""At the end of who undid a change in the file itself."""
WHOLE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({"plugins": CHAIN, "upstreams": tuple(PROVIDERS)})
"""What runs where the file names none: a file that names one has no others."""
SPELT = "# What stands there as {{}} is so by default, and listed because a file that names any {} has no others.\n"
VEIL = "(secret)"
PERSON = "(a user)"


def reaches(path: Key, known: tuple[Key, ...]) -> bool:
    """Whether a change of `path` could change one of these: it is one, stands in one, or holds one."""
    return any(all(want in ("*", have) for want, have in zip(each, path, strict=False)) for each in known)


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `old` is what was in effect before it, `new` what it set; `at` in seconds since the epoch."""

    id: int
    at: float
    who: str
    key: str
    old: Json
    new: Json
    reason: str
    undone_at: float | None = None
    undone_by: str = ""


@dataclass(frozen=True, slots=True)
class Overlay:
    """`version` counts every apply and undo."""

    version: int = 0
    changes: tuple[Change, ...] = ()

    def standing(self) -> tuple[Change, ...]:
        """The changes in effect: the newest of each key that was not undone, oldest first."""
        newest = {change.key: change for change in self.changes if change.undone_at is None}
        return tuple(sorted(newest.values(), key=lambda change: change.id))

    def apply(self, key: str, new: Json, *, old: Json, who: str, reason: str, at: float) -> Overlay:
        """With one more change. Whether key and value are right is for `sources.read` to say."""
        number = self.changes[-1].id + 1 if self.changes else 1
        change = Change(number, at, who, key, old, new, reason)
        return Overlay(self.version + 1, (*self.changes, change))

    def undo(self, number: int, *, who: str, at: float) -> Overlay:
        """Without the effect of that change; an earlier one of the same key is in effect again. Raises KeyError for
        a change that is not there or was undone before."""
        found = next((change for change in self.changes if change.id == number and change.undone_at is None), None)
        if found is None:
            raise KeyError(number)
        undone = replace(found, undone_at=at, undone_by=who)
        return Overlay(self.version + 1, tuple(undone if change is found else change for change in self.changes))

    def forget(self, user: str) -> Overlay:
        """Without the name of this user in keys that were bound to it, in changes undone or overtaken too."""
        changes = tuple(
            replace(change, old=_nobodys(change.key, change.old, user), new=_nobodys(change.key, change.new, user))
            for change in self.changes
        )
        return self if changes == self.changes else Overlay(self.version + 1, changes)

    def export(self, unnamed: Collection[str] = ()) -> str:
        """What is in effect, as YAML for the configuration file. `unnamed`: those of `WHOLE` of which the file names
        none; where changes touch one it is spelt out."""
        tree: dict[str, Json] = {}
        for change in self.standing():
            *above, last = parts(change.key)
            node = tree
            for part in above:
                inner = node.get(part)
                if not isinstance(inner, dict):
                    inner = node[part] = {}
                node = inner
            node[last] = change.new
        if not tree:
            return "{}\n"
        spelt = [name for name in unnamed if self._part_of(tree.get(name), name)]
        for name in spelt:
            tree[name] = {one: tree[name].get(one, {}) for one in WHOLE[name]}
        text: str = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
        return (SPELT.format(" or ".join(spelt)) if spelt else "") + text

    def _part_of(self, section: Json, name: str) -> bool:
        """Whether changes touch some of what is there by default, and do not say themselves what there is."""
        if not isinstance(section, dict) or any(change.key == name for change in self.standing()):
            return False
        return set(section) <= set(WHOLE[name])


def listed(overlay: Overlay) -> Json:
    """`version`, and `changes` from the newest on, as they may be shown: each with `in_effect`."""
    standing = {change.id for change in overlay.standing()}
    rows = [{**shown(change), "in_effect": change.id in standing} for change in overlay.changes]
    return {"version": overlay.version, "changes": rows[::-1]}


def shown(change: Change) -> Json:
    path = parts(change.key)
    return {**asdict(change), "old": veiled(path, change.old), "new": veiled(path, change.new)}


def veiled(path: Key, value: Json) -> Json:
    """The value, unless it may be a secret; references to secrets are shown, for they hold none."""
    if path[:2] == ("identity", "keys") and path[3:] == ("user",) and value:
        return PERSON  # the trail is for ever, and this is a person's name
    if isinstance(value, dict):
        return {name: veiled((*path, name), inner) for name, inner in value.items()}
    hidden = secret(path) or (path and SENSITIVE.search(path[-1]))
    if isinstance(value, str) and hidden and not value.startswith(("env:", "file:")):
        return VEIL
    return value


def _nobodys(key: str, value: Json, user: str) -> Json:
    """The value of a change without this user, where it is the user of a caller's key."""
    path = parts(key)
    if path[:1] != ("identity",):
        return value
    if isinstance(value, dict):
        return {name: _nobodys(dotted((*path, name)), inner, user) for name, inner in value.items()}
    return "" if path[1:2] == ("keys",) and path[3:] == ("user",) and value == user else value


def read(path: Path) -> Overlay:
    """The overlay as written; empty where there is none. Raises ConfigError where it is damaged: silently running
    without it would undo what people decided."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Overlay()
    except OSError as error:
        raise ConfigError(f"the run-time overlay cannot be read ({type(error).__name__})", file=str(path)) from error
    try:
        data = orjson.loads(raw)
        if data["format"] != FORMAT:
            raise ConfigError(f"is of format {data['format']}; this Weir reads format {FORMAT}", file=str(path))
        changes = tuple(Change(**change) for change in data["changes"])
        return Overlay(int(data["version"]), changes)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            "the run-time overlay is damaged: restore it, or move it away to start without it", file=str(path)
        ) from error


def write(path: Path, overlay: Overlay) -> None:
    """Replaces the file as a whole; when this returns it is on disk. Only its owner may read it."""
    data = {"format": FORMAT, "version": overlay.version, "changes": [asdict(change) for change in overlay.changes]}
    raw = orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    _sync(path.parent)


def _sync(directory: Path) -> None:
    """Makes the new name durable too."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
