"""Many long prompts at once: none leaves unmasked, whatever time they have to wait for each other."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from proxy.live import Entry
from tests.asking import asking

PROMPTS, CHARS = 8, 100_000
WORDS = "The quarterly review went well and everybody was glad about what had been done in so short a time. "


def prompt(number: int) -> str:
    """With an address at its beginning, in its middle and at its end."""
    told = [f"mail ann{number}.{place}@example.org, SSN 536-22-84{number}{place}. " for place in range(3)]
    half = WORDS * (CHARS // 2 // len(WORDS))
    return told[0] + half + told[1] + half + told[2]


@pytest.mark.parametrize("more", [[], [{"role": "assistant", "content": "So?"}, {"role": "user", "content": "Go on."}]])
async def test_a_busy_worker_lets_no_long_prompt_pass_unmasked(more: list[Any]) -> None:
    chain = [
        Entry("pii", "plugins.pii.plugin:Pii", timeout_ms=10.0),
        Entry("output_filter", "plugins.output_filter.plugin:OutputFilter", timeout_ms=10.0),
    ]
    async with asking(*chain) as weir:
        raws = [
            orjson.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt(number)}, *more]})
            for number in range(PROMPTS)
        ]
        got = await asyncio.gather(*(weir.ask(raw=raw) for raw in raws))
        assert {one.status for one in got} == {200}
        bodies = [call.body for call in weir.provider.requests]
        assert len(bodies) == PROMPTS
        assert not any(b"@example.org" in body or b"536-22-84" in body for body in bodies)
        assert all(body.count(b"[EMAIL_") == 3 and body.count(b"[SSN_") == 3 for body in bodies)
