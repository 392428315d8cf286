"""How long it takes to verify an audit trail. `python -m benchmarks.audit [--entries 1000000]`."""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from pathlib import Path

from proxy.clock import SystemClock
from proxy.control.audit import load_key, verify
from proxy.control.ledger import Ledger

BATCH = 1000


def entry(number: int) -> dict[str, object]:
    """As the audit plugin makes them."""
    return {
        "seq": number, "worker": "bench", "at": 1_700_000_000.0 + number, "call": f"wr_{number:023x}",
        "action": "llm.call", "agent": f"agent-{number % 51}", "tenant": "default", "user": f"user-{number % 1000}",
        "session": None, "outcome": "ok", "plugins": {"audit": [], "metering": []},
        "metadata": {"surface": "chat", "method": "POST", "path": "/v1/chat/completions", "model": "gpt-4o-mini",
                     "status": 200, "finish": "stop", "complete": True, "findings": [], "uninspected": []},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    entries = parser.parse_args().entries
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as place:
        data = Path(place)
        key = load_key(data, {})
        ledger = Ledger(data, key, SystemClock())
        for first in range(1, entries, BATCH):
            ledger.append([entry(number) for number in range(first, first + BATCH)])
        ledger.close()
        start = time.perf_counter()
        report = verify(data / "audit.db", key)
        took_s = time.perf_counter() - start
        size_mb = (data / "audit.db").stat().st_size / 1e6
    print(f"{platform.machine()}, Python {platform.python_version()}")
    print(f"{report.entries} entries, {size_mb:.0f} MB, whole: {report.ok}, verified in {took_s:.1f} s")


if __name__ == "__main__":
    main()
