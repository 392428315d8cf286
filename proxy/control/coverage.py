"""The coverage matrix: which plugin sees the texts at which place of which surface, and what nobody can read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from proxy.configuration.sections import Plugin as Line
from proxy.configuration.settings import Settings
from proxy.plugin import Plugin
from proxy.registry import find as registered
from proxy.wire.positions import ANSWER, REQUEST, UNINSPECTED, WHERE

Json = Any
Find = Callable[[str], type[Plugin[Any]]]
FORMS = ("json", "stream")


class Coverage:
    """Of the settings that are in effect: `settings` gives them."""

    def __init__(self, settings: Callable[[], Settings], find: Find = registered) -> None:
        self._settings = settings
        self._find = find

    def matrix(self) -> Json:
        """`data`: a row for each surface, form (json, stream), side (request, answer) and position, with what each
        guard does there: `enforce`, `shadow` or `off`; `where`: of what the positions of a call are made, by surface;
        `guards`: their envelopes; `uninspected`: what no codec reads, and whether it is recorded or refused."""
        settings = self._settings()
        guards = [
            Guard(name, line, positions, _state(settings, line))
            for name, line in settings.plugins.items()
            if (positions := self._find(line.uses or name).positions)
        ]
        return {
            "data": list(_rows(guards)),
            "where": {
                surface: {position: list(told) for position, told in where.items()} for surface, where in WHERE.items()
            },
            "guards": [_told(settings, guard) for guard in guards],
            "uninspected": [
                {"what": what, "side": side, "says": says, **_policy(settings, guards, side)}
                for what, (side, says) in UNINSPECTED.items()
            ],
        }


@dataclass(frozen=True, slots=True)
class Guard:
    """A plugin that says what it inspects."""

    name: str
    line: Line
    positions: frozenset[str]
    state: str
    """enforce, shadow or off."""

    def sees(self, side: str, position: str) -> bool:
        """A plugin names a whole side, or single positions of it (`request.user`)."""
        return not {side, f"{side}.{position}"}.isdisjoint(self.positions)

    def strict(self, side: str) -> bool:
        """It cannot let pass what it cannot read."""
        closed = self.line.on_error == "closed" and self.state == "enforce"
        return closed and any(one.partition(".")[0] == side for one in self.positions)


def _rows(guards: list[Guard]) -> Iterator[Json]:
    for side, places in (("request", REQUEST), ("answer", ANSWER)):
        for surface, positions in places.items():
            for form in FORMS if surface != "embeddings" else FORMS[:1]:
                for position in positions:
                    seen = {guard.name: guard.state if guard.sees(side, position) else "off" for guard in guards}
                    yield {"surface": surface, "form": form, "side": side, "position": position, "guards": seen}


def _told(settings: Settings, guard: Guard) -> Json:
    agents = {
        agent: override.model_dump(mode="json", exclude_unset=True, exclude={"options", "when"})
        for agent, own in settings.agents.items()
        if (override := own.plugins.get(guard.name)) is not None
    }
    return {
        "name": guard.name,
        "state": guard.state,
        "on_error": guard.line.on_error,
        "positions": sorted(guard.positions),
        "when": guard.line.when.model_dump(mode="json", exclude_defaults=True),
        "agents": {agent: changed for agent, changed in agents.items() if changed},
    }


def _policy(settings: Settings, guards: list[Guard], side: str) -> Json:
    """What happens to what nobody reads, and who says so."""
    if settings.uninspected == "refuse":
        return {"policy": "refuse", "by": "uninspected"}
    strict = next((guard.name for guard in guards if guard.strict(side)), None)
    return {"policy": "refuse", "by": strict} if strict else {"policy": "record", "by": "uninspected"}


def _state(settings: Settings, line: Line) -> str:
    return line.mode if line.enabled and not settings.bypass else "off"
