"""Whether a model that options name leads anywhere, and what was probably meant."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.configuration.destinations import Destinations
from proxy.configuration.settings import Settings
from proxy.plugin import Named

UPSTREAMS = {
    "openai": {"url": "https://a.test/v1", "models": ["gpt-4o", "gpt-4o-mini", "o3*"], "key": "env:A"},
    "anthropic": {"url": "https://b.test", "dialects": ["messages"], "models": ["claude-*"], "key": "env:B"},
}
ANY = {"openai": {"url": "https://a.test/v1"}, "local": {"url": "https://c.test", "models": ["meta/*"]}}


def known(upstreams: dict[str, Any] | None = None) -> Destinations:
    values = {"upstreams": UPSTREAMS if upstreams is None else upstreams, "aliases": {"smart": {"model": "gpt-4o"}}}
    return Destinations(Settings.model_validate(values, strict=False))


def named(name: str, how: Any, *dialects: Any) -> Named:
    return Named((), name, how, dialects) if dialects else Named((), name, how)


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (named("openai/text-3", "upstream", "embeddings"), ""),
        (named("opnai/text-3", "upstream", "embeddings"), "there is no upstream 'opnai'; did you mean openai?"),
        (
            named("anthropic/claude-3", "upstream", "embeddings"),
            "the upstream anthropic does not speak embeddings (it speaks messages); name a model of openai",
        ),
        (named("gpt-4o", "target"), ""),
        (named("smart", "target"), ""),
        (named("o3-pro", "target"), ""),
        (named("openai/gpt-4o", "target"), ""),
        (named("openai/gtp-4o", "target"), "the upstream openai serves no 'gtp-4o'; did you mean gpt-4o?"),
        (named("gtp-4o", "target"), "no upstream serves 'gtp-4o'; did you mean gpt-4o?"),
        (
            named("mixtral", "target"),
            "no upstream serves 'mixtral'; write upstream/model, or list the model at an upstream",
        ),
        (named("opnai/gpt-4o", "model"), "there is no upstream 'opnai'; did you mean openai?"),
        (named("claude-3", "model", "messages"), ""),
        (
            named("claude-3", "model", "chat", "responses"),
            "'claude-3' is spoken to in messages only; name one that speaks chat or responses",
        ),
        (named("nobody", "asked"), ""),
    ],
)
def test_a_name_that_leads_nowhere_is_wrong(one: Named, words: str) -> None:
    assert known().fault(one) == words


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (named("gpt-4o*", "asked"), ""),
        (named("o3-mini", "asked"), ""),
        (named("o*", "asked"), ""),
        (named("*", "asked"), ""),
        (named("smart", "asked"), ""),
        (named("openai/gpt-4o", "asked"), ""),
        (
            named("gpt4o*", "asked"),
            "'gpt4o*' fits no alias and no model of an upstream, so no call is meant by it; did you mean gpt-4o?",
        ),
        (named("anthropic/claude-3", "upstream"), ""),
        (
            named("openai/gpt-5o", "upstream"),
            "openai lists no model 'gpt-5o'; did you mean gpt-4o?; it is asked all the same",
        ),
        (named("gpt-4o", "model"), ""),
    ],
)
def test_a_name_that_is_probably_another_is_doubtful(one: Named, words: str) -> None:
    assert list(known().doubts(one)) == ([words] if words else [])


def test_an_upstream_that_takes_everything_takes_no_misspelt_target() -> None:
    broad = known(ANY)
    assert broad.fault(named("openai/whatever", "target")) == ""
    assert broad.fault(named("meta/llama", "target")) == "", "a model may have a slash in its name"
    assert broad.fault(named("opnai/gpt-4o", "target")) == "there is no upstream 'opnai'; did you mean openai?"
    assert broad.fault(named("opnai/gpt-4o", "model")) == "", "it is asked of the one that takes everything"
    assert list(broad.doubts(named("opnai/gpt-4o", "model"))) == [
        "is asked of openai under that whole name, for no upstream is called 'opnai'; did you mean openai/gpt-4o?"
    ]
    assert list(broad.doubts(named("mistralai/mixtral", "model"))) == []
    assert list(broad.doubts(named("gtp", "asked"))) == [], "it takes that as well"
    assert list(broad.doubts(named("local/gpt-4o", "model"))) == [
        "is asked of openai under that whole name: local lists no 'gpt-4o'; there are: meta/*"
    ]


PAID = {
    "openai": {"url": "https://a.test/v1", "models": ["gpt-*"]},
    "cheap": {"url": "https://c.test", "models": ["qwen"]},
    "keyed": {"url": "https://d.test", "models": ["haiku"], "key": "env:KEY"},
    "free": {"url": "https://e.test", "models": ["phi"], "auth": "none"},
}
PAYS = "give the upstream `key: env:NAME`, or `auth: none` where it needs none"
ELSEWHERE = f"cheap has no key, and a caller's own credential goes to openai only: {PAYS}"


@pytest.mark.parametrize(
    ("name", "how", "asked", "words"),
    [
        ("qwen", "target", ("gpt-*",), ELSEWHERE), ("cheap/qwen", "model", ("smart",), ELSEWHERE),
        ("qwen", "target", ("qw*",), ""), ("qwen", "target", ("*",), ""), ("qwen", "target", (), ""),
        ("haiku", "target", ("gpt-*",), ""), ("phi", "target", ("gpt-*",), ""), ("gpt-4", "target", ("gpt-*",), ""),
        ("cheap/qwen", "upstream", (), f"cheap has no key, and a call of Weir's own brings none: {PAYS}"),
        ("keyed/haiku", "upstream", (), ""), ("free/phi", "upstream", (), ""),
    ],
)  # fmt: skip
def test_an_upstream_that_nobody_could_pay_is_doubtful(name: str, how: Any, asked: Any, words: str) -> None:
    one = Named((), name, how, asked=asked)
    assert list(known(PAID).doubts(one)) == ([words] if words else [])
