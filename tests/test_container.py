"""The container without an engine: its file is read, its steps are taken in a directory, and what comes out is run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.running import environment
from tests.sources import ROOT

NOBODY = 65534
START_S = 60.0
PINNED = re.compile(r"^([a-z0-9][\w.-]*)==(\S+)", re.MULTILINE | re.IGNORECASE)
LOCKS = ("requirements.lock", "runtime.lock")


@dataclass(frozen=True)
class Step:
    """One instruction: `RUN`, and what follows it."""

    word: str
    rest: str

    @property
    def words(self) -> list[str]:
        return list(json.loads(self.rest)) if self.rest.startswith("[") else shlex.split(self.rest)


def stages() -> list[list[Step]]:
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    found: list[list[Step]] = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip():
            word, _, rest = line.partition(" ")
            if word == "FROM":
                found.append([])
            found[-1].append(Step(word, rest.strip()))
    return found


BUILD, FINAL = stages()


def only(word: str, stage: list[Step] = FINAL) -> Step:
    (step,) = [step for step in stage if step.word == word]
    return step


# ---- what is written ----------------------------------------------------------------------------------------------


def test_both_stages_begin_with_the_same_slim_python_pinned_by_its_whole_version() -> None:
    images = [only("FROM", stage).rest.split()[0] for stage in (BUILD, FINAL)]
    assert len(set(images)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", images[0])


def test_it_runs_as_somebody_without_rights_who_owns_the_one_volume_only() -> None:
    uid, gid = only("USER").rest.split(":")
    assert int(uid) > 0 and int(gid) > 0
    assert only("VOLUME").words == ["/data"]
    assert f"--uid {uid}" in only("RUN").rest
    assert "--mode 0700 /data" in only("RUN").rest


def test_what_it_serves_is_exposed_and_the_admin_port_is_not() -> None:
    assert only("EXPOSE").words == ["8080"]
    assert only("ENTRYPOINT").words == ["weir"]
    assert only("CMD").words == ["serve", "--host", "0.0.0.0", "--data", "/data"]


def test_its_health_is_asked_of_livez_without_a_tool_it_does_not_have() -> None:
    command = json.loads(only("HEALTHCHECK").rest.partition("CMD ")[2])
    assert command[:2] == ["python", "-c"]
    assert "/livez" in command[2]
    compile(command[2], "healthcheck", "exec")


def test_dependencies_are_installed_from_hashes_and_nothing_else_is_fetched() -> None:
    installs = [step.rest for step in BUILD if "pip install" in step.rest]
    assert ["--require-hashes" in rest or "--no-deps" in rest for rest in installs] == [True, True]
    assert not any(tool in step.rest for step in (*BUILD, *FINAL) for tool in ("apt-get", "curl", "wget", "ADD "))


def test_everything_copied_is_there_and_let_through() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {name for step in BUILD if step.word == "COPY" for name in step.words[:-1]}
    assert copied == allowed
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_hadolint_has_nothing_to_say() -> None:
    linter = Path(sysconfig.get_path("scripts")) / "hadolint"
    if not linter.exists():
        pytest.skip("hadolint is not installed on this system")
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


# ---- what is locked -----------------------------------------------------------------------------------------------


UNLOCKED = frozenset({"semantic"})
"""Extras with a model of many megabytes, which no other test needs."""


@pytest.mark.parametrize("lock", LOCKS)
def test_every_dependency_is_locked_to_a_version_that_fits(lock: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["valkey"]]
    if lock == "requirements.lock":
        extras = project["optional-dependencies"].items()
        wanted += [one for name, extra in extras if name not in UNLOCKED for one in extra]
    locked = versions(lock)
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_its_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    entries = re.split(r"\n(?=[a-z0-9])", text)
    assert [entry for entry in entries if PINNED.match(entry) and "--hash=sha256:" not in entry] == []
    assert re.findall(r"https?://|file:|--(?:extra-)?index-url|--find-links", text) == []


def test_the_container_gets_the_versions_that_were_tested() -> None:
    tested, shipped = versions("requirements.lock"), versions("runtime.lock")
    assert {name: version for name, version in shipped.items() if tested.get(name) != version} == {}
    assert shipped.keys().isdisjoint({"pytest", "mypy", "ruff", "openai", "anthropic"})


def versions(lock: str) -> dict[str, str]:
    return {str(canonicalize_name(name)): version for name, version in PINNED.findall((ROOT / lock).read_text())}


# ---- what comes out -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Image:
    """The final stage as directories: what was installed, read-only, and the volume."""

    opt: Path
    data: Path

    def inside(self, words: list[str]) -> list[str]:
        """A command of the image with its paths in the directories; what it finds by PATH comes from the image."""
        program = self.opt / "bin" / words[0]
        return [str(program), *(str(self.data) if word == "/data" else word for word in words[1:])]


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    place = Path(tempfile.mkdtemp(prefix="weir-image-"))
    place.chmod(0o755)
    try:
        yield _built(place)
    finally:
        subprocess.run(["chmod", "-R", "u+w", place], check=False)
        shutil.rmtree(place)


def _built(place: Path) -> Image:
    """Takes the steps of the first stage, and those of the second that are about files."""
    source, opt, data = place / "src", place / "opt" / "weir", place / "data"
    python = _interpreter(place)
    source.mkdir()
    for step in BUILD:
        if step.word == "COPY":
            *names, target = step.words
            for name in names:
                _copy(ROOT / name, source / (target if (ROOT / name).is_dir() else name))
        elif step.word == "RUN":
            line = step.rest.replace("python -m venv", f"{shlex.quote(str(python))} -m venv")
            line = line.replace("/opt/weir", shlex.quote(str(opt)))
            subprocess.run(["/bin/sh", "-euc", line], cwd=source, check=True, stdout=subprocess.DEVNULL, env=_bare())
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(data, NOBODY, NOBODY)
    subprocess.run(["chmod", "-R", "a-w,a+rX", opt], check=True)
    return Image(opt, data)


def _interpreter(place: Path) -> Path:
    """One that nobody may run: this one, or a copy where it lies in somebody's home."""
    base = Path(sys._base_executable)  # type: ignore[attr-defined]
    if os.geteuid() != 0 or _may_run(base):
        return base
    home, library = place / "python", Path(sysconfig.get_path("stdlib"))
    skipped = shutil.ignore_patterns("site-packages", "test", "tests", "__pycache__", "config-*", "idlelib")
    shutil.copytree(library, home / "lib" / library.name, ignore=skipped)
    for name in Path(sys.base_prefix, "lib").glob("libpython*"):
        shutil.copy(name, home / "lib")
    (home / "bin").mkdir()
    return Path(shutil.copy(base.resolve(), home / "bin" / "python3"))


def _may_run(program: Path) -> bool:
    try:
        return subprocess.run([program, "-c", ""], user=NOBODY, extra_groups=[], cwd="/", check=False).returncode == 0
    except PermissionError:
        return False


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    else:
        shutil.copy(source, target)


def _bare(**more: str) -> dict[str, str]:
    found = environment(**more)
    del found["PYTHONPATH"]
    return found


def _listing(place: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.lstat().st_mtime_ns) for path in place.rglob("*"))


def _run(image: Image, words: list[str], **env: str) -> subprocess.Popen[bytes]:
    """As the container does: with nobody's rights, where we have any to give up, and the image's environment."""
    who: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    its_own = {
        "PATH": f"{image.opt}/bin:/usr/bin:/bin",
        "LD_LIBRARY_PATH": str(image.opt.parents[1] / "python" / "lib"),
        **dict(word.split("=", 1) for step in FINAL if step.word == "ENV" for word in step.words if "PATH" not in word),
    }
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(image.inside(words), cwd="/", env={**its_own, **env}, **pipes, **who)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.slow
def test_what_is_installed_is_what_runs_and_no_more(image: Image) -> None:
    site = next((image.opt / "lib").glob("python*/site-packages"))
    names = {path.name for path in site.iterdir()}
    assert {"proxy", "plugins", "config"} <= names
    assert (site / "proxy" / "tables" / "o200k_base.tiktoken.gz").exists()
    assert (site / "config" / "weir.yaml").read_bytes() == (ROOT / "config" / "weir.yaml").read_bytes()
    assert {"pip", "setuptools", "tests", "benchmarks", "pytest"} & names == set()
    assert [path.name for path in site.glob("*.pth") if path.name != "distutils-precedence.pth"] == []


@pytest.mark.slow
def test_it_serves_from_a_read_only_tree_as_nobody_and_leaves_in_order(image: Image) -> None:
    before, port = _listing(image.opt), _free_port()
    health = json.loads(only("HEALTHCHECK").rest.partition("CMD ")[2])
    started = [*only("ENTRYPOINT").words, *only("CMD").words]
    process = _run(image, started, WEIR_PORT=str(port), WEIR_ADMIN_PORT="0", TMPDIR="/nonexistent")
    try:
        end = time.monotonic() + START_S
        while (asked := _run(image, health, WEIR_PORT=str(port))).wait() != 0:
            asked.communicate()
            assert process.poll() is None and time.monotonic() < end, process.stderr and process.stderr.read()
        asked.communicate()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/nothing?[bad", timeout=5)
        assert refused.value.code in (400, 404, 401, 502)
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 0, said
    assert _listing(image.opt) == before
    kept = [path for path in image.data.rglob("*") if path.is_file()]
    assert image.data / "audit.db" in kept
    assert [str(path) for path in kept if stat.S_IMODE(path.stat().st_mode) & 0o022] == []
