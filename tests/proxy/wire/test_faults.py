"""Errors in each dialect's own shape."""

from __future__ import annotations

import orjson
import pytest

from proxy import errors
from proxy.exchange import Dialect
from proxy.wire import faults, sse

OPENAI: tuple[Dialect, ...] = ("chat", "responses", "completions", "embeddings", "relay")


@pytest.mark.parametrize("dialect", OPENAI)
def test_openai_errors_have_four_fields_and_a_code_that_is_a_string(dialect: Dialect) -> None:
    body, headers = faults.body(errors.MalformedBody("No.", param="n"), dialect, "req-1")
    assert orjson.loads(body) == {
        "error": {"message": "No.", "type": "invalid_request_error", "param": "n", "code": "malformed_body"}
    }
    assert headers == [("content-type", "application/json")]


@pytest.mark.parametrize(
    ("error", "type_"),
    [
        (errors.MalformedBody("x"), "invalid_request_error"),
        (errors.Refused("p", "x"), "invalid_request_error"),
        (errors.Unauthorized("x"), "authentication_error"),
        (errors.Forbidden("x"), "permission_error"),
        (errors.UnknownModel("x"), "not_found_error"),
        (errors.BadMethod("x"), "invalid_request_error"),
        (errors.TooLarge("x"), "request_too_large"),
        (errors.Limited("x"), "rate_limit_error"),
        (errors.WeirError("x"), "api_error"),
        (errors.Unreachable("x"), "api_error"),
        (errors.Overloaded("x"), "overloaded_error"),
        (errors.UpstreamTimeout("x"), "timeout_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_anthropic_errors_have_the_type_that_belongs_to_the_status(error: errors.WeirError, type_: str) -> None:
    body, _ = faults.body(error, "messages", "req-1")
    assert orjson.loads(body) == {"type": "error", "error": {"type": type_, "message": "x"}, "request_id": "req-1"}
    assert "request_id" not in orjson.loads(faults.body(error, "messages")[0])


def test_an_errors_own_headers_come_along() -> None:
    _, headers = faults.body(errors.Limited("x", retry_after_s=7.2), "chat")
    assert ("retry-after", "7") in headers
    _, headers = faults.body(errors.Refused("p", "x"), "messages")
    assert ("x-should-retry", "false") in headers


@pytest.mark.parametrize("dialect", [*OPENAI, "messages"])
def test_an_error_in_a_stream_is_one_event(dialect: Dialect) -> None:
    (event,) = sse.Reader().feed(faults.event(errors.StreamCut("Broken."), dialect, "r", sequence=4))
    doc = orjson.loads(event.data)
    if dialect == "messages":
        assert (event.name, doc["type"], doc["error"]["type"]) == ("error", "error", "api_error")
    elif dialect == "responses":
        assert (event.name, doc["type"], doc["code"]) == ("error", "error", "upstream_stream_cut")
        assert doc["sequence_number"] == 4
    else:
        assert (event.name, doc["error"]["code"]) == ("", "upstream_stream_cut")
