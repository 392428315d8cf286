"""Lock, run directory and port: taken whole or refused in a sentence."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.processes.claim import Refusal, claim_data, claim_port, claim_run, leave_run, read_holder, write_holder


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    fd, killed = claim_data(str(tmp_path / "data"), 0.0)
    assert not killed
    yield fd
    os.close(fd)


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def test_a_lock_is_held_by_one_and_names_its_holder(lock: int, tmp_path: Path) -> None:
    write_holder(lock, {"pid": os.getpid(), "host": "127.0.0.1", "port": 8080})
    with pytest.raises(Refusal, match=rf"held by process {os.getpid()}, which serves 127.0.0.1 port 8080"):
        claim_data(str(tmp_path / "data"), 10.0)
    assert os.stat(tmp_path / "data").st_mode & 0o777 == 0o700
    assert os.stat(tmp_path / "data" / "weir.lock").st_mode & 0o777 == 0o600


def test_what_a_dead_holder_left_running_is_waited_for_and_then_named(lock: int, tmp_path: Path) -> None:
    write_holder(lock, {"pid": dead_pid()})
    with pytest.raises(Refusal, match="left running when it was killed"):
        claim_data(str(tmp_path / "data"), 0.03)


def test_a_lock_file_without_holder_is_taken_over_whatever_it_says(tmp_path: Path) -> None:
    for index, left in enumerate((b"", b"garbage", b"[]", b'{"pid": 1}', b"x" * 9000)):
        (tmp_path / f"data{index}").mkdir()
        (tmp_path / f"data{index}" / "weir.lock").write_bytes(left)
        fd, killed = claim_data(str(tmp_path / f"data{index}"), 0.0)
        assert killed == (left == b'{"pid": 1}')
        assert read_holder(fd) == {"pid": os.getpid()}
        os.close(fd)


def test_a_data_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (str(tmp_path / "file" / "data"), str(tmp_path / "file"), "/proc/no-such-place"):
        with pytest.raises(Refusal, match="cannot be used"):
            claim_data(place, 0.0, ("valkey",))


def test_folders_are_made_with_the_directory_and_are_its_owners_only(tmp_path: Path) -> None:
    fd, _ = claim_data(str(tmp_path / "data"), 0.0, ("valkey",))
    os.close(fd)
    for folder in (tmp_path / "data", tmp_path / "data" / "valkey"):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_the_run_directory_is_empty_of_what_was_left(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("control.sock", "page-0-12.bin", ".page-1-13.bin.new", "base.json", "restarts.json", "snapshot.json"):
        (run / name).write_text("old")
    assert claim_run(str(tmp_path)) == str(run)
    assert [path.name for path in run.iterdir()] == ["snapshot.json"]
    leave_run(str(run), str(tmp_path))
    assert run.exists()


def test_a_run_directory_too_deep_for_sockets_is_a_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    deep = tmp_path / ("d" * 100)
    run = Path(claim_run(str(deep)))
    assert run.parent == tmp_path
    (run / "control.sock").write_text("")
    leave_run(str(run), str(deep))
    assert not run.exists()


@pytest.mark.parametrize("slots", [1, 3])
def test_all_slots_share_one_free_port_that_nobody_else_gets(slots: int) -> None:
    sockets = claim_port("127.0.0.1", 0, slots)
    port = sockets[0].getsockname()[1]
    try:
        assert {bound.getsockname()[1] for bound in sockets} == {port}
        assert len(sockets) == slots
        with pytest.raises(Refusal, match=f"Port {port} on 127.0.0.1 is in use"):
            claim_port("127.0.0.1", port, slots)
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
    finally:
        for bound in sockets:
            bound.close()


def test_a_port_that_was_just_served_can_be_taken_again() -> None:
    (bound,) = claim_port("127.0.0.1", 0, 1)
    port = bound.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port), timeout=5) as caller:
        bound.setblocking(True)
        bound.accept()[0].close()  # the server's end closes first and stays in TIME_WAIT
        caller.recv(1)
    bound.close()
    (again,) = claim_port("127.0.0.1", port, 1)
    again.close()


def test_a_port_that_is_about_to_be_left_is_waited_for() -> None:
    (bound,) = claim_port("127.0.0.1", 0, 1)
    port = bound.getsockname()[1]
    timer = threading.Timer(0.05, bound.close)
    timer.start()
    (again,) = claim_port("127.0.0.1", port, 1, patience_s=10.0)
    again.close()
    timer.join()


@pytest.mark.parametrize("host", ["::1", "::"])
def test_ipv6_hosts_work_and_the_wildcard_serves_both_families(host: str) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    (bound,) = claim_port(host, 0, 1)
    with bound:
        port = bound.getsockname()[1]
        for address in ("::1", "127.0.0.1")[: 1 if host == "::1" else 2]:
            with socket.create_connection((address, port), timeout=5):
                pass


def test_a_foreign_host_and_a_foreign_name_are_one_sentence() -> None:
    with pytest.raises(Refusal, match="not an address of this machine"):
        claim_port("192.0.2.7", 0, 1)
    with pytest.raises(Refusal, match="not an address of this machine"):
        claim_port("no such host", 0, 1)
