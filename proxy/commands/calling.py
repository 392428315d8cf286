"""What commands that call as a caller does have in common: where Weir takes calls, and with which key."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from proxy.commands.admin import AdminError

KEY_ENV = "WEIR_KEY"


def add_caller(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", default="", metavar="URL", help="where Weir takes calls (default: found in --data)")
    parser.add_argument(
        "--data", default=os.environ.get("WEIR_DATA_DIR") or ".weir", help="the data directory of the Weir"
    )
    parser.add_argument("--key-env", default=KEY_ENV, metavar="NAME", help="variable that has the caller's key")


def key(options: argparse.Namespace) -> str:
    """The caller's; empty: none is set. Raises ValueError where another variable was named, and that is not set."""
    found = os.environ.get(options.key_env, "")
    if not found and options.key_env != KEY_ENV:
        raise ValueError(f"--key-env names {options.key_env}, which is not set")
    return found


def address(options: argparse.Namespace) -> str:
    """Where that Weir takes calls. Raises AdminError."""
    if options.to:
        return str(options.to)
    data = Path(options.data)
    try:
        facts = json.loads((data / "weir.lock").read_text())
        return f"http://127.0.0.1:{int(facts['port'])}"
    except (OSError, ValueError, KeyError, TypeError):
        raise AdminError(f"no Weir is known in {data}; name its --data, or --to where it takes calls") from None
