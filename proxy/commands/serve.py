"""`weir serve`: Weir in the foreground, until it is told to stop."""

from __future__ import annotations

import argparse

from proxy.commands.serving import add_flags, flags_of, serve


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="weir serve",
        description="Serve calls. Needs no file: flags and environment suffice (OPENAI_BASE_URL, OPENAI_API_KEY, ...).",
    )
    add_flags(parser)
    options = parser.parse_args(arguments)
    return serve(options.config, flags_of(options))
