from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from proxy.configuration import checking, sources
from proxy.configuration import overlay as overlays
from proxy.configuration.overlay import Overlay
from proxy.configuration.settings import CHAIN
from proxy.configuration.sources import ConfigErrors, Loaded
from proxy.control.configuration import Configuration, Surroundings
from proxy.errors import BadRequest, Forbidden
from proxy.registry import find
from tests.kit import FakeClock


class Stage:
    """A configuration with a file, and what it told the world."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "weir.yaml"
        self.file.write_text("uninspected: record\n")
        self.data = directory / "data"
        self.run = directory / "run"
        self.data.mkdir()
        self.run.mkdir()
        self.notes: list[tuple[str, str, Mapping[str, Any]]] = []
        self.published: list[int] = []
        self.rejected = 0
        self.note_fails = False
        self.verifies = False
        self.environ: dict[str, str] = {}
        self.configuration = self.fresh()

    def fresh(self) -> Configuration:
        return Configuration(
            Surroundings(
                data=self.data, run=self.run, clock=FakeClock(), read=self.read, note=self.note,
                publish=lambda loaded, version: self.published.append(version), rejected=self.count, file=self.file,
            )
        )  # fmt: skip

    def read(self, overlay: Overlay) -> Loaded:
        loaded = sources.read(self.file, {}, self.environ, overlay)
        return checking.verify(loaded, find) if self.verifies else loaded

    async def note(self, who: str, action: str, details: Mapping[str, Any]) -> int:
        if self.note_fails:
            raise OSError("no")
        self.notes.append((who, action, details))
        return len(self.notes)

    def count(self) -> None:
        self.rejected += 1

    def snapshot(self) -> Any:
        return orjson.loads((self.run / "snapshot.json").read_bytes())


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    made = Stage(tmp_path)
    made.configuration.start()
    return made


async def test_the_first_snapshot_is_there_at_start(stage: Stage) -> None:
    assert stage.snapshot()["version"] == 1 == stage.configuration.version
    assert stage.published == [1]
    assert (stage.run / "snapshot.json").stat().st_mode & 0o077 == 0


async def test_a_changed_file_takes_effect_and_is_noted(stage: Stage) -> None:
    assert not await stage.configuration.poll()
    stage.file.write_text("uninspected: refuse\n")
    assert await stage.configuration.poll()
    assert stage.snapshot()["uninspected"] == "refuse" and stage.snapshot()["version"] == 2
    assert stage.published == [1, 2]
    assert [(who, action) for who, action, _ in stage.notes] == [("weir", "settings.reload")]
    assert not await stage.configuration.poll()


async def test_a_wrong_file_keeps_what_runs_and_says_so_everywhere(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.file.write_text("uninspected: maybe\nlimts: {}\n")
    assert not await stage.configuration.poll()
    assert not await stage.configuration.poll()
    assert stage.rejected == 1 and stage.published == [1]
    state = stage.configuration.state()
    assert state["version"] == 1 and any("weir.yaml:1" in error for error in state["errors"])
    assert "the running one stays" in caplog.text and str(stage.file.parent) not in str(state)
    stage.file.write_text("uninspected: refuse\n")
    assert await stage.configuration.poll()
    assert "errors" not in stage.configuration.state()


async def test_a_file_that_is_gone_is_a_wrong_one(stage: Stage) -> None:
    stage.file.unlink()
    assert not await stage.configuration.poll()
    assert stage.rejected == 1 and stage.snapshot()["version"] == 1


async def test_touching_without_changing_makes_no_new_version(stage: Stage) -> None:
    stage.file.write_text("# a comment\nuninspected: record\n")
    assert not await stage.configuration.poll()
    assert stage.published == [1]


async def test_versions_go_on_rising_when_control_comes_back(stage: Stage) -> None:
    again = stage.fresh()
    again.start()
    assert again.version == 2


async def test_a_change_is_noted_written_in_effect_and_undone(stage: Stage) -> None:
    change = await stage.configuration.apply("bypass", True, "ann", "an incident")
    assert stage.snapshot()["bypass"] is True
    assert change["id"] == 1 and change["old"] is False and change["new"] is True
    assert stage.configuration.view()["values"]["bypass"] == {"value": True, "source": "overlay change 1 by ann"}
    assert stage.configuration.export() == "bypass: true\n"
    again = stage.fresh()
    again.start()
    assert again.loaded.settings.bypass is True
    await stage.configuration.undo(1, "bob")
    assert stage.snapshot()["bypass"] is False
    assert [(row["id"], row["in_effect"]) for row in stage.configuration.changes()["changes"]] == [(1, False)]
    assert [(who, action) for who, action, _ in stage.notes] == [("ann", "overlay.apply"), ("bob", "overlay.undo")]
    with pytest.raises(BadRequest, match="already undone"):
        await stage.configuration.undo(1, "bob")
    with pytest.raises(BadRequest, match="there is no change 2"):
        await stage.configuration.undo(2, "bob")


TABLE: tuple[tuple[str, Any, str], ...] = (
    ("bypass", True, "all"),
    ("uninspected", "refuse", "all"),
    ("profile", "observe", "all"),
    ("limits.depth", 64, "all"),
    ("limits", {"depth": 64}, "all"),
    ("streams.hold_s", 2.0, "all"),
    ("records.retention_days", 7, "all"),
    ("plugins.metering.mode", "shadow", "all"),
    ("plugins.metering.enabled", False, "all"),
    ("plugins.metering.options", {}, "token"),
    ("agents.tax.plugins.metering.mode", "shadow", "all"),
    ("upstreams.openai.url", "http://127.0.0.1:28311/v1", "token"),
    ("upstreams.openai.key", "file:/etc/hostname", "token"),
    ("upstreams.openai.headers", {"x-team": "file:/etc/hostname"}, "token"),
    ("upstreams.openai.headers.x-team", "file:/etc/hostname", "token"),
    ("upstreams.openai.verify", False, "token"),
    ("upstreams.openai", {"url": "http://127.0.0.1:28311/v1"}, "token"),
    ("upstreams", {"openai": {"url": "http://127.0.0.1:28311/v1"}}, "token"),
    ('"upstreams"."openai"."url"', "http://127.0.0.1:28311/v1", "token"),
    ("upstreams..openai.url", "http://127.0.0.1:28311/v1", "token"),
    ("identity.allow_anonymous", True, "token"),
    ("identity", {"trust_headers": "always"}, "token"),
    ("audit.strict", True, "token"),
    ("audit", {"strict": True}, "token"),
    ("agents.tax.content", "masked", "token"),
    ("agents.tax", {"content": "masked"}, "token"),
    ("agents", {"tax": {"content": "masked"}}, "token"),
    ("monitoring.alert_webhook_url", "http://127.0.0.1:1/", "token"),
    ("monitoring", {"alert_webhook_url": "http://127.0.0.1:1/"}, "token"),
    ("plugins.output_filter.options.rules", "/etc/passwd", "token"),
    ("agents.tax.plugins.output_filter.options.rules", "/etc/passwd", "token"),
    ("plugins.metering.uses", "os:system", "nobody"),
    ("plugins.metering", {"uses": "os:system"}, "nobody"),
    ("plugins", {"metering": {"uses": "os:system"}}, "nobody"),
    ("plugins", ["audit", {"metering": {"uses": "os:system"}}], "nobody"),
    ('plugins."metering".uses', "os:system", "nobody"),
)


@pytest.mark.parametrize(("key", "value", "who"), TABLE, ids=[f"{key} {who}" for key, _, who in TABLE])
async def test_who_may_change_what_and_undo_it(tmp_path: Path, key: str, value: Any, who: str) -> None:
    stage = Stage(tmp_path)
    stage.configuration.start()
    if who == "all":
        await stage.configuration.apply(key, value, "local", "")
        await stage.configuration.undo(1, "local")
        return
    with pytest.raises(Forbidden, match="WEIR_ADMIN_TOKEN" if who == "token" else "configuration file"):
        await stage.configuration.apply(key, value, "local", "")
    stage.environ["WEIR_ADMIN_TOKEN"] = "a-long-enough-token"
    trusted = stage.fresh()
    trusted.start()
    if who == "nobody":
        with pytest.raises(Forbidden, match="configuration file"):
            await trusted.apply(key, value, "admin", "")
        assert stage.notes == []
        return
    await trusted.apply(key, value, "admin", "")
    del stage.environ["WEIR_ADMIN_TOKEN"]
    again = stage.fresh()
    again.start()
    with pytest.raises(Forbidden, match="WEIR_ADMIN_TOKEN"):
        await again.undo(1, "local")
    assert [action for _, action, _ in stage.notes] == ["overlay.apply"]


async def test_a_token_that_waits_for_the_next_start_opens_nothing_yet(stage: Stage) -> None:
    stage.environ["WEIR_ADMIN_TOKEN"] = "a-long-enough-token"
    await stage.configuration.reload("a test")
    with pytest.raises(Forbidden):
        await stage.configuration.apply("upstreams.openai.verify", False, "local", "")


async def test_what_is_read_at_start_is_shown_as_it_runs_with_what_waits(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.file.write_text("workers: 3\nuninspected: refuse\nlog: {level: debug}\n")
    assert await stage.configuration.poll()
    values = stage.configuration.view()["values"]
    assert values["workers"] == {"value": 1, "source": "default", "after_restart": 3}
    assert (values["log.level"]["value"], values["log.level"]["after_restart"]) == ("info", "debug")
    assert values["uninspected"]["value"] == "refuse" and "after_restart" not in values["uninspected"]
    assert "waits for the next one: log, workers" in caplog.text
    caplog.clear()
    stage.file.write_text("uninspected: refuse\n")
    await stage.configuration.poll()
    assert "after_restart" not in str(stage.configuration.view()) and "waits" not in caplog.text


@pytest.mark.parametrize(
    ("key", "value"),
    [("bypas", True), ("bypass", "yes"), ("", 1), ("port", 1), ("x" * 600, 1), ("bypass", "x" * 70_000)],
)
async def test_a_wrong_change_changes_nothing(stage: Stage, key: str, value: Any) -> None:
    with pytest.raises(BadRequest):
        await stage.configuration.apply(key, value, "ann", "")
    assert stage.notes == [] and stage.published == [1] and not (stage.data / "overlay.json").exists()


async def test_nothing_takes_effect_that_could_not_be_noted(stage: Stage) -> None:
    stage.note_fails = True
    with pytest.raises(OSError):
        await stage.configuration.apply("bypass", True, "ann", "")
    assert stage.snapshot()["bypass"] is False and not (stage.data / "overlay.json").exists()


async def test_no_secret_is_shown(stage: Stage) -> None:
    stage.environ["CANARY_KEY"] = "canary-value"
    stage.environ["MY_URL"] = "redis://:canary-value@host"
    stage.file.write_text(
        "upstreams:\n  one:\n    url: https://one.example\n    key: env:CANARY_KEY\n"
        "    headers: {x-team: canary-team}\n"
        "store: env:MY_URL\n"
    )
    await stage.configuration.poll()
    assert stage.configuration.state()["version"] == 2, stage.configuration.state()
    shown = str(stage.configuration.view())
    assert "canary" not in shown
    assert stage.configuration.view()["values"]["upstreams.one.key"]["value"] == "env:CANARY_KEY"
    assert b"canary-value" not in (stage.run / "snapshot.json").read_bytes()


async def test_a_configuration_that_cannot_work_is_refused_at_start(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.file.write_text("nonsense: 1\n")
    with pytest.raises(ConfigErrors):
        stage.configuration.start()


async def test_a_change_that_keeps_it_from_starting_is_named_with_what_undoes_it(stage: Stage) -> None:
    await stage.configuration.apply("limits.depth", 64, "ann", "")
    await stage.configuration.apply("agents.tax.plugins.pii.mode", "shadow", "bob", "a trial")
    stage.file.write_text("plugins: [audit, metering]\n")
    with pytest.raises(ConfigErrors) as caught:
        stage.fresh().start()
    assert "agents.tax.plugins.pii (overlay change 2 by bob): the list of plugins has no 'pii'" in str(caught.value)
    assert caught.value.advice[1].startswith("  change 2: agents.tax.plugins.pii.mode, set by bob at ")
    assert caught.value.advice[2] == f"To take that back: weir overlay undo 2 --data {stage.data}"
    assert not await stage.configuration.poll()
    state = stage.configuration.state()
    assert state["errors"][-1].endswith("(a trial) To take that back: weir overlay undo 2")
    assert str(stage.data) not in str(state)


async def test_what_was_undone_while_nothing_ran_is_noted_at_the_next_start(stage: Stage) -> None:
    await stage.configuration.apply("limits.depth", 64, "ann", "")
    made = stage.configuration.overlay.undo(1, who=f"bob {overlays.OFFLINE}", at=2.0)
    overlays.write(stage.data / overlays.NAME, made)
    again = stage.fresh()
    again.start()
    await again.note_start()
    assert stage.notes[-1][1] == "settings.start" and stage.notes[-1][2]["undone_offline"] == [1]


async def test_what_a_change_does_not_do_is_said_with_it(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.verifies = True
    stage.file.write_text("plugins: [audit, cache]\n")
    assert await stage.configuration.poll()
    change = await stage.configuration.apply("agents.tax.compression", True, "ann", "")
    assert change["notes"] == [
        "agents.tax.compression (overlay change 1 by ann): does nothing: the list of plugins has no compression; add "
        "`- compression` to it"
    ]
    assert "note: agents.tax.compression" in caplog.text
    assert "notes" not in await stage.configuration.apply("limits.depth", 64, "ann", "")


async def test_the_export_loses_no_plugin_where_the_file_lists_none(stage: Stage) -> None:
    await stage.configuration.apply("plugins.cache.options.ttl_s", 60, "ann", "")
    assert tuple(yaml.safe_load(stage.configuration.export())["plugins"]) == CHAIN
    stage.file.write_text("plugins: [audit, cache]\n")
    assert await stage.configuration.poll()
    assert yaml.safe_load(stage.configuration.export())["plugins"] == {"cache": {"options": {"ttl_s": 60}}}
