"""A plugin that says what it spared of every call."""

from __future__ import annotations

from proxy.exchange import Exchange, Response, Saving
from proxy.plugin import NoOptions, Plugin


class Spares(Plugin[NoOptions]):
    """It cost more than it saved."""

    name = "spares"

    async def request(self, exchange: Exchange) -> Response | None:
        exchange.savings.append(Saving(self.name, "words", 7, 0, -1_000_000, "nothing much"))
        return None
