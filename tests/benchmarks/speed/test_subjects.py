"""Subjects are started, asked and ended, with all that they started."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from benchmarks.speed import proc, subjects
from benchmarks.speed.calls import Call, source
from benchmarks.speed.subjects import Subject, start
from tests.certificates import certificates

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux")


def test_the_provider_starts_answers_and_ends(tmp_path: Path) -> None:
    running = start(subjects.provider(frozenset()), tmp_path / "work")
    try:
        assert running.start_s > 0
        assert subjects._ask(running.port, source(Call(), running.subject)()).startswith(b"HTTP/1.1 200")
        assert running.pids() == [running.process.pid]
    finally:
        running.stop()
    assert proc.descendants(running.process.pid) == [running.process.pid]
    assert proc.reading(running.pids())[running.process.pid].threads == {}


def test_the_provider_speaks_tls_too(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    running = start(subjects.provider(frozenset(), str(made.server)), tmp_path / "work")
    running.stop()
    assert 0 < running.start_s < subjects.PATIENCE_S


def test_what_does_not_start_tells_its_last_words(tmp_path: Path) -> None:
    mute = Subject("x", "X", lambda port, work: ([sys.executable, "-c", "raise SystemExit('no licence')"], {}))
    with pytest.raises(RuntimeError, match="X does not answer: no licence"):
        start(mute, tmp_path / "work")


def test_children_of_children_are_found_and_end_with_their_launcher(tmp_path: Path) -> None:
    """As npm and others launch: a shell that neither replaces itself nor hands the signal on."""

    def command(port: int, work: Path) -> subjects.Command:
        return ["sh", "-c", f"{sys.executable} -m benchmarks.speed.target {port}; true"], {}

    running = start(Subject("x", "X", command, cores=frozenset()), tmp_path / "work")
    pids = running.pids()
    running.stop()
    assert len(pids) == 2
    end = time.monotonic() + 30
    while any(map(runs, pids)):
        assert time.monotonic() < end
        time.sleep(0.005)


def runs(pid: int) -> bool:
    """A zombie does not: whoever inherited it may take its time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_weir_is_configured_as_its_name_says(tmp_path: Path) -> None:
    made = {subject.key: subject for subject in subjects.weirs("https://127.0.0.1:1", "ca.pem", Path("/other"))}
    assert set(made) == {"weir", "guarded", "cached", "saving", "unaudited", "looking", "watching", "beside"}
    made["looking"].command(1, tmp_path)
    said = (tmp_path / "weir.yaml").read_text()
    assert said.count("benchmarks.speed.looking:Looking") == 10
    assert '"audit"' in said
    assert '"ca_file": "ca.pem"' in said
    made["unaudited"].command(1, tmp_path)
    assert '"audit"' not in (tmp_path / "weir.yaml").read_text()
    assert made["beside"].folder == Path("/other")
