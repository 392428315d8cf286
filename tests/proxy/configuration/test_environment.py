"""The environment as configuration."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.configuration.environment import SPECIFIED, flags, linked, locate, read
from proxy.configuration.settings import at, reference
from proxy.errors import ConfigError

FILE = {"agents": {"tax-eu-001": {}, "a.b": {}, "a-b": {}}, "upstreams": {"azure-eu": {"query": {"api-version": "1"}}}}


def values(environ: dict[str, str]) -> dict[str, object]:
    found = read(environ, FILE)
    assert found.errors == ()
    return {".".join(given.path): given.value for given in found.given}


def test_every_option_can_be_set() -> None:
    for option in reference():
        name = option.env.replace("<NAME>", "X")
        assert locate(name, {}) == tuple("x" if part == "<name>" else part for part in option.path)


def test_the_names_of_the_specification_lead_to_options() -> None:
    assert all(at(path) is not None for _, path in SPECIFIED)
    assert values({"CACHE_ENABLED": "off", "DRIFT_THRESHOLD": "0.2", "REDIS_URL": "redis://h:1/0"}) == {
        "cache.enabled": False,
        "learning.drift_threshold": 0.2,
        "store": "redis://h:1/0",
    }


def test_texts_become_values_of_the_options_kind() -> None:
    assert values({
        "WEIR_PORT": " 9 ", "WEIR_STREAM_BUFFER": "1", "WEIR_BYPASS": "no", "WEIR_HOST": "10",
        "WEIR_LOG__LEVEL": "DEBUG",
        "WEIR_IDENTITY__TRUSTED_PEERS": "10.0.0.1, 10.0.0.2", "WEIR_UPSTREAMS__AZURE_EU__MODELS": '["a", "b"]',
        "WEIR_UPSTREAMS__NEW__QUERY": '{"a": "1"}', "WEIR_PLUGINS__PII__OPTIONS__THRESHOLD": "0.5",
        "WEIR_PLUGINS__PII__OPTIONS__LIST": "[1, 2]", "WEIR_DATA_DIR": "",
    }) == {
        "port": 9, "stream_buffer": True, "bypass": False, "host": "10", "log.level": "debug",
        "identity.trusted_peers": ["10.0.0.1", "10.0.0.2"], "upstreams.azure-eu.models": ["a", "b"],
        "upstreams.new.query": {"a": "1"}, "plugins.pii.options.threshold": 0.5, "plugins.pii.options.list": [1, 2],
    }  # fmt: skip


def test_names_of_the_file_are_recognised() -> None:
    assert locate("WEIR_AGENTS__TAX_EU_001__CACHE", FILE) == ("agents", "tax-eu-001", "cache")
    assert locate("WEIR_UPSTREAMS__AZURE_EU__QUERY__API_VERSION", FILE)[-1] == "api-version"
    with pytest.raises(ConfigError, match=r"may mean a\.b or a-b"):
        locate("WEIR_AGENTS__A_B__CACHE", FILE)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("WEIR_PORRT", "WEIR_PORT"), ("WEIR_LIMITS_BODY_BYTES", "WEIR_LIMITS__BODY_BYTES"),
     ("WEIR_LIMITS__BODY_BYTE", "WEIR_LIMITS__BODY_BYTES"), ("WEIR_UPSTREAMS__X__ULR", "WEIR_UPSTREAMS__X__URL"),
     ("WEIR_ADMIN_TOKEN_FIL", "WEIR_ADMIN_TOKEN")],
)  # fmt: skip
def test_a_typo_is_refused_with_the_nearest_name(name: str, meant: str) -> None:
    found = read({name: "1"}, {})
    assert [str(error) for error in found.errors] == [f"{name}: there is no such option; did you mean {meant}?"]


def test_secrets_are_referred_to_and_never_copied() -> None:
    assert values({
        "WEIR_UPSTREAMS__OPENAI__KEY": "sk-canary", "WEIR_ADMIN_TOKEN_FILE": "/run/t", "REDIS_URL": "redis://:canary@h",
        "ALERT_WEBHOOK_URL": "https://hooks/canary", "WEIR_AUDIT__CONTENT_KEY": "file:/k",
    }) == {
        "upstreams.openai.key": "env:WEIR_UPSTREAMS__OPENAI__KEY", "admin_token": "file:/run/t",
        "store": "env:REDIS_URL",
        "monitoring.alert_webhook_url": "env:ALERT_WEBHOOK_URL", "audit.content_key": "file:/k",
    }  # fmt: skip


def test_a_secret_and_its_file_together_are_refused() -> None:
    found = read({"WEIR_ADMIN_TOKEN": "x", "WEIR_ADMIN_TOKEN_FILE": "/t"}, {})
    assert "unset one of them" in str(found.errors[0])
    assert "no such option" in str(read({"WEIR_PORT_FILE": "/t"}, {}).errors[0])


def test_what_kubernetes_sets_for_a_service_named_weir_is_ignored_and_said() -> None:
    environ = {
        "WEIR_SERVICE_HOST": "10.0.0.1", "WEIR_SERVICE_PORT": "8080", "WEIR_SERVICE_PORT_HTTP": "8080",
        "WEIR_PORT": "tcp://10.0.0.1:8080", "WEIR_PORT_8080_TCP": "tcp://10.0.0.1:8080",
        "WEIR_PORT_8080_TCP_ADDR": "10.0.0.1",
        "WEIR_ADMIN_SERVICE_HOST": "10.0.0.2", "WEIR_ADMIN_PORT": "tcp://10.0.0.2:8081",
    }  # fmt: skip
    found = read(environ, {})
    assert (found.given, found.errors) == ((), ())
    assert len(found.warnings) == len(environ)
    assert not linked("WEIR_PORT", "8080")


def test_what_is_not_ours_is_left_alone() -> None:
    assert read({"PATH": "x", "weir_port": "9", "WEIR_CONFIG": "f", "WEIRD": "1"}, {}).given == ()


def test_flags_speak_like_variables_and_none_is_not_given() -> None:
    given = {"port": 9, "host": None, "upstream": "http://x", "limits.depth": "12", 'aliases."gpt-4.1".model': "x"}
    assert dict(flags(given)) == {("port",): 9, ("limits", "depth"): 12, ("aliases", "gpt-4.1", "model"): "x"}


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text("ABC_PORTLIMS", max_size=20).map(lambda end: f"WEIR_{end}"), st.text(max_size=20)))
def test_no_environment_makes_reading_raise(environ: dict[str, str]) -> None:
    read(environ, FILE)
