"""`weir run -- COMMAND`: a Weir for one command, which finds it through its environment and ends it by ending."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile

from proxy.commands.serving import add_flags, flags_of, serve


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="weir run",
        usage="weir run [options] -- COMMAND [ARGUMENT ...]",
        description="Start a Weir on a free port, run COMMAND with OPENAI_BASE_URL and ANTHROPIC_BASE_URL pointing to "
        "it, and end with its exit code. Records are kept only with --data.",
    )
    add_flags(parser, own=True)
    if "--" not in arguments:
        parser.parse_args(arguments)
        sys.stderr.write("weir run: name the command after --, such as: weir run -- python agent.py\n")
        return 2
    at = arguments.index("--")
    options, command = parser.parse_args(arguments[:at]), arguments[at + 1 :]
    if not command:
        sys.stderr.write("weir run: there is no command after --\n")
        return 2
    flags = {"port": 0, "admin_port": 0, **flags_of(options)}
    own = "" if "data_dir" in flags else tempfile.mkdtemp(prefix="weir-run-")
    flags.setdefault("data_dir", own)
    try:
        return serve(
            options.config,
            flags,
            command=tuple(command),
            command_environment={"OPENAI_BASE_URL": "{url}/v1", "ANTHROPIC_BASE_URL": "{url}", "WEIR_URL": "{url}"},
            unready_ms=0.0,
        )
    finally:
        if own:
            shutil.rmtree(own, ignore_errors=True)
