"""What must not run, and what deserves a second look."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from proxy.configuration import refusals
from proxy.configuration.refusals import loopback
from proxy.configuration.settings import Settings
from tests.certificates import certificates

HASH = hashlib.sha256(b"key").hexdigest()
OWN = {"upstreams": {"own": {"url": "https://h/v1", "key": "env:KEY"}}}


def refused(environ: dict[str, str] | None = None, **values: Any) -> list[str]:
    settings = Settings.model_validate_json(json.dumps(values))
    return [f"{'.'.join(path)}: {words}" for path, words in refusals.faults(settings, environ or {}, frozenset())]


def warned(*given: tuple[str, ...], **values: Any) -> list[str]:
    return list(refusals.warnings(Settings.model_validate_json(json.dumps(values)), frozenset(given)))


def test_the_defaults_are_refused_nothing_and_warned_of_nothing() -> None:
    assert refused() == []
    assert warned() == []


@pytest.mark.parametrize(
    ("host", "here"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("localhost", True), ("::1", True), ("[::1]", True), ("0.0.0.0", False),
     ("::", False), ("10.0.0.1", False), ("weir.internal", False), ("localhost.evil.example", False)],
)  # fmt: skip
def test_loopback_is_this_machine_only(host: str, here: bool) -> None:
    assert loopback(host) is here


def test_no_open_relay_by_accident() -> None:
    closed: dict[str, Any] = {"host": "0.0.0.0", "identity": {"pass_through": False}}
    assert "no caller could ever show a credential" in refused(**closed)[0]
    paid = refused({"KEY": "x"}, host="0.0.0.0", **OWN)
    assert "could spend the key of upstream own" in paid[0]
    assert refused(host="0.0.0.0") == []
    keys = {"keys": {"a": {"sha256": HASH}}}
    assert refused({"KEY": "x"}, host="0.0.0.0", identity=keys, **OWN) == []
    assert refused({"KEY": "x"}, host="0.0.0.0", identity={"allow_anonymous": True}, **OWN) == []


def test_the_admin_api_is_never_open() -> None:
    assert "WEIR_ADMIN_TOKEN" in refused(admin_host="0.0.0.0")[0]
    assert refused({"T": "x"}, admin_host="0.0.0.0", admin_token="env:T") == []


@pytest.mark.parametrize(
    ("values", "key"),
    [({"port": 9, "admin_port": 9}, "admin_port"), ({"host": "0.0.0.0", "port": 9, "admin_port": 9}, "admin_port"),
     ({"metrics_listen": "0.0.0.0:8080"}, "metrics_listen")],
)  # fmt: skip
def test_one_port_serves_one_thing(values: dict[str, Any], key: str) -> None:
    assert refused(**values)[0].startswith(f"{key}: ")


def test_any_free_port_collides_with_none() -> None:
    assert refused(port=0, admin_port=0) == []


@pytest.mark.parametrize(
    ("url", "host", "loop"),
    [("http://127.0.0.1:8080/v1", "127.0.0.1", True), ("http://localhost:8080", "127.0.0.1", True),
     ("http://[::1]:8081/v1", "127.0.0.1", True), ("http://weir:8080", "weir", True),
     ("http://127.0.0.1:8082/v1", "127.0.0.1", False), ("http://other:8080/v1", "127.0.0.1", False)],
)  # fmt: skip
def test_weir_is_not_its_own_provider(url: str, host: str, loop: bool) -> None:
    found = [words for words in refused(host=host, upstreams={"a": {"url": url}}) if "is Weir itself" in words]
    assert bool(found) is loop


def test_tls_files_exist_and_belong_together(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    good: dict[str, Any] = {"tls_cert": str(made.server), "tls_key": str(made.server)}
    assert refused(**good) == []
    assert refused(tls_cert=str(made.server)) == ["tls_cert: tls_key is missing: TLS needs both"]
    assert "do not belong together" in refused(**good | {"tls_key": str(made.client)})[0]
    assert "cannot be read" in refused(**good | {"tls_cert": str(tmp_path / "nope")})[0]
    upstream = {"url": "https://h", "ca_file": str(tmp_path / "nope"), "client_cert": str(made.authority)}
    found = refused(upstreams={"a": upstream})
    assert [words.partition(":")[0] for words in found] == ["upstreams.a.ca_file", "upstreams.a.client_cert"]
    assert refused(upstreams={"a": upstream | {"ca_file": str(made.authority), "client_cert": str(made.client)}}) == []


def test_routing_and_fallback_stay_within_a_dialect() -> None:
    upstreams = {
        "o": {"url": "https://o", "dialects": ["chat"], "models": ["gpt-*"]},
        "a": {"url": "https://a", "dialects": ["messages"], "models": ["claude-*"]},
    }

    def found(**alias: Any) -> list[str]:
        return refused(upstreams=upstreams, aliases={"x": {"model": "gpt-5", **alias}, "y": {"model": "gpt-4"}})

    assert found(fallbacks=["gpt-4", "o/gpt-4"]) == []
    assert "stay within a dialect" in found(fallbacks=["claude-1"])[0]
    assert "stay within a dialect" in found(fallbacks=["a/claude-1"])[0]
    assert "is an alias" in found(fallbacks=["y"])[0]
    assert "no upstream serves 'llama'" in found(fallbacks=["llama"])[0]
    assert "no upstream serves 'llama'" in found(model="llama")[0]
    assert found(upstream="o") == []
    assert "there is no upstream 'oo'" in found(upstream="oo")[0]
    assert "is an alias itself" in found(model="y")[0]


def test_references_lead_somewhere_and_their_values_stay_unsaid(tmp_path: Path) -> None:
    assert refused({}, **OWN) == ["upstreams.own.key: the environment has no KEY"]
    assert "cannot be read" in refused(admin_token=f"file:{tmp_path / 'nope'}")[0]
    found = refused({"S": "canary"}, store="env:S")
    assert "must be auto, memory, redis://" in found[0]
    assert "canary" not in found[0]
    assert refused({"S": "redis://:pw@h:6379/0"}, store="env:S") == []


def test_full_texts_need_a_key() -> None:
    assert "audit.content_key" in refused(audit={"content": "full"})[0]
    assert refused(agents={"a": {"content": "full"}})[0].startswith("agents.a.content: ")
    assert refused({"K": "x"}, audit={"content": "full", "content_key": "env:K"}) == []


def test_agents_name_plugins_of_the_list_and_sound_figures() -> None:
    found = refused(agents={"a": {"plugins": {"audti": {}}, "min_instances": 5, "max_instances": 2}})
    assert found == [
        "agents.a.plugins.audti: the list of plugins has no 'audti'; did you mean audit?",
        "agents.a.min_instances: is more than max_instances",
    ]
    assert refused(autoscaling={"min_instances": 11}) == ["autoscaling.min_instances: is more than max_instances"]


def test_two_names_never_share_a_key() -> None:
    found = refused(identity={"keys": {"a": {"sha256": HASH}, "b": {"sha256": HASH.upper()}}})
    assert found == ["identity.keys.b.sha256: is the same key as that of 'a'; each name has its own"]


def test_every_caller_is_known_by_something_and_nobody_by_what_is_anothers() -> None:
    assert "is known by nothing" in refused(identity={"keys": {"bob": {"agent": "tax"}}})[0]
    one = {"certificate": "CN=bob"}
    assert "is the same certificate as that of 'bob'" in refused(identity={"keys": {"bob": one, "eve": one}})[0]
    rotated = {"bob": {"sha256": "aa" * 32}, "eve": {"sha256": "bb" * 32, "previous_sha256": "aa" * 32}}
    assert "is the same key as that of 'bob'" in refused(identity={"keys": rotated})[0]
    assert refused(identity={"keys": {"bob": {**one, "sha256": "aa" * 32}}}) == []


def test_a_header_that_names_callers_needs_peers_who_are_trusted() -> None:
    header = {"peer_header": "X-Forwarded-Client-Cert"}
    assert "nobody's is believed" in refused(identity=header)[0]
    assert refused(identity={**header, "trusted_peers": ("10.0.0.0/8",)}) == []


def test_callers_certificates_need_tls_and_authorities_that_can_be_read(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    ours: dict[str, Any] = {"tls_cert": str(made.server), "tls_key": str(made.server)}
    assert refused(**ours, tls_client_ca=str(made.authority)) == []
    assert "over TLS only" in refused(tls_client_ca=str(made.authority))[0]
    assert "cannot be read" in refused(**ours, tls_client_ca=str(tmp_path / "none.pem"))[0]


def test_a_rule_is_left_out_where_what_it_reads_is_wrong_already() -> None:
    settings = Settings(admin_host="0.0.0.0")
    assert list(refusals.faults(settings, {}, frozenset({"admin_token"}))) == []


def test_every_section_that_a_rule_names_exists() -> None:
    assert frozenset().union(*(sections for sections, _ in refusals.RULES)) <= set(Settings.model_fields)


@pytest.mark.parametrize(
    ("values", "words"),
    [({"workers": 2, "store": "memory"}, "workers:"),
     ({"bypass": True}, "bypass:"), ({"plugins": {"metering": {}}}, "audit does not run"),
     ({"upstreams": {"a": {"url": "https://h", "verify": False}}}, "not checked"),
     ({"upstreams": {"a": {"url": "http://h", "key": "env:K"}}}, "unencrypted"),
     ({"audit": {"content": "masked"}, "plugins": {"audit": {}, "metering": {}}}, "no pii plugin"),
     ({"host": "10.0.0.1", "identity": {"trust_headers": "always"}}, "claim to be any agent")],
)  # fmt: skip
def test_what_deserves_a_second_look_is_said(values: dict[str, Any], words: str) -> None:
    assert any(words in sentence for sentence in warned(**values))


def test_a_redis_store_serves_many_workers() -> None:
    assert warned(workers=4, store="redis://h", secret="env:FLEET") == []
    assert [words.partition(":")[0] for words in warned(workers=4, store="redis://h")] == ["secret"]


@pytest.mark.parametrize(
    "limits",
    [
        {"plugins": {"ratelimit": {"options": {"limits": [{"by": "agent", "concurrent": 8}]}}}},
        {
            "plugins": {"ratelimit": {}},
            "agents": {"a": {"plugins": {"ratelimit": {"options": {"limits": [{"usd_per_day": 1}]}}}}},
        },
        {"plugins": {"ratelimit": {}}, "identity": {"keys": {"k": {"sha256": HASH, "usd_per_day": 5.0}}}},
    ],
)
def test_workers_that_count_each_for_itself_are_refused_where_there_are_limits(
    limits: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (words,) = refused(workers=2, store="memory", **limits)
    assert words.startswith("workers: 2 processes that count each for itself would multiply the limits")
    assert refused(workers=1, store="memory", **limits) == []
    assert refused(workers=2, store="redis://h", **limits) == []
    monkeypatch.setattr(refusals, "find_spec", lambda name: None)
    assert len(refused(workers=2, **limits)) == 1
    monkeypatch.setattr(refusals, "find_spec", lambda name: name)
    assert refused(workers=2, **limits) == []
    off = {**limits, "plugins": {"ratelimit": {**limits["plugins"]["ratelimit"], "enabled": False}}}
    assert refused(workers=2, store="memory", **off) == []
