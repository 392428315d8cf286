"""What goes wrong on the way to a provider and back, each with its one sentence. None names a host, a key or a path."""

from __future__ import annotations

from proxy.errors import BadRequest, Overloaded, ProtocolViolation, StreamCut, Unreachable, UpstreamTimeout


def unconnected() -> Unreachable:
    return Unreachable("No connection to the provider.")


def unconnected_in_time() -> Unreachable:
    return Unreachable("No connection to the provider in time.")


def unknown_name() -> Unreachable:
    return Unreachable("The provider's name is not known.")


def untrusted() -> Unreachable:
    return Unreachable("The provider's certificate is not trusted.")


def no_tls() -> Unreachable:
    return Unreachable("No TLS connection to the provider.")


def unanswered_in_time() -> UpstreamTimeout:
    return UpstreamTimeout("The provider did not answer in time.")


def silent() -> UpstreamTimeout:
    return UpstreamTimeout("The provider fell silent in the middle of its answer.")


def unfinished_in_time() -> UpstreamTimeout:
    return UpstreamTimeout("The provider's answer took longer than a call may.")


def unanswered(*, heard: bool) -> ProtocolViolation:
    """The connection ended before the answer's headers were there; `heard`: a part of them was."""
    if heard:
        return ProtocolViolation("The provider's answer broke off in its headers.")
    return ProtocolViolation("The provider closed the connection without an answer.")


def invalid() -> ProtocolViolation:
    return ProtocolViolation("The provider's answer is not valid HTTP/1.1.")


def too_large() -> ProtocolViolation:
    return ProtocolViolation("The provider's answer is too large.", code="upstream_answer_too_large")


def cut() -> StreamCut:
    return StreamCut("The provider's answer broke off.")


def stopping() -> Overloaded:
    return Overloaded("Weir is shutting down.", code="shutting_down")


def unsendable_path() -> BadRequest:
    return BadRequest("The path cannot be sent.")


def unsendable_header() -> BadRequest:
    return BadRequest("A header of this call cannot be sent.")
