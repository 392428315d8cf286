"""The quality benchmarks: what the guards find, what they miss, what they flag for nothing, and how long it takes.

python -m benchmarks.quality                  everything          python -m benchmarks.quality pii
python -m benchmarks.quality pii --peers      beside presidio-analyzer and others, installed under .venvs/ once
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.quality.report import page

NAMES = ("pii", "injection", "routing", "cache", "compression")
"""Each is a module here with `run(arguments: argparse.Namespace) -> list[Table]`."""


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="|".join(NAMES), help="these alone")
    parser.add_argument("--peers", action="store_true", help="install others and let them judge the same texts")
    parser.add_argument("--folder", type=Path, default=Path(".venvs"), help="where they are installed")
    parser.add_argument("--misses", action="store_true", help="also show what was missed and what was flagged wrongly")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there, too")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}: take one of {', '.join(NAMES)}")
    return options


def main() -> int:
    options = parsed(sys.argv[1:])
    tables = []
    for name in options.names or NAMES:
        tables += import_module(f"benchmarks.quality.{name}").run(options)
    told = page(tables)
    sys.stdout.write(told)
    if options.markdown is not None:
        options.markdown.write_text(told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
