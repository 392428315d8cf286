"""`python -m proxy.app plan`: judges the configuration and prints what the supervisor must know, as JSON.

A process of its own, so that the supervisor stays free of pydantic and yaml.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from proxy import checking, sources
from proxy.app.configured import add_arguments, given_flags
from proxy.registry import find


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="weir plan")
    add_arguments(parser)
    options = parser.parse_args(arguments)
    try:
        loaded = sources.read(options.config, given_flags(options), os.environ, None)
        checking.verify(loaded, find)
    except sources.ConfigErrors as errors:
        for line in checking.failed(errors):
            sys.stderr.write(line + "\n")
        return 2
    for warning in loaded.warnings:
        sys.stderr.write(f"weir: note: {warning}\n")
    plan = loaded.settings.process()
    plan["data_dir"] = str(Path(loaded.settings.data_dir).expanduser().resolve())
    sys.stdout.write(json.dumps(plan))
    return 0
