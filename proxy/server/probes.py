"""What the worker's probes say: alive, ready, and why not. No model is ever called for it."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final, Literal

import orjson

from proxy.live import Snapshot

State = dict[str, Any]
Kind = Literal["live", "ready"]

PATHS: Final[MappingProxyType[str, Kind]] = MappingProxyType(
    {
        "/livez": "live",
        "/health/liveliness": "live",
        "/health/liveness": "live",
        "/readyz": "ready",
        "/healthz": "ready",
        "/health": "ready",
        "/health/readiness": "ready",
    }
)


class Probes:
    """The answers to the probes. `details` are further parts of the ready answer by name (`store`, `records`, ...),
    each a plain callable that waits for nothing; a part never makes a worker unready, it only says how it is."""

    def __init__(
        self, snapshot: Callable[[], Snapshot | None], details: dict[str, Callable[[], Any]] | None = None
    ) -> None:
        self._snapshot = snapshot
        self._details = dict(details or {})
        self.started = False
        self.draining = False

    def live(self) -> State:
        return {"status": "ok"}

    def ready(self) -> tuple[bool, State]:
        snapshot = self._snapshot()
        status = "ok"
        if self.draining:
            status = "draining"
        elif not self.started or snapshot is None:
            status = "starting"
        state: State = {"status": status}
        if snapshot is not None:
            state["settings"] = snapshot.version
            state["bypass"] = snapshot.bypass
        for name, detail in self._details.items():
            state[name] = _told(detail)
        return status == "ok", state

    def answer(self, path: str) -> tuple[int, bytes] | None:
        """Status and JSON for a probe's path; None for any other path."""
        kind = PATHS.get(path)
        if kind is None:
            return None
        if kind == "live":
            return 200, orjson.dumps(self.live())
        ready, state = self.ready()
        return 200 if ready else 503, orjson.dumps(state, default=str)


def _told(detail: Callable[[], Any]) -> Any:
    try:
        told = detail()
        orjson.dumps(told, default=str)
        return told
    except Exception:  # noqa: BLE001  # a probe must answer whatever state its parts are in
        return "unknown"
