"""Control before it is control: judges the configuration, tells the supervisor, and runs when it is told where."""

from __future__ import annotations

import argparse
from importlib import import_module

from proxy.app import plan
from proxy.app.configured import add_arguments
from proxy.processes.early import Wait


def main(arguments: list[str]) -> int:
    """`--talk-fd N` beside the configuration's arguments; what else control needs comes over that socket."""
    parser = argparse.ArgumentParser(prog="weir control")
    add_arguments(parser)
    parser.add_argument("--store")
    parser.add_argument("--talk-fd", type=int, required=True)
    options = parser.parse_args(arguments)
    wait = Wait(options.talk_fd)
    told = plan.made(options)
    if isinstance(told, int):
        return told
    wait.tell(told)
    control = import_module("proxy.app.control")  # while the supervisor claims what it needs
    order = wait.ordered()
    if order is None:
        return 0
    given, (ready, life, *_) = order  # the rest is the lock of the data directory, held by being open
    return int(control.main([*given, "--ready-fd", str(ready), "--life-fd", str(life)]))
