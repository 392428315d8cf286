"""How much one call may ask for: judged on every surface, by the short way and the regular one."""

from __future__ import annotations

import hashlib
from typing import Any

import aiohttp
import orjson
import pytest

from proxy.bounds import beyond, bounds_of, hold
from proxy.errors import BadRequest
from proxy.live import CallerKey, Identity, Limits, Snapshot, Streams
from tests.pairs import SURFACES
from tests.worker import weir

KEY = "weir-own"
HEADERS = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
OVER: list[tuple[str, dict[str, Any], str]] = [
    ("chat", {"n": 3}, "n"),
    ("chat", {"max_tokens": 101}, "max_tokens"),
    ("chat", {"max_completion_tokens": 101}, "max_completion_tokens"),
    ("chat", {"max_tokens": 10**12}, "max_tokens"),
    ("chat", {"messages": [{"role": "user", "content": "x"}] * 4}, "messages"),
    ("chat", {"tools": [TOOL] * 3}, "tools"),
    ("chat", {"functions": [{}] * 3}, "functions"),
    ("responses", {"max_output_tokens": 101}, "max_output_tokens"),
    ("responses", {"input": [{"role": "user", "content": "x"}] * 4}, "input"),
    ("completions", {"best_of": 3}, "best_of"),
    ("completions", {"prompt": ["x"] * 4}, "prompt"),
    ("completions", {"prompt": ["x"] * 3}, "prompt"),
    ("completions", {"prompt": ["x"] * 2, "n": 2}, "n"),
    ("completions", {"prompt": ["x"] * 2, "max_tokens": 51}, "max_tokens"),
    ("completions", {"n": 2, "max_tokens": 51}, "max_tokens"),
    ("chat", {"n": 2, "max_completion_tokens": 51}, "max_completion_tokens"),
    ("embeddings", {"input": ["x"] * 4}, "input"),
    ("messages", {"max_tokens": 101}, "max_tokens"),
    ("messages", {"tools": [{"name": "f", "input_schema": {}}] * 3}, "tools"),
]


def identity(**facts: Any) -> Identity:
    return Identity(keys=(CallerKey("own", hashlib.sha256(KEY.encode()).hexdigest(), **facts),))


def made(surface: str, **more: Any) -> bytes:
    _, field = SURFACES[surface]
    return orjson.dumps({"model": "gpt-4o-mini", **orjson.loads(b"{%b}" % field), **more})


async def test_what_goes_over_is_refused_whichever_way_the_call_takes_and_nothing_is_sent() -> None:
    limits = {"choices": 2, "output_tokens": 100, "messages": 3, "tools": 2}
    async with weir(limits=Limits(**limits), identity=identity()) as running, aiohttp.ClientSession() as session:
        for surface, more, param in OVER:
            url = running.root + SURFACES[surface][0]
            running.provider.requests.clear()
            for turn in range(4):  # (from the second on the head is known)
                body = made(surface, **more) if turn % 2 else made(surface)
                async with session.post(url, data=body, headers=HEADERS) as answer:
                    said = orjson.loads(await answer.read())
                    assert answer.status == (400 if turn % 2 else 200), (surface, more, said)
                    if turn % 2:
                        error = said["error"]
                        assert param in error["message"] and ("code" not in error or error["code"] == "over_limit")
            assert len(running.provider.requests) == 2


async def test_a_key_may_have_less_than_all_and_never_more() -> None:
    for all_of, own, asked, status in (
        (0, 2, 3, 400), (0, 2, 2, 200), (5, 2, 3, 400), (2, 5, 3, 400), (5, 0, 6, 400), (0, 0, 100, 200),
    ):  # fmt: skip
        async with (
            weir(limits=Limits(choices=all_of), identity=identity(choices=own)) as running,
            aiohttp.ClientSession() as session,
        ):
            url = running.url + "/chat/completions"
            async with session.post(url, data=made("chat", n=asked), headers=HEADERS) as answer:
                assert answer.status == status, (all_of, own, asked)


def test_without_bounds_there_is_nothing_to_look_at() -> None:
    snapshot = Snapshot(1, {}, {}, (), {}, identity(), Limits(), Streams())
    assert bounds_of(snapshot, "own") == bounds_of(snapshot, None) == ()


@pytest.mark.parametrize(
    ("doc", "asked"),
    [
        ({"max_tokens": 10}, 10), ({"max_tokens": 10, "n": 3}, 30), ({"max_tokens": 10, "best_of": 4, "n": 2}, 40),
        ({"max_tokens": 10, "prompt": ["a", "b"], "n": 3}, 60), ({"max_tokens": 10, "prompt": [[1, 2], [3]]}, 20),
        ({"max_tokens": 10, "prompt": [1, 2, 3]}, 10), ({"max_tokens": 10, "prompt": "abc", "n": 0}, 10),
        ({"max_tokens": 10, "prompt": []}, 10),
    ],
)  # fmt: skip
def test_tokens_are_those_of_all_answers_to_all_prompts(doc: dict[str, Any], asked: int) -> None:
    def bounds(most: int) -> Any:
        return bounds_of(Snapshot(1, {}, {}, (), {}, Identity(), Limits(output_tokens=most), Streams()), None)

    assert beyond(bounds(asked), doc) is None
    over = beyond(bounds(asked - 1), doc)
    assert over is not None and (over.asked, over.field) == (asked, "max_tokens")


@pytest.mark.parametrize("value", [None, "many", {}, True, -1, float("nan"), 2, [1, 2]])
def test_what_is_no_number_and_no_list_is_the_providers_to_refuse(value: Any) -> None:
    bounds = bounds_of(Snapshot(1, {}, {}, (), {}, Identity(), Limits(choices=2), Streams()), None)
    assert beyond(bounds, {"n": value}) is None


@pytest.mark.parametrize("value", [3, 2.5e3, float("inf"), 10**30, [1, 2, 3]])
def test_numbers_of_every_form_are_read(value: Any) -> None:
    bounds = bounds_of(Snapshot(1, {}, {}, (), {}, Identity(), Limits(choices=2), Streams()), None)
    with pytest.raises(BadRequest) as caught:
        hold(bounds, {"n": value})
    assert caught.value.param == "n"
