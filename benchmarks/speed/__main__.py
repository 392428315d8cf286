"""The suite: what a call through Weir costs, beside a bare aiohttp relay, the provider itself, and others.

    make bench                    everything, some minutes        make bench-peers    beside other gateways
    python -m benchmarks.speed --quick                            the headline alone, within 90 s
    python -m benchmarks.speed --only json-1.5,c1 --rounds 31     these rows
    python -m benchmarks.speed --beside ../old                    another checkout takes part in every row
    python -m benchmarks.speed --publish                          make the last run the one that the README tells of

Results go to benchmarks/results/ as JSON, Markdown and SVG; `latest.*` and `peers.*` are what was published.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.speed import publish
from benchmarks.speed.cases import START, chosen
from benchmarks.speed.suite import Plan, run


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the headline rows, three short rounds")
    parser.add_argument("--only", default="", metavar="CASE,...", help=f"these rows alone ({START} is one)")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of every case (default 7; 3 with --quick)")
    parser.add_argument("--window", type=float, default=0.0, metavar="SECONDS", help="length of a round's load")
    parser.add_argument("--beside", type=Path, metavar="TREE", help="another checkout of Weir, in the same run")
    parser.add_argument("--peers", action="store_true", help="other gateways take part (see benchmarks/peers)")
    parser.add_argument("--among", default="", metavar="PEER,...", help="with --peers: these alone")
    parser.add_argument("--folder", type=Path, default=Path(".venvs"), help="where peers are installed")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg")
    parser.add_argument("--publish", nargs="?", const="", metavar="FILE.json", help="publish a run (the last one)")
    return parser.parse_args(arguments)


def main() -> int:
    options = parsed(sys.argv[1:])
    if options.publish is not None:
        return publish.publish(options.publish)
    plan = Plan(
        cases=tuple(chosen(options.only, options.quick or options.peers)),
        starts=not options.only or START in options.only.split(","),
        rounds=options.rounds or (3 if options.quick else 7),
        window_s=options.window or (0.25 if options.quick else 0.5),
        decide=not (options.quick or options.rounds),
        whole=not any((options.quick, options.rounds, options.only, options.among, options.beside)),
        beside=options.beside,
        peers=options.peers,
        among=tuple(filter(None, options.among.lower().split(","))),
        folder=options.folder.resolve(),
    )
    with tempfile.TemporaryDirectory(prefix="weir-speed-") as work:
        document = run(plan, Path(work))
    named = {"json": options.json, "md": options.markdown, "svg": options.plot}
    publish.show(document)
    publish.keep(document, {kind: path for kind, path in named.items() if path is not None})
    return 0


if __name__ == "__main__":
    os.environ.pop("WEIR_CONFIG", None)  # Weir is measured as the suite configures it
    sys.exit(main())
