"""The providers' own error bodies, by status and flavour."""

from __future__ import annotations

from typing import Any

from benchmarks.simulated.plan import Answer, Flavour, Headers, event, json_answer

Json = Any

_OPENAI: dict[int, tuple[str, str, str | None]] = {
    400: ("invalid_request_error", "Invalid value in the request.", None),
    401: (
        "invalid_request_error",
        "Incorrect API key provided: sk-sim****ated. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        "invalid_api_key",
    ),
    403: (
        "invalid_request_error",
        "Project `proj_simulated` does not have access to model `{model}`.",
        "model_not_found",
    ),
    404: (
        "invalid_request_error",
        "The model `{model}` does not exist or you do not have access to it.",
        "model_not_found",
    ),
    409: ("conflict_error", "The resource is in use.", None),
    413: ("invalid_request_error", "Request too large.", None),
    422: ("invalid_request_error", "Unprocessable entity.", None),
    429: (
        "requests",
        "Rate limit reached for {model} in organization org-simulated on requests per min (RPM): Limit 3, Used 3, "
        "Requested 1. Please try again in 20s. Visit https://platform.openai.com/account/rate-limits to learn more.",
        "rate_limit_exceeded",
    ),
    500: ("server_error", "The server had an error while processing your request. Sorry about that!", None),
    503: ("server_error", "The engine is currently overloaded, please try again later.", None),
}
_ANTHROPIC: dict[int, tuple[str, str]] = {
    400: ("invalid_request_error", "Invalid value in the request."),
    401: ("authentication_error", "invalid x-api-key"),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "model: {model}"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit of 50 requests per minute."),
    500: ("api_error", "Internal server error"),
    503: ("api_error", "Service unavailable"),
    529: ("overloaded_error", "Overloaded"),
}
_PAGE = (
    b"<html>\r\n<head><title>%d %b</title></head>\r\n<body>\r\n"
    b"<center><h1>%d %b</h1></center>\r\n</body>\r\n</html>\r\n"
)
_PAGES = {502: b"Bad Gateway", 504: b"Gateway Time-out"}


def fault(
    status: int,
    flavour: Flavour,
    *,
    model: str = "",
    message: str = "",
    param: str | None = None,
    code: str = "",
) -> Answer:
    """502 and 504 come as a page, as from the machine in front of a provider."""
    if status in _PAGES and not message:
        return Answer(_PAGE % (status, _PAGES[status], status, _PAGES[status]), status, flavour, kind="text/html")
    body = body_of(status, flavour, model=model, message=message, param=param, code=code)
    return json_answer(body, status, flavour)


def retry_after(seconds: float) -> Headers:
    return (("retry-after", f"{seconds:g}"), ("retry-after-ms", f"{seconds * 1000:g}"))


def body_of(
    status: int, flavour: Flavour, *, model: str = "", message: str = "", param: str | None = None, code: str = ""
) -> Json:
    if flavour == "anthropic":
        kind, text = _ANTHROPIC.get(status, ("api_error", f"Status {status}"))
        return {
            "type": "error",
            "error": {"type": code or kind, "message": message or text.format(model=model)},
            "request_id": "req_simulated",
        }
    kind, text, usual = _OPENAI.get(status, ("server_error", f"Status {status}", None))
    if code == "insufficient_quota":
        kind, text = code, "You exceeded your current quota, please check your plan and billing details."
    said = message or text.format(model=model)
    word = code or (None if message else usual)
    return {"error": {"message": said, "type": kind, "param": param, "code": word}}


def error_event(path: str) -> bytes:
    """What a failure looks like in the middle of a stream of this surface."""
    if path.startswith("/v1/messages"):
        return event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "error")
    said = "The server had an error while processing your request. Sorry about that!"
    if path.startswith("/v1/responses"):
        body = {"type": "error", "code": "server_error", "message": said, "param": None, "sequence_number": 999_999}
        return event(body, "error")
    return event({"error": {"message": said, "type": "server_error", "param": None, "code": None}})
