"""Plugins that only look: what a chain costs before any plugin of it does something."""

from __future__ import annotations

from proxy.exchange import Exchange, Segment
from proxy.plugin import Filter, Kit, NoOptions, Plugin


class Looking(Plugin[NoOptions]):
    """Reads every text of the call, and what came back once it is over; says and changes nothing."""

    name = "looking"

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self.seen = 0
        """Characters."""

    async def request(self, exchange: Exchange) -> None:
        for segment in exchange.request.segments:
            if segment.kind == "text" and not segment.sealed:
                self.seen += len(segment.text)

    async def finish(self, exchange: Exchange) -> None:
        if exchange.response is not None:
            for segment in exchange.response.segments:
                self.seen += len(segment.text)


class Watching(Looking):
    """Looks at the answer's texts too as they come, and wants to filter none: streams must then be read."""

    name = "watching"

    def filter(self, exchange: Exchange, segment: Segment) -> Filter | None:
        return None
