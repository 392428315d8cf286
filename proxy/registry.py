"""From a name to a plugin: classes by entry point or dotted path, objects that live through reloads, order checked."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib import metadata
from typing import Any, TypeGuard, get_args, get_origin, get_type_hints

from proxy.errors import ConfigError
from proxy.live import Entry, Snapshot
from proxy.plugin import Kit, Plugin, Verdict

log = logging.getLogger("weir.plugins")

GROUP = "weir.plugins"
ORDER = (
    "audit", "metering", "ratelimit", "injection", "pii", "output_filter", "variants", "fewshot", "routing", "cache",
    "embeddings", "compression",
)  # fmt: skip
"""The standard order. Audit and metering on top: they see refusals and hits. `output_filter` below `pii`: raw personal
data in an answer not yet restored is by construction not the caller's. `cache` below all that chooses and above what
only shrinks: it stores masked text, and every guard above still sees a hit on its way back."""

PluginClass = type[Plugin[Any]]


def find(uses: str) -> PluginClass:
    """The class behind `uses`: an entry-point name of the group `weir.plugins`, `package.module:Class`, or a module
    under `plugins` of that name. Raises ConfigError with what is there."""
    found = _load(uses)
    if _is_plugin(found):
        return found
    raise ConfigError(f"{uses!r} is not a plugin class (it must be a subclass of proxy.plugin.Plugin)")


def _load(uses: str) -> Any:
    for point in metadata.entry_points(group=GROUP):
        if point.name == uses:
            return point.load()
    module, colon, name = uses.partition(":")
    if not all(part.isidentifier() for part in module.split(".")):
        raise _unknown(uses)
    if colon:
        return _member(_module(module, uses), name, uses)
    classes = [cls for cls in _classes(_module(f"plugins.{uses}", uses)) if cls.name == uses]
    return classes[0] if classes else None


def _module(path: str, uses: str) -> Any:
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name and (path == error.name or path.startswith(error.name + ".")):
            raise _unknown(uses) from error
        raise


def _member(module: Any, name: str, uses: str) -> Any:
    if not hasattr(module, name):
        there = ", ".join(sorted(cls.__name__ for cls in _classes(module))) or "no plugin class"
        raise ConfigError(f"there is no plugin {uses!r}: that module has {there}")
    return getattr(module, name)


def _classes(module: Any) -> list[PluginClass]:
    return [value for value in vars(module).values() if _is_plugin(value)]


def _is_plugin(found: object) -> TypeGuard[PluginClass]:
    return isinstance(found, type) and issubclass(found, Plugin) and found is not Plugin


def _unknown(uses: str) -> ConfigError:
    known = ", ".join(sorted({point.name for point in metadata.entry_points(group=GROUP)})) or "none installed"
    return ConfigError(
        f"there is no plugin {uses!r}: name an entry point of the group {GROUP} ({known}), "
        "a module under plugins/, or package.module:Class"
    )


def misplaced(
    running: Mapping[str, Mapping[str, Any]], classes: Mapping[str, PluginClass]
) -> Iterator[tuple[str, str]]:
    """What cannot work in the order of `running` (the options of each plugin that is on, as listed): plugin and
    sentence. The list is the order; nothing sorts it."""
    names = list(running)
    for place, name in enumerate(names):
        cls, below = classes[name], names[place + 1 :]
        late = [other for other in below if other in cls.after]
        if late:
            yield name, f"must stand below {' and '.join(late)}: move it down in the list"
        if cls.egress and "pii" in below and not running[name].get("allow_unmasked"):
            yield (
                name,
                "sends text elsewhere and stands above pii, so personal data would leave unmasked: move it below pii, "
                "or set allow_unmasked in its options",
            )


def check_order(snapshot: Snapshot, classes: Mapping[str, PluginClass]) -> None:
    """As `misplaced`, for the chain of a snapshot. Raises ConfigError."""
    running: dict[str, Mapping[str, Any]] = {}
    for entry in snapshot.chain:
        if not _wanted(entry, snapshot):
            continue
        if entry.name in running:
            raise ConfigError(f"plugin {entry.name!r} is listed twice; a plugin has one place")
        running[entry.name] = entry.options
    for name, words in misplaced(running, classes):
        raise ConfigError(f"plugin {name!r} {words}", key=f"plugins.{name}")


def build(cls: type[Any], values: Mapping[str, Any]) -> Any:
    """An options value from plain, already validated values: lists become tuples where the field says so, mappings
    nested dataclasses."""
    hints = get_type_hints(cls)
    try:
        return cls(**{name: _fit(hints[name], value) for name, value in values.items() if name in hints})
    except ValueError as error:  # a file that is gone since control has judged it
        raise ConfigError(str(error)) from error


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


class Resolver:
    """(plugin, agent, variant) -> options: the chain's, overlaid with the agent's and then with the variant's. Built
    once per combination of what differs."""

    COMBINED = 4096

    def __init__(self, snapshot: Snapshot, classes: Mapping[str, PluginClass]) -> None:
        self._agents = snapshot.agents
        self._entries = {entry.name: entry for entry in snapshot.chain}
        self._classes = classes
        self._made: dict[tuple[str, str, tuple[str, ...]], Any] = {}
        self._assigning = [name for name, cls in classes.items() if varies(cls)]
        self._varied: dict[str, dict[str, Mapping[str, Mapping[str, Any]]]] = {}
        self._of_variants: dict[tuple[str, str, str], Any] = {}

    def __call__(self, plugin: str, agent: str, variant: str) -> Any:
        if not variant or not self._assigning:
            return self._resolved(plugin, agent, ())
        key = (plugin, agent if agent in self._agents else "", variant)
        found = self._of_variants.get(key)
        if found is None:
            if len(self._of_variants) >= self.COMBINED:
                self._of_variants.clear()
            varied = self._of_agent(agent)
            labels = tuple(label for label in variant.split(",") if plugin in varied.get(label, ()))
            found = self._of_variants[key] = self._resolved(plugin, agent, labels)
        return found

    def labels(self) -> tuple[str, ...]:
        """Of all variants that change options, each once."""
        return tuple(dict.fromkeys(label for agent in ("", *self._agents) for label in self._of_agent(agent)))

    def _resolved(self, plugin: str, agent: str, labels: tuple[str, ...]) -> Any:
        override = self._override(plugin, agent)
        key = (plugin, agent if override or (labels and self._assigns(agent)) else "", labels)
        found = self._made.get(key)
        if found is None:
            values = dict(self._entries[plugin].options) if plugin in self._entries else {}
            values.update((override or {}).get("options", {}))
            for label in labels:
                values.update(self._of_agent(agent)[label][plugin])
            found = self._made[key] = build(self._classes[plugin].Options, values)
        return found

    def _override(self, plugin: str, agent: str) -> Mapping[str, Any] | None:
        own = self._agents.get(agent)
        return own.plugins.get(plugin) if own else None

    def _assigns(self, agent: str) -> bool:
        """It has tests of its own."""
        return any(self._override(name, agent) for name in self._assigning)

    def _of_agent(self, agent: str) -> dict[str, Mapping[str, Mapping[str, Any]]]:
        whose = agent if self._assigns(agent) else ""
        found = self._varied.get(whose)
        if found is None:
            found = self._varied[whose] = {}
            for name in self._assigning:
                found.update(self._classes[name].varied(self._resolved(name, agent, ())))
        return found


def resolver(snapshot: Snapshot, classes: Mapping[str, PluginClass]) -> Resolver:
    return Resolver(snapshot, classes)


def varies(cls: PluginClass) -> bool:
    """Whether the plugin assigns variants that may change the options of others."""
    return cls.varied.__func__ is not Plugin.varied.__func__  # type: ignore[attr-defined]


def with_options(snapshot: Snapshot) -> Snapshot:
    """The snapshot with what finds its plugins' options. Raises ConfigError where there is no plugin of a name."""
    classes = {entry.name: find(entry.uses) for entry in snapshot.chain}
    made = resolver(snapshot, classes)
    return replace(snapshot, resolve=made, labels=made.labels())


class Registry:
    """The plugin objects of this process. They live through reloads; `prepare` starts those that a snapshot adds."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._plugins: dict[str, Plugin[Any]] = {}
        self._uses: dict[str, str] = {}
        self._retired: list[Plugin[Any]] = []
        """Replaced by another class under their name; running calls may still hold them."""

    async def prepare(self, snapshot: Snapshot) -> dict[str, Plugin[Any]]:
        """Every plugin of the snapshot, started. Raises ConfigError and changes nothing where one cannot be."""
        classes = {entry.name: find(entry.uses) for entry in snapshot.chain}
        check_order(snapshot, classes)
        fresh: dict[str, Plugin[Any]] = {}
        try:
            for entry in snapshot.chain:
                if self._uses.get(entry.name) == entry.uses or not _wanted(entry, snapshot):
                    continue
                fresh[entry.name] = await self._started(entry, classes[entry.name])
        except BaseException:
            await _stop(fresh.values())
            raise
        self._retired += [self._plugins[name] for name in fresh if name in self._plugins]
        self._plugins.update(fresh)
        self._uses.update({entry.name: entry.uses for entry in snapshot.chain if entry.name in fresh})
        return {entry.name: self._plugins[entry.name] for entry in snapshot.chain if entry.name in self._plugins}

    async def _started(self, entry: Entry, cls: PluginClass) -> Plugin[Any]:
        """It goes by the name under which it is listed: so a class may be listed more than once."""
        try:
            plugin = cls(self._kit)
            plugin.name = entry.name  # type: ignore[misc]
            await plugin.start()
        except ConfigError:
            raise
        except Exception as error:
            words = f"plugin {entry.name!r} cannot start ({type(error).__name__}: {error})"
            raise ConfigError(words, key=f"plugins.{entry.name}") from error
        return plugin

    async def forget(self, user: str) -> int:
        """Every plugin forgets this user. Raises what one of them raised, when all have been asked."""
        told = await asyncio.gather(*(each.forget(user) for each in self._all()), return_exceptions=True)
        for failed in told:
            if isinstance(failed, BaseException):
                raise failed
        return sum(count for count in told if isinstance(count, int))

    async def export(self, user: str) -> list[dict[str, Any]]:
        """What the plugins hold of this user, each with the name of its plugin."""
        return [{"plugin": each.name, **held} for each in self._all() for held in await each.export(user)]

    async def teach(self, verdict: Verdict, notes: Mapping[str, Any]) -> None:
        """Tells the plugins that left a note with the call; one that fails keeps nobody from it."""
        for name, note in notes.items():
            plugin = self._plugins.get(name)
            if plugin is None:
                continue
            try:
                await plugin.feedback(verdict._replace(note=note))
            except Exception:
                log.exception("plugin %s did not take a verdict", name)

    async def order(self, order: dict[str, Any]) -> dict[str, Any] | None:
        """Hands it to the plugin that `order["plugin"]` names; None where there is none."""
        plugin = self._plugins.get(str(order.get("plugin")))
        return None if plugin is None else await plugin.ordered(order)

    def _all(self) -> list[Plugin[Any]]:
        return [*self._retired, *self._plugins.values()]

    async def stop(self) -> None:
        await _stop([*self._retired, *self._plugins.values()])
        self._retired.clear()
        self._plugins.clear()
        self._uses.clear()


async def _stop(plugins: Iterable[Plugin[Any]]) -> None:
    """In the reverse of the order in which they were started; one that fails does not keep the others from it."""
    for plugin in reversed(list(plugins)):
        try:
            await plugin.stop()
        except Exception:
            log.exception("plugin %s did not stop properly", plugin.name)


def _wanted(entry: Entry, snapshot: Snapshot) -> bool:
    if entry.enabled:
        return True
    return any(agent.plugins.get(entry.name, {}).get("enabled") for agent in snapshot.agents.values())
