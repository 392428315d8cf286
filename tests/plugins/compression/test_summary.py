"""How long a summary is waited for: never so long that the plugin's own time is over."""

from __future__ import annotations

import pytest

from plugins.compression.summary import _patience_s
from proxy.live import Agent
from tests import kit


@pytest.mark.parametrize(
    ("agent", "timeout_ms", "waits_s"),
    [("", 10_000, 7.0), ("tax", 10_000, 14.0), ("other", 10_000, 7.0), ("free", 10_000, 20.0), ("", 0, 20.0)],
)
def test_the_time_is_that_of_the_plugin_for_this_agent(agent: str, timeout_ms: float, waits_s: float) -> None:
    agents = {
        "tax": Agent(plugins={"compression": {"timeout_ms": 20_000}}),
        "other": Agent(plugins={"compression": {"options": {}}}),
        "free": Agent(plugins={"compression": {"timeout_ms": 0}}),
    }
    snapshot = kit.snapshot(kit.entry("compression", timeout_ms=timeout_ms), agents=agents)
    assert _patience_s(kit.exchange(snapshot, agent=agent), 20.0) == pytest.approx(waits_s)
