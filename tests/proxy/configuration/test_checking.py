"""What `weir check` says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from proxy import registry
from proxy.configuration import checking, sources
from proxy.configuration.settings import CHAIN
from proxy.configuration.sources import ConfigErrors, Loaded
from proxy.errors import ConfigError
from proxy.plugin import Plugin


@dataclass(frozen=True, slots=True)
class Options:
    threshold: float = 0.5


class Audit(Plugin[Any]):
    name = "audit"


class Guard(Plugin[Options]):
    """Refuses what is bad."""

    name = "guard"
    Options = Options
    after = frozenset({"audit"})
    overlap = True


class Sender(Plugin[Any]):
    name = "sender"
    egress: ClassVar[bool] = True


def find(uses: str) -> type[Plugin[Any]]:
    known: dict[str, type[Plugin[Any]]] = {
        **dict.fromkeys(CHAIN, Audit), "guard": Guard, "sender": Sender,
    }  # fmt: skip
    if uses == "broken:Plugin":
        raise RuntimeError("no such library")
    if uses not in known:
        raise ConfigError(f"there is no plugin {uses!r}")
    return known[uses]


def load(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Loaded:
    (tmp_path / "w.yaml").write_text(text)
    return sources.read(tmp_path / "w.yaml", {"port": 9090}, environ or {}, None)


def wrong(tmp_path: Path, text: str) -> list[str]:
    return [str(error).replace(f"{tmp_path}/", "") for error in checking.faults(load(tmp_path, text), find)]


def test_what_runs_in_which_order_and_why(tmp_path: Path) -> None:
    text = (
        "plugins:\n  - audit\n"
        "  - guard: {mode: shadow, on_error: closed, overlap: true, when: {agents: [tax-*], share: 0.5}}\n"
        "  - metering: {enabled: false}\n"
    )
    said = "\n".join(checking.sentences(load(tmp_path, text), find))
    assert "1. audit enforces, for every call; when it breaks it lets the call pass. Its place: on top" in said
    assert (
        "2. guard in shadow (records what it would have done), judges beside the call, for 50% of calls of agents "
        "tax-*; when it breaks it refuses the call. Refuses what is bad." in said
    )
    assert "3. metering: off." in said


def said_of(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> str:
    return "\n".join(checking.sentences(load(tmp_path, text, environ), registry.find))


def test_a_plugin_that_does_not_run_is_not_said_to(tmp_path: Path) -> None:
    for text, environ in (("cache: {enabled: false}\n", {}), ("", {"CACHE_ENABLED": "false"})):
        assert "9. cache: off.\n" in said_of(tmp_path, text, environ)
    some = said_of(tmp_path, "cache: {enabled: false}\nagents: {a: {plugins: {cache: {enabled: true}}}}\n")
    assert "9. cache: off, but on for the agent a.\n" in some
    bypassed = said_of(tmp_path, "bypass: true\n")
    assert "9. cache: off, because `bypass` is on." in bypassed and "2. metering enforces" in bypassed


def test_a_plugin_whose_options_leave_it_nothing_to_do_is_said_to_do_nothing(tmp_path: Path) -> None:
    for text in ("cache: {ttl_s: 0}\n", "plugins: [audit, metering, cache: {options: {ttl_s: 0}}]\n"):
        assert "cache does nothing: its options leave it nothing to do." in said_of(tmp_path, text)
    said = said_of(tmp_path, "")
    assert "9. cache enforces, for every call" in said and "3. ratelimit does nothing" in said
    assert "10. embeddings enforces, for calls of paths /v1/embeddings;" in said
    one = said_of(tmp_path, "cache: {ttl_s: 0}\nagents: {a: {plugins: {cache: {options: {ttl_s: 9}}}}}\n")
    assert "9. cache enforces" in one


def test_what_was_probably_meant_is_told_with_a_name_that_is_no_plugin(tmp_path: Path) -> None:
    (said,) = wrong(tmp_path, "plugins: [audit, metring]\n")
    assert said.endswith("there is no plugin 'metring'; did you mean metering?")


def test_a_flag_is_told_as_it_is_written() -> None:
    loaded = sources.read(None, {"data_dir": "d", "admin_port": 0}, {}, None)
    assert [str(loaded.origins[name]) for name in ("data_dir", "admin_port")] == ["flag --data", "flag --admin-port"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("streams: {streaming: on}", "streams.streaming: must be one of 'asked', 'auto' (YAML reads a bare on, off, yes"
         " or no as true or false: write a word in quotes)"),
        ("plugins: [pii: {options: {types: {PHONE: off}}}]", "'off' (write it in quotes: YAML reads a bare on"),
        ("plugins: [pii: {mode: on}]", "plugins.pii.mode: must be one of 'enforce', 'shadow' (YAML reads a bare on"),
        ("plugins: [pii: {mode: secret}]", "plugins.pii.mode: must be one of 'enforce', 'shadow'"),
    ],
)  # fmt: skip
def test_a_switch_where_a_word_should_stand_is_explained(tmp_path: Path, text: str, told: str) -> None:
    try:
        (error,) = checking.faults(load(tmp_path, text), registry.find)
    except ConfigErrors as errors:
        (error,) = errors.errors
    assert told in str(error)


def test_every_value_is_told_with_its_source(tmp_path: Path) -> None:
    loaded = load(
        tmp_path, "limits: {depth: 20}\nagents: {a: {cache: off}}\n", {"CACHE_TTL": "60", "OPENAI_API_KEY": "k"}
    )
    said = [line.strip().replace(f"{tmp_path}/", "") for line in checking.sentences(loaded, find)]
    assert "port = 9090 (flag --port)" in said
    assert "limits.depth = 20 (w.yaml:1)" in said
    assert "cache.ttl_s = 60 (env CACHE_TTL)" in said
    assert "upstreams.openai.key = env:OPENAI_API_KEY (env OPENAI_API_KEY)" in said
    assert "limits.header_bytes = 32768 (default)" not in said
    assert "a: cache off." in said
    assert "upstreams.openai.verify = true (default)" not in said
    every = [line.strip() for line in checking.sentences(loaded, find, every=True)]
    assert {"upstreams.openai.verify = true (default)", "limits.header_bytes = 32768 (default)"} <= set(every)


def test_where_nothing_was_set_it_says_so() -> None:
    said = checking.sentences(sources.read(None, {}, {}, None), find)
    assert said[-2:] == ["Values that were set, and where:", "  none; everything is at its default"]


def test_what_only_the_classes_can_say_is_told_with_its_line(tmp_path: Path) -> None:
    text = (
        "plugins:\n  guard:\n    options:\n      treshold: 1\n  audit: {overlap: true}\n  nope: {}\n"
        "  own:\n    uses: broken:Plugin\nagents:\n  a:\n    plugins:\n      guard: {options: {threshold: x}}\n"
    )
    assert wrong(tmp_path, text) == [
        "w.yaml:6: plugins.nope: there is no plugin 'nope'",
        "w.yaml:8: plugins.own.uses: the plugin broken:Plugin cannot be imported (RuntimeError: no such library)",
        "w.yaml:4: plugins.guard.options.treshold: there is no such option; did you mean threshold?",
        "w.yaml:12: agents.a.plugins.guard.options.threshold: must be a number",
        "w.yaml:5: plugins.audit.overlap: cannot be true: only a plugin that says yes or no may judge beside the call",
        "w.yaml:2: plugins.guard: must stand below audit: move it down in the list",
    ]


def test_nothing_that_sends_text_elsewhere_stands_above_pii(tmp_path: Path) -> None:
    assert "stands above pii" in wrong(tmp_path, "plugins: [audit, sender, pii]")[0]
    assert wrong(tmp_path, "plugins: [audit, pii, sender]") == []
    assert wrong(tmp_path, "plugins: [audit, sender: {enabled: false}, pii]") == []


def test_wrong_things_stand_at_the_top_of_what_is_said(tmp_path: Path) -> None:
    loaded = load(tmp_path, "plugins: [audit, nope]")
    assert checking.sentences(loaded, find)[0].startswith("Wrong: ")
    with pytest.raises(ConfigErrors) as caught:
        checking.verify(loaded, find)
    said = checking.failed(caught.value)
    assert said[0] == "One thing is wrong:"
    assert said[1].endswith("w.yaml:1: plugins.nope: there is no plugin 'nope'")
    checking.verify(load(tmp_path, ""), find)


def test_no_secret_is_shown(tmp_path: Path) -> None:
    loaded = load(tmp_path, "plugins: [audit, guard: {options: {api_key: canary}}]", {"OPENAI_API_KEY": "canary"})
    assert "canary" not in "\n".join(checking.sentences(loaded, find))
