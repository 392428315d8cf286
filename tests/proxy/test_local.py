"""Weir's own endpoints on the data port: the models of all upstreams, and a caller's own calls."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest

from benchmarks.provider import Provider
from benchmarks.simulated.plan import json_answer
from proxy.channel import ChannelDown
from proxy.live import Alias, CallerKey, Identity, Upstream
from proxy.record import summary_of
from tests.asking import Asking, asking
from tests.proxy.test_relay import from_afar
from tests.worker import Sink

KEYS = Identity(
    keys=tuple(CallerKey(name, hashlib.sha256(name.encode()).hexdigest(), tenant=name) for name in ("key-a", "key-b"))
)


def offers(provider: Provider, *models: Any) -> None:
    """The provider lists these."""
    listed = {"object": "list", "data": [one if isinstance(one, dict) else {"id": one} for one in models]}
    provider._route = lambda call: json_answer(listed)  # type: ignore[method-assign]


def ids(got: Any) -> list[str]:
    return [model["id"] for model in got.doc["data"]]


# --- models


async def test_the_models_of_all_upstreams_are_one_list_with_the_aliases() -> None:
    async with Provider() as other:
        offers(other, "far-1", "gpt-4o", "hidden-1")
        changes: dict[str, Any] = {
            "upstreams": [Upstream("second", other.url, auth="none", models=("far-*", "gpt-4o"))],
            "aliases": {"best": Alias("gpt-4o"), "gpt-4o": Alias("gpt-4o-mini")},
        }
        async with asking(upstream={"key": "k"}, **changes) as weir:
            offers(weir.provider, "gpt-4o", "gpt-4o-mini")
            got = await weir.get("/v1/models")
            assert got.doc["object"] == "list"
            assert ids(got) == ["gpt-4o", "gpt-4o-mini", "far-1", "best"]
            assert {model["object"] for model in got.doc["data"]} == {"model"}
            assert got.headers["x-weir-request-id"].startswith("wr_")


async def test_an_upstream_that_does_not_answer_takes_nothing_from_the_others() -> None:
    dead = Upstream("dead", "http://127.0.0.1:9/v1", auth="none")
    async with asking(upstream={"key": "k"}, upstreams=[dead]) as weir:
        assert "gpt-4o" in ids(await weir.get("/v1/models"))
    async with asking(upstream={"key": "k"}) as weir:
        weir.provider.key = "another"
        got = await weir.get("/v1/models")
        assert (got.status, got.doc["error"]["code"]) == (500, "no_models")


@pytest.mark.parametrize(
    "answer", [{"data": "x"}, {"data": [1, None, {"id": 5}, {}]}, [], "x", {"data": [{"id": "m", "created": "soon"}]}]
)
@pytest.mark.parametrize("anthropic", [False, True])
async def test_a_list_of_any_shape_breaks_nothing(answer: Any, anthropic: bool) -> None:
    headers = {"anthropic-version": "2023-06-01"} if anthropic else {}
    async with asking(upstream={"key": "k"}) as weir:
        weir.provider._route = lambda call: json_answer(answer)  # type: ignore[method-assign]
        got = await weir.get("/v1/models", **headers)
        assert got.status in (200, 500)
        if got.status == 200:
            assert set(ids(got)) <= {"m"}
        else:
            assert got.doc["error"]["code"] == "no_models"


async def test_they_come_in_the_shape_of_the_sdk_that_asks() -> None:
    async with asking(upstream={"key": "k"}, aliases={"best": Alias("gpt-4o")}) as weir:
        offers(weir.provider, {"id": "gpt-4o", "object": "model", "created": 86_400, "owned_by": "o", "more": 1})
        got = await weir.get("/v1/models", **{"anthropic-version": "2023-06-01"})
        assert got.doc["data"][0] == {
            "type": "model", "id": "gpt-4o", "display_name": "gpt-4o", "created_at": "1970-01-02T00:00:00Z",
        }  # fmt: skip
        assert (got.doc["has_more"], got.doc["first_id"], got.doc["last_id"]) == (False, "gpt-4o", "best")
        assert (await weir.get("/v1/models")).doc["data"][0]["more"] == 1
        claude = {"type": "model", "id": "claude", "display_name": "Claude", "created_at": "2026-01-01T00:00:00Z"}
        offers(weir.provider, claude)
        assert (await weir.get("/v1/models", **{"anthropic-version": "2023-06-01"})).doc["data"][0] == claude
        assert (await weir.get("/v1/models")).doc["data"][0] == {
            "id": "claude", "object": "model", "created": 1767225600, "owned_by": "anthropic",
        }  # fmt: skip


async def test_one_model_is_found_by_its_name_whatever_stands_in_it() -> None:
    async with asking(upstream={"key": "k"}) as weir:
        offers(weir.provider, "org/model:1", "gpt-4o")
        assert (await weir.get("/v1/models/gpt-4o")).doc["id"] == "gpt-4o"
        assert (await weir.get("/v1/models/org/model:1")).doc["id"] == "org/model:1"
        assert (await weir.get("/v1/models/org%2Fmodel%3A1")).doc["id"] == "org/model:1"
        got = await weir.get("/v1/models/nope")
        assert (got.status, got.doc["error"]["code"], got.doc["error"]["param"]) == (404, "model_not_found", "model")


async def test_a_credential_goes_only_to_the_upstream_it_belongs_to() -> None:
    async with Provider() as other, Provider() as keyed:
        upstreams = [Upstream("other", other.url), Upstream("keyed", keyed.url, key="weirs-own")]
        async with asking(upstreams=upstreams) as weir:
            await weir.get("/v1/models", authorization="Bearer theirs")
            assert [sent.header("authorization") for sent in weir.provider.requests] == ["Bearer theirs"]
            assert [sent.header("authorization") for sent in keyed.requests] == ["Bearer weirs-own"]
            assert not other.requests


async def test_a_key_of_weirs_own_goes_nowhere() -> None:
    async with asking(identity=KEYS) as weir:
        await weir.get("/v1/models", authorization="Bearer key-a")
        assert all(sent.header("authorization") is None for sent in weir.provider.requests)


async def test_a_stranger_is_not_told_what_weirs_keys_open() -> None:
    async with Provider() as keyed:
        offers(keyed, "secret-model")
        async with asking(upstreams=[Upstream("keyed", keyed.url, key="weirs-own")]) as weir:
            from_afar(weir)
            got = await weir.get("/v1/models", authorization="Bearer theirs")
            assert "secret-model" not in ids(got)
            assert not keyed.requests


async def test_asking_for_models_is_no_call() -> None:
    async with asking(upstream={"key": "k"}) as weir:
        await weir.get("/v1/models")
        await weir.ask()
        assert (await weir.record())["surface"] == "chat"
        assert len(weir.records) == 1


# --- calls


async def made(weir: Asking, key: str, **more: Any) -> str:
    return (await weir.ask(authorization=f"Bearer {key}", **more)).headers["x-weir-request-id"]


async def test_a_caller_reads_what_its_own_call_came_to_also_of_a_stream() -> None:
    async with asking() as weir:
        id_ = await made(weir, "mine", stream=True)
        await weir.record()
        got = await weir.get(f"/weir/calls/{id_}", authorization="Bearer mine")
        assert got.status == 200
        assert got.doc["id"] == id_
        assert got.doc["cost_usd"] == got.doc["cost_nano_usd"] / 1e9 > 0
        assert got.doc["output_tokens"] > 0
        assert got.doc["overhead_ms"] > 0
        assert set(got.doc).isdisjoint({"credential", "audit", "error", "user", "tenant", "key"})


@pytest.mark.parametrize("other", ["Bearer theirs", ""])
async def test_for_another_credential_it_is_not_there(other: str) -> None:
    async with asking() as weir:
        id_ = await made(weir, "mine")
        await weir.record()
        got = await weir.get(f"/weir/calls/{id_}", authorization=other)
        assert (got.status, got.doc["error"]["code"]) == (404, "call_not_found")


class Control(Sink):
    """Knows one call of one credential."""

    def __init__(self, known: dict[str, Any] | Exception) -> None:
        super().__init__()
        self.asked: list[dict[str, Any]] = []
        self._known = known

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(message)
        if isinstance(self._known, Exception):
            raise self._known
        return {"call": self._known}


async def test_of_calls_that_are_not_known_here_control_is_asked() -> None:
    control = Control({"id": "wr_x", "cost_usd": 0.5})
    async with asking(sink=control) as weir:
        got = await weir.get("/weir/calls/wr_x", authorization="Bearer mine")
        assert (got.status, got.doc["cost_usd"]) == (200, 0.5)
        (question,) = control.asked
        assert question["call"] == "wr_x"
        assert len(question["credential"]) >= 16
        assert "mine" not in orjson.dumps(question).decode()


async def test_while_control_is_away_it_says_to_come_back() -> None:
    async with asking(sink=Control(ChannelDown("The control process is not there."))) as weir:
        got = await weir.get("/weir/calls/wr_x")
        assert (got.status, got.doc["error"]["code"]) == (503, "control_unavailable")
        assert "retry-after" in got.headers


async def test_nothing_else_lives_under_weir() -> None:
    async with asking() as weir:
        for path in ("/weir", "/weir/", "/weir/secrets", "/weir/calls"):
            assert (await weir.get(path)).status == 404
        assert not weir.provider.requests


def test_a_summary_has_no_price_where_none_is_known() -> None:
    assert summary_of({"id": "x"})["cost_usd"] is None
    assert summary_of({"id": "x", "cost_nano_usd": 5})["cost_usd"] == 5e-9


# --- feedback

SAID = {"request_id": "wr_1", "good": True}


class Judged(Sink):
    """Takes every verdict, or says what is wrong with it."""

    def __init__(self, **said: Any) -> None:
        super().__init__()
        self.asked: list[dict[str, Any]] = []
        self._said = said or {"state": "kept", "before": None, "taught": ["routing"]}

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(message)
        return {"verdict": self._said}


async def say(weir: Asking, said: Any, path: str = "/weir/feedback", **headers: str) -> Any:
    raw = said if isinstance(said, bytes) else orjson.dumps(said)
    return await weir.post(path, raw, **headers)


@pytest.mark.parametrize("path", ["/weir/feedback", "/v1/feedback"])
@pytest.mark.parametrize(("word", "score"), [({"good": True}, 1.0), ({"good": False}, 0.0), ({"score": 0.25}, 0.25)])
async def test_a_word_on_a_call_goes_to_control_with_who_says_it(path: str, word: Any, score: float) -> None:
    control = Judged()
    async with asking(sink=control, identity=KEYS) as weir:
        got = await say(weir, {"request_id": "wr_1", **word}, path, authorization="Bearer key-a")
        assert (got.status, got.doc) == (200, {
            "request_id": "wr_1", "name": "answer", "score": score, "before": None, "taught": ["routing"],
        })  # fmt: skip
        (asked,) = control.asked
        credential = asked["verdict"].pop("credential")
        assert asked["verdict"] == {"call": "wr_1", "name": "answer", "score": score, "tenant": "key-a"}
        assert len(credential) >= 16
        assert "key-a" not in credential
        assert not weir.provider.requests
        assert not weir.records


async def test_a_name_and_a_comment_go_with_it() -> None:
    control = Judged()
    async with asking(sink=control) as weir:
        await say(weir, {**SAID, "name": "tone.v2", "comment": "kind"})
        assert {name: control.asked[0]["verdict"][name] for name in ("name", "comment")} == {
            "name": "tone.v2", "comment": "kind",
        }  # fmt: skip


WRONG: tuple[tuple[Any, int, str | None], ...] = (
    (b"{", 400, None),
    ([], 400, None),
    ({}, 400, "request_id"),
    ({"request_id": 7, "good": True}, 400, "request_id"),
    ({"request_id": "wr/../1", "good": True}, 400, "request_id"),
    ({"request_id": "wr_1"}, 400, "score"),
    ({**SAID, "score": 1}, 400, "score"),
    ({"request_id": "wr_1", "score": 1.01}, 400, "score"),
    ({"request_id": "wr_1", "score": -0.1}, 400, "score"),
    ({"request_id": "wr_1", "score": True}, 400, "score"),
    ({"request_id": "wr_1", "score": "0.5"}, 400, "score"),
    (b'{"request_id": "wr_1", "score": NaN}', 400, None),
    ({"request_id": "wr_1", "good": 1}, 400, "good"),
    ({**SAID, "name": ""}, 400, "name"),
    ({**SAID, "name": "a b"}, 400, "name"),
    ({**SAID, "name": "n" * 65}, 400, "name"),
    ({**SAID, "comment": 5}, 400, "comment"),
    ({**SAID, "comment": "x" * 2001}, 400, "comment"),
    ({**SAID, "rating": 5}, 400, "rating"),
    ({**SAID, "comment": "x" * 20_000}, 413, None),
)


@pytest.mark.parametrize(("said", "status", "param"), WRONG)
async def test_what_is_no_word_on_a_call_is_told_what_is_wrong(said: Any, status: int, param: str | None) -> None:
    control = Judged()
    async with asking(sink=control) as weir:
        got = await say(weir, said)
        assert (got.status, got.doc["error"]["param"]) == (status, param)
        assert len(got.doc["error"]["message"]) > 20
        assert not control.asked


async def test_a_coded_word_is_not_read() -> None:
    async with asking(sink=Judged()) as weir:
        assert (await say(weir, SAID, **{"content-encoding": "gzip"})).status == 415


@pytest.mark.parametrize(
    ("state", "status", "code"),
    [("unknown", 404, "call_not_found"), ("forbidden", 403, "not_your_call"), ("full", 400, "too_many_names")],
)
async def test_what_control_does_not_keep_is_told(state: str, status: int, code: str) -> None:
    async with asking(sink=Judged(state=state)) as weir:
        got = await say(weir, SAID)
        assert (got.status, got.doc["error"]["code"]) == (status, code)


async def test_an_agent_named_by_its_path_says_it_there() -> None:
    control = Judged()
    async with asking(sink=control) as weir:
        assert (await say(weir, SAID, "/agents/a/v1/feedback")).status == 200
        assert len(control.asked) == 1


async def test_while_control_is_away_nothing_is_judged() -> None:
    async with asking(sink=Control(ChannelDown("The control process is not there."))) as weir:
        got = await say(weir, SAID)
        assert (got.status, got.doc["error"]["code"]) == (503, "control_unavailable")
        assert (await weir.get("/weir/feedback")).status == 404
