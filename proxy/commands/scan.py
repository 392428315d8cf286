"""`weir scan PLUGIN [FILE|-]`: one plugin's judgement over JSON lines, added to each line, order kept."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from proxy import registry, scanning
from proxy.app.bench import opened
from proxy.configuration import options as plugin_options
from proxy.errors import ConfigError


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="weir scan",
        description="Read JSON lines with `text` (and `role`: user, tool, system), write them with the judgement "
        "added; for cache they have `a` and `b` (two questions), for variants `unit` (a user or session). The plugin "
        "is taken as on and enforcing.",
    )
    parser.add_argument("plugin")
    parser.add_argument("file", nargs="?", default="-")
    parser.add_argument("--config", metavar="FILE")
    parser.add_argument("--options", default="{}", help="JSON object that overrides the plugin's options")
    parser.add_argument("--models", metavar="STRONG,CHEAP", help="of routing: models to choose from, the best first")
    given = parser.parse_args(arguments)
    try:
        with ExitStack() as stack:
            lines = sys.stdin.buffer if given.file == "-" else stack.enter_context(Path(given.file).open("rb"))
            asyncio.run(_scan(given, lines))
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.stderr.write(f"weir scan: {given.file} cannot be read: {error.strerror}\n")
        return 1
    except (ConfigError, scanning.BadRow) as error:
        sys.stderr.write(f"weir scan: {error}\n")
        return 1
    return 0


async def _scan(given: argparse.Namespace, lines: Iterable[bytes]) -> None:
    try:
        overrides = json.loads(given.options)
    except ValueError:
        overrides = None
    if not isinstance(overrides, dict):
        raise ConfigError('--options must be a JSON object, such as {"threshold": 0.5}')
    if given.models is not None:
        models = [name.strip() for name in given.models.split(",") if name.strip()]
        overrides["pools"] = [{"asked": ["*"], "models": [{"target": name} for name in reversed(models)]}]
    async with opened(given.config, os.environ, only=given.plugin) as bench:
        plugin = bench.plugins[given.plugin]
        if given.models is not None and not hasattr(type(plugin).Options, "pools"):
            raise ConfigError(f"--models is for routing: leave it out, {given.plugin} chooses no models")
        entry = next(entry for entry in bench.snapshot.chain if entry.name == given.plugin)
        values = plugin_options.validate(type(plugin).Options, {**entry.options, **overrides}, "--options")
        options = registry.build(type(plugin).Options, values)
        try:
            for line in scanning.scan(plugin, options, lines):
                sys.stdout.buffer.write(line + b"\n")
        finally:
            sys.stdout.buffer.flush()
