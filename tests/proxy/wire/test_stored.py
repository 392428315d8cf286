"""Paths of what providers keep."""

from __future__ import annotations

import pytest

from proxy.wire.stored import Stored, of


@pytest.mark.parametrize(
    ("method", "path", "asked"),
    [
        ("GET", "/v1/responses/r", Stored("responses", "r", True)),
        ("GET", "/v1/responses/r/input_items", Stored("responses", "r", True)),
        ("POST", "/v1/responses/r/cancel", Stored("responses", "r", True)),
        ("POST", "/v1/responses/compact", Stored("responses", "", True, True, True)),
        ("POST", "/v1/messages/count_tokens", Stored("messages", "", True, True, True)),
        ("DELETE", "/v1/responses/r", Stored("responses", "r", False)),
        ("POST", "/v1/conversations", Stored("responses", "", False, True)),
        ("GET", "/v1/conversations/c", Stored("responses", "c", False)),
        ("POST", "/v1/conversations/c", Stored("responses", "c", False)),
        ("DELETE", "/v1/conversations/c", Stored("responses", "c", False)),
        ("GET", "/v1/conversations/c/items", Stored("responses", "c", True)),
        ("POST", "/v1/conversations/c/items", Stored("responses", "c", True, True)),
        ("GET", "/v1/conversations/c/items/i", Stored("responses", "c", True)),
        ("DELETE", "/v1/conversations/c/items/i", Stored("responses", "c", False)),
        ("GET", "/v1/chat/completions", Stored("chat", "", True)),
        ("GET", "/v1/chat/completions/x", Stored("chat", "x", True)),
        ("POST", "/v1/chat/completions/x", Stored("chat", "x", True)),
        ("DELETE", "/v1/chat/completions/x", Stored("chat", "x", False)),
        ("GET", "/v1/chat/completions/x/messages", Stored("chat", "x", True)),
    ],
)
def test_what_is_asked_of_what_is_kept(method: str, path: str, asked: Stored) -> None:
    assert of(method, path) == asked


@pytest.mark.parametrize(
    "path",
    ["/v1/responses", "/v1/responses/", "/v1/files/x", "/v2/responses/r", "/v1/chat/x/y",
     "/v1/conversationsx/c/items", "/v1", "/", ""],
)  # fmt: skip
def test_what_is_not_about_it(path: str) -> None:
    assert of("POST", path) is None
