"""What the sources must never do: statements from strings, evaluated text, processes, patterns that run away."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import re2
from packaging.requirements import Requirement
from packaging.version import Version

from tests.sources import ROOT, imports, modules

EXECUTES = {"execute", "executemany", "executescript"}
EVALUATES = {"eval", "exec", "compile", "__import__"}
ENGINES = {"jinja2", "mako", "string.templatelib", "pickle", "marshal", "shelve", "dill", "cloudpickle"}
STARTS = {"subprocess", "multiprocessing", "pty", "ctypes"}
MAY_START = ("proxy.processes", "proxy.commands", "proxy.app", "proxy.cli", "proxy.store.valkey", "proxy.trim")
"""The supervisor and the command line; `trim` asks the C library to give memory back."""
MAY_LOAD = ("proxy.registry", "proxy.wire", "proxy.app", "proxy.commands", "proxy.cli", "proxy.processes",
            "proxy.control.process")  # fmt: skip
"""Who loads modules by name: of plugins the registry alone."""
RULES = ("injection.toml", "secrets.toml")
WORST_CHARS, WORST_S, TRIES = 50_000, 0.05, 5


def told(found: Iterator[str]) -> None:
    listed = sorted(found)
    assert not listed, "\n".join(["", *listed])


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call by the last part of its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield name, node


def from_values(node: ast.AST) -> bool:
    """Whether a text is put together here from what a program holds: f-string, `%`, `format`."""
    for part in ast.walk(node):
        if isinstance(part, ast.JoinedStr):
            return True
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Mod):
            return True
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "format":
            return True
    return False


def test_no_statement_is_made_from_values() -> None:
    def found() -> Iterator[str]:
        for module in modules().values():
            for name, call in calls(module.tree):
                if name in EXECUTES and call.args and from_values(call.args[0]):
                    yield f"{module.where(call)} makes a statement from values"

    told(found())


def test_text_is_never_evaluated() -> None:
    def found() -> Iterator[str]:
        for module in modules().values():
            for name, call in calls(module.tree):
                plain = isinstance(call.func, ast.Name)
                if plain and name in EVALUATES:
                    yield f"{module.where(call)} calls {name}"
                template = call.func.value if isinstance(call.func, ast.Attribute) else None
                template = template.value if isinstance(template, ast.Subscript) else template  # of a table
                if name in ("format", "format_map") and not isinstance(template, ast.Constant | ast.Name):
                    yield f"{module.where(call)} takes something for a template"
            for imported in imports(module):
                if imported.name.split(".")[0] in ENGINES or imported.name == "string.Template":
                    yield f"{module.path.relative_to(ROOT)}:{imported.line} imports {imported.name}"

    told(found())


def test_only_the_supervisor_and_the_command_line_start_processes() -> None:
    def found() -> Iterator[str]:
        for module in modules().values():
            if module.name.startswith(MAY_START):
                continue
            for imported in imports(module):
                if imported.name.split(".")[0] in STARTS:
                    yield f"{module.path.relative_to(ROOT)}:{imported.line} imports {imported.name}"
            for name, call in calls(module.tree):
                if name in ("system", "popen", "execv", "execve", "posix_spawn", "create_subprocess_exec",
                            "create_subprocess_shell"):  # fmt: skip
                    yield f"{module.where(call)} starts a process"

    told(found())


def test_nobody_but_the_registry_loads_what_a_configuration_names() -> None:
    def found() -> Iterator[str]:
        for module in modules("proxy").values():
            if module.name.startswith(MAY_LOAD):
                continue
            for name, call in calls(module.tree):
                constant = bool(call.args) and isinstance(call.args[0], ast.Constant)
                if name == "import_module" and not constant:
                    yield f"{module.where(call)} loads a module by a name that it was given"

    told(found())


def test_ruff_has_nothing_to_say_about_security() -> None:
    command = [sys.executable, "-m", "ruff", "check", "--select", "S", "--ignore", "S101", "proxy", "plugins", "config"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_file_runs_by_itself_at_every_start_of_python() -> None:
    places = [ROOT / name for name in ("proxy", "plugins", "config")]
    assert [path for place in places for path in place.rglob("*.pth")] == []
    assert [path for place in places for path in place.rglob("sitecustomize.py")] == []


FLOORS = {"aiohttp": "3.13.4"}
"""Versions below which there are holes that are known."""


@pytest.mark.parametrize("lock", ["requirements.lock", "runtime.lock"])
def test_what_is_installed_has_no_hole_that_was_known(lock: str) -> None:
    pinned = dict(re.findall(r"^([a-z0-9][\w.-]*)==([^\s\\;]+)", (ROOT / lock).read_text(), re.M))
    for name, floor in FLOORS.items():
        assert Version(pinned[name]) >= Version(floor)


def test_what_may_be_installed_has_no_hole_that_was_known() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {found.name: found.specifier for found in map(Requirement, project["dependencies"])}
    for name, floor in FLOORS.items():
        major, minor, patch = Version(floor).release
        assert f"{major}.{minor}.{patch - 1}" not in wanted[name]


# --- patterns


def patterns(file: str) -> list[Any]:
    """Every pattern of a file of rules."""

    def walk(value: Any, where: str) -> Iterator[Any]:
        if isinstance(value, dict):
            named = str(value.get("id") or value.get("name") or where)
            for key, inner in value.items():
                if key in ("pattern", "anchor") and isinstance(inner, str):
                    yield pytest.param(inner, id=f"{named}-{key}")
                elif key in ("any", "all") and isinstance(inner, list):
                    yield from (pytest.param(one, id=f"{named}-{key}{at}") for at, one in enumerate(inner))
                else:
                    yield from walk(inner, named)
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner, where)

    path = ROOT / "config" / file
    return list(walk(tomllib.loads(path.read_text()), file)) if path.exists() else []


def worst(pattern: str) -> Iterator[str]:
    """Texts that are hard on a pattern: its own words again and again, and what its classes take, without an end."""
    words = re.findall(r"[A-Za-z0-9_ -]{2,}", re.sub(r"\\.|\[[^\]]*\]|\(\?[^)]*\)?", " ", pattern))
    units = ["a", " ", "0", "-", "A1_", "\n", "\u00e9", "a ", "=", '"', "/", *words[:6], " ".join(words)]
    for unit in units:
        yield (unit * (WORST_CHARS // max(1, len(unit)) + 1))[:WORST_CHARS]


@pytest.mark.parametrize("pattern", [one for file in RULES for one in patterns(file)])
def test_no_rule_runs_away(pattern: str) -> None:
    made = re2.compile(pattern)
    for text in worst(pattern):
        best = WORST_S
        for _ in range(TRIES):
            start = time.perf_counter()
            made.search(text)
            best = min(best, time.perf_counter() - start)
            if best < WORST_S / 2:
                break
        assert best < WORST_S, text[:40]
