"""What options say that leads nowhere or does nothing: of every plugin that runs, wherever its options are written.

The plugins tell it by themselves (`Plugin.named`, `remarks`, `whole`); here is where it stands: under the plugin, of
one agent, or in what a variant changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from proxy.configuration.destinations import Destinations
from proxy.configuration.options import faults as option_faults
from proxy.configuration.settings import Settings
from proxy.configuration.wording import Path, dotted
from proxy.plugin import Around, Named, Plugin
from proxy.registry import build, varies

Classes = Mapping[str, type[Plugin[Any]]]
Remark = tuple[Path, str]
SWITCHES = ("cache", "compression")
"""Plugins that an agent's section turns on and off by their name."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A place where somebody wrote options of a plugin."""

    plugin: str
    written: Collection[str]
    """The names that stand there."""
    at: Callable[[Path], Path]
    """From a path below the options to where it stands."""
    timeout_ms: float
    whose: str = ""
    """An agent's or a variant's, in words; empty: the plugin's own."""
    prefix: str = ""
    options: Any = None
    """With what they are laid over."""

    def says(self, path: Path, words: str) -> Remark:
        key = f"{self.prefix}{dotted((self.plugin, *path))}: " if self.prefix else ""
        return self.at(path), f"{key}{words}"


class Remarks:
    """Of one configuration. Whoever asks for both pays once for what they share."""

    def __init__(self, settings: Settings, classes: Classes) -> None:
        self._settings = settings
        self._classes = {name: cls for name, cls in classes.items() if _tells(cls)}
        self._known = Destinations(settings)
        self._spots = list(_spots(settings, self._classes, {name: cls for name, cls in classes.items() if varies(cls)}))

    def faults(self) -> Iterator[Remark]:
        """Models that nobody serves, of options that are right by themselves."""
        for spot in self._spots:
            for named in self._classes[spot.plugin].named(spot.options):
                if (not spot.whose or named.path[0] in spot.written) and (words := self._known.fault(named)):
                    yield spot.says(named.path, words)

    def idle(self) -> Iterator[Remark]:
        """What will not do what is written there."""
        yield from _switches(self._settings)
        for named in _of_the_core(self._settings):
            for words in self._known.doubts(named):
                yield named.path, words
        told = [(spot, list(self._told(self._classes[spot.plugin], spot))) for spot in self._spots]
        for spot, found in told:
            for path, words in found:
                here = not path or path[0] in spot.written if spot.whose else _everywhere(spot, path, told)
                if here:
                    yield spot.says(path, words)

    def _told(self, cls: type[Plugin[Any]], spot: Spot) -> Iterator[Remark]:
        for named in cls.named(spot.options):
            for words in self._known.doubts(named):
                yield named.path, words
        yield from cls.remarks(spot.options, Around(spot.timeout_ms, self._known.dialects))
        for name in spot.written if spot.whose else ():
            if name in cls.whole:
                instead = dotted(("plugins", spot.plugin, "options", name))
                yield (
                    (name,),
                    f"counts for the whole process, so for {spot.whose} it does nothing: write it as {instead}",
                )


def _tells(cls: type[Plugin[Any]]) -> bool:
    """Whether there is anything to ask the plugin."""
    own = (cls.named.__func__, cls.remarks.__func__)  # type: ignore[attr-defined]
    return own != (Plugin.named.__func__, Plugin.remarks.__func__) or bool(cls.whole)  # type: ignore[attr-defined]


def _everywhere(spot: Spot, path: Path, told: Sequence[tuple[Spot, Sequence[Remark]]]) -> bool:
    """Whether it is so as well where an agent's options are laid over it: what does something for one is not idle."""
    over = [(one, found) for one, found in told if one.plugin == spot.plugin and one.whose and not one.prefix]
    laid = [found for one, found in over if not path or path[0] not in one.written]
    return all(any(path == known for known, _ in found) for found in laid)


def _spots(settings: Settings, classes: Classes, varying: Classes) -> Iterator[Spot]:
    """All places with options that are right, of plugins that run."""
    for name, cls in classes.items():
        line = settings.plugins[name]
        overrides = {agent: own.plugins[name] for agent, own in settings.agents.items() if name in own.plugins}
        if line.enabled or any(own.enabled for own in overrides.values()):
            spot = Spot(name, line.options, _below(("plugins", name, "options")), line.timeout_ms)
            yield from _spot(cls, line.options, spot)
        for agent, own in overrides.items():
            on = line.enabled if own.enabled is None else own.enabled
            if on and own.options:
                limit_ms = line.timeout_ms if own.timeout_ms is None else own.timeout_ms
                below = _below(("agents", agent, "plugins", name, "options"))
                spot = Spot(name, own.options, below, limit_ms, f"the agent {agent}")
                yield from _spot(cls, {**line.options, **own.options}, spot)
    for name, cls in varying.items():
        if settings.plugins[name].enabled:
            yield from _varied(settings, classes, (name, cls))


def variations(
    settings: Settings, name: str, cls: type[Plugin[Any]]
) -> Iterator[tuple[Path, str, Mapping[str, Mapping[str, Any]]]]:
    """What the variants of this plugin change, wherever its tests are written: where, the label, options by plugin."""
    line = settings.plugins[name]
    places: list[tuple[Path, Mapping[str, Any]]] = [(("plugins", name, "options"), line.options)]
    for agent, own in settings.agents.items():
        if name in own.plugins and own.plugins[name].options:
            places.append((("agents", agent, "plugins", name, "options"), own.plugins[name].options))
    for path, options in places:
        given = {**line.options, **options}
        if not option_faults(cls.Options, given):
            for label, plugins in cls.varied(build(cls.Options, given)).items():
                yield path, label, plugins


def _varied(settings: Settings, classes: Classes, varying: tuple[str, type[Plugin[Any]]]) -> Iterator[Spot]:
    """The options that variants change, of plugins below."""
    for path, label, plugins in variations(settings, *varying):
        for other in [one for one in plugins if one in classes]:
            of, changes = settings.plugins[other], plugins[other]
            spot = Spot(other, changes, _at(path), of.timeout_ms, f"the variant {label}", f"variant {label} sets ")
            yield from _spot(classes[other], {**of.options, **changes}, spot)


def _spot(cls: type[Plugin[Any]], given: Mapping[str, Any], spot: Spot) -> Iterator[Spot]:
    if not option_faults(cls.Options, given):
        limit_ms = max(spot.timeout_ms, cls.patience_s * 1000) if spot.timeout_ms else 0.0
        yield replace(spot, options=build(cls.Options, given), timeout_ms=limit_ms)


def _below(above: Path) -> Callable[[Path], Path]:
    return lambda path: (*above, *path)


def _at(place: Path) -> Callable[[Path], Path]:
    return lambda path: place


def _of_the_core(settings: Settings) -> Iterator[Named]:
    """Models that are named beside the options of plugins."""
    for name, line in settings.plugins.items():
        for place, pattern in enumerate(line.when.models):
            yield Named(("plugins", name, "when", "models", str(place)), pattern, "asked")
    for name, alias in settings.aliases.items():
        for place, fallback in enumerate(alias.fallbacks):
            yield Named(("aliases", name, "fallbacks", str(place)), fallback, "target", asked=(name,))


def _switches(settings: Settings) -> Iterator[Remark]:
    """`agents.NAME.cache: true`, where there is no such plugin to turn on."""
    for agent, own in settings.agents.items():
        for name in SWITCHES:
            if getattr(own, name) and name not in settings.plugins:
                yield ("agents", agent, name), f"does nothing: the list of plugins has no {name}; add `- {name}` to it"
