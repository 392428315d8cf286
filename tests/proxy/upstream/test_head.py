"""Heads of requests and of answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import BadRequest, ProtocolViolation
from proxy.upstream import head
from proxy.upstream.head import FIELD_BYTES, HEADERS, REMEMBERED, REMEMBERED_CHARS, Writer


class TestARequest:
    def test_is_the_line_the_host_the_headers_as_they_are_and_nothing_else(self) -> None:
        headers = [("X-A", "1"), ("x-a", ""), ("Content-Length", "2")]
        written = Writer("there:81").write("POST", "/v1/x?y=%20", headers, 2)
        assert written == b"POST /v1/x?y=%20 HTTP/1.1\r\nHost: there:81\r\nX-A: 1\r\nx-a: \r\nContent-Length: 2\r\n\r\n"

    @pytest.mark.parametrize(
        ("method", "length", "line"),
        [
            ("POST", 5, b"Content-Length: 5\r\n"),
            ("POST", 0, b"Content-Length: 0\r\n"),
            ("GET", 0, b""),
            ("GET", 5, b"Content-Length: 5\r\n"),
            ("DELETE", 0, b""),
            ("POST", None, b"Transfer-Encoding: chunked\r\n"),
        ],
    )
    def test_tells_its_length_where_the_headers_do_not(self, method: str, length: int | None, line: bytes) -> None:
        written = Writer("h").write(method, "/", [("x", "y")], length)
        assert written.split(b"\r\nHost: h\r\nx: y\r\n")[1] == line + b"\r\n"

    @pytest.mark.parametrize(
        ("header", "length"),
        [
            (("content-length", "3"), 2),
            (("Content-Length", "02"), 2),
            (("content-length", "2"), None),
            (("Transfer-Encoding", "chunked"), 2),
            (("Transfer-Encoding", "chunked"), None),
        ],
    )
    def test_that_would_be_framed_in_two_ways_is_refused(self, header: tuple[str, str], length: int | None) -> None:
        with pytest.raises(BadRequest):
            Writer("h").write("POST", "/", [header], length)
        with pytest.raises(BadRequest):
            Writer("h").write("POST", "/", [("content-length", "2"), ("Content-Length", "2")], 2)

    def test_goes_to_the_host_that_a_header_names(self) -> None:
        assert Writer("h").write("GET", "/", [("Host", "other")], 0) == b"GET / HTTP/1.1\r\nHost: other\r\n\r\n"

    @pytest.mark.parametrize("method", ["", "GE T", "GET\r\n", "CONNECT", "GÉT"])
    def test_has_a_method_or_is_refused(self, method: str) -> None:
        with pytest.raises(BadRequest):
            Writer("h").write(method, "/", [], 0)

    @pytest.mark.parametrize("target", ["", "x", "/a b", "/a#b", "/a\r\n", "/é", "http://other/", "*"])
    def test_has_a_path_or_is_refused_each_time(self, target: str) -> None:
        writer = Writer("h")
        for _ in range(2):
            with pytest.raises(BadRequest):
                writer.write("GET", target, [], 0)

    @given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=20)), max_size=5))
    def test_has_as_many_lines_as_headers_or_is_refused(self, headers: list[tuple[str, str]]) -> None:
        try:
            written = Writer("h").write("GET", "/", headers, 0)
        except BadRequest:
            return
        lines = written.split(b"\r\n")
        own_host = not any(name.lower() == "host" for name, _ in headers)
        assert len(lines) == 1 + own_host + len(headers) + 2
        assert b"\0" not in written and written.count(b"\n") == written.count(b"\r") == len(lines) - 1

    def test_remembers_a_bounded_number_of_names_and_targets(self) -> None:
        writer = Writer("h")
        for number in range(3 * REMEMBERED):
            writer.write("GET", f"/{number}", [(f"x-{number}", "y")], 0)
        writer.write("GET", "/" + "x" * REMEMBERED_CHARS, [("x" * (REMEMBERED_CHARS + 1), "y")], 0)
        assert len(writer._names) <= REMEMBERED and len(writer._lines) <= REMEMBERED
        assert max(map(len, writer._names)) <= REMEMBERED_CHARS


class TestAnAnswersHead:
    def test_is_read_with_its_framing(self) -> None:
        assert head.read([(b"A", b"b  "), (b"Content-Length", b"12")], 50) == (
            [("A", "b"), ("Content-Length", "12")], 12, False,
        )  # fmt: skip
        assert head.read([(b"transfer-encoding", b"Chunked")], 50)[1:] == (None, True)
        assert head.read([], 0) == ([], None, False)

    def test_reads_utf8_and_else_latin1(self) -> None:
        assert head.read([(b"a", b"caf\xe9"), (b"b", b"\xc3\xa9")], 50)[0] == [("a", "café"), ("b", "é")]

    @pytest.mark.parametrize(
        "fields",
        [
            [(b"Content-Length", b"1"), (b"content-length", b"1")],
            [(b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")],
            [(b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")],
            [(b"Transfer-Encoding", b"gzip")],
            [(b"Transfer-Encoding", b"identity")],
            [(b"Transfer-Encoding", b"chunked, chunked")],
            [(b"Content-Length", b"+1")],
            [(b"Content-Length", b"1, 1")],
            [(b"Content-Length", b"")],
            [(b"Content-Length", b"9" * 20)],
            [(b"Content-Length", "١".encode())],
            [(b"x", b"y")] * (HEADERS + 1),
            [(b"x", b"y" * FIELD_BYTES)],
        ],
    )
    def test_that_could_be_read_in_two_ways_or_is_too_much_is_a_violation(self, fields: head.Fields) -> None:
        with pytest.raises(ProtocolViolation):
            head.read(fields, FIELD_BYTES + 1)

    def test_may_be_as_large_as_it_says(self) -> None:
        assert len(head.read([(b"x", b"y" * (FIELD_BYTES - 1))] * HEADERS, 1 << 30)[0]) == HEADERS

    @pytest.mark.parametrize(
        ("status", "version"), [(99, "1.1"), (600, "1.1"), (101, "1.1"), (200, "2.0"), (200, "0.9")]
    )
    def test_has_a_status_line_of_http_1(self, status: int, version: str) -> None:
        assert isinstance(head.usable(status, version), ProtocolViolation)
        assert head.usable(200, "1.0") is None
