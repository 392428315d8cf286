"""From names to plugins: one door for all, order, lives, options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from plugins.audit import Audit
from proxy.errors import ConfigError
from proxy.live import Agent, Entry, Snapshot
from proxy.plugin import Verdict
from proxy.registry import Registry, build, check_order, find, resolver
from tests import kit, plugins_for_tests
from tests.kit import snapshot
from tests.plugins_for_tests import (
    HERE,
    Below,
    Deep,
    DeepOptions,
    Edits,
    FailsOddly,
    FailsToStart,
    FailsToStop,
    Inner,
    Remembers,
    Sends,
    Starts,
    WordOptions,
    listed,
)

FOREIGN = """
from proxy.plugin import Plugin
class Guard(Plugin):
    name = "my-guard"
"""


def classes(made: Snapshot) -> dict[str, Any]:
    return {entry.name: find(entry.uses) for entry in made.chain}


# --- names


def test_own_plugins_and_those_of_others_come_in_by_the_same_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "foreign_plugin.py").write_text(FOREIGN)
    about = tmp_path / "foreign_plugin-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign-plugin\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[weir.plugins]\nmy-guard = foreign_plugin:Guard\n")
    monkeypatch.syspath_prepend(tmp_path)
    guard = find("my-guard")
    assert guard.__name__ == "Guard"
    assert find("foreign_plugin:Guard") is guard
    assert find("audit") is find("plugins.audit:Audit") is Audit


@pytest.mark.parametrize("uses", ["adit", "no.such:Plugin", "no such", "", ":X", ".x:Y", "a..b:C", "../x"])
def test_an_unknown_name_tells_what_is_there(uses: str) -> None:
    with pytest.raises(ConfigError, match=r"there is no plugin .* name an entry point .*audit, .*metering"):
        find(uses)


def test_a_class_that_is_not_in_the_module_tells_which_are() -> None:
    with pytest.raises(ConfigError, match=r"that module has .*Audit"):
        find("plugins.audit:Audti")


def test_what_is_no_plugin_class_is_told_so() -> None:
    for uses in (f"{HERE}:listed", "proxy.plugin:Plugin", "plugins.audit:itertools"):
        with pytest.raises(ConfigError, match="is not a plugin class"):
            find(uses)


def test_a_module_that_lacks_a_library_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needs_more.py").write_text("import no_such_library_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_library_at_all"):
        find("needs_more:X")


# --- order


def test_a_plugin_stands_below_those_it_names() -> None:
    good = snapshot(listed(Edits), listed(Below))
    check_order(good, classes(good))
    bad = snapshot(listed(Below), listed(Edits))
    with pytest.raises(ConfigError, match="'below' must stand below edits: move it down in the list"):
        check_order(bad, classes(bad))
    off = snapshot(listed(Below), listed(Edits, enabled=False))
    check_order(off, classes(off))


def test_what_sends_text_elsewhere_stands_below_pii_or_says_that_it_may_not() -> None:
    pii = listed(Edits, "pii")
    bad = snapshot(listed(Sends), pii)
    with pytest.raises(ConfigError, match=r"'sends' sends text elsewhere .* allow_unmasked"):
        check_order(bad, classes(bad))
    for chain in (
        [pii, listed(Sends)],
        [listed(Sends, options={"allow_unmasked": True}), pii],
        [listed(Sends, enabled=False), pii],
        [listed(Sends)],
    ):
        made = snapshot(*chain)
        check_order(made, classes(made))


def test_a_plugin_that_one_agent_turns_on_is_judged_too() -> None:
    agents = {"a": Agent(plugins={"sends": {"enabled": True}})}
    made = snapshot(listed(Sends, enabled=False), listed(Edits, "pii"), agents=agents)
    with pytest.raises(ConfigError, match="sends text elsewhere"):
        check_order(made, classes(made))


def test_a_plugin_has_one_place() -> None:
    made = snapshot(listed(Edits), listed(Edits))
    with pytest.raises(ConfigError, match="listed twice"):
        check_order(made, classes(made))


async def test_a_wrong_order_fails_at_start() -> None:
    with pytest.raises(ConfigError, match="must stand below"):
        await Registry(kit.kit()).prepare(snapshot(listed(Below), listed(Edits)))


# --- lives


async def test_objects_live_through_reloads_and_are_stopped_at_the_end() -> None:
    registry = Registry(kit.kit())
    first = (await registry.prepare(snapshot(listed(Starts))))["starts"]
    again = await registry.prepare(snapshot(listed(Edits), listed(Starts, mode="shadow")))
    assert again["starts"] is first
    await registry.prepare(snapshot(listed(Edits)))  # taken out: running calls may still hold it
    assert first.life == ["started"]  # type: ignore[attr-defined]
    assert (await registry.prepare(snapshot(listed(Starts))))["starts"] is first
    await registry.stop()
    assert first.life == ["started", "stopped"]  # type: ignore[attr-defined]


async def test_another_class_under_a_name_takes_its_place_and_the_first_is_stopped_at_the_end() -> None:
    registry = Registry(kit.kit())
    first = (await registry.prepare(snapshot(listed(Starts, "x"))))["x"]
    second = (await registry.prepare(snapshot(listed(Edits, "x"))))["x"]
    assert type(second) is Edits
    await registry.stop()
    assert first.life == ["started", "stopped"]  # type: ignore[attr-defined]


async def test_a_plugin_that_is_off_for_all_is_not_made_and_one_that_is_on_for_an_agent_is() -> None:
    registry = Registry(kit.kit())
    assert await registry.prepare(snapshot(listed(Starts, enabled=False))) == {}
    agents = {"a": Agent(plugins={"starts": {"enabled": True}})}
    assert set(await registry.prepare(snapshot(listed(Starts, enabled=False), agents=agents))) == {"starts"}


@pytest.mark.parametrize(
    ("failing", "words"), [(FailsToStart, "its model is not there"), (FailsOddly, "cannot start .*no such file")]
)
async def test_a_start_that_fails_changes_nothing(failing: Any, words: str) -> None:
    started: list[Any] = []

    class Registered(Starts):
        async def start(self) -> None:
            await super().start()
            started.append(self)

    plugins_for_tests.Registered = Registered  # type: ignore[attr-defined]
    try:
        registry = Registry(kit.kit())
        before = await registry.prepare(snapshot(listed(Edits)))
        with pytest.raises(ConfigError, match=words):
            await registry.prepare(snapshot(listed(Edits), listed(Registered), listed(failing)))
        assert [one.life for one in started] == [["started", "stopped"]]
        assert await registry.prepare(snapshot(listed(Edits))) == before
    finally:
        del plugins_for_tests.Registered  # type: ignore[attr-defined]


async def test_one_that_does_not_stop_does_not_keep_the_others_from_it() -> None:
    registry = Registry(kit.kit())
    made = await registry.prepare(snapshot(listed(Starts), listed(FailsToStop)))
    await registry.stop()
    assert made["starts"].life == ["started", "stopped"]  # type: ignore[attr-defined]


async def test_all_forget_a_user_even_where_one_of_them_fails() -> None:
    class Forgets(Remembers):
        asked: ClassVar[list[str]] = []

        async def forget(self, user: str) -> int:
            self.asked.append(f"{self.name} {user}")
            if self.name == "second":
                raise OSError("the store is away")
            return 3

    registry = Registry(kit.kit())
    registry._plugins = {name: Forgets(kit.kit()) for name in ("first", "second", "third")}
    for name, plugin in registry._plugins.items():
        plugin.name = name  # type: ignore[misc]
    with pytest.raises(OSError, match="the store is away"):
        await registry.forget("ann")
    assert Forgets.asked == ["first ann", "second ann", "third ann"]
    del registry._plugins["second"]
    assert await registry.forget("ann") == 6
    assert await registry.export("bob") == [
        {"plugin": name, "user": "bob"} for name in ("first", "third") for _ in "12"
    ]


async def test_a_class_may_be_listed_under_other_names_each_with_its_own_options() -> None:
    made = snapshot(listed(Edits, "one", options={"by": "1"}), listed(Edits, "two", options={"by": "2"}))
    found = await Registry(kit.kit()).prepare(made)
    whole = replace(made, resolve=resolver(made, classes(made)))
    call = kit.exchange(whole)
    assert [call.options(found[name]).by for name in ("one", "two")] == ["1", "2"]
    assert Edits.name == "edits"


# --- options


def test_options_are_those_of_the_chain_with_the_agents_over_them() -> None:
    agents = {
        "a": Agent(plugins={"edits": {"options": {"by": "A"}}}),
        "b": Agent(plugins={"edits": {"mode": "shadow"}}),
    }
    made = snapshot(listed(Edits, options={"word": "x", "tags": ["p", "q"]}), agents=agents)
    resolve = resolver(made, classes(made))
    assert resolve("edits", "default", "") == WordOptions(word="x", tags=("p", "q"))
    assert resolve("edits", "a", "") == WordOptions(word="x", by="A", tags=("p", "q"))
    assert resolve("edits", "b", "").by == "SHOUT"
    assert resolve("edits", "somebody", "") is resolve("edits", "default", "")


def test_options_of_every_shape_are_built_from_plain_values() -> None:
    plain = {"inner": {"level": 2}, "several": [{"level": 3}, {}], "names": ["a", "b"], "maybe": {"level": 4}}
    assert build(DeepOptions, plain) == DeepOptions(
        Inner(2), (Inner(3), Inner()), frozenset({"a", "b"}), Inner(4)
    )  # fmt: skip
    assert build(DeepOptions, {"maybe": None, "of_another_version": 1}) == DeepOptions()
    assert Deep.Options is DeepOptions


def test_an_entry_point_that_is_named_needs_no_module_under_plugins() -> None:
    assert Entry("audit", "audit").uses == "audit"


# --- verdicts


async def test_a_verdict_reaches_those_that_left_a_note_and_one_that_fails_keeps_nobody_from_it() -> None:
    heard: list[tuple[str, Any]] = []

    async def hears(self: Any, verdict: Verdict) -> None:
        heard.append((self.name, verdict.note))
        if self.name == "edits":
            raise RuntimeError("no")

    class Hears(Edits):
        feedback = hears

    registry = Registry(kit.kit())
    registry._plugins = {name: Hears(kit.kit()) for name in ("edits", "other", "silent")}
    for name, plugin in registry._plugins.items():
        plugin.name = name  # type: ignore[misc]
    verdict = Verdict("wr_1", "answer", 1.0, None, "t", "a", None)
    await registry.teach(verdict, {"edits": 1, "gone": 2, "other": [3]})
    assert heard == [("edits", 1), ("other", [3])]


async def test_a_plugin_that_does_not_learn_hears_and_forgets() -> None:
    await Edits(kit.kit()).feedback(Verdict("wr_1", "answer", 1.0, None, "t", "a", None))
