"""`weir options [WORD]`: every option with type, default, environment name and help."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints

from proxy.configuration import options as plugin_options
from proxy.configuration.settings import CHAIN, reference
from proxy.registry import find


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="weir options", description="List the options; WORD keeps those that name it."
    )
    parser.add_argument("word", nargs="?", default="")
    word = parser.parse_args(arguments).word.lower()
    for option in reference():
        if word in option.key.lower() or word in option.help.lower():
            default = json.dumps(option.default, default=str)
            sys.stdout.write(f"{option.key} = {default}  ({option.kind}; {option.env})\n    {option.help}\n")
    for name in CHAIN:
        for key, kind, default, help_ in _listed(f"plugins.{name}.options", find(name).Options):
            if word in key.lower() or word in help_.lower():
                told = json.dumps({} if is_dataclass(default) else default, default=str)
                sys.stdout.write(f"{key} = {told}  ({kind})\n    {help_}\n")
    return 0


def _listed(prefix: str, options: type[Any]) -> Iterator[tuple[str, str, Any, str]]:
    """Key, type, default and help of every option, and of those that it holds, or that each of a list does."""
    hints = get_type_hints(options)
    for name, kind, default, help_ in plugin_options.reference(options):
        yield f"{prefix}.{name}", kind, default, help_
        hint = hints[name]
        inner = next((one for one in (hint, *get_args(hint)) if isinstance(one, type) and is_dataclass(one)), None)
        if inner is not None:
            yield from _listed(f"{prefix}.{name}{'[]' if kind.startswith('tuple') else ''}", inner)
