"""Which hooks a kind of call wants: by the options of the chain, those of its agent, and those of every variant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from proxy.live import Agent, Snapshot
from proxy.plugin import HOOKS, Plugin, overrides
from proxy.route import for_agent

View = tuple[Snapshot, Agent | None]
"""Settings, and what an agent has of its own: as `Plugin.needed` takes them."""


class Wanted:
    """For the calls of one agent. A plugin may have nothing to do but in the calls of a variant."""

    def __init__(self, snapshot: Snapshot, plugins: Mapping[str, Plugin[Any]], agent: str) -> None:
        self._snapshot = snapshot
        self._own = snapshot.agents.get(agent)
        self._varied = list(self._of_variants(plugins, agent)) if snapshot.labels else []

    def hooks(self, plugin: Plugin[Any]) -> frozenset[str]:
        """Those that the plugin has, and that have something to do in some of the calls."""
        views = list(self._views(plugin.name))
        return frozenset(
            hook for hook in HOOKS if overrides(plugin, hook) and any(plugin.needed(hook, *view) for view in views)
        )

    def _views(self, name: str) -> Iterator[View]:
        """The settings as they are, and as if all calls were of a variant that changes options of this plugin."""
        yield self._snapshot, self._own
        for changed in self._varied:
            if name not in changed:
                continue
            own = None if self._own is None else _changed(self._own, name, changed[name])
            chain = [
                replace(entry, options={**entry.options, **changed[name]}) if entry.name == name else entry
                for entry in self._snapshot.chain
            ]
            yield replace(self._snapshot, chain=tuple(chain)), own

    def _of_variants(self, plugins: Mapping[str, Plugin[Any]], agent: str) -> Iterator[Mapping[str, Any]]:
        """What each variant changes, by plugin."""
        for entry in self._snapshot.chain:
            plugin = plugins.get(entry.name)
            if plugin is None or not for_agent(entry, self._own).enabled:
                continue
            options = self._snapshot.options(entry.name, agent, "")
            if isinstance(options, plugin.Options):
                yield from plugin.varied(options).values()


def _changed(own: Agent, name: str, changed: Mapping[str, Any]) -> Agent:
    """A variant's options go over the agent's."""
    override = own.plugins.get(name, {})
    options = {**override.get("options", {}), **changed}
    return replace(own, plugins={**own.plugins, name: {**override, "options": options}})
