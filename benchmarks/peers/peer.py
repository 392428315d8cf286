"""What the suite must know of an independent relay to install it, start it and send it calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

MODELS = (
    *(f"json-{size}" for size in (150, 500, 1000, 1500, 5000, 15000, 50000, 150000, 500000, 1000000)),
    *(f"burst-{count}" for count in (1, 5, 10, 20, 50, 100, 200, 500, 1000)),
    *(f"paced-{count}-{ms}" for count in (2, 5, 10, 20, 50, 100, 200, 500, 1000) for ms in (1, 2, 5, 10, 20, 50, 100)),
    "gpt-4o-mini",
)
"""The names a relay is told of that serves no others: a call for another one is its 404."""

Command = tuple[list[str], dict[str, str]]
"""The arguments that start a relay in the foreground, and what its environment has besides."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One relay at one version, set up to do as little as it can do: one worker, no retries, no log of its calls."""

    name: str
    version: str
    scope: str
    """`forwards only`, or what else it does for a call."""

    install: Callable[[Path], str | None]
    """Makes it ready in a folder of its own, if it is not yet; None, or one sentence why it cannot be had."""

    command: Callable[[Path, int, str, Path], Command]
    """Of the folder it was installed in, a port, the provider's URL without a path, and a folder for its own files."""

    path: str = "/v1/chat/completions"
    headers: Mapping[str, str] = field(default_factory=dict)
    """What calls need besides; `{provider}` stands for the provider's URL: send `headers_for(provider)`."""

    model: Callable[[str], str] = str
    found: Callable[[Path], str] | None = None
    """Asks what is installed, where no version could be pinned."""

    def version_in(self, folder: Path) -> str:
        return self.found(folder) if self.found else self.version

    def headers_for(self, provider: str) -> dict[str, str]:
        return {name: value.format(provider=provider) for name, value in self.headers.items()}
