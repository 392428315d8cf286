"""The JavaScript SDKs behave the same through Weir as against the provider itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.node import Missing, install
from tests.pairs import timeless
from tests.worker import Running, weir

RUN_S = 60.0
IDS = ("tool_use_id", "tool_call_id", "signature", "_request_id", "responseId", "itemId", "encrypted_content")
ABORTED = {"openai.mjs": 5, "anthropic.mjs": 5, "vercel.mjs": "abort"}
"""What each script sees last when it leaves in mid-stream."""


@pytest.fixture(scope="module")
def clients() -> tuple[Path, Path]:
    try:
        return install()
    except Missing as missing:
        pytest.skip(str(missing))


async def told(clients: tuple[Path, Path], script: str, root: str) -> Any:
    interpreter, folder = clients
    process = await asyncio.create_subprocess_exec(
        interpreter, folder / script, root, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(RUN_S):
            out, err = await process.communicate()
    except BaseException:
        process.kill()
        raise
    assert process.returncode == 0, err.decode()
    return orjson.loads(out)


def same(case: str, through: Any, direct: Any) -> bool:
    if isinstance(direct, dict) and "threw" in direct:
        raise AssertionError(f"{case} fails against the provider itself: {direct['threw']}")
    return bool(timeless(through, *IDS) == timeless(direct, *IDS))


@pytest.mark.parametrize("script", list(ABORTED))
async def test_the_same_through_weir_as_directly(clients: tuple[Path, Path], script: str) -> None:
    async with weir() as running:
        direct = await told(clients, script, running.provider.url)
        await running.provider.until(lambda: not running.provider.running)
        running.provider.cancelled.clear()
        running.provider.memory = type(running.provider.memory)()
        through = await told(clients, script, running.root)
        assert through.keys() == direct.keys()
        for case, got in direct.items():
            assert same(case, through[case], got), f"{case}: {_first_difference(through[case], got)}"
        assert through["aborted"] == ABORTED[script]
        await _was_cancelled(running)


async def _was_cancelled(running: Running) -> None:
    await running.provider.until(lambda: len(running.provider.cancelled) > 0)
    assert running.provider.cancelled[0].events < 900
    while not any(record["outcome"] == "cancelled" for record in running.records):
        await running.sink.wait_for(len(running.records) + 1)
    (record,) = (record for record in running.records if record["outcome"] == "cancelled")
    assert record["output_tokens"] > 0


def _first_difference(ours: Any, theirs: Any, where: str = "") -> str:
    ours, theirs = timeless(ours, *IDS), timeless(theirs, *IDS)
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in ours.keys() | theirs.keys():
            if ours.get(key) != theirs.get(key):
                return _first_difference(ours.get(key), theirs.get(key), f"{where}.{key}")
    if isinstance(ours, list) and isinstance(theirs, list):
        for index, pair in enumerate(zip(ours, theirs, strict=False)):
            if pair[0] != pair[1]:
                return _first_difference(*pair, f"{where}[{index}]")
        return f"{where}: {len(ours)} against {len(theirs)} entries"
    return f"{where}: {str(ours)[:300]} against {str(theirs)[:300]}"
