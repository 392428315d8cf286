"""`weir check [FILE]`: what a configuration would do, in sentences; and all that is wrong with it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from proxy.commands.serving import add_flags, flags_of
from proxy.configuration import checking, overlay, sources
from proxy.errors import ConfigError
from proxy.registry import find


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="weir check", description="Say what would run, and what is wrong.")
    parser.add_argument("file", nargs="?", help="the configuration; without one, the defaults and the environment")
    parser.add_argument("--all", action="store_true", help="every value with its source, not only those that were set")
    add_flags(parser)
    options = parser.parse_args(arguments)
    file = options.file or options.config
    try:
        data = Path(options.data_dir or os.environ.get("WEIR_DATA_DIR") or ".weir")
        loaded = sources.read(
            Path(file) if file else None, flags_of(options), os.environ, overlay.read(data / overlay.NAME)
        )
        lines = checking.sentences(loaded, find, every=options.all)
        checking.verify(loaded, find)
    except ConfigError as error:
        sys.stderr.write(f"weir check: {error}\n")
        return 2
    except sources.ConfigErrors as errors:
        for line in checking.failed(errors):
            sys.stderr.write(line + "\n")
        return 2
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
