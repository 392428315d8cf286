"""`make docs`: writes anew what is generated: reference configuration and schema, price table, parts of the documents.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`. Tests compare the files with what is
made here.
"""

from __future__ import annotations

import ast
import gzip
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType

from proxy import cli, pricetable, pricing, registry
from proxy.configuration import options, template
from proxy.configuration.settings import CHAIN, STANDARD
from proxy.server.admin import ROUTES
from proxy.telemetry.metrics import METRICS, WORDS

ROOT = Path(__file__).resolve().parent.parent
CARD = ROOT / "plugins" / "injection" / "MODEL_CARD.md"
QUALITY = ROOT / "benchmarks" / "quality"
MARKED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
FOLDERS: Mapping[str, str] = MappingProxyType({"proxy/tables": "Token and price tables, shipped ready to use."})
"""Folders without Python in them."""


def tree() -> str:
    """Every file of the product with the first line of its docstring."""
    return "\n".join(["```text", *_below(ROOT / "proxy", ""), *_below(ROOT / "plugins", ""), "```"])


def _below(folder: Path, indent: str) -> Iterator[str]:
    inside = folder / "__init__.py"
    named = FOLDERS.get(folder.relative_to(ROOT).as_posix()) or _first_line(inside)
    yield _line(indent, folder.name + "/", named)
    entries = sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name))
    for path in entries:
        if path.is_dir() and ((path / "__init__.py").exists() or path.relative_to(ROOT).as_posix() in FOLDERS):
            yield from _below(path, indent + "  ")
        elif path.suffix == ".py" and path != inside:
            yield _line(indent + "  ", path.name, _first_line(path))


def _line(indent: str, name: str, words: str) -> str:
    return f"{indent + name:<24} {words}"


def _first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]


def plugins() -> str:
    """What each plugin does by default. Those of later releases are not here."""
    reasons = dict(STANDARD)
    rows = []
    for name in CHAIN:
        own = [_option(row) for row in options.reference(registry.find(name).Options)]
        folder = ROOT / "plugins" / name
        words = _first_line(folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py"))
        rows.append((f"`{name}`", words.partition(": ")[2], ", ".join(own) or "none", reasons[name]))
    return _table(("plugin", "what it does by default", "options", "why it stands there"), rows)


def _option(row: options.Row) -> str:
    """Its name, and its default where that is one word or number."""
    name, _, default, _ = row
    if isinstance(default, bool | int | float) or (isinstance(default, str) and default):
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        return f"`{name}: {shown.lower()}`"
    return f"`{name}`"


def words() -> str:
    return _table(("word", "means"), WORDS.items())


def injection() -> str:
    """The figures of the classifier's card."""
    rows = [line for line in CARD.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return "\n".join(["| texts | n | flagged |", *rows[1:]])


def saving() -> str:
    """How much is saved and how well, by the pages that `benchmarks.quality` wrote."""
    (strong, _, saved, drawn, _, best), *_ = _told("ROUTING.md", "Routing: a strong and a weak model")
    bar, moved, kept, others, spared = next(row for row in _told("ROUTING.md", "Routing: what") if "default" in row[0])
    kinds = "; ".join(f"{row[0]} {row[3]}" for row in _told("COMPRESSION.md", "Compression: tokens saved"))
    budget, _, needles, _ = _told("COMPRESSION.md", "Compression: needles")[-1]
    natural = [row for row in _told("COMPRESSION.md", "Compression: natural questions") if row[1] == "held out"]
    *_, (_, _, short) = _told("COMPRESSION.md", "Compression: a second look")
    rows = (
        (f"`routing`, bar {bar}", f"{kept} of the strong model's quality, {spared} of its money spared, {moved} of the "
         f"calls moved; as many drawn at random keep {others}", f"two models, {strong}, held out"),
        ("`routing`, 95 % of that quality", f"{saved} of the money spared; at random "
         f"{drawn.partition('; ')[2]}, at best {best.partition('; ')[2]}", "the same"),
        ("`compression`, tokens spared", kinds, "60 made-up texts each; schemas where that is on"),
        (f"extracts of a {budget}: sentences kept that the question asks for, in other words", needles,
         "made-up pages of 70 paragraphs"),
        ("extracts of a quarter: all sentences kept that answer a natural question",
         "; ".join(f"{row[0]} {row[3]}" for row in natural), "speech, chat logs, articles; held out"),
        ("the same of short texts, asked in words that are not theirs", short, "written before the way of selecting"),
    )  # fmt: skip
    return _table(("what", "figure", "on what"), rows)


def _told(page: str, title: str) -> list[list[str]]:
    """The rows of the table of a page of `benchmarks.quality` whose title begins so."""
    _, found, rest = (QUALITY / page).read_text(encoding="utf-8").partition(f"**{title}")
    if not found:
        raise SystemExit(f"{page} has no table {title!r} any more: see benchmarks/docs.py")
    lines = takewhile(lambda line: line.startswith("|"), rest.partition("\n")[2].strip().split("\n"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines][2:]


def metrics() -> str:
    rows = (
        (f"`{metric.name}`", metric.kind, ", ".join(metric.labels) or "none", metric.help, metric.otel or "")
        for metric in METRICS.values()
    )
    return _table(("metric", "kind", "labels", "what", "OpenTelemetry's name"), rows)


def admin() -> str:
    rows = ((f"`{route.method} {route.path}`", route.access, route.says) for route in ROUTES)
    return _table(("endpoint", "for whom", "what"), rows)


def commands() -> str:
    return _table(("command", "what"), ((f"`weir {name}`", what) for name, what in cli.COMMANDS.items()))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [_row(head), "|" + "---|" * len(head)]
    return "\n".join([*lines, *map(_row, rows)])


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


GENERATED: Mapping[str, Mapping[str, Callable[[], str]]] = MappingProxyType(
    {
        "ARCHITECTURE.md": MappingProxyType({"tree": tree}),
        "README.md": MappingProxyType(
            {
                "plugins": plugins,
                "injection": injection,
                "saving": saving,
                "commands": commands,
                "admin": admin,
                "words": words,
                "metrics": metrics,
            }
        ),
    }
)


def renewed(file: str) -> str:
    """The file's text with its generated parts made anew."""
    parts = GENERATED[file]
    text = (ROOT / file).read_text(encoding="utf-8")
    return MARKED.sub(lambda found: f"{found[1]}{parts[found[2]]()}\n{found[3]}", text)


def main() -> None:
    template.write(ROOT / "config")
    pricetable.SHIPPED.write_bytes(gzip.compress(pricing.compile_prices(), 9, mtime=0))
    for file in GENERATED:
        (ROOT / file).write_text(renewed(file), encoding="utf-8")


if __name__ == "__main__":
    main()
