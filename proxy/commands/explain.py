"""`weir explain REQUEST.json`: what every plugin would do with this call, and why, without sending it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from proxy import explain
from proxy.app.bench import opened
from proxy.errors import ConfigError, WeirError
from proxy.exchange import Caller


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="weir explain", description="Say what would happen to a call.")
    parser.add_argument("request", help="file with the call's JSON body; - for standard input")
    parser.add_argument("--config", metavar="FILE")
    parser.add_argument("--path", help="the path it would be sent to (default: told from the body)")
    parser.add_argument("--agent", default="default")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    try:
        body = sys.stdin.buffer.read() if options.request == "-" else Path(options.request).read_bytes()
        path = options.path or explain.path_of(body)
        made = asyncio.run(_explain(options.config, body, path, options.agent))
    except OSError as error:
        sys.stderr.write(f"weir explain: {options.request} cannot be read: {error.strerror}\n")
        return 1
    except (WeirError, ConfigError) as error:
        sys.stderr.write(f"weir explain: {error}\n")
        return 1
    if options.json:
        sys.stdout.buffer.write(explain.document(made) + b"\n")
    else:
        sys.stdout.write("\n".join(explain.lines(made)) + "\n")
    return 0


async def _explain(config: str | None, body: bytes, path: str, agent: str) -> explain.Explanation:
    async with opened(config, os.environ) as bench:
        return await explain.explain(
            bench.snapshot, bench.plugins, body, path=path, caller=Caller(agent=agent), now=bench.clock.monotonic_s
        )
