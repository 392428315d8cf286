"""An output filter at hand, for tests: asked for one text, cut as they like."""

from __future__ import annotations

import functools
import random
import string
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from plugins.output_filter.options import OutputFilterOptions
from plugins.output_filter.plugin import OutputFilter
from plugins.output_filter.regions import Anchors
from proxy.detection.secrets import Secrets
from proxy.exchange import Exchange, Finding, Kind, Segment
from tests import kit

ALNUM = string.ascii_letters + string.digits


def drawn(size: int, seed: int = 3) -> str:
    return "".join(random.Random(seed).choices(ALNUM, k=size))


KEY = "ghp_" + drawn(36)


@functools.cache
def loaded() -> tuple[Secrets, Anchors]:
    """Once for all tests."""
    secrets = Secrets.packaged()
    return secrets, Anchors(secrets.rules)


class Asked:
    """One plugin with these options, and calls to it."""

    def __init__(self, **options: Any) -> None:
        made = OutputFilterOptions(**options)
        self.snapshot = replace(kit.snapshot(), resolve=lambda plugin, agent, variant: made)
        self.plugin = OutputFilter(replace(kit.kit(), live=kit.FixedLive(self.snapshot)))
        self.plugin._secrets, self.plugin._anchors = loaded()

    def exchange(self, *messages: tuple[str, str]) -> Exchange:
        said = [{"role": role, "content": text} for role, text in messages or (("user", "hello"),)]
        return kit.exchange(self.snapshot, {"model": "m", "messages": said})

    def passed(self, exchange: Exchange, pieces: Iterable[str], kind: Kind = "text") -> str:
        found = self.plugin.filter(exchange, Segment("assistant", kind, ""))
        assert found is not None
        out = "".join(str(found.feed(piece)) for piece in pieces)
        return out + str(found.close())

    def says(self, text: str, *messages: tuple[str, str], kind: Kind = "text") -> tuple[str, list[Finding]]:
        """What goes out for this answer, and what was found."""
        exchange = self.exchange(*messages)
        return self.passed(exchange, [text], kind), exchange.findings


def cut(text: str, places: Sequence[int]) -> list[str]:
    """The text in pieces, cut at these places (taken modulo its length)."""
    cuts = sorted({place % (len(text) + 1) for place in places})
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
