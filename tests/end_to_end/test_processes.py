"""Supervisor, control and workers as processes: killed one by one, ended in order, started beside each other."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.telemetry.exposition import Exposition
from proxy.telemetry.page import Key

ROOT = Path(__file__).parents[2]
STAND_IN = str(Path(__file__).with_name("stand_in.py"))
LAUNCHER = """
import json, sys
from proxy.processes.supervisor import Plan, Supervisor
def say(event, sentence):
    print(json.dumps([event, sentence]), flush=True)
plan = {name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(sys.argv[1]).items()}
plan["extras"] = tuple(map(tuple, plan.get("extras", ())))
sys.exit(Supervisor(Plan(**plan), say).run())
"""
DEADLINE_S = 15.0
KEPT_PATH = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []


def until(holds: Callable[[], Any], what: str) -> Any:
    """Polls, for other processes send no events; the deadline is for a machine that is very busy."""
    end = time.monotonic() + DEADLINE_S
    while not (found := holds()):
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(0.005)
    return found


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Weir:
    """A supervisor in a process of its own, with stand-ins below it."""

    def __init__(self, data: Path, *, prelude: str = "", launch: dict[str, Any] | None = None, **plan: Any) -> None:
        launch = dict(launch or {})
        self.data = data
        python = [sys.executable, STAND_IN]
        whole = {
            "control": [*python, "control", str(data), *plan.pop("control_how", [])],
            "worker": [*python, "worker", str(data), *plan.pop("worker_how", [])],
            "data_dir": str(data),
            "port": 0,
            "drain_s": 5.0,
            **plan,
        }
        self.said: list[list[str]] = []
        self.process = subprocess.Popen(
            [sys.executable, "-c", prelude + LAUNCHER, json.dumps(whole)],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *KEPT_PATH]), **launch.pop("env", {})},
            **launch,
        )

    def hear(self, event: str) -> str:
        """The sentence of the next event of this name."""
        assert self.process.stdout is not None
        end = time.monotonic() + DEADLINE_S
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while selector.select(max(0.0, end - time.monotonic())):
                line = self.process.stdout.readline()
                assert line, f"ended without {event}: {self.said}"
                self.said.append(json.loads(line))
                if self.said[-1][0] == event:
                    return self.said[-1][1]
        raise AssertionError(f"never said {event}: {self.said}")

    def listening(self) -> Weir:
        self.port = int(self.hear("listening").rpartition(":")[2])
        return self

    def ended(self) -> int:
        return self.process.wait(DEADLINE_S)

    def events(self) -> list[tuple[str, int, int, str]]:
        try:
            lines = (self.data / "events").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [(role, int(slot), int(pid), what) for role, slot, pid, what in map(str.split, lines)]

    def pids(self, role: str, what: str = "ready") -> list[int]:
        return [pid for found, _, pid, said in self.events() if (found, said) == (role, what)]

    def happened(self, role: str, what: str, times: int = 1) -> list[int]:
        pids: list[int] = until(
            lambda: found if len(found := self.pids(role, what)) >= times else None, f"{role} {what} x{times}"
        )
        return pids

    def call(self, text: str = "hello") -> tuple[int, int]:
        """The slot and pid that answered."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S) as connection:
            connection.sendall(text.encode() + b"\n")
            slot, pid = connection.makefile().readline().split()
        return int(slot), int(pid)

    def records(self) -> list[str]:
        path = self.data / "records"
        return [json.loads(line)["said"] for line in path.read_text().splitlines()] if path.exists() else []

    def holder(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.data / "weir.lock").read_text())
        return found

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        for _, _, pid, _ in self.events():
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def start(data: Path) -> Iterator[Callable[..., Weir]]:
    started: list[Weir] = []

    def begin(**plan: Any) -> Weir:
        started.append(Weir(plan.pop("data", data), **plan))
        return started[-1]

    yield begin
    for weir in started:
        weir.close()


Start = Callable[..., Weir]


def test_a_call_is_served_and_its_record_kept_when_weir_is_asked_to_stop(start: Start, data: Path) -> None:
    weir = start(workers=2).listening()
    assert weir.holder() | {"admin_port": 4321, "pid": weir.process.pid, "port": weir.port} == weir.holder()
    weir.happened("worker", "ready", 2)
    assert os.stat(data).st_mode & 0o777 == 0o700
    seen = set()
    until(lambda: len(seen.add(weir.call()[0]) or seen) == 2, "calls on both workers")  # type: ignore[func-returns-value]
    weir.call("last")
    weir.process.send_signal(signal.SIGTERM)
    assert weir.ended() == 0
    assert "last" in weir.records()
    assert (data / "weir.lock").read_text() == ""


def test_workers_end_first_then_control_then_the_extras(start: Start, data: Path) -> None:
    extra = [sys.executable, STAND_IN, "extra", str(data)]
    weir = start(workers=2, extras=[extra]).listening()
    weir.happened("worker", "ready", 2)
    weir.happened("extra", "ready")
    weir.process.send_signal(signal.SIGINT)
    assert weir.ended() == 0
    ends = [(role, what) for role, _, _, what in weir.events() if what in ("terminated", "stopped")]
    assert sorted(ends[:4]) == [("worker", "stopped")] * 2 + [("worker", "terminated")] * 2
    assert ends[4:] == [
        ("control", "terminated"),
        ("control", "stopped"),
        ("extra", "terminated"),
        ("extra", "stopped"),
    ]


def test_a_running_call_is_finished_and_recorded_before_the_worker_ends(start: Start) -> None:
    weir = start().listening()
    with socket.create_connection(("127.0.0.1", weir.port), timeout=DEADLINE_S) as connection:
        answers = connection.makefile()
        connection.sendall(b"hold\n")
        assert answers.readline() == "held\n"
        weir.process.send_signal(signal.SIGTERM)
        weir.happened("worker", "terminated")
        connection.sendall(b"slow\n")
        assert answers.readline().startswith("0 ")
    assert weir.ended() == 0
    assert weir.records() == ["slow"]


def test_a_killed_worker_is_replaced_and_no_counter_falls(start: Start) -> None:
    weir = start().listening()
    exposition = Exposition(Path(weir.holder()["run"]))
    key: Key = ("counter", "weir_unknown_price_total", (("model", "m"),))
    _, first = weir.call()
    assert exposition.totals()[key] == [1.0]
    os.kill(first, signal.SIGKILL)
    weir.hear("died")
    assert weir.call()[1] != first, "the socket was never closed, so the call only waited"
    assert exposition.totals()[key] == [2.0]
    assert Exposition(Path(weir.holder()["run"])).totals()[key] == [2.0], "a new control process knows it too"
    assert exposition.totals()["counter", "weir_worker_restarts_total", ()] == [1.0]


def test_a_killed_extra_is_named_and_started_again(start: Start, data: Path) -> None:
    weir = start(extras=[[sys.executable, STAND_IN, "extra", str(data)]]).listening()
    (extra,) = weir.happened("extra", "ready")
    os.kill(extra, signal.SIGKILL)
    name = Path(sys.executable).name
    assert weir.hear("died") == f"The server {name} ended by signal 9 and is started again."
    weir.happened("extra", "ready", 2)
    weir.process.send_signal(signal.SIGTERM)
    assert "new ones are answered until they are" in weir.hear("stopping")
    assert weir.ended() == 0


def test_calls_go_on_without_control_and_their_records_wait_for_the_next(start: Start) -> None:
    weir = start().listening()
    _, worker = weir.call("before")
    until(lambda: weir.records() == ["before"], "the first record")
    (control,) = weir.pids("control")
    os.kill(control, signal.SIGKILL)
    assert weir.call("during") == (0, worker)
    weir.happened("control", "ready", 2)
    until(lambda: weir.records() == ["before", "during"], "the record of the call without control")
    assert weir.call("after") == (0, worker)
    weir.process.send_signal(signal.SIGTERM)
    assert weir.ended() == 0
    assert weir.records() == ["before", "during", "after"]
    assert json.loads((weir.data / "run" / "restarts.json").read_text()) == {"worker": 0, "control": 1}


def test_a_killed_supervisor_leaves_no_orphans_and_the_next_start_works(start: Start, data: Path) -> None:
    extra = [sys.executable, STAND_IN, "extra", str(data)]
    weir = start(workers=2, extras=[extra]).listening()
    weir.happened("worker", "ready", 2)
    weir.happened("extra", "ready")
    left = [pid for _, _, pid, what in weir.events() if what == "ready"]
    weir.call("before")
    weir.process.kill()
    weir.ended()
    again = start(workers=2, port=weir.port).listening()
    until(lambda: not any(map(alive, left)), "the orphans' end")
    again.call("after")
    again.process.send_signal(signal.SIGTERM)
    assert again.ended() == 0
    assert again.records() == ["before", "after"]


def test_everything_killed_at_once_starts_again(start: Start) -> None:
    weir = start().listening()
    weir.call("before")
    until(lambda: weir.records() == ["before"], "the record")
    for pid in (weir.process.pid, *weir.pids("worker"), *weir.pids("control")):
        os.kill(pid, signal.SIGKILL)
    weir.ended()
    again = start(port=weir.port).listening()
    again.call("after")
    again.process.send_signal(signal.SIGTERM)
    assert again.ended() == 0
    assert again.records() == ["before", "after"]


def test_a_second_weir_on_the_same_data_says_who_holds_it(start: Start) -> None:
    weir = start().listening()
    second = start()
    sentence = second.hear("refused")
    assert second.ended() == 1
    assert f"process {weir.process.pid}" in sentence
    assert f"port {weir.port}" in sentence
    weir.call()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_in_use_is_one_sentence(start: Start, data: Path, workers: int) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = taken.getsockname()[1]
        weir = start(port=port, workers=workers)
        assert weir.hear("refused").startswith(f"Port {port} on 127.0.0.1 is in use")
        assert weir.ended() == 1
    assert not (data / "events").exists(), "nothing was started"


def test_two_weirs_do_not_share_a_port(start: Start, tmp_path: Path) -> None:
    weir = start(workers=2).listening()
    second = start(data=tmp_path / "other", port=weir.port, workers=2)
    assert "in use" in second.hear("refused")
    assert second.ended() == 1


@pytest.mark.parametrize(("how", "code"), [("exit2", 2), ("exit7", 7), ("exit0", 1)])
def test_control_that_ends_before_it_is_ready_ends_weir_with_its_code(start: Start, how: str, code: int) -> None:
    weir = start(control_how=["--how", how])
    assert weir.ended() == code
    assert len(weir.pids("control", how)) == 1


def test_control_that_never_gets_ready_is_given_up(start: Start) -> None:
    weir = start(control=[sys.executable, "-S", "-c", "import time; time.sleep(60)"], ready_s=0.2)
    assert "not ready" in weir.hear("failed")
    assert weir.ended() == 1


def test_a_wrong_configuration_found_by_a_worker_ends_weir(start: Start) -> None:
    weir = start(worker_how=["--how", "exit2"], workers=2)
    assert "do not start" in weir.hear("failed")
    assert weir.ended() == 2
    assert weir.pids("control", "stopped"), "in order all the same"


def test_workers_that_never_start_are_given_up_after_some_tries(start: Start) -> None:
    weir = start(worker=[sys.executable, "-S", "-c", "raise SystemExit(3)"])
    assert "exit code 3" in weir.hear("failed")
    assert weir.ended() == 1
    assert sum(event == "died" for event, _ in weir.said) == 4


def test_a_program_that_is_not_there_is_named(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    assert start(control=["/nowhere/weir-control"]).ended() == 127
    assert "/nowhere/weir-control cannot be started" in capfd.readouterr().err


def test_a_worker_that_does_not_end_is_killed_after_the_cap(start: Start) -> None:
    weir = start(worker_how=["--how", "stubborn"], drain_s=0.05, spare_s=0.05).listening()
    weir.process.send_signal(signal.SIGTERM)
    assert weir.hear("killed").startswith("Worker 0")
    assert weir.ended() == 0
    assert weir.pids("control", "stopped")


def test_a_hangup_is_handed_to_control_and_to_nobody_else(start: Start) -> None:
    weir = start().listening()
    weir.process.send_signal(signal.SIGHUP)
    weir.happened("control", "reloaded")
    weir.process.send_signal(signal.SIGTERM)
    assert weir.ended() == 0
    assert weir.pids("worker", "reloaded") == []


def test_control_killed_while_workers_drain_comes_back_for_their_records(start: Start) -> None:
    weir = start().listening()
    with socket.create_connection(("127.0.0.1", weir.port), timeout=DEADLINE_S) as connection:
        answers = connection.makefile()
        connection.sendall(b"hold\n")
        assert answers.readline() == "held\n"
        weir.process.send_signal(signal.SIGTERM)
        weir.happened("worker", "terminated")
        os.kill(weir.pids("control")[0], signal.SIGKILL)
        weir.happened("control", "ready", 2)
        connection.sendall(b"late\n")
        assert answers.readline().startswith("0 ")
    assert weir.ended() == 0
    assert weir.records() == ["late"]


@pytest.mark.skipif(sys.platform != "linux", reason="subreapers are Linux's way to be like process 1")
def test_orphans_of_others_are_waited_for_as_process_1_must(start: Start) -> None:
    reaper = "import ctypes; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n"
    weir = start(prelude=reaper, worker_how=["--how", "orphan"]).listening()
    weir.call()
    children = Path(f"/proc/{weir.process.pid}/task/{weir.process.pid}/children")
    expected = {*weir.pids("control"), *weir.pids("worker")}
    until(lambda: set(map(int, children.read_text().split())) == expected, "no zombies")


def test_a_command_runs_when_weir_listens_and_weir_ends_with_its_code(start: Start) -> None:
    weir = start(
        command=[sys.executable, "-S", "-c", "import os, sys; print(os.environ['BASE']); sys.exit(5)"],
        command_environment={"BASE": '["base", "{url}/v1"]'},
    ).listening()
    assert weir.hear("base") == f"http://127.0.0.1:{weir.port}/v1"
    assert weir.ended() == 5
    assert weir.pids("worker", "stopped")


def test_stopping_weir_stops_its_command_first(start: Start) -> None:
    weir = start(
        command=[sys.executable, "-S", "-c", 'import time; print(\'["runs", ""]\', flush=True); time.sleep(60)']
    ).listening()
    weir.hear("runs")
    weir.process.send_signal(signal.SIGTERM)
    assert weir.ended() == 128 + signal.SIGTERM


def test_a_path_too_long_for_a_socket_moves_the_run_directory(start: Start, tmp_path: Path) -> None:
    weir = start(data=tmp_path / ("d" * 90)).listening()
    run = Path(weir.holder()["run"])
    assert run.name.startswith("weir-")
    assert os.stat(run).st_mode & 0o777 == 0o700
    weir.call("here")
    weir.process.send_signal(signal.SIGTERM)
    assert weir.ended() == 0
    assert weir.records() == ["here"]
    assert not run.exists()


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's accounting of memory")
def test_the_supervisor_stays_small(start: Start) -> None:
    weir = start(workers=2).listening()
    rollup = Path(f"/proc/{weir.process.pid}/smaps_rollup").read_text()
    (pss_kb,) = (int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    assert pss_kb < 12_000


@pytest.mark.skipif(sys.platform != "linux", reason="terminals differ")
def test_a_terminal_that_closes_ends_weir(start: Start, data: Path) -> None:
    ours, theirs = os.openpty()
    take = "import fcntl, os, termios; os.setsid(); fcntl.ioctl(int(os.environ['TTY']), termios.TIOCSCTTY, 0)\n"
    weir = start(prelude=take, launch={"pass_fds": (theirs,), "env": {"TTY": str(theirs)}}).listening()
    os.close(theirs)
    os.close(ours)
    assert weir.ended() == 0
    assert weir.pids("control", "reloaded") == []
