"""The house rules, held over every file of the product. What may import what is read from ARCHITECTURE.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.sources import ROOT, TOKEN, Module, imports, modules, ours, rule, table, within

FILE_LINES, FUNCTION_LINES, PARAMETERS, DOCSTRING_CHARS = 400, 60, 6, 120
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "types"}
LITERAL_CONTAINERS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
CONTAINER_CALLS = {"list", "dict", "set", "bytearray", "deque", "defaultdict", "OrderedDict", "Counter"}
MUTATORS = {
    "add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "setdefault",
    "sort", "update",
}  # fmt: skip
CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*|__all__")
CLOCK = {"time.time", "time.monotonic", "time.perf_counter", "time.time_ns", "time.monotonic_ns"}
CLOCK |= {"datetime.now", "datetime.utcnow", "datetime.datetime.now", "datetime.datetime.utcnow", "date.today"}
ENVIRONMENT = {"app/", "commands/", "processes/"}
"""The composition root, the commands, and those that hand the environment on to children."""
WRITTEN_VALUES = {"proxy.exchange", "proxy.segment"}
"""Values whose constructor is written out, because calls make thousands of them a second and slots are not enough."""
EVERY = list(modules().values())


def failures(found: Iterator[str]) -> None:
    told = sorted(found)
    assert not told, "\n".join(["", *told])


# ---- who may import whom ------------------------------------------------------------------------------------------


def test_every_module_has_its_place_in_the_table_and_no_entry_is_stale() -> None:
    entries = {module.name: rule().entry(module) for module in EVERY if module.name.split(".")[0] == "proxy"}
    assert [name for name, entry in entries.items() if entry is None and name != "proxy"] == []
    assert set(rule().rows) - set(entries.values()) == set()


def test_imports_only_go_down() -> None:
    def found() -> Iterator[str]:
        for module in EVERY:
            here = rule().entry(module)
            for other, line in ours(module, typing_only=False):
                there = rule().entry(other)
                if here is None or there is None or rule().rooms[here] == rule().rooms[there]:
                    continue
                above, below = rule().rows[here], rule().rows[there]
                if above < below or (above == below and not _beside(module, other)):
                    yield f"{module.path.relative_to(ROOT)}:{line} (row {above}) imports {other.place} (row {below})"

    failures(found())


def test_what_is_reserved_is_imported_by_nobody_else() -> None:
    def found() -> Iterator[str]:
        for name, allowed in rule().reserved.items():
            for module in EVERY:
                if within(module.place, name) or any(within(module.place, who) for who in allowed):
                    continue
                for other, line in ours(module):
                    if within(other.place, name):
                        yield f"{module.path.relative_to(ROOT)}:{line} imports {other.place}, reserved for {allowed}"

    failures(found())


def test_the_product_never_imports_its_plugins_and_plugins_import_the_contract_only() -> None:
    allowed = tuple(TOKEN.findall(next(iter(row for row in table("| plugins import |", at=0)))[0]))

    def found() -> Iterator[str]:
        for module in EVERY:
            for other, line in ours(module):
                mine, theirs = module.name.split(".")[:2], other.name.split(".")[:2]
                if mine[0] == "proxy" and theirs[0] == "plugins":
                    yield f"{module.path.relative_to(ROOT)}:{line} imports a plugin"
                elif mine[0] == "plugins" and mine != theirs and not any(within(other.place, one) for one in allowed):
                    yield f"{module.path.relative_to(ROOT)}:{line} imports {other.name}; plugins import {allowed}"

    failures(found())


def test_nobody_but_commands_benchmarks_and_tests_imports_the_composition_root() -> None:
    def found() -> Iterator[str]:
        for module in EVERY:
            if within(module.place, "app/") or within(module.place, "commands/") or module.place == "cli":
                continue
            for imported in imports(module):
                if imported.name.startswith("proxy.app"):
                    yield f"{module.path.relative_to(ROOT)}:{imported.line} imports {imported.name}"

    failures(found())


def test_modules_do_not_import_in_circles() -> None:
    graph = {module.name: {other.name for other, _ in ours(module, typing_only=False)} for module in EVERY}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, "a circle: " + " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for other in graph[name]:
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_each_library_works_where_the_table_says() -> None:
    places = {TOKEN.findall(row[0])[0]: TOKEN.findall(row[1]) for row in table("| library |")}

    def found() -> Iterator[str]:
        used: set[str] = set()
        for module in EVERY:
            for imported in imports(module):
                name = imported.name.split(".")[0]
                if name not in places:
                    continue
                used.add(name)
                if places[name] != ["*"] and not any(within(module.place, place) for place in places[name]):
                    yield f"{module.path.relative_to(ROOT)}:{imported.line} imports {name}"
        yield from (f"{name} stands in the table and is used nowhere" for name in places.keys() - used)

    failures(found())


def _beside(module: Module, other: Module) -> bool:
    return any(within(module.place, who) and within(other.place, whom) for who, whom in rule().beside)


# ---- sizes and names ----------------------------------------------------------------------------------------------


def test_files_are_short() -> None:
    failures(
        f"{module.path.relative_to(ROOT)} has {lines} lines"
        for module in EVERY
        if (lines := module.text.count("\n")) > FILE_LINES
    )


def test_functions_are_short() -> None:
    failures(
        f"{module.where(function)} {function.name} has {lines} lines"
        for module, function in _functions()
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES
    )


def test_functions_take_few_parameters() -> None:
    def found() -> Iterator[str]:
        for module, function in _functions():
            if function.name == "__init__" and module.name in WRITTEN_VALUES:
                continue
            given = function.args
            names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
            count = len([name for name in names if name not in ("self", "cls")])
            if count > PARAMETERS:
                yield f"{module.where(function)} {function.name} takes {count}"

    failures(found())


def test_files_have_names_that_say_something() -> None:
    everywhere = [*EVERY, *modules("benchmarks").values(), *modules("tests").values()]
    failures(module.place for module in everywhere if FORBIDDEN_NAMES & set(module.name.split(".")))


def test_every_module_says_in_its_first_line_what_lives_there() -> None:
    def found() -> Iterator[str]:
        for module in [*EVERY, *modules("benchmarks").values()]:
            first = (ast.get_docstring(module.tree) or "").split("\n")[0]
            if not first or first[-1] not in ".:" or len(first) > DOCSTRING_CHARS:
                yield f"{module.path.relative_to(ROOT)}: {first!r}"

    failures(found())


def test_tests_lie_where_their_sources_lie() -> None:
    """`tests/proxy/wire/test_sse.py` is about `proxy/wire/sse.py`; what is about more than one file lies elsewhere."""
    rooms = [path for path in (ROOT / "tests").rglob("test_*.py") if path.relative_to(ROOT).parts[1] in ("proxy",)]
    strays = [path for path in rooms if not (ROOT / path.relative_to(ROOT / "tests").parent).is_dir()]
    assert strays == []


# ---- habits -------------------------------------------------------------------------------------------------------


def test_nothing_is_global() -> None:
    failures(module.where(node) for module, node in _nodes() if isinstance(node, ast.Global))


def test_modules_hold_no_state() -> None:
    """A container at module level is a constant: it has a constant's name, and nobody writes to it."""
    constants: set[str] = set()

    def found() -> Iterator[str]:
        for module in EVERY:
            for name, value, node in _assigned(module):
                if isinstance(value, LITERAL_CONTAINERS) or _called(value) in CONTAINER_CALLS:
                    constants.add(name)
                    if not CONSTANT.fullmatch(name):
                        yield f"{module.where(node)} {name} is a container with a variable's name"
        yield from (told for module, node in _nodes() for told in _written(module, node, constants))

    failures(found())


def _written(module: Module, node: ast.AST, constants: set[str]) -> Iterator[str]:
    targets: list[ast.expr] = []
    touched: list[ast.expr] = []
    if isinstance(node, ast.Assign | ast.Delete):
        targets = list(node.targets)
    elif isinstance(node, ast.AugAssign):
        targets = [node.target]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
        touched = [node.func.value]
    touched += [target.value for target in targets if isinstance(target, ast.Subscript)]
    for value in touched:
        if _last_name(value) in constants:
            yield f"{module.where(node)} changes {_last_name(value)}"


def test_no_task_is_started_and_forgotten() -> None:
    failures(
        module.where(node)
        for module, node in _nodes()
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func).endswith(("create_task", "ensure_future"))
    )


def test_time_comes_from_the_clock() -> None:
    failures(
        f"{module.where(node)} {ast.unparse(node)}"
        for module, node in _nodes()
        if isinstance(node, ast.Attribute) and ast.unparse(node) in CLOCK and module.name != "proxy.clock"
    )


def test_the_environment_is_read_at_the_edge() -> None:
    failures(
        module.where(node)
        for module, node in _nodes()
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in ("os.environ", "os.getenv", "os.putenv")
        and not any(within(module.place, edge) for edge in ENVIRONMENT)
    )


def test_only_the_command_line_prints() -> None:
    failures(
        module.where(node)
        for module, node in _nodes()
        if isinstance(node, ast.Call) and _called(node) == "print" and module.name != "proxy.cli"
    )


def test_broad_excepts_say_why() -> None:
    """With a comment on the line, or by what they do: tell the log with its traceback, or raise again."""

    def found() -> Iterator[str]:
        for module, node in _nodes():
            if not isinstance(node, ast.ExceptHandler) or not _is_broad(node):
                continue
            comment = (
                module.text.splitlines()[node.lineno - 1].partition("#")[2].replace("noqa: BLE001", "").strip(" -#")
            )
            body = ast.unparse(node)
            if not comment and ".exception(" not in body and "raise" not in body and "exc_info" not in body:
                yield module.where(node)

    failures(found())


def test_nothing_is_left_to_do() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    everywhere = [*EVERY, *modules("benchmarks").values(), *modules("tests").values()]
    found = {module.name for module in everywhere if marks.search(module.text)}
    assert found == {"tests.test_architecture"}


@pytest.mark.parametrize("name", ["proxy", "plugins", "config"])
def test_no_file_of_this_machine_or_of_a_registry_is_named(name: str) -> None:
    strange = re.compile(r"/(?:root|home)/|file:///|pythonhosted\.org|pypi\.org/simple|localhost:3141")
    files = [path for path in (ROOT / name).rglob("*") if path.suffix in (".py", ".yaml", ".json", ".md")]
    failures(str(path.relative_to(ROOT)) for path in files if strange.search(path.read_text(encoding="utf-8")))


def _functions() -> Iterator[tuple[Module, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for module, node in _nodes():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield module, node


def _nodes() -> Iterator[tuple[Module, ast.AST]]:
    for module in EVERY:
        for node in ast.walk(module.tree):
            yield module, node


def _assigned(module: Module) -> Iterator[tuple[str, ast.expr, ast.stmt]]:
    for node in module.tree.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield ast.unparse(target), node.value, node
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            yield ast.unparse(node.target), node.value, node


def _called(node: ast.AST) -> str:
    return ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""


def _last_name(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2] if isinstance(node, ast.Name | ast.Attribute) else ""


def _is_broad(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or ast.unparse(handler.type) in ("Exception", "BaseException")
