"""The source tree as data: modules, what they import, and the rules that ARCHITECTURE.md states about them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOKEN = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Module:
    name: str
    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @property
    def place(self) -> str:
        """As ARCHITECTURE.md names it: the path below `proxy/` (or from the root), without `.py`."""
        return self.path.relative_to(ROOT).with_suffix("").as_posix().removeprefix("proxy/")

    def where(self, node: ast.AST) -> str:
        return f"{self.path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


@dataclass(frozen=True)
class Import:
    """One imported module. `typing_only` stands under `if TYPE_CHECKING`, `late` inside a function."""

    name: str
    line: int
    typing_only: bool = False
    late: bool = False


@cache
def modules(*roots: str) -> dict[str, Module]:
    """By dotted name; without roots, the product: proxy and plugins."""
    found: dict[str, Module] = {}
    for root in roots or ("proxy", "plugins"):
        for path in sorted((ROOT / root).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = Module(name, path)
    return found


@cache
def imports(module: Module) -> tuple[Import, ...]:
    return tuple(_imports(module.tree, typing_only=False, late=False))


def _imports(node: ast.AST, *, typing_only: bool, late: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, typing_only, late)
        elif isinstance(child, ast.ImportFrom):
            yield from (Import(name, child.lineno, typing_only, late) for name in _targets(child))
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _imports(child, typing_only=True, late=late)
        else:
            deeper = late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _imports(child, typing_only=typing_only, late=deeper)


def _targets(node: ast.ImportFrom) -> Iterator[str]:
    """`from proxy import errors` names a module, `from proxy.errors import WeirError` something in one."""
    source = node.module or ""
    for alias in node.names:
        full = f"{source}.{alias.name}"
        yield full if full in modules() else source


def ours(module: Module, *, typing_only: bool = True) -> list[tuple[Module, int]]:
    """What of the product it imports, and on which line."""
    known = modules()
    return [
        (known[found.name], found.line)
        for found in imports(module)
        if found.name in known and (typing_only or not found.typing_only)
    ]


@dataclass(frozen=True)
class Rule:
    """The import rule, as the tables of ARCHITECTURE.md state it."""

    rows: dict[str, int]
    """Row by room or module, as written (`wire/`, `chain`)."""
    rooms: dict[str, int]
    """Which of them belong together: the same number, the same room."""
    beside: frozenset[tuple[str, str]]
    """Who may import whom within a row."""
    reserved: dict[str, tuple[str, ...]]
    """Who alone may import it."""

    def entry(self, module: Module) -> str | None:
        """The entry of the table that the module falls under."""
        place = module.place.removesuffix("/__init__")
        whole = place + "/" if module.path.name == "__init__.py" else place
        return next((name for name in self.rows if name == whole or (name[-1] == "/" and whole.startswith(name))), None)


def within(place: str, name: str) -> bool:
    """Whether a module's place is what the table calls `name`, or lies in it."""
    return place == name or (name[-1] == "/" and f"{place}/".startswith(name))


@cache
def rule() -> Rule:
    rows: dict[str, int] = {}
    rooms: dict[str, int] = {}
    beside: set[tuple[str, str]] = set()
    number = 0
    for row, written, exceptions in table("| row |"):
        for room in written.split("·"):
            number += 1
            for name in TOKEN.findall(room):
                rows[name], rooms[name] = int(row), number
        for clause in exceptions.split(";"):
            who, *others = TOKEN.findall(clause) or [""]
            beside |= {(who, other) for other in others}
    reserved = {TOKEN.findall(what)[0]: tuple(TOKEN.findall(who)) for what, who in table("| only for |", at=1)}
    return Rule(rows, rooms, frozenset(beside), reserved)


def table(head: str, file: str = "ARCHITECTURE.md", at: int = 0) -> list[list[str]]:
    """The cells of the Markdown table whose heading row has `head` as its cell number `at`."""
    want = head.strip("| ")
    lines = iter((ROOT / file).read_text(encoding="utf-8").splitlines())
    for line in lines:
        if line.startswith("|") and len(cells := _cells(line)) > at and cells[at] == want:
            next(lines)
            found: list[list[str]] = []
            for row in lines:
                if not row.startswith("|"):
                    return found
                found.append(_cells(row))
            return found
    raise AssertionError(f"{file} has no table headed {want!r}")


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
