"""Every module can be imported first and alone, and each process loads only what it needs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.sources import ROOT, modules

RUN_WHEN_IMPORTED = {"proxy.__main__", "proxy.app.__main__"}
ALONE = """
import importlib, json, os, sys, warnings
names, libraries = json.loads(sys.argv[1])
warnings.simplefilter("ignore")
for library in libraries:
    importlib.import_module(library)
warnings.simplefilter("error")
failed = {}
for name in names:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            importlib.import_module(name)
        except BaseException as error:
            os.write(writer, repr(error).encode()[:4000])
        os._exit(0)
    os.close(writer)
    with open(reader) as said:
        if text := said.read():
            failed[name] = text
    os.waitpid(child, 0)
print(json.dumps(failed))
"""
"""One interpreter that has loaded the libraries and nothing of ours; each module is imported in a fork of it."""

LIBRARIES = ("aiohttp.web", "pydantic", "yaml", "orjson", "prometheus_client", "presidio_anonymizer", "redis.asyncio")
LOADED = "import importlib, json, sys; importlib.import_module(sys.argv[1]); print(json.dumps(sorted(sys.modules)))"
NOT_FOR_WORKERS = {
    "pydantic", "yaml", "genai_prices", "prometheus_client", "redis", "presidio_anonymizer", "tiktoken", "cryptography",
    "numpy", "onnxruntime", "tokenizers",
}  # fmt: skip
HOT = (
    "proxy.app.worker",
    "plugins.audit",
    "plugins.metering",
    "plugins.ratelimit.plugin",
    "plugins.injection.plugin",
    "plugins.pii.plugin",
    "plugins.output_filter.plugin",
)
"""What a worker imports before its first call, with its store in memory."""
STANDARD_ONLY = ("proxy.cli", "proxy.processes.supervisor", "proxy.commands.serve", "proxy.commands.run")


def loaded(name: str) -> set[str]:
    """The top names of all modules that importing this one loads."""
    command = [sys.executable, "-W", "error", "-c", LOADED, name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {found.partition(".")[0] for found in json.loads(done.stdout)}


def test_every_module_imports_alone_and_without_a_warning() -> None:
    names = [name for name in modules() if name not in RUN_WHEN_IMPORTED]
    command = [sys.executable, "-c", ALONE, json.dumps([names, LIBRARIES])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {}


@pytest.mark.parametrize("name", HOT)
def test_a_worker_loads_nothing_of_the_cold_path(name: str) -> None:
    found = loaded(name)
    assert found & NOT_FOR_WORKERS == set()
    assert "sqlite3" not in found


@pytest.mark.parametrize("name", STANDARD_ONLY)
def test_what_stays_in_the_foreground_loads_the_standard_library_only(name: str) -> None:
    foreign = loaded(name) - sys.stdlib_module_names - {"proxy", "__main__", "sitecustomize"}
    assert {found for found in foreign if not found.startswith(("_", "__editable"))} == set()
    assert "asyncio" not in loaded(name)


@pytest.mark.parametrize("module", ["proxy", "proxy.app"])
def test_what_runs_when_imported_tells_its_usage(module: str) -> None:
    done = subprocess.run([sys.executable, "-m", module], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage:" in done.stdout + done.stderr
