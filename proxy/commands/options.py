"""`weir options [WORD]`: every option with type, default, environment name and help."""

from __future__ import annotations

import argparse
import json
import sys

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
        for option_name, kind, default, help_ in plugin_options.reference(find(name).Options):
            key = f"plugins.{name}.options.{option_name}"
            if word in key or word in help_.lower():
                sys.stdout.write(f"{key} = {json.dumps(default, default=str)}  ({kind})\n    {help_}\n")
    return 0
