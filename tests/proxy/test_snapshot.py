"""The snapshot on its way to the workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from proxy import snapshot
from proxy.configuration.settings import Settings
from proxy.errors import ConfigError
from proxy.live import Timeouts

FULL = b"""{"upstreams": {"a": {"url": "https://x", "key": "env:KEY", "headers": {"x-token": "file:%s", "x-plain": "v"},
 "query": {"api-version": "1"}, "timeouts": {"connect_s": 2}, "proxy": "env:PROXY"}},
 "aliases": {"fast": {"model": "m", "fallbacks": ["n"]}}, "plugins": {"audit": {"when": {"agents": ["a*"]}}},
 "agents": {"t": {"content": "none", "plugins": {"audit": {"enabled": false}}}},
 "identity": {"trusted_peers": ["10.0.0.0/8"], "keys": {"k": {"sha256": "%s", "agents": ["x"]}}}, "bypass": true}"""


def full(tmp_path: Path) -> Settings:
    (tmp_path / "token").write_text("file-canary\n")
    return Settings.model_validate_json(FULL % (str(tmp_path / "token").encode(), b"a" * 64))


def test_what_control_writes_workers_read(tmp_path: Path) -> None:
    settings = full(tmp_path)
    made = snapshot.load(snapshot.dump(settings, 7), {"KEY": "sk-canary", "PROXY": "http://u:p@h"})
    upstream = made.upstreams["a"]
    assert made.version == 7
    assert (upstream.key, upstream.proxy) == ("sk-canary", "http://u:p@h")
    assert upstream.headers == (("x-token", "file-canary"), ("x-plain", "v"))
    assert upstream.timeouts == Timeouts(connect_s=2)
    frozen = settings.freeze(7)
    assert made.chain == frozen.chain
    assert made.identity == frozen.identity
    assert (made.aliases, made.agents, made.limits, made.bypass) == (frozen.aliases, frozen.agents, frozen.limits, True)


def test_the_defaults_survive_the_way_unchanged() -> None:
    assert snapshot.load(snapshot.dump(Settings(), 1), {}) == Settings().freeze(1)


def test_no_secret_is_in_what_lies_on_disk(tmp_path: Path) -> None:
    raw = snapshot.dump(full(tmp_path), 1)
    assert b"canary" not in raw
    assert b'"env:KEY"' in raw


@pytest.mark.parametrize(
    ("reference", "words"),
    [("env:NOPE", "the environment has no NOPE"), ("file:/nope", "the file /nope cannot be read")],
)
def test_a_secret_that_is_not_there_is_told_without_a_value(reference: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        snapshot.secret(reference, {"OTHER": "canary"})


def test_an_empty_secret_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "k").write_text(" \n")
    with pytest.raises(ConfigError, match="is empty"):
        snapshot.secret(f"file:{tmp_path / 'k'}", {})


def test_an_upstream_whose_key_is_gone_names_itself(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"upstreams\.a: the environment has no KEY"):
        snapshot.load(snapshot.dump(full(tmp_path), 1), {})


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"version": 1, "new": 2}', b'{"version": 1, "upstreams": [1]}'])
def test_a_damaged_snapshot_is_told(raw: bytes) -> None:
    with pytest.raises(ConfigError, match="snapshot cannot be read"):
        snapshot.load(raw, {})


def test_a_snapshot_of_a_newer_weir_is_told() -> None:
    data = orjson.loads(snapshot.dump(Settings(), 1)) | {"surprise": 1}
    with pytest.raises(ConfigError, match="snapshot cannot be read"):
        snapshot.load(orjson.dumps(data), {})


def test_reading_it_needs_neither_pydantic_nor_yaml() -> None:
    code = "import sys, proxy.snapshot; print([m for m in ('pydantic', 'yaml') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("value", ["a\nb", "a\r\nx-b: c", "a\0", "a\x7fb"])
def test_a_secret_is_one_line(value: str, tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(value.encode())
    for reference in ("env:KEY", f"file:{tmp_path / 'k'}"):
        with pytest.raises(ConfigError, match="control character") as caught:
            snapshot.secret(reference, {"KEY": value})
        assert value not in str(caught.value)
    assert snapshot.secret("env:KEY", {"KEY": "sk-1\n"}) == "sk-1"
