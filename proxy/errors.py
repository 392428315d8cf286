"""Every error a caller can meet: status, code, retryable, and whose fault it is.

WeirError
  BadRequest 400              the call cannot be understood
    MalformedBody 400         not JSON, wrong type, too deep, duplicate keys
    TooLarge 413              body or header over the limit
    BadEncoding 415           a content coding that Weir does not read
    UnknownModel 404          no upstream serves this model
    UnknownPath 404           nothing lives here
    BadMethod 405             the path exists, the method does not
    SlowCaller 408            the request did not arrive in time
  Unauthorized 401            no credential, or a wrong one
  Forbidden 403               a right that the credential does not have
  Refused 400                 a plugin decided against the call (policy)
  Limited 429                 over a limit; says when to come back
  Overloaded 503              Weir itself is full, draining or starting
  UpstreamFailed 502          the provider did not answer properly
    Unreachable 502           no connection
    UpstreamTimeout 504       no answer in time
    ProtocolViolation 502     the answer is not HTTP, or not what it says it is
    StreamCut 502             the answer broke off
  PluginFailed 503            a plugin that must not fail has failed
  StoreDown 503               hot state did not answer in time: whoever asked has a written fallback
ConfigError                   at start and at reload only: file, line, key, what to write instead
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

Fault = Literal["caller", "policy", "provider", "weir"]


class WeirError(Exception):
    """An error with an answer: `wire.faults` writes it in the caller's dialect."""

    status: int = 500
    type: ClassVar[str] = "server_error"
    code: str = "internal_error"
    fault: ClassVar[Fault] = "weir"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers = tuple(headers)
        if code is not None:
            self.code = code


class BadRequest(WeirError):
    status = 400
    type = "invalid_request_error"
    code = "bad_request"
    fault = "caller"


class MalformedBody(BadRequest):
    code = "malformed_body"


class TooLarge(BadRequest):
    status = 413
    code = "too_large"


class BadEncoding(BadRequest):
    status = 415
    code = "unsupported_content_encoding"


class UnknownModel(BadRequest):
    status = 404
    code = "model_not_found"


class UnknownPath(BadRequest):
    status = 404
    code = "unknown_path"


class BadMethod(BadRequest):
    status = 405
    code = "method_not_allowed"


class SlowCaller(BadRequest):
    status = 408
    code = "request_timeout"


class Unauthorized(WeirError):
    status = 401
    type = "authentication_error"
    code = "invalid_api_key"
    fault = "caller"


class Forbidden(WeirError):
    status = 403
    type = "permission_error"
    code = "forbidden"
    fault = "caller"


class Refused(WeirError):
    """A decision, not a failure: `plugin` said no for `reason` (a sentence that never quotes the text)."""

    status = 400
    type = "invalid_request_error"
    code = "refused"
    fault = "policy"

    def __init__(self, plugin: str, reason: str, *, code: str = "refused", as_answer: bool = False) -> None:
        super().__init__(reason, code=code, headers=(("x-should-retry", "false"),))
        self.plugin = plugin
        self.as_answer = as_answer


class Limited(WeirError):
    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"
    fault = "policy"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None, code: str | None = None) -> None:
        headers = () if retry_after_s is None else (("retry-after", str(max(1, round(retry_after_s)))),)
        super().__init__(message, code=code, headers=headers)
        self.retry_after_s = retry_after_s


class Overloaded(WeirError):
    status = 503
    type = "server_error"
    code = "overloaded"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: float = 1.0, code: str | None = None) -> None:
        super().__init__(message, code=code, headers=(("retry-after", str(max(1, round(retry_after_s)))),))


class UpstreamFailed(WeirError):
    """The provider's fault. `status_seen` is what it answered, if it answered."""

    status = 502
    type = "server_error"
    code = "upstream_failed"
    fault = "provider"
    retryable = True


class Unreachable(UpstreamFailed):
    code = "upstream_unreachable"


class UpstreamTimeout(UpstreamFailed):
    status = 504
    code = "upstream_timeout"


class ProtocolViolation(UpstreamFailed):
    code = "upstream_protocol_violation"


class StreamCut(UpstreamFailed):
    code = "upstream_stream_cut"


class PluginFailed(WeirError):
    status = 503
    code = "plugin_failed"
    retryable = True

    def __init__(self, plugin: str, message: str) -> None:
        super().__init__(message)
        self.plugin = plugin


class StoreDown(WeirError):
    """Hot state is away. Raised by `Store`; a caller meets it only where a plugin's policy is `on_error: closed`."""

    status = 503
    code = "store_unavailable"
    retryable = True


class ConfigError(Exception):
    """What is wrong in the configuration, where, and what to write instead."""

    def __init__(
        self, message: str, *, file: str | None = None, line: int | None = None, key: str | None = None
    ) -> None:
        where = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(f"{where}{f'{key}: ' if key else ''}{message}")
        self.message = message
        self.file = file
        self.line = line
        self.key = key
