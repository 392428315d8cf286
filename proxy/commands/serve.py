"""`weir serve`: Weir in the foreground, until it is told to stop."""

from __future__ import annotations

import argparse

from proxy.commands.serving import add_flags, flags_of, planned, supervise


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="weir serve",
        description="Serve calls. Needs no file: flags and environment suffice (OPENAI_BASE_URL, OPENAI_API_KEY, ...).",
    )
    add_flags(parser)
    options = parser.parse_args(arguments)
    settings = planned(options.config, flags_of(options))
    return settings if isinstance(settings, int) else supervise(options.config, flags_of(options), settings)
