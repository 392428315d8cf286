"""Where results go: shown, kept as files, and the ones that pages may quote."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from benchmarks.speed.plot import svg
from benchmarks.speed.report import markdown, text

Json = dict[str, Any]
RESULTS = Path(__file__).resolve().parent.parent / "results"
PUBLISHED = ("latest", "peers")


def show(document: Json) -> None:
    print(text(document))


def keep(document: Json, named: Mapping[str, Path]) -> None:
    """To the files that were named; where none was, to a new place under results/."""
    if not named:
        RESULTS.mkdir(exist_ok=True)
        date = document["machine"]["date"].replace(" UTC", "").replace(" ", "-").replace(":", "")
        name = RESULTS / f"{date}-{document['machine']['commit']}{'-peers' if document['peers'] else ''}"
        named = {kind: name.with_name(f"{name.name}.{kind}") for kind in ("json", "md", "svg")}
    _write(document, named)
    print("\nwritten:", ", ".join(str(path) for path in named.values()), file=sys.stderr)


def publish(name: str, results: Path = RESULTS) -> int:
    """Makes a run `latest` (or `peers`, if others took part). Without a name the newest whole run."""
    kept = sorted((path for path in results.glob("*.json") if path.stem not in PUBLISHED), key=lambda path: path.name)
    whole = [path for path in kept if orjson.loads(path.read_bytes())["whole"]]
    if not name and not whole:
        print("there is no whole run to publish: make bench makes one", file=sys.stderr)
        return 1
    document = orjson.loads((Path(name) if name else whole[-1]).read_bytes())
    stem = results / ("peers" if document["peers"] else "latest")
    _write(document, {kind: stem.with_name(f"{stem.name}.{kind}") for kind in ("json", "md", "svg")})
    print(f"published as {stem}.json, .md and .svg")
    return 0


def _write(document: Json, named: Mapping[str, Path]) -> None:
    made = {
        "json": lambda: orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE),
        "md": lambda: markdown(document).encode(),
        "svg": lambda: svg(document).encode(),
    }
    for kind, path in named.items():
        path.write_bytes(made[kind]())
