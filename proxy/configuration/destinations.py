"""Where the models lead that options name: what is wrong with a name, or doubtful, and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import get_args

from proxy.configuration.settings import Settings
from proxy.configuration.wording import nearest
from proxy.errors import UnknownModel
from proxy.exchange import Dialect, Target
from proxy.plugin import Named
from proxy.upstream.endpoint import resolve, serves, speaks, takes_credential

DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
PAYS = "give the upstream `key: env:NAME`, or `auth: none` where it needs none"
ADVICE = "write upstream/model, or list the model at an upstream"


class Destinations:
    """Of one configuration."""

    def __init__(self, settings: Settings) -> None:
        self._snapshot = settings.freeze(0)
        self._found: dict[str, dict[Dialect, Target]] = {}

    def dialects(self, name: str) -> frozenset[Dialect]:
        """In which a target of that name is served; `upstream/model` by that upstream alone."""
        return frozenset(dialect for dialect, found in self._served(name).items() if self._meant(name, found))

    def fault(self, named: Named) -> str:
        """Why nothing can ever go there; empty: it can."""
        if named.how == "asked":
            return ""
        if named.how == "upstream":
            return self._unreachable(named)
        found = self.dialects(named.name) if named.how == "target" else frozenset(self._served(named.name))
        if found & set(named.dialects):
            return ""
        if found:
            spoken = f"{named.name!r} is spoken to in {', '.join(sorted(found))} only"
            return f"{spoken}; name one that speaks {' or '.join(named.dialects)}"
        return self._unserved(named.name)

    def doubts(self, named: Named) -> Iterator[str]:
        """Why it is probably not what was meant, or will not work."""
        upstream, slash, model = named.name.partition("/")
        known = self._snapshot.upstreams.get(upstream)
        found = [self._unasked(named.name)] if named.how == "asked" else [self._unpaid(named)]
        if named.how == "upstream" and known is not None and not serves(known, model):
            found.append(f"{upstream} lists no model {model!r}{nearest(model, known.models)}; it is asked all the same")
        if named.how == "model" and slash:
            found.append(self._elsewhere(named.name, upstream, model))
        yield from filter(None, found)

    def _unpaid(self, named: Named) -> str:
        """Of an upstream that every caller pays by itself, where no call gets that could bring its credential."""
        if named.how == "upstream":
            known = self._snapshot.upstreams.get(named.name.partition("/")[0])
            own = known is not None and takes_credential(known)
            return f"{known.name} has no key, and a call of Weir's own brings none: {PAYS}" if own and known else ""
        homes = self._homes(named.asked)
        reached = {found.upstream for found in map(self._served(named.name).get, named.dialects) if found is not None}
        if not homes or not reached or reached & homes:
            return ""
        if not all(takes_credential(self._snapshot.upstreams[name]) for name in reached):
            return ""
        there = " and ".join(sorted(reached))
        return f"{there} has no key, and a caller's own credential goes to {' or '.join(sorted(homes))} only: {PAYS}"

    def _homes(self, asked: Sequence[str]) -> set[str]:
        """The upstreams at which models of these patterns may be."""
        snapshot = self._snapshot
        aliased = [one for name, one in snapshot.aliases.items() if any(_meet(pattern, name) for pattern in asked)]
        found = {one.upstream for one in aliased if one.upstream is not None}
        models = [*asked, *(one.model for one in aliased if one.upstream is None)]
        for upstream in snapshot.upstreams.values():
            there = (*upstream.models, *(f"{upstream.name}/{model}" for model in upstream.models))
            if any(_meet(model, known) for model in models for known in there):
                found.add(upstream.name)
        return found

    def _elsewhere(self, name: str, upstream: str, model: str) -> str:
        """`upstream/model`, which goes to another that takes everything, under its whole name."""
        found = next((one for one in self._served(name).values() if not self._meant(name, one)), None)
        if found is None or found.model != name:
            return ""
        near = get_close_matches(upstream, self._snapshot.upstreams, n=1)
        goes = f"is asked of {found.upstream} under that whole name"
        if upstream in self._snapshot.upstreams:
            return f"{goes}: {upstream} lists no {model!r}{nearest(model, self._snapshot.upstreams[upstream].models)}"
        return f"{goes}, for no upstream is called {upstream!r}; did you mean {near[0]}/{model}?" if near else ""

    def _unreachable(self, named: Named) -> str:
        upstream, _, _ = named.name.partition("/")
        known = self._snapshot.upstreams.get(upstream)
        if known is None:
            return f"there is no upstream {upstream!r}{nearest(upstream, self._snapshot.upstreams)}"
        if any(speaks(known, dialect) for dialect in named.dialects):
            return ""
        upstreams = self._snapshot.upstreams.values()
        able = [one.name for one in upstreams if any(speaks(one, dialect) for dialect in named.dialects)]
        instead = f"; name a model of {' or '.join(able)}" if able else ""
        wanted = " or ".join(named.dialects)
        return f"the upstream {upstream} does not speak {wanted} (it speaks {', '.join(known.dialects)}){instead}"

    def _unserved(self, name: str) -> str:
        upstream, slash, model = name.partition("/")
        known = self._snapshot.upstreams.get(upstream)
        if slash and known is not None:
            return f"the upstream {upstream} serves no {model!r}{nearest(model, known.models)}"
        if slash:
            return f"there is no upstream {upstream!r}{nearest(upstream, self._snapshot.upstreams)}"
        near = nearest(name, self._names())
        return f"no upstream serves {name!r}{near if 'did you mean' in near else f'; {ADVICE}'}"

    def _unasked(self, pattern: str) -> str:
        """Of what callers would have to ask for, where nobody serves it."""
        upstreams = self._snapshot.upstreams.values()
        named = [f"{upstream.name}/{model}" for upstream in upstreams for model in upstream.models]
        if any(_meet(pattern, name) for name in (*self._names(), *named)):
            return ""
        meant = nearest(pattern.rstrip("*"), self._names())
        return f"{pattern!r} fits no alias and no model of an upstream, so no call is meant by it{meant}"

    def _names(self) -> list[str]:
        """What callers may ask for, exact or ending in *."""
        upstreams = self._snapshot.upstreams.values()
        models = [model for upstream in upstreams for model in upstream.models]
        return [*self._snapshot.aliases, *dict.fromkeys(models)]

    def _served(self, name: str) -> dict[Dialect, Target]:
        """The first choice in each dialect."""
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = {}
            for dialect in DIALECTS:
                with suppress(UnknownModel):
                    found[dialect] = resolve(self._snapshot, dialect, name)[0]
        return found

    def _meant(self, name: str, found: Target) -> bool:
        """Whether `upstream/model` leads to that upstream: one that takes every model takes a misspelt one as well."""
        first, slash, _ = name.partition("/")
        if not slash or name in self._snapshot.aliases:
            return True
        if first in self._snapshot.upstreams:
            return found.upstream == first
        listed = self._snapshot.upstreams[found.upstream].models
        return any(pattern != "*" and _matches(pattern, name) for pattern in listed)


def _matches(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _meet(one: str, other: str) -> bool:
    """Whether there are names that both patterns mean."""
    if one.endswith("*") and other.endswith("*"):
        return one[:-1].startswith(other[:-1]) or other[:-1].startswith(one[:-1])
    return _matches(one, other) if one.endswith("*") else _matches(other, one)
