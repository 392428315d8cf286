"""Environments of their own for the relays, made by the ordinary package clients and made once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

LIMIT_S = 900.0


def done(command: Sequence[str], folder: Path) -> bool:
    """Whether it ended well; what it said is kept in the folder's `install.log`."""
    with (folder / "install.log").open("ab") as log:
        try:
            return subprocess.run(command, cwd=folder, stdout=log, stderr=log, timeout=LIMIT_S).returncode == 0
        except (OSError, subprocess.TimeoutExpired) as error:
            log.write(f"{error}\n".encode())
            return False


def once(folder: Path, what: str, make: Callable[[Path], str | None]) -> str | None:
    """Runs `make` in an empty folder unless it has been done there for just this; scripts in it hold its own path."""
    folder = folder.resolve()
    ready, wanted = folder / ".ready", f"{what} in {folder}"
    if ready.is_file() and ready.read_text() == wanted:
        return None
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if (failure := make(folder)) is not None:
        return failure
    ready.write_text(wanted)
    return None


def python(folder: Path, requirement: str) -> str | None:
    """A virtual environment with one package and what that needs; its commands are in `folder/bin`."""

    def make(folder: Path) -> str | None:
        if not done([sys.executable, "-m", "venv", str(folder)], folder):
            return "Python's venv module could not make an environment."
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        return None if done([*pip, requirement], folder) else f"pip could not install {requirement}."

    return once(folder, requirement, make)


def node(folder: Path, packages: Mapping[str, str]) -> str | None:
    """A folder with `node_modules`; every version given holds for whoever else in the tree wants that package."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "Node.js and npm are not installed here."
    manifest = json.dumps({"private": True, "dependencies": dict(packages), "overrides": dict(packages)})

    def make(folder: Path) -> str | None:
        (folder / "package.json").write_text(manifest)
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=dev"]
        return None if done(command, folder) else f"npm could not install {' and '.join(packages)}."

    return once(folder, manifest, make)


def script(folder: Path, name: str) -> str:
    return str(folder.resolve() / "bin" / name)
