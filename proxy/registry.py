"""From a name to a plugin: classes by entry point or dotted path, objects that live through reloads, order checked."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from typing import Any, get_args, get_origin, get_type_hints

from proxy.errors import ConfigError
from proxy.live import Entry, Snapshot
from proxy.plugin import Kit, Plugin

GROUP = "weir.plugins"
ORDER = (
    "audit", "metering", "ratelimit", "injection", "pii", "output_filter", "variants", "fewshot", "routing", "cache",
    "compression",
)  # fmt: skip
"""The standard order. Audit and metering on top: they see refusals and hits. `output_filter` below `pii`: raw personal
data in an answer not yet restored is by construction not the caller's. `cache` below all that chooses and above what
only shrinks: it stores masked text, and every guard above still sees a hit on its way back."""

PluginClass = type[Plugin[Any]]


def find(uses: str) -> PluginClass:
    """The class behind `uses`: an entry-point name of the group `weir.plugins`, `package.module:Class`, or a module
    under `plugins` of that name. Raises ConfigError with what is there."""
    found = _load(uses)
    if isinstance(found, type) and issubclass(found, Plugin):
        return found
    raise ConfigError(f"{uses!r} is not a plugin class (it must be a subclass of proxy.plugin.Plugin)")


def _load(uses: str) -> object:
    if ":" in uses:
        module, _, name = uses.partition(":")
        return getattr(_module(module, uses), name, None)
    for point in metadata.entry_points(group=GROUP):
        if point.name == uses:
            return point.load()
    module = _module(f"plugins.{uses}", uses)
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Plugin) and value.name == uses
    ]
    return classes[0] if classes else None


def _module(path: str, uses: str) -> Any:
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name and (path == error.name or path.startswith(error.name + ".")):
            known = ", ".join(sorted({point.name for point in metadata.entry_points(group=GROUP)})) or "none installed"
            raise ConfigError(
                f"there is no plugin {uses!r}: name an entry point of the group {GROUP} ({known}), "
                "a module under plugins/, or package.module:Class"
            ) from error
        raise


def check_order(entries: Iterable[Entry], classes: Mapping[str, PluginClass]) -> None:
    """The list is the order; what cannot work in it is said at start. Raises ConfigError."""
    seen: list[str] = []
    names = [entry.name for entry in entries if entry.enabled]
    for name in names:
        if name in seen:
            raise ConfigError(f"plugin {name!r} is listed twice; a plugin has one place", key=f"plugins.{name}")
        cls = classes[name]
        missing = sorted(other for other in cls.after if other in names and other not in seen)
        if missing:
            raise ConfigError(
                f"plugin {name!r} must stand below {' and '.join(missing)}: move it down in the list",
                key=f"plugins.{name}",
            )
        if cls.egress and "pii" in names and "pii" not in seen:
            raise ConfigError(
                f"plugin {name!r} sends text elsewhere and stands above pii, so it would send it unmasked: "
                "move it below pii or set allow_unmasked in its options",
                key=f"plugins.{name}",
            )
        seen.append(name)


def build(cls: type[Any], values: Mapping[str, Any]) -> Any:
    """An options value from plain, already validated values: lists become tuples where the field says so, mappings
    nested dataclasses."""
    hints = get_type_hints(cls)
    return cls(**{name: _fit(hints[name], value) for name, value in values.items() if name in hints})


def _fit(hint: Any, value: Any) -> Any:
    if hasattr(hint, "__dataclass_fields__") and isinstance(value, Mapping):
        return build(hint, value)
    origin = get_origin(hint)
    if origin in (tuple, frozenset) and isinstance(value, list):
        inner = (get_args(hint) or (Any,))[0]
        return origin(_fit(inner, item) for item in value)
    if origin is not None and value is not None and not isinstance(value, str | bytes):
        for choice in get_args(hint):
            if hasattr(choice, "__dataclass_fields__") and isinstance(value, Mapping):
                return build(choice, value)
    return value


def resolver(snapshot: Snapshot, classes: Mapping[str, PluginClass]) -> Callable[[str, str, str], Any]:
    """(plugin, agent, variant) -> options: the chain's, overlaid with the agent's. Built once per combination."""
    entries = {entry.name: entry for entry in snapshot.chain}
    made: dict[tuple[str, str], Any] = {}

    def resolve(plugin: str, agent: str, variant: str) -> Any:
        own = snapshot.agents.get(agent)
        override = own.plugins.get(plugin) if own else None
        key = (plugin, agent if override else "")
        found = made.get(key)
        if found is None:
            values = dict(entries[plugin].options) if plugin in entries else {}
            values.update((override or {}).get("options", {}))
            found = made[key] = build(classes[plugin].Options, values)
        return found

    return resolve


class Registry:
    """The plugin objects of this process. They live through reloads; `prepare` starts those that a snapshot adds."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._plugins: dict[str, Plugin[Any]] = {}
        self._uses: dict[str, str] = {}

    async def prepare(self, snapshot: Snapshot) -> dict[str, Plugin[Any]]:
        """Every plugin of the snapshot, started. Raises ConfigError and changes nothing where one cannot be."""
        classes = {entry.name: find(entry.uses) for entry in snapshot.chain}
        check_order(snapshot.chain, classes)
        fresh: dict[str, Plugin[Any]] = {}
        for entry in snapshot.chain:
            if self._uses.get(entry.name) == entry.uses or not _wanted(entry, snapshot):
                continue
            plugin = classes[entry.name](self._kit)
            await plugin.start()
            fresh[entry.name] = plugin
        self._plugins.update(fresh)
        self._uses.update({entry.name: entry.uses for entry in snapshot.chain if entry.name in fresh})
        return {entry.name: self._plugins[entry.name] for entry in snapshot.chain if entry.name in self._plugins}

    async def stop(self) -> None:
        for plugin in reversed(list(self._plugins.values())):
            await plugin.stop()
        self._plugins.clear()
        self._uses.clear()


def _wanted(entry: Entry, snapshot: Snapshot) -> bool:
    if entry.enabled:
        return True
    return any(agent.plugins.get(entry.name, {}).get("enabled") for agent in snapshot.agents.values())
