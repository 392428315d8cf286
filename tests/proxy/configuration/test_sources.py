"""Where each value comes from, and everything that is wrong at once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from proxy.configuration import sources
from proxy.configuration.overlay import Overlay
from proxy.configuration.settings import CHAIN, Settings
from proxy.configuration.sources import ConfigErrors, Loaded
from proxy.server.auth import AGENT


def load(
    text: str | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    overlay: Overlay | None = None,
    *,
    folder: Path,
) -> Loaded:
    file = None
    if text is not None:
        file = folder / "w.yaml"
        file.write_text(text)
    return sources.read(file, flags or {}, environ or {}, overlay)


def errors(text: str | None = None, environ: Mapping[str, str] | None = None, **rest: Any) -> list[str]:
    folder = str(rest["folder"])
    with pytest.raises(ConfigErrors) as caught:
        load(text, environ, **rest)
    return [str(error).replace(f"{folder}/", "") for error in caught.value.errors]


def changed(*changes: tuple[str, object]) -> Overlay:
    made = Overlay()
    for key, new in changes:
        made = made.apply(key, new, old=None, who="anna", reason="r", at=1.0)
    return made


def test_nothing_configured_is_the_defaults(tmp_path: Path) -> None:
    made = load(folder=tmp_path)
    assert made.settings == Settings()
    assert {str(origin) for origin in made.origins.values()} == {"default"}
    assert made.warnings == ()


def test_flag_beats_environment_beats_overlay_beats_file_beats_default(tmp_path: Path) -> None:
    text = "limits: {depth: 20, body_bytes: 2000, header_bytes: 2000, relay_bytes: 2000}\n"
    overlay = changed(("limits.depth", 30), ("limits.body_bytes", 3000), ("limits.relay_bytes", 3000))
    environ = {"WEIR_LIMITS__DEPTH": "40", "WEIR_LIMITS__BODY_BYTES": "4000"}
    made = load(text, environ, {"limits.depth": 50, "port": None}, overlay, folder=tmp_path)
    limits = made.settings.limits
    assert (limits.depth, limits.body_bytes, limits.relay_bytes, limits.header_bytes) == (50, 4000, 3000, 2000)
    names = ("depth", "body_bytes", "relay_bytes", "header_bytes", "answer_bytes")
    assert [str(made.origins[f"limits.{name}"]).replace(f"{tmp_path}/", "") for name in names] == [
        "flag --limits.depth", "env WEIR_LIMITS__BODY_BYTES", "overlay change 3 by anna", "w.yaml:1", "default",
    ]  # fmt: skip


def test_every_value_has_an_origin_and_lists_keep_theirs(tmp_path: Path) -> None:
    made = load("upstreams:\n  a:\n    url: http://h/v1\n    models:\n      - x\n      - y\n", folder=tmp_path)
    assert str(made.origins["upstreams.a.models"]).endswith("w.yaml:4")
    assert str(made.origins["upstreams.a.timeouts.idle_s"]) == "default"


def test_every_error_is_told_with_key_line_and_the_nearest_name(tmp_path: Path) -> None:
    text = (
        "limts: {}\nlimits:\n  depth: deep\n  depht: 9\nbody_bytes: 5\nhost: ${NOPE}\nport: 99999\n"
        "agents:\n  tax-eu-001: {target_utilization: 0.5}\nplugins:\n  - audit: {threshold: 1}\n  - metering\n"
    )
    found = errors(text, {"WEIR_PORRT": "1", "WEIR_LOG__LEVL": "debug"}, folder=tmp_path)
    assert found == [
        "w.yaml:1: limts: there is no such option; did you mean limits?",
        "w.yaml:3: limits.depth: must be a whole number",
        "w.yaml:4: limits.depht: there is no such option; did you mean depth?",
        "w.yaml:5: body_bytes: there is no such option; did you mean limits.body_bytes?",
        "w.yaml:6: host: the environment has no NOPE; set it or write ${NOPE:-default}",
        "w.yaml:7: port: must be at most 65535",
        "w.yaml:9: agents.tax-eu-001.target_utilization: there is no such option; did you mean target_utilisation?",
        "w.yaml:11: plugins.audit.threshold: there is no such option; a plugin's own options stand under `options:`",
        "WEIR_LOG__LEVL: there is no such option; did you mean WEIR_LOG__LEVEL?",
        "WEIR_PORRT: there is no such option; did you mean WEIR_PORT?",
    ]


def test_wrong_structure_does_not_hide_what_the_rules_refuse(tmp_path: Path) -> None:
    found = errors("lmits: {}\nadmin_host: 0.0.0.0\naliases: {a: {model: m, upstream: opnai}}\n", folder=tmp_path)
    assert len(found) == 3
    assert "the admin API would be open" in found[1]
    assert found[2].endswith("there is no upstream 'opnai'; did you mean openai?")


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="cannot be read: No such file"):
        sources.read(tmp_path / "nope.yaml", {}, {}, None)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigErrors, match="not UTF-8"):
        sources.read(tmp_path / "b.yaml", {}, {}, None)


def test_a_list_of_plugins_is_the_chain_in_either_form(tmp_path: Path) -> None:
    for text in ("plugins: [metering, audit: {timeout_ms: 5}]", "plugins: {metering: , audit: {timeout_ms: 5}}"):
        made = load(text, folder=tmp_path)
        assert list(made.settings.plugins) == ["metering", "audit"]
        assert made.settings.plugins["audit"].timeout_ms == 5


def test_the_line_of_a_plugin_in_a_list_is_known(tmp_path: Path) -> None:
    found = errors("plugins:\n  - audit\n  - metering:\n      timeout_ms: x\n", folder=tmp_path)
    assert found == ["w.yaml:4: plugins.metering.timeout_ms: must be a number"]


@pytest.mark.parametrize("text", ["plugins: [audit, audit]", "plugins: [{audit: {}, metering: {}}]", "plugins: 5"])
def test_what_is_no_list_of_plugins_is_refused(tmp_path: Path, text: str) -> None:
    assert "plugins" in errors(text, folder=tmp_path)[0]


def test_leaving_audit_out_is_said(tmp_path: Path) -> None:
    made = load("plugins: [metering]", folder=tmp_path)
    assert any("audit does not run" in words for words in made.warnings)


def test_only_the_list_can_add_a_plugin(tmp_path: Path) -> None:
    made = load(environ={"WEIR_PLUGINS__METERING__TIMEOUT_MS": "7"}, folder=tmp_path)
    assert tuple(made.settings.plugins) == CHAIN
    assert made.settings.plugins["metering"].timeout_ms == 7
    found = errors(environ={"WEIR_PLUGINS__METRING__ENABLED": "1"}, folder=tmp_path)
    assert "did you mean metering?" in found[0]
    assert list(load(environ={"WEIR_PLUGINS": "metering"}, folder=tmp_path).settings.plugins) == ["metering"]


def test_an_overlay_cannot_change_what_is_read_at_start(tmp_path: Path) -> None:
    found = errors(overlay=changed(("port", 9), ("limits.dept", 9), ("limits.depth", "x")), folder=tmp_path)
    assert sorted(found, key=lambda words: words.partition("change ")[2]) == [
        "port (overlay change 1 by anna): is read at start only: set it in the file and start again",
        "limits.dept (overlay change 2 by anna): there is no such option; did you mean depth?",
        "limits.depth (overlay change 3 by anna): must be a whole number",
    ]


def test_aliases_may_be_written_short(tmp_path: Path) -> None:
    assert load("aliases: {fast: gpt-5-mini}", folder=tmp_path).settings.aliases["fast"].model == "gpt-5-mini"


def test_keys_from_the_usual_variables_become_references(tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": "sk-canary", "ANTHROPIC_API_KEY_FILE": str(tmp_path / "key")}
    (tmp_path / "key").write_text("sk-canary")
    made = load(environ=environ, folder=tmp_path)
    assert made.settings.upstreams["openai"].key == "env:OPENAI_API_KEY"
    assert made.settings.upstreams["anthropic"].key == f"file:{tmp_path / 'key'}"
    assert "canary" not in repr(made)


def test_base_addresses_from_the_usual_variables(tmp_path: Path) -> None:
    environ = {"OPENAI_BASE_URL": "http://o:1/v1", "ANTHROPIC_BASE_URL": "http://a:1"}
    made = load(environ=environ, folder=tmp_path).settings.upstreams
    assert (made["openai"].url, made["anthropic"].url) == ("http://o:1/v1", "http://a:1/v1")
    over = environ | {"WEIR_UPSTREAMS__OPENAI__URL": "http://w:1/v1"}
    assert load(environ=over, folder=tmp_path).settings.upstreams["openai"].url == "http://w:1/v1"


def test_a_file_that_names_its_upstreams_has_only_those(tmp_path: Path) -> None:
    made = load("upstreams: {own: {url: 'http://h/v1'}}", {"OPENAI_BASE_URL": "http://o/v1"}, folder=tmp_path)
    assert list(made.settings.upstreams) == ["own"]
    assert any("OPENAI_BASE_URL is not used" in words for words in made.warnings)


def test_a_known_name_needs_no_address_and_an_explicit_null_key_stays(tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": "x"}
    made = load("upstreams: {openai: {models: [gpt-4.1]}}", environ, folder=tmp_path).settings.upstreams
    assert made["openai"].url == "https://api.openai.com/v1"
    assert made["openai"].key == "env:OPENAI_API_KEY"
    none = load("upstreams: {openai: {key: null}}", environ, folder=tmp_path).settings.upstreams
    assert none["openai"].key is None


def test_the_upstream_flag_stands_alone_and_gets_no_foreign_key(tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k", "OPENAI_BASE_URL": "http://127.0.0.1:8080/v1"}
    made = load("upstreams: {own: {url: 'http://h/v1'}}", environ, {"upstream": "http://p:9"}, folder=tmp_path)
    assert list(made.settings.upstreams) == ["default"]
    assert made.settings.upstreams["default"].key is None
    assert made.settings.upstreams["default"].dialects == ()
    assert str(made.origins["upstreams.default.url"]) == "flag --upstream"
    own = load(environ=environ, flags={"upstream": "https://api.anthropic.com"}, folder=tmp_path)
    assert own.settings.upstreams["default"].key == "env:ANTHROPIC_API_KEY"
    assert own.settings.upstreams["default"].auth == "x-api-key"


def test_weir_as_its_own_provider_is_refused(tmp_path: Path) -> None:
    found = errors(environ={"OPENAI_BASE_URL": "http://localhost:8080/v1"}, folder=tmp_path)
    assert found[0].startswith("upstreams.openai.url (env OPENAI_BASE_URL): localhost:8080 is Weir itself")


def test_a_literal_secret_is_refused_without_being_repeated(tmp_path: Path) -> None:
    found = errors("upstreams:\n  openai:\n    key: sk-canary\n    headers: {authorization: canary}\n", folder=tmp_path)
    assert len(found) == 2
    assert all("env:NAME" in words and "canary" not in words for words in found)
    assert found[0].startswith("w.yaml:3: upstreams.openai.key: a secret does not stand")


def test_the_profile_observe_touches_nothing_whatever_is_written(tmp_path: Path) -> None:
    text = (
        "profile: observe\nuninspected: refuse\nplugins: [audit, metering, pii, cache: {mode: enforce}]\n"
        "agents: {a: {plugins: {pii: {mode: enforce}, cache: {}}}}\nupstreams: {openai: {ask_usage: always}}\n"
    )
    made = load(text, folder=tmp_path)
    modes = {name: plugin.mode for name, plugin in made.settings.plugins.items()}
    assert modes == {"audit": "enforce", "metering": "enforce", "pii": "shadow", "cache": "shadow"}
    assert made.settings.agents["a"].plugins["pii"].mode == "shadow"
    assert made.settings.upstreams["openai"].ask_usage == "never"
    assert made.settings.uninspected == "record"
    assert len([words for words in made.warnings if "is not followed" in words]) == 4
    assert str(made.origins["plugins.pii.mode"]) == "profile observe"


@pytest.mark.parametrize("text", ["profile: observe\n", "profile: observe\nagents: {a: {}}\n"])
def test_the_profile_observe_touches_nothing_where_no_plugin_is_named(text: str, tmp_path: Path) -> None:
    made = load(text, folder=tmp_path)
    modes = {name: plugin.mode for name, plugin in made.settings.plugins.items()}
    assert list(modes) == list(Settings().plugins)
    assert {name for name, mode in modes.items() if mode != "shadow"} == {"audit", "metering"}


def test_what_is_accepted_but_not_used_yet_is_said(tmp_path: Path) -> None:
    made = load(
        "agents: {a: {streaming: off, min_instances: 2}}\nlearning: {drift_threshold: 0.2}", {}, folder=tmp_path
    )
    assert any(words.startswith("learning: learning.drift_threshold is accepted, but its") for words in made.warnings)
    assert any("agents: min_instances of single agents is accepted" in words for words in made.warnings)
    made = load("learning: {enabled: false}", {}, folder=tmp_path)
    assert not any(words.startswith("learning") for words in made.warnings)


def test_what_the_environment_says_of_the_cache_is_what_its_plugin_does(tmp_path: Path) -> None:
    environ = {"CACHE_TTL": "60", "CACHE_STRATEGY": "lfu"}
    (line,) = load("plugins: [cache]", environ, folder=tmp_path).settings.freeze(1).chain
    assert (line.enabled, line.options) == (True, {"ttl_s": 60, "strategy": "lfu"})
    own = load("plugins: {cache: {options: {ttl_s: 5, sqlite: true}}}", environ, folder=tmp_path).settings
    options = own.freeze(1).chain[0].options
    assert (options["ttl_s"], options["strategy"]) == (5, "lfu")
    assert options["sqlite"] == str(Path(own.data_dir).absolute() / "cache.sqlite")
    assert not load("plugins: [cache]", {"CACHE_ENABLED": "false"}, folder=tmp_path).settings.freeze(1).chain[0].enabled
    without = load("plugins: [audit]", environ, folder=tmp_path)
    assert any(words.startswith("cache: is what the plugin cache does") for words in without.warnings)


def test_what_needs_a_new_start_is_named(tmp_path: Path) -> None:
    """Also where a flag is stronger: the port that a process has bound is one in any case."""

    def begun(text: str, **flags: Any) -> sources.Loaded:
        (tmp_path / "w.yaml").write_text(text)
        return sources.read(tmp_path / "w.yaml", flags, {}, None)

    wished = "port: 9\nbypass: true\nlog: {level: debug}\n"
    assert sources.frozen(begun("{}"), begun(wished)) == ["log", "port"]
    assert sources.frozen(begun("{}", port=8080), begun(wished, port=8080)) == ["log", "port"]
    assert begun(wished, port=8080).settings.port == 8080
    assert sources.frozen(begun(wished, port=8080, workers=2), begun(wished, port=8080, workers=2)) == []
    assert sources.frozen(begun(wished, workers=2), begun(wished + "workers: 3\n", workers=2)) == ["workers"]


@pytest.mark.parametrize("text", ["plugins: [audit, audit]", "plugins: [audit, {audit: {mode: shadow}}]"])
def test_a_plugin_stands_in_the_list_once(text: str, tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(text)
    with pytest.raises(ConfigErrors) as caught:
        sources.read(tmp_path / "w.yaml", {}, {}, None)
    assert [error.message.partition(";")[0] for error in caught.value.errors] == ["audit stands there twice"]


def test_only_a_regular_file_of_a_sensible_size_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as large:
        large.truncate(sources.FILE_BYTES + 1)
    wrong = {
        tmp_path / "pipe": "regular",
        tmp_path: "directory",
        tmp_path / "large": "4 MiB",
        Path("/dev/zero"): "regular",
    }
    for place, words in wrong.items():
        with pytest.raises(ConfigErrors, match=f"cannot be read: it is .*{words}"):
            sources.read(place, {}, {}, None)


def test_agents_are_named_as_calls_can_name_them(tmp_path: Path) -> None:
    for name in ("-a", "A.b_c", "a" * 64, "a@b", "a:b", ".", "..", "a" * 65, "a b"):
        key = {"sha256": "a" * 64, "agent": name}
        (tmp_path / "w.yaml").write_text(json.dumps({"agents": {name: {}}, "identity": {"keys": {"k": key}}}))
        if AGENT.fullmatch(name):
            assert list(sources.read(tmp_path / "w.yaml", {}, {}, None).settings.agents) == [name]
            continue
        with pytest.raises(ConfigErrors) as caught:
            sources.read(tmp_path / "w.yaml", {}, {}, None)
        assert len(caught.value.errors) == 2
