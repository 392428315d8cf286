from __future__ import annotations

import posixpath
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.server.screen import Opening, refusal, traverses

PLAIN = Opening((1, 1), "POST", "/v1/chat/completions?a=b")
SOCKET = Opening(
    (1, 1), "GET", "/v1/realtime", websocket=True, websocket_key="AAAAAAAAAAAAAAAAAAAAAA==", websocket_version="13"
)


def status(opening: Opening) -> int:
    error = refusal(opening)
    return error.status if error is not None else 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_ordinary_calls_pass(method: str) -> None:
    assert status(PLAIN._replace(method=method)) == 200
    assert status(PLAIN._replace(method=method, version=(1, 0))) == 200
    assert status(PLAIN._replace(transfer_coding="Chunked", expect="100-Continue")) == 200
    assert status(SOCKET) == 200


def test_what_is_refused_and_how() -> None:
    assert status(PLAIN._replace(version=(2, 0))) == 505
    assert status(PLAIN._replace(version=(0, 9))) == 505
    assert status(PLAIN._replace(method="TRACE")) == 405
    assert status(PLAIN._replace(transfer_coding="gzip, chunked")) == 501
    assert status(PLAIN._replace(transfer_coding="")) == 501
    assert status(PLAIN._replace(transfer_coding="chunked", version=(1, 0))) == 501
    assert status(PLAIN._replace(expect="the-moon")) == 417
    for target in ("*", "http://x/v1", "x:80", "//x/v1", "/v1#x", "/v1 x", "/v1/\u20ac", "/v1/\x7f", "/v1/../x", ""):
        assert status(PLAIN._replace(target=target)) == 400, target


def test_only_a_proper_websocket_handshake_passes() -> None:
    assert status(SOCKET._replace(method="POST")) == 400
    assert status(SOCKET._replace(version=(1, 0))) == 400
    assert status(SOCKET._replace(websocket_version=None)) == 426
    assert status(SOCKET._replace(websocket_key=None)) == 400
    assert status(SOCKET._replace(websocket_key="c2hvcnQ=")) == 400
    assert status(SOCKET._replace(websocket_key="!" * 24)) == 400


@pytest.mark.parametrize(
    "path",
    ["/v1/../x", "/v1/..", "/..", "/v1/./x", "/v1/%2e%2e/x", "/v1/%2E./x", "/v1/.%2e", "/v1/%252e%252e/x", "/a%2f../b",
     "/a%5c..%5cb", "/a\\..\\b", "/v1/..;x/y", "/v1/%2e%2e%3bx/y", "/v1/%00", "/v1/%25252525252e"],
)  # fmt: skip
def test_dot_segments_are_seen_in_every_disguise(path: str) -> None:
    assert traverses(path)


@pytest.mark.parametrize(
    "path",
    ["/v1/.well-known", "/v1/...", "/v1/x..y", "/v1/a%2Fb", "/v1/100%25", "/v1/gpt-4.1", "/v1/a;b", "/v1/%e2%82"],
)
def test_dots_that_are_names_pass(path: str) -> None:
    assert not traverses(path)


PIECES = st.sampled_from(["/", ".", "..", "%2e", "%2F", "%5c", "%25", "2e", "\\", ";", "a", "%", "v1"])


@settings(max_examples=500, deadline=None, database=None)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_a_path_that_passes_means_the_same_to_every_server(tail: str) -> None:
    """However often it is decoded, and whatever counts as a slash, no normalisation takes it elsewhere."""
    path = "/v1/" + tail
    if traverses(path):
        return
    for _ in range(4):
        seen = path.replace("\\", "/")
        assert posixpath.normpath("/root" + seen).startswith("/root")
        assert not {".", ".."} & set(seen.split("/"))
        path = unquote(path, errors="surrogateescape")
