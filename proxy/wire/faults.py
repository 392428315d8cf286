"""Errors as callers of each dialect know them: a body, its headers, or an event in the middle of a stream."""

from __future__ import annotations

from proxy.errors import WeirError
from proxy.exchange import Dialect
from proxy.ports import Headers, Json
from proxy.wire.coding import encode

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def body(error: WeirError, dialect: Dialect, request_id: str = "") -> tuple[bytes, Headers]:
    """The body of an error answer, and the headers that belong to it."""
    doc = _anthropic(error, request_id) if dialect == "messages" else {"error": _openai(error)}
    return encode(doc), [("content-type", "application/json"), *error.headers]


def event(error: WeirError, dialect: Dialect, request_id: str = "", *, sequence: int = 0) -> bytes:
    """An error in the middle of a stream. `sequence`: the next `sequence_number` of a Responses stream."""
    if dialect == "messages":
        return b"event: error\ndata: " + encode(_anthropic(error, request_id)) + b"\n\n"
    if dialect == "responses":
        shown = _openai(error)
        doc = {"type": "error", "code": shown["code"], "message": shown["message"], "param": shown["param"],
               "sequence_number": sequence}  # fmt: skip
        return b"event: error\ndata: " + encode(doc) + b"\n\n"
    return b"data: " + encode({"error": _openai(error)}) + b"\n\n"


def _openai(error: WeirError) -> dict[str, Json]:
    return {"message": error.message, "type": error.type, "param": error.param, "code": str(error.code)}


def _anthropic(error: WeirError, request_id: str) -> dict[str, Json]:
    fallback = "api_error" if error.status >= 500 else "invalid_request_error"
    shown = {"type": _ANTHROPIC_TYPES.get(error.status, fallback), "message": error.message}
    doc: dict[str, Json] = {"type": "error", "error": shown}
    if request_id:
        doc["request_id"] = request_id
    return doc
