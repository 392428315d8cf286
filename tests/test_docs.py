"""What the pages say is true: their commands run, their configurations load, their tables are made anew.

In README a `sh` block is run as it stands (only the two ports are free ones), a `yaml` block is loaded, a `python`
block is run where its library is installed, a `console` block needs what tests do not have.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import docs
from proxy import cli
from proxy.configuration import checking, sources
from proxy.configuration.settings import Settings
from proxy.registry import find
from tests.running import DefaultRun, default_run, environment
from tests.sources import ROOT, TOKEN, modules, table

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = BLOCK.findall(README)
PAGES = ("README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")
SECRETS = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AZURE_OPENAI_API_KEY", "GATEWAY_TOKEN"), "sk-none")
AGENT = "import os\nprint(os.environ['OPENAI_BASE_URL'], os.environ['ANTHROPIC_BASE_URL'])\n"
CURL = """\
import sys, urllib.request
arguments, headers, data, url = sys.argv[1:], {}, None, ""
while arguments:
    word = arguments.pop(0)
    if word == "-H":
        name, _, value = arguments.pop(0).partition(": ")
        headers[name] = value
    elif word == "-d":
        data = arguments.pop(0).encode()
    else:
        url = word
print(urllib.request.urlopen(urllib.request.Request(url, data, headers)).read().decode())
"""
"""Enough of curl for the README, where there is none."""


def blocks(language: str) -> list[str]:
    return [body for kind, body in BLOCKS if kind == language]


def named(body: str) -> str:
    """The comment in the block's first line."""
    return body.split("\n")[0].lstrip("#/ ")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DefaultRun]:
    place = tmp_path_factory.mktemp("readme")
    (place / "agent.py").write_text(AGENT)
    for body in blocks("yaml"):
        if named(body).endswith(".yaml"):
            (place / named(body)).write_text(body)
    if shutil.which("curl") is None:
        shim = place / "bin" / "curl"
        shim.parent.mkdir()
        shim.write_text(f"#!{sys.executable}\n{CURL}")
        shim.chmod(0o755)
    with default_run(place) as run:
        yield run


def here(body: str, running: DefaultRun) -> str:
    return body.replace(":8080", f":{running.port}").replace(":8081", f":{running.admin_port}")


# ---- what is run --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("body", [body for body in blocks("sh") if "make run" not in body], ids=lambda body: body[:40])
def test_every_command_of_the_readme_runs(body: str, running: DefaultRun) -> None:
    if "/executions" not in body:
        running.call("so that there is something to see")
        running.executions()
    found = environment(**SECRETS)
    found["PATH"] = os.pathsep.join([found["PATH"], str(running.place / "bin")])
    done = subprocess.run(
        ["/bin/sh", "-ec", here(body, running)],
        cwd=running.place,
        env=found,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if "curl" in body:
        assert any(f'"{told}"' in done.stdout for told in ("choices", "object", "request_id")), done.stdout


def test_make_run_starts_what_the_other_tests_start_and_says_who_answers(running: DefaultRun) -> None:
    said = _make("-n", "run")
    assert "-m benchmarks.run" in said
    assert running.said.count("SIMULATED") == 1


@pytest.mark.slow
@pytest.mark.parametrize("body", blocks("python"), ids=named)
def test_every_client_of_the_readme_answers_through_weir(body: str, running: DefaultRun) -> None:
    libraries = {ast.unparse(node).split()[1].split(".")[0] for node in _imports(body)}
    missing = [name for name in libraries if importlib.util.find_spec(name) is None]
    if missing:
        compile(body, named(body), "exec")
        pytest.skip(f"{missing[0]} is not installed; the code was compiled only")
    before = running.executions(0)
    done = subprocess.run(
        [sys.executable, "-c", here(body, running)],
        cwd=running.place,
        env=environment(**SECRETS),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if "answer =" in body:
        assert running.executions(len(before) + 1)[0]["outcome"] == "ok"


def _imports(body: str) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Import | ast.ImportFrom)]


# ---- what is loaded -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", blocks("yaml"), ids=named)
def test_every_configuration_of_the_readme_loads(body: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("sk-none")
    file = tmp_path / "weir.yaml"
    file.write_text(re.sub(r"file:\S+", f"file:{secret}", body))
    loaded = sources.read(file, {}, SECRETS, None)
    checking.verify(loaded, find)


# ---- what is generated --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", docs.GENERATED)
def test_generated_parts_are_fresh(file: str) -> None:
    assert (ROOT / file).read_text(encoding="utf-8") == docs.renewed(file), "run `make docs`"


@pytest.mark.parametrize("file", docs.GENERATED)
def test_each_generated_part_has_its_place(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert {name for _, name, _ in docs.MARKED.findall(text)} == set(docs.GENERATED[file])


def test_the_plugins_table_tells_the_default_run(running: DefaultRun) -> None:
    """Its rows are the plugins of the default chain; what had nothing to do with a call took no time of it."""
    running.call("who is there?")
    rows = [TOKEN.findall(row[0])[0] for row in table("| plugin |", "README.md")]
    assert rows == list(Settings().plugins)
    assert set(running.executions()[0]["plugins_us"]) <= set(rows)


# ---- what is named ------------------------------------------------------------------------------------------------


def test_every_make_target_of_the_readme_exists() -> None:
    code = "\n".join([*blocks("sh"), *re.findall(r"`[^`\n]+`", README)])
    for target in sorted(set(re.findall(r"\bmake ([a-z]+)\b", code))):
        _make("-n", target)


def test_every_command_and_variable_of_the_readme_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(re.findall(r"\bweir ([a-z]+)\b(?= |`)", " ".join(re.findall(r"`weir [^`]+`", README)))) <= set(
        cli.COMMANDS
    )
    assert cli.main(["options"]) == 0
    known = capsys.readouterr().out
    variables = set(re.findall(r"\b(WEIR_[A-Z_]*[A-Z])\b", README))
    assert {name for name in variables if name.removesuffix("_FILE") not in known} == set()


def test_every_header_that_the_code_knows_is_told_and_no_other() -> None:
    spoken = {
        name for module in modules().values() for name in re.findall(r"[\"`](x-weir-[a-z-]+[a-z])[\"`:]", module.text)
    }
    told = set(re.findall(r"`(x-weir-[a-z-]+[a-z])", README))
    assert told - spoken == set()
    assert spoken - told == set()


def test_the_pages_name_files_and_tests_that_exist() -> None:
    strays = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for name in set(re.findall(r"`((?:tests|proxy|plugins|benchmarks|config)/[\w/.-]+)`", text)):
            strays += [f"{page}: {name}"] if not (ROOT / name).exists() else []
        for name in set(re.findall(r"\]\(([A-Z]+\.md)\)", text)):
            strays += [f"{page}: {name}"] if not (ROOT / name).exists() else []
        for test in set(re.findall(r"`(test_\w+)`", text)):
            strays += [f"{page}: {test}"] if not _some_test(test) else []
    assert strays == []


def _some_test(name: str) -> bool:
    return any(f"def {name}(" in module.text or module.path.stem == name for module in modules("tests").values())


def _make(*arguments: str) -> str:
    if shutil.which("make") is None:
        pytest.skip("no make here")
    done = subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
