"""Plugins out of the server: real classes, options and tables; no model is asked and nothing is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.app.bench import opened
from proxy.errors import ConfigError, PluginFailed
from proxy.exchange import Target
from tests import kit


async def test_the_chain_of_a_configuration_is_opened(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("plugins:\n  - audit\n  - edits: {uses: tests.plugins_for_tests:Edits, options: {by: x}}\n")
    async with opened(str(file), {}) as bench:
        assert set(bench.plugins) == {"audit", "edits"}
        assert bench.snapshot.options("edits", "a", "").by == "x"


async def test_a_single_plugin_is_on_and_enforcing_listed_or_not(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(
        "plugins:\n  - audit\n  - edits: {uses: tests.plugins_for_tests:Edits, enabled: false, mode: shadow}\n"
    )
    async with opened(str(file), {}, only="edits") as bench:
        (entry,) = bench.snapshot.chain
        assert (entry.name, entry.enabled, entry.mode) == ("edits", True, "enforce")
    async with opened(None, {}, only="tests.plugins_for_tests:Edits") as bench:
        assert set(bench.plugins) == {"tests.plugins_for_tests:Edits"}


async def test_no_model_is_asked() -> None:
    async with opened(None, {}) as bench:
        ask = bench.plugins["metering"].kit.ask
        with pytest.raises(PluginFailed):
            await ask(kit.exchange(), Target("a", "b"), {}, "judge")


@pytest.mark.parametrize("text", ["prot: 1\n", "plugins: [nope]\n"])
async def test_a_wrong_configuration_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(text)
    with pytest.raises(ConfigError, match="the configuration is wrong: One thing is wrong:"):
        async with opened(str(tmp_path / "w.yaml"), {}):
            pass
