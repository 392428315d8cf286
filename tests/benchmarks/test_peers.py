"""The relays measured beside Weir: how each is started and configured; nothing is installed here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from benchmarks.peers import MODELS, PEERS, Peer
from benchmarks.peers.environments import once

PROVIDER = "http://127.0.0.1:9"
every = pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


def written(work: Path) -> str:
    return "".join(path.read_text() for path in work.iterdir())


@every
def test_a_relay_is_told_its_port_and_the_provider(peer: Peer, tmp_path: Path, work: Path) -> None:
    arguments, environment = peer.command(tmp_path / "place", 4321, PROVIDER, work)
    told = " ".join((*arguments, *environment.values(), *peer.headers_for(PROVIDER).values(), written(work)))
    assert "4321" in told
    assert "127.0.0.1:9" in told
    assert all(isinstance(part, str) for part in (*arguments, *environment, *environment.values()))


@every
def test_a_relay_starts_from_any_working_directory(peer: Peer, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work.parent)
    arguments, _ = peer.command(Path("place"), 4321, PROVIDER, Path("work"))
    assert Path(arguments[0]).is_absolute() or "/" not in arguments[0]
    assert not [part for part in arguments if part.startswith(("place", "work"))]


@every
def test_a_relay_says_what_it_is(peer: Peer) -> None:
    assert peer.name and peer.version and peer.scope
    assert peer.path.startswith("/")
    assert peer.model("json-1500") == "json-1500"
    assert "{" not in "".join(peer.headers_for(PROVIDER).values())


def test_names_are_told_apart() -> None:
    assert len({peer.name for peer in PEERS}) == len(PEERS)


def test_litellm_knows_every_model_and_tries_once(tmp_path: Path, work: Path) -> None:
    arguments, _ = by_name("LiteLLM").command(tmp_path, 4321, PROVIDER, work)
    settings = yaml.safe_load(Path(arguments[arguments.index("--config") + 1]).read_text())
    assert [entry["model_name"] for entry in settings["model_list"]] == list(MODELS)
    assert {entry["litellm_params"]["api_base"] for entry in settings["model_list"]} == {f"{PROVIDER}/v1"}
    assert settings["router_settings"]["num_retries"] == settings["litellm_settings"]["num_retries"] == 0


def test_ferro_knows_every_model_and_limits_no_rate(tmp_path: Path, work: Path) -> None:
    _, environment = by_name("Ferro").command(tmp_path, 4321, PROVIDER, work)
    settings = json.loads(Path(environment["GATEWAY_CONFIG"]).read_text())
    assert settings["targets"] == [{"virtual_key": "openai", "models": list(MODELS)}]
    assert environment["RATE_LIMIT_RPS"] == "0"


def test_nginx_keeps_connections_and_holds_no_stream_back(tmp_path: Path, work: Path) -> None:
    by_name("nginx").command(tmp_path, 4321, PROVIDER, work)
    settings = (work / "nginx.conf").read_text()
    assert settings.count("{") == settings.count("}")
    assert "server 127.0.0.1:9;" in settings
    assert "proxy_buffering off;" in settings


def test_an_environment_is_made_once(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(folder: Path) -> str | None:
        made.append(folder)
        return None if len(made) > 1 else "Not today."

    place = tmp_path / "place"
    assert once(place, "thing 1", make) == "Not today."
    assert once(place, "thing 1", make) is None
    assert once(place, "thing 1", make) is None
    assert len(made) == 2
    assert once(place, "thing 2", make) is None
    assert len(made) == 3


def by_name(name: str) -> Peer:
    return next(peer for peer in PEERS if peer.name == name)
