"""`weir key NAME`: makes a key for a caller, and the line of configuration that admits it."""

from __future__ import annotations

import argparse
import hashlib
import secrets
import sys
from typing import get_args

from proxy.configuration.fields import AgentOrNone, Names


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="weir key", description="Make a key. It is shown once; the configuration holds its sha256 only."
    )
    parser.add_argument("name", help="the key's name, as records show it")
    parser.add_argument("--agent", default="", help="the agent it speaks for")
    options = parser.parse_args(arguments)
    try:
        for kind, name in ((Names, options.name), (AgentOrNone, options.agent)):
            for validator in get_args(kind)[1:]:
                validator.func(name)
    except ValueError as error:
        sys.stderr.write(f"weir key: {error}\n")
        return 1
    key = "weir-" + secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode()).hexdigest()
    agent = f", agent: {options.agent}" if options.agent else ""
    sys.stdout.write(
        f"key (give it to the caller, it is not shown again):\n  {key}\n\n"
        f"configuration:\n  identity:\n    keys:\n      {options.name}: {{sha256: {digest}{agent}}}\n"
    )
    return 0
