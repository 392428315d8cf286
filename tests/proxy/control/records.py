"""Builders for the tests of the cold path: records as workers send them, a data directory with a trail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from proxy.control.ledger import Ledger
from tests.kit import FakeClock

KEY = b"k" * 32


def record(number: int, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": f"wr_{number:08d}", "at": 1_700_001_000.0 + number, "agent": f"agent-{number % 3}", "tenant": "default",
        "user": "u1", "session": None, "credential": "cafe", "surface": "chat", "method": "POST",
        "path": "/v1/chat/completions", "stream": False, "model": "gpt-4o", "served_model": "gpt-4o-2024-08-06",
        "status": 200, "outcome": "ok", "error": None, "complete": True, "total_ms": 12.5, "overhead_ms": 0.5,
        "plugins_us": {"metering": 3}, "input_tokens": 10, "output_tokens": 5, "cost_nano_usd": 1000,
        "uninspected": [], "settings": 1,
    }  # fmt: skip
    return found | fields


def entry(number: int, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "seq": number, "worker": "w1", "at": 1_700_001_000.0 + number, "call": f"wr_{number:08d}", "action": "llm.call",
        "agent": f"agent-{number % 3}", "tenant": "default", "user": f"user-{number % 2}", "session": None,
        "outcome": "ok", "plugins": {"metering": []}, "metadata": {"path": "/v1/chat/completions", "model": "gpt-4o"},
    }  # fmt: skip
    return found | fields


def line(number: int, **fields: Any) -> bytes:
    return orjson.dumps(record(number, audit=entry(number), **fields))


def trail(data: Path, clock: FakeClock | None = None) -> Ledger:
    return Ledger(data, KEY, clock or FakeClock())
