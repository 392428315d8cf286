"""`weir check [FILE]`: what a configuration would do, in sentences; and all that is wrong with it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from proxy.commands.serving import add_flags, flags_of
from proxy.configuration import blame, checking, overlay, pricelist, sources
from proxy.configuration.overlay import Overlay
from proxy.configuration.sources import Loaded
from proxy.errors import ConfigError
from proxy.registry import find
from proxy.snapshot import secret

ANSWERS_S = 1.0
"""How long a store may take to answer."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="weir check", description="Say what would run, and what is wrong.")
    parser.add_argument("file", nargs="?", help="the configuration; without one, the defaults and the environment")
    parser.add_argument("--all", action="store_true", help="every value with its source, not only those that were set")
    parser.add_argument("--offline", action="store_true", help="do not look whether a configured store answers")
    add_flags(parser)
    options = parser.parse_args(arguments)
    file = options.file or options.config
    try:
        loaded = _loaded(Path(file) if file else None, flags_of(options))
        lines = checking.sentences(loaded, find, every=options.all)
        prices = pricelist.read(Path(file) if file else None, os.environ)
    except ConfigError as error:
        sys.stderr.write(f"weir check: {error}\n")
        return 2
    except sources.ConfigErrors as errors:
        for line in checking.failed(errors):
            sys.stderr.write(line + "\n")
        return 2
    if not options.offline:
        lines += [f"Note: {words}" for words in _unreached(loaded.settings.store)]
    if prices:
        lines.append(f"{len(prices)} {'price' if len(prices) == 1 else 'prices'} of your own, from {pricelist.NAME}.")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _loaded(file: Path | None, flags: dict[str, Any]) -> Loaded:
    """With what was changed at run time in the data directory. Raises ConfigError or ConfigErrors."""
    try:
        place = sources.read(file, flags, os.environ, None).settings.data_dir
    except sources.ConfigErrors:  # what is wrong is told below
        place = flags.get("data_dir") or os.environ.get("WEIR_DATA_DIR") or ".weir"
    data = Path(place).expanduser()

    def judged(changed: Overlay) -> Loaded:
        return checking.verify(sources.read(file, flags, os.environ, changed), find)

    return blame.read(judged, overlay.read(data / overlay.NAME), data)


def _unreached(store: str) -> Iterator[str]:
    """What is to be said of hot state elsewhere that does not answer. Only its place is told: more may be secret."""
    url = secret(store, os.environ)
    if url in ("auto", "memory"):
        return
    why = asyncio.run(import_module("proxy.store.redis").unreached(url, ANSWERS_S))
    if why:
        parts = urlsplit(url)
        place = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
        yield (
            f"store: the server at {place} cannot be used now ({why}): Weir would start without it, and count limits "
            "in shares of each process until it answers. Start it or correct `store`; --offline does not look"
        )
