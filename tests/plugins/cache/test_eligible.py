"""Which calls may share an answer, and why the others may not."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.cache.eligible import deterministic, why_not
from proxy.exchange import Dialect
from tests.plugins.cache.calls import BODIES, call


def why(dialect: Dialect, model: str = "m", **more: Any) -> str:
    exchange = call({**BODIES[dialect], **more}, dialect)
    return why_not(exchange.request, exchange.request.doc, model)


FUNCTION = {"type": "function", "function": {"name": "f"}}


def parts(*found: Any) -> list[Any]:
    return [{"role": "user", "content": list(found)}]


@pytest.mark.parametrize("dialect", BODIES)
def test_a_plain_call_of_every_surface_may(dialect: Dialect) -> None:
    assert why(dialect) == ""


@pytest.mark.parametrize(
    ("dialect", "more"),
    [
        ("chat", {"tools": [FUNCTION]}),
        ("chat", {"tools": [FUNCTION, {"type": "custom", "custom": {"name": "g"}}], "n": 1, "store": False}),
        ("chat", {"web_search_options": None, "background": False, "plugins": []}),
        ("responses", {"tools": [{"type": "function", "name": "f"}], "previous_response_id": None}),
        ("messages", {"tools": [{"name": "f", "input_schema": {}}], "metadata": {"user_id": "u"}}),
        ("chat", {"messages": parts({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}})}),
        ("chat", {"messages": parts({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}})}),
        ("messages", {"messages": parts({"type": "image", "source": {"type": "base64", "data": "AA"}})}),
        ("responses", {"input": parts({"type": "input_image", "image_url": "data:image/png;base64,AA"})}),
        ("completions", {"prompt": ["one"]}),
        ("completions", {"prompt": [1, 2, 3]}),
        ("embeddings", {"input": ["one", "two"]}),
        ("chat", {"messages": [{"role": "user", "content": 'see "url": http://x and file_id'}]}),
    ],
)
def test_what_is_all_in_the_body_may(dialect: Dialect, more: dict[str, Any]) -> None:
    assert why(dialect, **more) == ""


@pytest.mark.parametrize(
    ("dialect", "more", "words"),
    [
        ("responses", {"store": True}, "store"),
        ("responses", {"store": None}, "store"),
        ("chat", {"store": True}, "store"),
        ("responses", {"previous_response_id": "resp_1"}, "previous_response_id"),
        ("responses", {"conversation": "conv_1"}, "conversation"),
        ("responses", {"background": True}, "background"),
        ("responses", {"prompt": {"id": "pmpt_1"}}, "prompt kept by the provider"),
        ("responses", {"tools": [{"type": "web_search"}]}, "hosted tools"),
        ("responses", {"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, "hosted tools"),
        ("responses", {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, "hosted tools"),
        ("responses", {"tools": [{"type": "computer_use_preview"}]}, "hosted tools"),
        ("responses", {"tools": [{"type": "mcp", "server_url": "https://x"}]}, "hosted tools"),
        ("responses", {"tools": [{"type": "function", "name": "f"}, {"type": "image_generation"}]}, "hosted tools"),
        ("chat", {"tools": [{"google_search": {}}]}, "hosted tools"),
        ("messages", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "hosted tools"),
        ("messages", {"mcp_servers": [{"url": "https://x"}]}, "mcp_servers"),
        ("messages", {"container": "c_1"}, "container"),
        ("chat", {"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
        ("chat", {"n": 2}, "n"),
        ("completions", {"best_of": 3}, "n"),
        ("completions", {"prompt": ["one", "two"]}, "several prompts"),
        ("chat", {"modalities": ["text", "audio"]}, "audio"),
        ("chat", {"messages": parts({"type": "image_url", "image_url": {"url": "https://x"}})}, "parts kept elsewhere"),
        ("chat", {"messages": parts({"type": "file", "file": {"file_id": "file-1"}})}, "parts kept elsewhere"),
        ("responses", {"input": parts({"type": "input_file", "file_url": "https://x"})}, "parts kept elsewhere"),
        ("responses", {"input": [{"type": "item_reference", "id": "msg_1"}]}, "parts kept elsewhere"),
        ("messages", {"messages": parts({"type": "image", "source": {"type": "url", "url": "https://x"}})},
         "parts kept elsewhere"),
        ("messages", {"messages": parts({"type": "document", "source": {"type": "file", "file_id": "f"}})},
         "parts kept elsewhere"),
    ],
)  # fmt: skip
def test_what_leaves_state_or_looks_elsewhere_may_not(dialect: Dialect, more: dict[str, Any], words: str) -> None:
    assert why(dialect, **more) == words


@pytest.mark.parametrize("model", ["gpt-4o-search-preview", "sonar-pro", "openai/gpt-5:online", "o3-deep-research"])
def test_models_that_search_may_not(model: str) -> None:
    assert why("chat", model) == "a model that searches"


@pytest.mark.parametrize("model", ["gpt-4o", "research-llm", "claude-sonnet-5", "searchlight", "my-researcher"])
def test_names_that_only_sound_so_may(model: str) -> None:
    assert why("chat", model) == ""


@pytest.mark.parametrize(
    ("dialect", "doc", "is_so"),
    [
        ("chat", {"temperature": 0}, True), ("chat", {"temperature": 0.0}, True), ("chat", {"seed": 0}, True),
        ("chat", {}, False), ("chat", {"temperature": 0.1}, False), ("chat", {"temperature": None}, False),
        ("chat", {"temperature": False}, False), ("chat", {"temperature": 1, "seed": 7}, True),
        ("chat", {"seed": None}, False), ("embeddings", {}, True), ("messages", {"temperature": 0}, True),
    ],
)  # fmt: skip
def test_what_is_deterministic(dialect: Dialect, doc: dict[str, Any], is_so: bool) -> None:
    assert deterministic(dialect, doc) is is_so
