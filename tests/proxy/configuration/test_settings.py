"""Every option: its help, its twin in `live`, its schema."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from proxy import live, registry
from proxy.configuration import settings
from proxy.configuration.sections import (
    Agent,
    Alias,
    CallerKey,
    Identity,
    Limits,
    Plugin,
    Section,
    Streams,
    Timeouts,
    Upstream,
    When,
)
from proxy.configuration.settings import (
    CHAIN,
    PROVIDERS,
    STANDARD,
    Settings,
    at,
    base,
    reference,
    schema,
    secret,
    style,
)

TWINS: list[tuple[type[Section], type[Any]]] = [
    (Timeouts, live.Timeouts), (Upstream, live.Upstream), (Alias, live.Alias), (When, live.When), (Plugin, live.Entry),
    (CallerKey, live.CallerKey), (Identity, live.Identity), (Limits, live.Limits), (Streams, live.Streams),
]  # fmt: skip
DIFFERENT = {"name", "auth", "uses", "headers", "query", "keys", "timeouts", "when"}
"""Fields that have another form in the file, or are the name of the section."""


@pytest.mark.parametrize(("section", "twin"), TWINS, ids=lambda kind: kind.__name__)
def test_a_section_has_the_fields_and_defaults_of_its_twin(section: type[Section], twin: type[Any]) -> None:
    there = {item.name: item.default for item in dataclasses.fields(twin) if item.init}
    assert set(section.model_fields) == set(there) - {"name"}
    for name, info in section.model_fields.items():
        if name not in DIFFERENT and not info.is_required() and there[name] is not dataclasses.MISSING:
            assert info.get_default(call_default_factory=True) == there[name], name


def test_everything_of_the_snapshot_can_be_set() -> None:
    there = {item.name for item in dataclasses.fields(live.Snapshot)} - {"version", "resolve", "labels"}
    moved = {"chain": "plugins", "content": "audit", "audit_strict": "audit"}
    assert {moved.get(name, name) for name in there} <= set(Settings.model_fields)
    assert {item.name for item in dataclasses.fields(live.Agent)} <= set(Agent.model_fields)


def test_every_option_has_one_line_of_help_and_figures_have_a_unit() -> None:
    for option in reference():
        assert option.help.endswith("."), option.key
        assert "\n" not in option.help, option.key
        assert len(option.help) <= 115, option.key
    timed = [option.key for option in reference() if re.search(r"timeout|ttl|interval|retention", option.path[-1])]
    assert all(re.search(r"_(s|ms|days)$|timeouts$", key) for key in timed)


def test_every_option_has_a_variable_and_a_path_that_leads_to_it() -> None:
    names = {option.key: option.env for option in reference()}
    assert names["limits.body_bytes"] == "WEIR_LIMITS__BODY_BYTES"
    assert names["upstreams.<name>.url"] == "WEIR_UPSTREAMS__<NAME>__URL"
    assert len(set(names.values())) == len(names)
    for option in reference():
        assert at(option.path) is not None
    assert at(("limits", "nope")) is None
    assert at(("port", "deeper")) is None


def test_the_standard_order_is_that_of_the_registry() -> None:
    assert tuple(name for name, _ in STANDARD) == registry.ORDER
    assert set(CHAIN) <= set(registry.ORDER)


def test_sections_whose_engine_comes_later_say_so() -> None:
    for option in reference():
        if option.path[0] in settings.LATER and option.key != "learning.enabled":  # (that one acts)
            assert "release" in option.help, option.key


def test_wrong_types_are_refused_and_values_never_repeated() -> None:
    with pytest.raises(ValueError, match="port") as caught:
        Settings.model_validate({"port": "canary-8080"})
    assert "canary" not in str(caught.value)


def test_the_defaults_name_two_providers_and_every_plugin_that_is_there() -> None:
    made = Settings()
    assert dict(made.upstreams) == dict(PROVIDERS)
    assert list(made.plugins) == list(settings.CHAIN)
    assert [name for name in registry.ORDER if name in settings.CHAIN] == list(settings.CHAIN)


@pytest.mark.parametrize(
    ("url", "path"),
    [("https://h", "https://h/v1"), ("https://h/", "https://h/v1"), ("https://h/v1/", "https://h/v1"),
     ("https://h/a/{model}", "https://h/a/{model}")],
)  # fmt: skip
def test_an_address_without_a_path_gets_v1(url: str, path: str) -> None:
    assert base(url) == path
    assert base(base(url)) == path


def test_auto_chooses_how_the_key_is_sent() -> None:
    assert style(Upstream(url="https://x", dialects=("messages",))) == "x-api-key"
    assert style(Upstream(url="https://x.openai.azure.com/openai")) == "api-key"
    assert style(Upstream(url="https://x")) == "bearer"
    assert style(Upstream(url="https://x.openai.azure.com", auth="none")) == "none"


def test_an_agents_switches_reach_the_plugins_that_are_listed() -> None:
    made = Settings.model_validate_json(
        '{"plugins": {"audit": {}, "cache": {}}, "audit": {"content": "masked"}, "agents": {"a": {"cache": false,'
        ' "compression": true, "plugins": {"audit": {"mode": "shadow", "timeout_ms": null, "options": {"x": 1}}}}}}'
    )
    agent = made.freeze(1).agents["a"]
    assert agent.plugins == {"audit": {"mode": "shadow", "options": {"x": 1}}, "cache": {"enabled": False}}
    assert agent.content == "masked"


def test_the_supervisor_gets_plain_values() -> None:
    made = Settings().process()
    assert made["port"] == 8080
    assert made["log"] == {"level": "info", "format": "json"}
    assert set(made) == settings.AT_START


def test_secrets_are_known_by_their_place() -> None:
    assert secret(("upstreams", "any", "key"))
    assert secret(("upstreams", "any", "headers", "x"))
    assert not secret(("upstreams", "any", "url"))
    assert not secret(("identity", "keys", "a", "sha256"))


def test_the_schema_knows_every_option_and_the_short_forms() -> None:
    made = schema()
    assert set(made["properties"]) == set(Settings.model_fields)
    assert made["properties"]["port"]["description"] == Settings.model_fields["port"].description
    assert {"type": "string"} in made["properties"]["aliases"]["additionalProperties"]["anyOf"]
    assert [kind.get("type") for kind in made["properties"]["plugins"]["anyOf"]] == ["object", "array"]
    assert made["additionalProperties"] is False
    known = made["properties"]["upstreams"]["properties"]["openai"]["$ref"].rpartition("/")[2]
    assert "required" not in made["$defs"][known]
    assert made["$defs"]["Upstream"]["required"] == ["url"]
