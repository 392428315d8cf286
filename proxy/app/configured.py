"""The arguments that say which configuration a process runs with: the file, and the flags of the command line."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path)
    parser.add_argument("--flags", default="{}", help="JSON object: what the command line set, by option")


def given_flags(options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(options.flags)
    return found


def arguments(config: str | None, flags: dict[str, Any]) -> list[str]:
    """What `add_arguments` reads back."""
    given = ["--flags", json.dumps({name: value for name, value in flags.items() if value is not None})]
    return ["--config", config, *given] if config else given
