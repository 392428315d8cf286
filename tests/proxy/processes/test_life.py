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
