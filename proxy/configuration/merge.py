"""Layers of configuration on top of each other: one tree of plain values, and where each of them comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from proxy.configuration.settings import CHAIN, at, below
from proxy.configuration.wording import Path, dotted, nearest
from proxy.errors import ConfigError

Json = Any


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from; as text: `flag --port`, `env WEIR_PORT`, `weir.yaml:12`, `default` ..."""

    kind: Literal["flag", "env", "overlay", "file", "profile", "default"]
    name: str = ""
    line: int | None = None

    def __str__(self) -> str:
        if self.kind == "file":
            return f"{self.name}:{self.line}" if self.line else self.name
        return f"{self.kind} {self.name}".rstrip()


DEFAULT = Origin("default")


def wrong(path: Path, words: str, origin: Origin) -> ConfigError:
    """An error at an option, told with where its value comes from."""
    if origin.kind == "file":
        return ConfigError(words, file=origin.name, line=origin.line, key=dotted(path) or None)
    key = dotted(path) if origin.kind in ("default", "profile") else f"{dotted(path)} ({origin})"
    return ConfigError(words, key=key)


@dataclass(slots=True)
class Merge:
    """Layers are put on from the weakest up; what goes wrong on the way is collected."""

    values: dict[str, Json] = field(default_factory=dict)
    leaves: dict[Path, Origin] = field(default_factory=dict)
    """Who set each value."""
    places: dict[Path, Origin] = field(default_factory=dict)
    """Who mentioned each value or section last: where an error in it is told."""
    errors: list[ConfigError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    told: set[Path] = field(default_factory=set)
    """What stands in `errors` already."""
    broken: bool = False
    """The file could not be read, so nothing can be said about the whole."""

    def complain(self, path: Path, words: str, origin: Origin | None = None) -> None:
        if path not in self.told:
            self.told.add(path)
            self.errors.append(wrong(path, words, origin or self.place(path)))

    def put(self, path: Path, value: Json, origin: Origin) -> None:
        """Sets a value over what weaker layers said; sections are merged name by name."""
        value, _ = shaped(path, value)
        if path == ("plugins",):
            self.drop(path)
        elif path[0] == "plugins" and not self._listed(path, origin):
            return
        self.lay(path, value, lambda _: origin)

    def _listed(self, path: Path, origin: Origin) -> bool:
        """A plugin's place is its meaning, so only the list itself can add one."""
        names = self.values.setdefault("plugins", {name: {} for name in CHAIN})
        if not isinstance(names, dict) or path[1] in names:
            return isinstance(names, dict)
        near = nearest(path[1], names)
        self.complain(path[:2], f"is not in the list of plugins, and its place there matters{near}", origin)
        return False

    def lay(self, path: Path, value: Json, origin: Callable[[Path], Origin]) -> None:
        """Puts a value or section in place, each leaf with its own origin."""
        if path:
            self.places[path] = origin(path)
        if isinstance(value, dict) and (value or below(at(path)) is not None):
            self._section(path)
            for name, inner in value.items():
                self.lay((*path, name), inner, origin)
            return
        self.drop(path)
        self._section(path[:-1])[path[-1]] = value
        self.leaves[path] = self.places[path] = origin(path)

    def _section(self, path: Path) -> dict[str, Json]:
        node = self.values
        for end, part in enumerate(path, 1):
            inner = node.get(part)
            if not isinstance(inner, dict):
                self.leaves.pop(path[:end], None)
                inner = node[part] = {}
            node = inner
        return node

    def drop(self, path: Path) -> None:
        """Takes a value or section out, with its origins."""
        node = self.find(path[:-1])
        if isinstance(node, dict):
            node.pop(path[-1], None)
        for origins in (self.leaves, self.places):
            for known in [known for known in origins if known[: len(path)] == path]:
                del origins[known]

    def find(self, path: Path) -> Json:
        """The value or section at a path; None where there is none."""
        node: Json = self.values
        for part in path:
            node = node.get(part) if isinstance(node, dict) else None
        return node

    def has(self, path: Path) -> bool:
        above = self.find(path[:-1])
        return isinstance(above, dict) and path[-1] in above

    def place(self, path: Path) -> Origin:
        """Who mentioned it, or the section around it."""
        return mentioned(self.places, path)

    def leaf(self, path: Path) -> Origin:
        """Who set the value, or the list or mapping it is part of."""
        return up(self.leaves, path)


def mentioned(places: Mapping[Path, Origin], path: Path) -> Origin:
    """Who mentioned it, or something in it, or the section around it."""
    if path and path not in places:
        within = next((origin for known, origin in places.items() if known[: len(path)] == path), None)
        if within is not None:
            return within
    return up(places, path)


def up(origins: Mapping[Path, Origin], path: Path) -> Origin:
    """What is known of a path, or of the nearest one around it."""
    for end in range(len(path), 0, -1):
        if path[:end] in origins:
            return origins[path[:end]]
    return DEFAULT


def shaped(path: Path, value: Json) -> tuple[Json, dict[Path, Path]]:
    """The canonical form of a value: a list of plugins becomes names with sections, `alias: model` a section, an empty
    section an empty mapping. Also says which path of the canonical form stood where as written."""
    moved: dict[Path, Path] = {}
    if path == ("plugins",) and isinstance(value, list):
        value, moved = _plugins(value)
    if len(path) == 2 and path[0] == "aliases" and isinstance(value, str):
        return {"model": value}, moved
    if value is None and path and below(at(path)) is not None:
        return {}, moved
    if not isinstance(value, dict) or path[-1:] == ("options",):
        return value, moved
    made: dict[str, Json] = {}
    for name, inner in value.items():
        made[name], deeper = shaped((*path, name), inner)
        moved.update(deeper)
    return made, moved


def _plugins(lines: Sequence[Json]) -> tuple[Json, dict[Path, Path]]:
    """`[audit, {metering: {...}}]` as a mapping; what is not such a list comes back as it is."""
    made: dict[str, Json] = {}
    moved: dict[Path, Path] = {}
    for place, line in enumerate(lines):
        section = {line: {}} if isinstance(line, str) else line
        if not isinstance(section, dict) or len(section) != 1 or next(iter(section)) in made:
            return lines, {}
        name = next(iter(section))
        made[name] = section[name]
        written = ("plugins", str(place))
        moved["plugins", name] = written if section is not line else (*written, name)
    return made, moved
