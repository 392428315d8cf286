from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from proxy.exchange import Exchange
from proxy.plugin import NoOptions, Plugin
from proxy.route import Member
from tests import kit

Hook = Callable[[Any, Exchange], Awaitable[None]]


def watched(hook: Hook) -> Hook:
    """Around a hook, as third parties have it: for tracing, for locks."""

    @functools.wraps(hook)
    async def around(self: Any, exchange: Exchange) -> None:
        await hook(self, exchange)

    return around


def member(hook: Any) -> Member:
    plugin = type("Made", (Plugin,), {"name": "made", "Options": NoOptions, "request": hook})
    return Member(plugin(kit.kit()), kit.entry("made"), 0, frozenset({"request"}))


async def prompt(self: Any, exchange: Exchange) -> None:
    exchange.step("made", "request", "looked")


def test_a_hook_without_an_await_keeps_no_call_from_the_short_way() -> None:
    assert member(prompt).short


def test_what_is_wrapped_around_a_hook_may_wait() -> None:
    assert not member(watched(prompt)).short


def test_a_hook_that_is_no_plain_function_may_wait() -> None:
    assert not member(functools.partialmethod(prompt)).short
    assert not member(functools.partial(prompt, None)).short
