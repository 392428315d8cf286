"""The pipes between a child and the supervisor."""

from __future__ import annotations

import asyncio
import json
import os

from proxy.processes import life


def test_ready_is_one_line_and_closes_the_pipe() -> None:
    ours, theirs = os.pipe()
    life.ready(theirs, {"admin_port": 8081})
    with open(ours, "rb") as pipe:
        assert json.loads(pipe.read()) == {"admin_port": 8081}


def test_ready_survives_a_supervisor_that_is_gone() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    life.ready(theirs)


async def test_the_end_of_the_supervisor_is_told_once() -> None:
    ours, theirs = os.pipe()
    gone = asyncio.Event()
    told: list[str] = []

    def end() -> None:
        told.append("gone")
        gone.set()

    life.watch(ours, asyncio.get_running_loop(), end)
    os.write(theirs, b"x")
    os.close(theirs)
    async with asyncio.timeout(2):
        await gone.wait()
    assert told == ["gone"]


def test_a_gate_opens_by_ending_and_stays_open() -> None:
    gate, held = os.pipe()
    alive_end, alive = os.pipe()
    os.close(held)
    for _ in range(2):
        assert life.admitted(os.dup(gate), alive_end)
    os.close(alive)
    assert not life.admitted(gate, alive_end), "the supervisor died, so the gate ended too"
    os.close(alive_end)


def test_without_a_gate_nothing_is_waited_for() -> None:
    assert life.admitted(-1, -1)


async def test_a_beating_child_says_that_it_is_ready_and_then_that_its_loop_turns() -> None:
    ours, theirs = os.pipe()
    life.beat(theirs, asyncio.get_running_loop(), 0.001)
    assert json.loads(os.read(ours, 100)) == {}, "a line, as of every child"
    said = b""
    while len(said) < 3:
        await asyncio.sleep(0.001)
        said += os.read(ours, 100)
    assert set(said) == set(b".")
    while True:  # nobody reads: it must not wait
        try:
            os.set_blocking(theirs, False)
            os.write(theirs, b"x" * 65536)
        except BlockingIOError:
            break
    await asyncio.sleep(0.01)
    os.close(ours)
    async with asyncio.timeout(5):
        while True:
            try:
                os.fstat(theirs)
            except OSError:
                break
            await asyncio.sleep(0.001)
